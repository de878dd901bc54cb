/**
 * The whole recursion of a frame on the GPU by exact products with M itself, level by level.
 *
 * Each level iterates all its segments together, a product for all of them, in a fixed number of
 * rounds; once every segment has its vector, what is left of them are dispatches of no workgroups. One
 * readback at the end, whatever the depth.
 *
 * @module
 */
import { Recorder, type StageTime } from "../../walk/webgpu/recorder.ts";
import type { WebGpuWalk } from "../../walk/webgpu/walk_device.ts";
import { recordCertificate, recordPlain } from "./certificate.ts";
import { type DeviceTree, recordTreeReads, treeOf } from "./device_tree.ts";
import type { HeldBuffers, HeldTables } from "./held_buffers.ts";
import {
  type BufferName,
  exactLevelKernels,
  gateKernel,
  heirsKernel,
  type Kernel,
  type LevelKernel,
  openKernel,
  roundKernels,
  scalesKernel,
} from "./kernels.ts";
import { tilesOf, type TreeRoom } from "./layout.ts";
import {
  allocate,
  bindingsOf,
  type LevelBuffers,
  levelBuffers,
  type LevelPlan,
  levelSettings,
  type RecursionSettings,
  slotOf,
} from "./level_buffers.ts";

/** Directions of a segment's Krylov space, as in `exact_types.wgsl`. */
const STEPS = 48;

/** Rounds of a level at most: the degrees, the directions, and the vector found. */
function roundsOf(n: number): number {
  return 1 + Math.min(n - 1, STEPS) + 1;
}

/** Levels of a tree. */
function levelsOf({ leaves, levels }: TreeRoom): number {
  return Math.min(levels, leaves);
}

/** Words of the struct `Progress`. */
const PROGRESS_WORDS = 7 + 2 * STEPS;

/** Where the workgroups of a round's second product lie. */
export const ROWS_OFFSET = 12;

/** Words of the struct `Gates`, and the place of the products' sum in it. */
const GATES_WORDS = 8;
export const MULTIPLIED_OFFSET = 28;

/** Words of the buffers that exact products take turns with, whatever they are for. */
export function roundWords(n: number, size: number, { leaves }: TreeRoom) {
  return {
    scales: n,
    iterates: 3 * n,
    progress: leaves * PROGRESS_WORDS,
    gates: GATES_WORDS,
    folded: leaves * size,
  };
}

/** A frame's recursion by exact products, read back. */
export interface ExactTree extends DeviceTree {
  /** Products of an N×N by an N×1 that the iterations took, two a segment and direction, by its share of N. */
  readonly products: number;
}

/** Whether the device binds what a recursion by exact products needs: M in one piece. */
export function fitsExactly({ matrix }: WebGpuWalk): boolean {
  return matrix.bands.length === 1;
}

/** What decides, and whether the rows of M count by their directions alone. */
export type ExactSettings = RecursionSettings & { readonly cosine: boolean };

/** Gives the recursion to the device: one submission. `walk` is M itself, `settings.steps` 1. */
export function submitExactRecursion(
  walk: WebGpuWalk,
  settings: ExactSettings,
  held: HeldTables | undefined,
): { tree(): Promise<ExactTree> } {
  const recorder = new Recorder(walk.gpu, "exact cut");
  recordExactRecursion(recorder, walk, settings, held);
  const submitted = recorder.submit();
  return {
    tree: async () => {
      const { data, times } = await submitted.read();
      return exactTreeOf(data, times, walk.n, settings.room);
    },
  };
}

/**
 * Records the recursion, and that its tree is read back.
 *
 * @param weak number of cuts that call for it, where it is to run only if there are any.
 */
export function recordExactRecursion(
  recorder: Recorder,
  walk: WebGpuWalk,
  settings: ExactSettings,
  held: HeldTables | HeldBuffers | undefined,
  weak?: GPUBuffer,
): void {
  const { gpu, n, matrix: { size, bands } } = walk;
  const { room } = settings;
  const plan: LevelPlan = {
    walk,
    shape: { rank: size, width: size, probes: 0, candidates: 1 },
    settings,
    held,
  };
  const buffers = allocate(recorder, plan, {
    krylov: (STEPS + 1) * n,
    sortedSums: tilesOf(n, room) * size,
    ...roundWords(n, size, room),
  });
  const shared = { ...buffers.shared, rows: bands[0]!.buffer };
  for (const buffer of [shared.gates, shared.productGroups]) recorder.clear(buffer);
  recorder.stage("rows");
  walk.matrix.recordRowSquares(recorder, shared.loops);
  const whole = recorder.uniform(levelSettings(plan, 0));
  const scales = scalesKernel(settings.cosine);
  recorder.dispatch(gpu.pipeline(scales.source), bindingsOf(scales, whole, shared), [Math.ceil(n / 256)]);
  recorder.stage("exact recursion");
  if (weak) recordPlain(recorder, plan, gateKernel, { nextGroups: buffers.groups[0]!, weak });
  recordExactLevels(recorder, plan, buffers, shared, whole);
  recorder.stage("scores");
  const certificate = recordCertificate(recorder, plan, shared);
  recordTreeReads(recorder, shared, certificate.buffer, n, room);
  recorder.read(shared.gates, MULTIPLIED_OFFSET, 4);
}

/** All levels of the schedule. */
function recordExactLevels(
  recorder: Recorder,
  plan: LevelPlan,
  buffers: LevelBuffers<never>,
  shared: Partial<Record<BufferName, GPUBuffer>>,
  whole: GPUBufferBinding,
): void {
  const { walk: { gpu, n, matrix: { precision } }, held, settings: { room, maxLeaves } } = plan;
  const gates = shared.gates!;
  const { columns, rows, step } = roundKernels(precision);
  const rounds = [0, 1].map((parity) => {
    const level = { ...shared, ...levelBuffers(buffers, parity) };
    const bound = (kernel: Kernel) =>
      recorder.bind(gpu.pipeline(kernel.source), bindingsOf(kernel, whole, level));
    return { columns: bound(columns), rows: bound(rows), step: bound(step) };
  });
  for (let depth = 0; depth < levelsOf({ ...room, leaves: maxLeaves }); depth++) {
    const uniform = recorder.uniform(levelSettings(plan, depth));
    const level = { ...shared, ...levelBuffers(buffers, depth % 2) };
    const groups = buffers.groups[depth % 2]!;
    const dispatch = (kernel: LevelKernel) =>
      recorder.dispatchIndirect(
        gpu.pipeline(kernel.source),
        bindingsOf(kernel, uniform, level),
        groups,
        slotOf(depth, kernel.groups),
      );
    if (held) dispatch(heirsKernel);
    dispatch(openKernel);
    const round = rounds[depth % 2]!;
    for (let i = 0; i < roundsOf(n); i++) {
      recorder.runIndirect(round.columns, gates, 0);
      recorder.runIndirect(round.rows, gates, ROWS_OFFSET);
      recorder.runIndirect(round.step, groups, slotOf(depth, "segments"));
    }
    for (const kernel of exactLevelKernels(precision, held !== undefined)) dispatch(kernel);
  }
}

/**
 * Dispatches of a recursion by exact products, which depend on neither the picture nor the depth of its tree.
 *
 * @param room what its tree may take.
 * @param warm whether it starts from a tree.
 */
export function exactDispatchesOf(n: number, room: TreeRoom, warm: boolean): number {
  const level = Number(warm) + 1 + 3 * roundsOf(n) + exactLevelKernels("f32", warm).length;
  // The squares of the rows and their scales; the leaves and A·H.
  return 2 + levelsOf(room) * level + 1 + 2;
}

/** The tree of what {@linkcode recordExactRecursion} asked for. */
export function exactTreeOf(
  data: readonly ArrayBuffer[],
  times: readonly StageTime[],
  n: number,
  room: TreeRoom,
): ExactTree {
  const { tree, rest: [multiplied] } = treeOf(data, times, room);
  return { ...tree, products: productsOf(multiplied!, n) };
}

/** Products of an N×N by an N×1, from Σ |S| over those with A. */
export function productsOf(multiplied: ArrayBuffer, n: number): number {
  return 2 * new Uint32Array(multiplied)[0]! / n;
}
