/**
 * A frame's recursion over the factor once more, within its submission, where a certificate fails.
 *
 * @module
 */
import type { Block } from "../../walk/webgpu/matrix.ts";
import type { Recorder } from "../../walk/webgpu/recorder.ts";
import { recordHalfIteration, type ResidentBasis } from "./basis_steps.ts";
import { recordCertificate, recordCheck } from "./certificate.ts";
import type { HeldBuffers } from "./held_buffers.ts";
import { againKernel } from "./kernels.ts";
import {
  bindingsOf,
  type LevelBuffers,
  levelBuffers,
  type LevelPlan,
  levelSettings,
} from "./level_buffers.ts";

/** A recursion whose tree and certificate lie on the device. */
export interface FirstTry {
  readonly plan: LevelPlan;
  readonly basis: ResidentBasis;
  /** F. */
  readonly rows: Block;
  readonly buffers: LevelBuffers<"sums" | "starts" | "basisGroups" | "gram" | "triangle">;
  readonly kept: HeldBuffers;
  readonly certificate: Block;
  /** Records the levels again. */
  levels(): void;
}

/**
 * Renews the basis and makes the tree and its certificate anew, in their places; dispatches of no
 * workgroups, or such as change nothing, where every certificate holds.
 *
 * @param tolerance largest residual of a cut's vector.
 */
export function recordSecondTry(
  recorder: Recorder,
  { plan, basis, rows, buffers, kept, certificate, levels }: FirstTry,
  tolerance: number,
): void {
  const { shared, groups } = buffers;
  const weak = recordCheck(recorder, plan, shared, certificate, kept, tolerance);
  for (const closed of [...groups, shared.productGroups, shared.basisGroups]) recorder.clear(closed);
  const uniform = recorder.uniform(levelSettings(plan, 0));
  // It opens the first level itself, not the one after it.
  const first = { ...shared, ...levelBuffers(buffers, 0), nextGroups: groups[0]!, weak };
  recorder.dispatch(plan.walk.gpu.pipeline(againKernel.source), bindingsOf(againKernel, uniform, first), [1]);
  recordHalfIteration(recorder, plan, basis, rows, buffers);
  levels();
  recordCertificate(recorder, plan, shared, kept, certificate);
}
