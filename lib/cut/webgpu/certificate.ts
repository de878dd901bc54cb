/**
 * The certificate of a tree that lies on the device: A·[H | Y] by exact products.
 *
 * @module
 */
import { backward, forward } from "../../walk/tally.ts";
import type { Block } from "../../walk/webgpu/matrix.ts";
import type { Recorder } from "../../walk/webgpu/recorder.ts";
import type { HeldBuffers } from "./held_buffers.ts";
import { type BufferName, certificateCheckKernel, holdKernel, type Kernel, leavesKernel } from "./kernels.ts";
import { certificateWidth, nodesIn } from "./layout.ts";
import { bindingsOf, type LevelPlan, levelSettings, type TreeBuffers } from "./level_buffers.ts";

/** Nodes of a workgroup of `cut_hold.wgsl`. */
const HOLD_SIZE = 128;

/**
 * Labels and A·[H | Y] of the tree, which is kept as well where something takes it up.
 *
 * @param target the block of an earlier certificate whose place this one takes, if the tree was made anew.
 */
export function recordCertificate(
  recorder: Recorder,
  plan: LevelPlan,
  shared: TreeBuffers,
  kept?: HeldBuffers,
  target?: Block,
): Block {
  const { walk, settings: { steps, room } } = plan;
  const { gpu, n } = walk;
  const width = certificateWidth(room);
  const block = walk.newBlock(recorder, width, "certificate");
  recorder.clear(block.buffer);
  const leaves = leavesKernel(width);
  const uniform = recorder.uniform(levelSettings(plan, 0));
  recorder.dispatch(
    gpu.pipeline(leaves.source),
    bindingsOf(leaves, uniform, { ...shared, block: block.buffer }),
    [Math.ceil(n / 256)],
  );
  if (kept) {
    const buffers = { ...shared, keptNodes: kept.nodes };
    recordPlain(recorder, plan, holdKernel, buffers, Math.ceil(kept.count / HOLD_SIZE));
  }
  const adjacency = backward(steps) + forward(steps);
  return walk.recordWord(recorder, adjacency, block, shared.productGroups, target);
}

/**
 * Counts the segments whose certificate fails, as `failuresOf` on the host.
 *
 * @param kept the tree as {@linkcode recordCertificate} kept it.
 */
export function recordCheck(
  recorder: Recorder,
  plan: LevelPlan,
  shared: TreeBuffers,
  certificate: Block,
  kept: HeldBuffers,
  tolerance: number,
): GPUBuffer {
  const { room } = plan.settings;
  const weak = recorder.temporary(4, "segments that fail");
  recorder.clear(weak);
  const kernel = certificateCheckKernel(certificateWidth(room), tolerance);
  const uniform = recorder.uniform(levelSettings(plan, 0));
  const buffers = { ...shared, block: certificate.buffer, keptNodes: kept.nodes, weak };
  recorder.dispatch(
    plan.walk.gpu.pipeline(kernel.source),
    bindingsOf(kernel, uniform, buffers),
    [nodesIn(room)],
  );
  return weak;
}

/** Dispatches a kernel that reads no settings of a level, one workgroup unless told. */
export function recordPlain(
  recorder: Recorder,
  { walk: { gpu } }: LevelPlan,
  kernel: Kernel,
  buffers: Partial<Record<BufferName, GPUBuffer>>,
  groups = 1,
): void {
  recorder.dispatch(gpu.pipeline(kernel.source), bindingsOf(kernel, undefined, buffers), [groups]);
}
