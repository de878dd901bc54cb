/**
 * The basis of the factor made and renewed on the device.
 *
 * @module
 */
import { backward, forward } from "../../walk/tally.ts";
import type { Block } from "../../walk/webgpu/matrix.ts";
import type { Recorder } from "../../walk/webgpu/recorder.ts";
import { checkKernel, renewalKernels, type RoundStep, sumsKernel } from "./kernels.ts";
import { TILE } from "./layout.ts";
import {
  bindingsOf,
  type LevelBuffers,
  levelBuffers,
  type LevelPlan,
  levelSettings,
  slotOf,
} from "./level_buffers.ts";

/** The buffers of a recursion that the basis's kernels bind. */
type BasisBuffers = LevelBuffers<"sums" | "starts" | "basisGroups" | "gram" | "triangle">;

/** The basis of the factor on the device, with the probes beside it. */
export interface ResidentBasis {
  /** `[padded n, width]`: V, then random probes orthogonal to it. */
  readonly buffer: GPUBuffer;
  readonly width: number;
  readonly rank: number;
  readonly probes: number;
}

/**
 * Half a subspace iteration, V ← orth((Mᵀ)^k·F), F ← M^k·V, where the device finds that
 * F holds too little of the trace; dispatches of no workgroups where it holds enough.
 *
 * @param rows F.
 */
export function recordRenewal(
  recorder: Recorder,
  plan: LevelPlan,
  basis: ResidentBasis,
  rows: Block,
  buffers: BasisBuffers,
): void {
  const { walk, settings: { steps } } = plan;
  const { gpu } = walk;
  const { basisGroups } = buffers.shared;
  const uniform = recorder.uniform(levelSettings(plan, 0));
  const first = { ...buffers.shared, ...levelBuffers(buffers, 0), rows: rows.buffer };
  recorder.dispatchIndirect(
    gpu.pipeline(sumsKernel.source),
    bindingsOf(sumsKernel, uniform, first),
    buffers.groups[0]!,
    slotOf(0, sumsKernel.groups),
  );
  recorder.dispatch(gpu.pipeline(checkKernel.source), bindingsOf(checkKernel, uniform, first), [1]);
  const image = walk.recordWord(recorder, backward(steps), rows, basisGroups);
  recordRounds(recorder, plan, basis, image, ({ kernel, slot }, round) => {
    recorder.dispatchIndirect(
      gpu.pipeline(kernel.source),
      bindingsOf(kernel, uniform, { ...buffers.shared, ...round }),
      basisGroups,
      slot * 12,
    );
  });
  walk.recordWord(recorder, forward(steps), basis, basisGroups, rows);
}

/**
 * A basis from nothing: V ← orth(Mᵀ·orth(M·orth(Mᵀ·Ω))) of the random block Ω, the row space of
 * one power iteration. Nearly orthonormal at every step, so that f32 keeps the weaker directions.
 */
export function recordSketch(
  recorder: Recorder,
  plan: LevelPlan,
  basis: ResidentBasis,
  buffers: BasisBuffers,
): void {
  const { walk, settings: { steps } } = plan;
  const { gpu, n } = walk;
  const uniform = recorder.uniform(levelSettings(plan, 0));
  // By slot; the first is that of the product.
  const groups = [undefined, gramGroups(basis), [1], [Math.ceil(n / TILE)]] as const;
  const dispatch: RoundDispatch = ({ kernel, slot }, round) => {
    recorder.dispatch(
      gpu.pipeline(kernel.source),
      bindingsOf(kernel, uniform, { ...buffers.shared, ...round }),
      groups[slot]!,
    );
  };
  const between: Block = walk.newBlock(recorder, basis.width, "basis between words");
  const turns = [[basis, between, backward], [between, basis, forward]] as const;
  for (const [from, to, word] of turns) {
    const image = walk.recordWord(recorder, word(steps), from);
    const round = { columns: image.buffer, probes: from.buffer, solution: to.buffer };
    for (const step of renewalKernels(false)) dispatch(step, round);
  }
  recordRounds(recorder, plan, basis, walk.recordWord(recorder, backward(steps), basis), dispatch);
}

/** FᵀF with the probes' images. */
export function recordGram(
  recorder: Recorder,
  plan: LevelPlan,
  basis: ResidentBasis,
  rows: Block,
  buffers: BasisBuffers,
): void {
  const [{ kernel }] = renewalKernels(false);
  const round = { ...buffers.shared, columns: rows.buffer, probes: rows.buffer };
  recorder.dispatch(
    plan.walk.gpu.pipeline(kernel.source),
    bindingsOf(kernel, recorder.uniform(levelSettings(plan, 0)), round),
    gramGroups(basis),
  );
}

/** Workgroups of the Gram matrix of a basis and its probes. */
function gramGroups({ rank, probes }: ResidentBasis): [number, number] {
  const blocks = Math.ceil((rank + probes) / TILE);
  return [blocks, blocks];
}

/** Dispatches a kernel of a round over the blocks that it goes from and to. */
type RoundDispatch = (
  step: RoundStep,
  round: Readonly<Record<"columns" | "probes" | "solution", GPUBuffer>>,
) => void;

/** The basis of an image's columns, in the place of the basis; its probes orthogonal to it. */
function recordRounds(
  recorder: Recorder,
  { walk }: LevelPlan,
  basis: ResidentBasis,
  image: Block,
  dispatch: RoundDispatch,
): void {
  const between = walk.newBlock(recorder, basis.width, "basis between rounds");
  const rounds = [
    { columns: image.buffer, probes: basis.buffer, solution: between.buffer },
    { columns: between.buffer, probes: between.buffer, solution: basis.buffer },
  ];
  rounds.forEach((round, i) => {
    for (const step of renewalKernels(i === rounds.length - 1)) dispatch(step, round);
  });
}
