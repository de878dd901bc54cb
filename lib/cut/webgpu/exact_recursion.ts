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
import {
  type ExactAdjacency,
  exactLevelKernels,
  gateKernel,
  isItself,
  openKernel,
  type RoundKernel,
  roundKernels,
  scalesKernel,
  sidesOf,
} from "./exact_kernels.ts";
import type { HeldBuffers, HeldTables } from "./held_buffers.ts";
import { type BufferName, heirsKernel, type LevelKernel } from "./kernels.ts";
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
  type TreeBuffers,
} from "./level_buffers.ts";

/** Directions of a segment's Krylov space, as in `exact_types.wgsl`. */
const STEPS = 48;

/** Rounds of a level at most: the degrees, the directions, and the vector found. The stationary state is one of n. */
function roundsOf(n: number, adjacency: ExactAdjacency): number {
  return 1 + Math.min(adjacency === "walk" ? n : n - 1, STEPS) + 1;
}

/** Levels of a tree. */
function levelsOf({ leaves, levels }: TreeRoom): number {
  return Math.min(levels, leaves);
}

/** Words of the struct `Progress`. */
const PROGRESS_WORDS = 8 + 2 * STEPS;

/** Where the workgroups of a round's second product lie. */
const ROWS_OFFSET = 12;

/** Rows of `flow` in `exact_types.wgsl`. */
const FLOW_ROWS = 3;

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
  /** Products of an N×N by an N×1 that the iterations took, by the segments' shares of N. */
  readonly products: number;
}

/** Whether the device binds what a recursion by exact products needs: M in one piece. */
export function fitsExactly({ matrix }: WebGpuWalk): boolean {
  return matrix.bands.length === 1;
}

/** What decides, and what is cut. */
export type ExactSettings = RecursionSettings & { readonly adjacency: ExactAdjacency };

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
      return exactTreeOf(data, times, walk.n, settings);
    },
  };
}

/** Buffers by the name that kernels bind them by. */
type BoundBuffers = Partial<Record<BufferName, GPUBuffer>>;

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
  const { gpu, n, matrix: { size, bands, precision } } = walk;
  const { room, adjacency } = settings;
  const plan: LevelPlan = {
    walk,
    shape: { rank: size, width: size, probes: 0, candidates: 1 },
    settings,
    held,
  };
  const own = { krylov: krylovWords(n), sortedSums: tilesOf(n, room) * size, ...roundWords(n, size, room) };
  const buffers = allocate(recorder, plan, own);
  const shared: BoundBuffers & TreeBuffers = {
    ...buffers.shared,
    rows: bands[0]!.buffer,
    ...(isItself(adjacency) ? { places: firstPlaces(recorder, n, size) } : {}),
  };
  const sides = adjacency === "walk" ? walkSides(recorder, plan, shared) : [shared];
  for (const buffer of [shared.productGroups, ...sides.map(({ gates }) => gates!)]) recorder.clear(buffer);
  recorder.stage("rows");
  if (!isItself(adjacency)) walk.matrix.recordRowSquares(recorder, shared.loops);
  const whole = recorder.uniform(levelSettings(plan, 0));
  const scales = scalesKernel(adjacency, precision);
  recorder.dispatch(gpu.pipeline(scales.source), bindingsOf(scales, whole, shared), [Math.ceil(n / 256)]);
  recorder.stage("exact recursion");
  if (weak) recordPlain(recorder, plan, gateKernel, { nextGroups: buffers.groups[0]!, weak });
  // A walk's rows are swept with weights of their own.
  const weights = adjacency === "walk" ? { scales: recorder.temporary(n * 4, "cut weights") } : {};
  const swept = { ...sides[0]!, ...weights };
  recordExactLevels(recorder, plan, adjacency, { buffers, sides, swept, whole });
  recorder.stage("scores");
  const certificate = hasScores(adjacency) ? recordCertificate(recorder, plan, shared).buffer : undefined;
  recordTreeReads(recorder, shared, certificate, n, room);
  for (const { gates } of sides) recorder.read(gates!, MULTIPLIED_OFFSET, 4);
}

function krylovWords(n: number): number {
  return (STEPS + 1) * n;
}

/** The position of each node in the first order. */
function firstPlaces(recorder: Recorder, n: number, size: number): GPUBuffer {
  const places = recorder.temporary(size * 4, "cut places");
  recorder.upload(places, Uint32Array.from({ length: n }, (_, i) => i));
  return places;
}

/** What the iterations of the random walk bind: those for the right vectors, then those for the left ones. */
function walkSides(
  recorder: Recorder,
  { walk: { n, matrix: { size } }, settings: { room } }: LevelPlan,
  shared: BoundBuffers,
): BoundBuffers[] {
  const words = roundWords(n, size, room);
  const temporary = (count: number, label: string, kind: "block" | "indirect" = "block") =>
    recorder.temporary(count * 4, `cut ${label}`, kind);
  const hessenberg = room.leaves * 3 * STEPS ** 2;
  const right = {
    ...shared,
    flow: temporary(FLOW_ROWS * n, "flow"),
    hessenberg: temporary(hessenberg, "Hessenberg matrices"),
  };
  const left = {
    krylov: temporary(krylovWords(n), "left krylov"),
    iterates: temporary(words.iterates, "left iterates"),
    progress: temporary(words.progress, "left progress"),
    gates: temporary(words.gates, "left gates", "indirect"),
    hessenberg: temporary(hessenberg, "left Hessenberg matrices"),
  };
  return [right, { ...right, ...left }];
}

/** Whether the leaves have scores: what is given as an adjacency has no rows that could be compared. */
function hasScores(adjacency: ExactAdjacency): boolean {
  return adjacency !== "given";
}

/** What the levels bind. */
interface ExactBuffers {
  readonly buffers: LevelBuffers<never>;
  /** Of a level's iterations, one after the other. */
  readonly sides: readonly BoundBuffers[];
  /** Of what comes behind them. */
  readonly swept: BoundBuffers;
  /** Settings of no level in particular. */
  readonly whole: GPUBufferBinding;
}

/** All levels of the schedule. */
function recordExactLevels(
  recorder: Recorder,
  plan: LevelPlan,
  adjacency: ExactAdjacency,
  { buffers, sides, swept, whole }: ExactBuffers,
): void {
  const { walk: { gpu, n, matrix: { precision } }, held, settings: { room, maxLeaves } } = plan;
  const kernels = roundKernels(precision, adjacency);
  const rounds = [0, 1].map((parity) =>
    kernels.map((kernel) => {
      const own = { ...sides[kernel.side], ...levelBuffers(buffers, parity) };
      return {
        kernel,
        bound: recorder.bind(gpu.pipeline(kernel.source), bindingsOf(kernel, whole, own)),
        gates: sides[kernel.side]!.gates!,
      };
    })
  );
  for (let depth = 0; depth < levelsOf({ ...room, leaves: maxLeaves }); depth++) {
    const uniform = recorder.uniform(levelSettings(plan, depth));
    const groups = buffers.groups[depth % 2]!;
    const dispatch = (kernel: LevelKernel, own: BoundBuffers) =>
      recorder.dispatchIndirect(
        gpu.pipeline(kernel.source),
        bindingsOf(kernel, uniform, { ...own, ...levelBuffers(buffers, depth % 2) }),
        groups,
        slotOf(depth, kernel.groups),
      );
    if (held) dispatch(heirsKernel, swept);
    for (const side of sides) dispatch(openKernel, side);
    for (let i = 0; i < roundsOf(n, adjacency); i++) {
      for (const { kernel, bound, gates } of rounds[depth % 2]!) {
        recorder.runIndirect(bound, ...workgroupsOf(kernel, gates, groups, depth));
      }
    }
    for (const kernel of exactLevelKernels(precision, adjacency, held !== undefined)) dispatch(kernel, swept);
  }
}

/** The workgroups of a round's kernel, and where they lie. */
export function workgroupsOf(
  { groups }: RoundKernel,
  gates: GPUBuffer,
  level: GPUBuffer,
  depth: number,
): [buffer: GPUBuffer, offset: number] {
  if (groups === "segments") return [level, slotOf(depth, groups)];
  return [gates, groups === "rows" ? ROWS_OFFSET : 0];
}

/**
 * Dispatches of a recursion by exact products, which depend on neither the picture nor the depth of its tree.
 *
 * @param room what its tree may take.
 * @param warm whether it starts from a tree.
 */
export function exactDispatchesOf(
  n: number,
  room: TreeRoom,
  warm: boolean,
  adjacency: ExactAdjacency = "dot",
): number {
  const rounds = roundsOf(n, adjacency) * roundKernels("f32", adjacency).length;
  const level = Number(warm) + sidesOf(adjacency) + rounds + exactLevelKernels("f32", adjacency, warm).length;
  // The loops and R; the leaves and A·H.
  return (isItself(adjacency) ? 1 : 2) + levelsOf(room) * level + (hasScores(adjacency) ? 1 + 2 : 0);
}

/** The tree of what {@linkcode recordExactRecursion} asked for. */
export function exactTreeOf(
  data: readonly ArrayBuffer[],
  times: readonly StageTime[],
  n: number,
  { room, adjacency }: Pick<ExactSettings, "room" | "adjacency">,
): ExactTree {
  const { tree, rest } = treeOf(data, times, room, hasScores(adjacency));
  // Of A there are two a direction, of M itself one.
  const share = isItself(adjacency) ? 0.5 : 1;
  return { ...tree, products: share * rest.reduce((sum, multiplied) => sum + productsOf(multiplied, n), 0) };
}

/** Products of an N×N by an N×1, from Σ |S| over those with A. */
export function productsOf(multiplied: ArrayBuffer, n: number): number {
  return 2 * new Uint32Array(multiplied)[0]! / n;
}
