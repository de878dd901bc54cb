/**
 * The basis of the factor made and renewed on the device.
 *
 * @module
 */
import { backward, forward } from "../../walk/tally.ts";
import type { Block } from "../../walk/webgpu/matrix.ts";
import type { Recorder } from "../../walk/webgpu/recorder.ts";
import {
  checkKernel,
  projectKernel,
  renewalKernels,
  type RoundStep,
  shortKernel,
  sumsKernel,
} from "./kernels.ts";
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
 * Half a subspace iteration, V ← orth((Mᵀ)^k·Q) with Q = orth(F), where the device finds that F holds too
 * little of the trace; dispatches of no workgroups where it holds enough. F ← Q·(Qᵀ·M^k·V) takes no product
 * more, as (Mᵀ)^k·Q is at hand; F ← M^k·V follows only where that holds too little as well.
 *
 * @param rows F, with the probes' images.
 */
export function recordRenewal(
  recorder: Recorder,
  plan: LevelPlan,
  basis: ResidentBasis,
  rows: Block,
  buffers: BasisBuffers,
): void {
  const { gpu } = plan.walk;
  const uniform = recorder.uniform(levelSettings(plan, 0));
  const first = { ...buffers.shared, ...levelBuffers(buffers, 0), rows: rows.buffer };
  recorder.dispatchIndirect(
    gpu.pipeline(sumsKernel.source),
    bindingsOf(sumsKernel, uniform, first),
    buffers.groups[0]!,
    slotOf(0, sumsKernel.groups),
  );
  recorder.dispatch(gpu.pipeline(checkKernel.source), bindingsOf(checkKernel, uniform, first), [1]);
  recordHalfIteration(recorder, plan, basis, rows, buffers, (images, columns, dispatch) => {
    const [gram, cholesky] = renewalKernels(false);
    dispatch(gram, images);
    dispatch(cholesky, images);
    // What it writes cannot say how often it runs.
    recorder.dispatch(gpu.pipeline(shortKernel.source), bindingsOf(shortKernel, uniform, first), [1]);
    dispatch({ kernel: projectKernel, slot: 3 }, { ...images, columns });
  });
}

/**
 * V ← orth((Mᵀ)^k·Q) with Q = orth(F), and F ← M^k·V; as many workgroups as `basisGroups` says.
 *
 * @param between records what comes between the two, from Y = (Mᵀ)^k·Q and Q.
 */
export function recordHalfIteration(
  recorder: Recorder,
  plan: LevelPlan,
  basis: ResidentBasis,
  rows: Block,
  { shared }: BasisBuffers,
  between?: (images: RoundBlocks, columns: GPUBuffer, dispatch: RoundDispatch) => void,
): void {
  const { walk, settings: { steps } } = plan;
  const uniform = recorder.uniform(levelSettings(plan, 0));
  const dispatch: RoundDispatch = ({ kernel, slot }, round) => {
    recorder.dispatchIndirect(
      walk.gpu.pipeline(kernel.source),
      bindingsOf(kernel, uniform, { ...shared, rows: rows.buffer, ...round }),
      shared.basisGroups,
      slot * 12,
    );
  };
  const block = (label: string) => walk.newBlock(recorder, basis.width, label);
  const columns = block("columns of the factor");
  recordRounds(rows.buffer, rows.buffer, block("columns between rounds").buffer, columns.buffer, dispatch);
  const image = walk.recordWord(recorder, backward(steps), columns, shared.basisGroups);
  between?.(
    { columns: image.buffer, probes: image.buffer, solution: image.buffer },
    columns.buffer,
    dispatch,
  );
  recordRounds(
    image.buffer,
    basis.buffer,
    block("basis between rounds").buffer,
    basis.buffer,
    dispatch,
    true,
  );
  walk.recordWord(recorder, forward(steps), basis, shared.basisGroups, rows);
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
  const image = walk.recordWord(recorder, backward(steps), basis);
  recordRounds(image.buffer, basis.buffer, between.buffer, basis.buffer, dispatch, true);
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

/** The blocks that a round goes from and to. */
type RoundBlocks = Readonly<Record<"columns" | "probes" | "solution", GPUBuffer>>;

/** Dispatches a kernel of a round. */
type RoundDispatch = (step: RoundStep, round: RoundBlocks) => void;

/**
 * Two rounds, as one leaves what f32 lost: the columns of a block made orthonormal, and probes beside them.
 *
 * @param probes the block whose columns behind the rank are the probes; it may be the target.
 * @param scaled whether the probes are to estimate a trace.
 */
function recordRounds(
  columns: GPUBuffer,
  probes: GPUBuffer,
  between: GPUBuffer,
  target: GPUBuffer,
  dispatch: RoundDispatch,
  scaled = false,
): void {
  const first = { columns, probes, solution: between };
  const second = { columns: between, probes: between, solution: target };
  for (const step of renewalKernels(false)) dispatch(step, first);
  for (const step of renewalKernels(scaled)) dispatch(step, second);
}
