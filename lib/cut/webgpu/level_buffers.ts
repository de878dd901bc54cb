/**
 * The buffers of a recursion: those of its tree, and what its levels take turns with.
 *
 * @module
 */
import { MATRIX_ALIGNMENT, roundUp } from "../../walk/webgpu/kernels.ts";
import type { Bound, Recorder } from "../../walk/webgpu/recorder.ts";
import type { WebGpuWalk } from "../../walk/webgpu/walk_device.ts";
import type { CutSettings } from "../cut_frame.ts";
import { STALE_TRACE } from "../factor.ts";
import { isRefined } from "../refined_solver.ts";
import { HYSTERESIS, type StopRule } from "../stop.ts";
import { type HeldBuffers, type HeldTables, isOnHost } from "./held_buffers.ts";
import { BINDINGS, type BufferName, GROUPS, type Kernel } from "./kernels.ts";
import {
  CUT_WORDS,
  HELD_WORDS,
  NODE_WORDS,
  nodesIn,
  NONE,
  SEGMENT_WORDS,
  STATE_WORDS,
  TILE,
  tilesOf,
  type TreeRoom,
} from "./layout.ts";

const SLOT_WORDS = GROUPS.length * 3;

/**
 * Share of the trace from which A projected on a stale factor's columns takes the place of a renewed basis's
 * image. Below it another product of all columns costs less than what the weaker vectors bring about (measured).
 */
const SETTLED_TRACE = 0.985;

/** The same where the vectors are refined: no frame of the clips came out otherwise than with the larger one. */
const REFINED_TRACE = 0.972;

/** Share of the trace from which a projection takes the place of another product, for a warm frame. */
export function settledTrace(n: number, steps: number): number {
  return isRefined(n, steps) ? REFINED_TRACE : SETTLED_TRACE;
}

/** More of the trace than there is: never enough. */
const NEVER = 2;

/** What decides. */
export interface RecursionSettings {
  readonly steps: number;
  readonly stop: StopRule;
  readonly room: TreeRoom;
  readonly maxLeaves: number;
  readonly minPart: number;
  /** Evenly spaced thresholds that are tried; 0 for all that tell two nodes apart. */
  readonly thresholds: number;
  /** Renew the basis even where it holds enough of the trace. Default no. */
  readonly renew?: boolean;
  /** How far history moves a threshold. Default {@linkcode HYSTERESIS}. */
  readonly hysteresis?: number;
}

/** What decides, as the settings of a cut have it; `settings.steps` may be less where P^k was formed. */
export function recursionSettings(
  { steps, stop, maxSegments, minPart, thresholds = 0 }: CutSettings,
  room: TreeRoom,
): RecursionSettings {
  const maxLeaves = maxSegments > 0 ? Math.min(maxSegments, room.leaves) : room.leaves;
  return { steps, stop, room, maxLeaves, minPart, thresholds };
}

/** The rows that the segments are cut by: F with its probes, or M itself. */
export interface RowShape {
  /** Columns that count. */
  readonly rank: number;
  /** Row length in values. */
  readonly width: number;
  readonly probes: number;
  /** Vectors a segment that are swept: the leading one, and the one that continues the last frame's. */
  readonly candidates: 1 | 2;
}

/** A recursion as its levels see it. */
export interface LevelPlan {
  readonly walk: WebGpuWalk;
  readonly shape: RowShape;
  readonly settings: RecursionSettings;
  readonly held: HeldTables | HeldBuffers | undefined;
}

type TreeName =
  | "order"
  | "pairs"
  | "values"
  | "sorted"
  | "cuts"
  | "state"
  | "tree"
  | "productGroups"
  | "heldNodes"
  | "heldLabels"
  | "heldValues"
  | "byDepth"
  | "labels"
  | "loops";

/** The buffers that every recursion has. */
export type TreeBuffers = Readonly<Record<TreeName, GPUBuffer>>;

/** All buffers of a recursion that has some of its own. */
export interface LevelBuffers<Own extends BufferName> {
  readonly shared: Readonly<Record<TreeName | Own, GPUBuffer>>;
  readonly segments: readonly GPUBuffer[];
  readonly tiles: readonly GPUBuffer[];
  readonly groups: readonly GPUBuffer[];
}

/** A dispatch of a level whose workgroups the device writes. */
export interface LevelStep {
  readonly kernel: Bound;
  readonly groups: GPUBuffer;
  /** Where they lie in it, in bytes. */
  readonly offset: number;
}

/** The buffers that two levels take turns with, by the parity of the level. */
export function levelBuffers({ segments, tiles, groups }: LevelBuffers<never>, parity: number) {
  return {
    segments: segments[parity]!,
    nextSegments: segments[1 - parity]!,
    tiles: tiles[parity]!,
    nextTiles: tiles[1 - parity]!,
    nextGroups: groups[1 - parity]!,
  };
}

/** Where a level's workgroups of one kind lie in its buffer. */
export function slotOf(depth: number, kind: (typeof GROUPS)[number]): number {
  return (depth * SLOT_WORDS + GROUPS.indexOf(kind) * 3) * 4;
}

/**
 * Allocates what a frame's recursion needs and lays out its first level.
 *
 * @param own words of the buffers that only this kind of recursion has.
 * @param kept where the tree is left for the next frame.
 */
export function allocate<Own extends BufferName>(
  recorder: Recorder,
  { walk: { n }, shape, settings: { room }, held }: LevelPlan,
  own: Readonly<Record<Own, number>>,
  kept?: HeldBuffers,
): LevelBuffers<Own> {
  const tiles = tilesOf(n, room);
  const tables = held && isOnHost(held) ? held : undefined;
  const words: Record<TreeName | Own, number> = {
    order: n,
    pairs: room.leaves * 8,
    values: shape.candidates * n,
    sorted: shape.candidates * n,
    cuts: shape.candidates * tiles * CUT_WORDS,
    state: STATE_WORDS,
    tree: nodesIn(room) * NODE_WORDS,
    productGroups: 3,
    heldNodes: tables?.nodes.length ?? HELD_WORDS,
    heldLabels: tables?.labels.length ?? 1,
    heldValues: tables?.values.length ?? 1,
    byDepth: room.levels * n,
    labels: n,
    loops: roundUp(n, MATRIX_ALIGNMENT),
    ...own,
  };
  const onDevice = held && !isOnHost(held) ? held : undefined;
  const given: Partial<Record<BufferName, GPUBuffer | undefined>> = {
    heldNodes: onDevice?.nodes,
    heldLabels: onDevice?.labels,
    heldValues: onDevice?.values,
    labels: kept?.labels,
    byDepth: kept?.values,
  };
  const indirect: readonly BufferName[] = ["productGroups", "basisGroups", "gates"];
  const shared = {} as Record<TreeName | Own, GPUBuffer>;
  for (const name of Object.keys(words) as (TreeName | Own)[]) {
    const kind = indirect.includes(name) ? "indirect" : "block";
    shared[name] = given[name] ?? recorder.temporary(words[name] * 4, `cut ${name}`, kind);
  }
  const pair = (size: number, label: string, kind: "block" | "indirect" = "block") => [
    recorder.temporary(size * 4, `cut ${label} even`, kind),
    recorder.temporary(size * 4, `cut ${label} odd`, kind),
  ];
  const buffers = {
    shared,
    segments: pair(room.leaves * SEGMENT_WORDS, "segments"),
    tiles: pair(tiles * 4, "tiles"),
    groups: pair((room.levels + 1) * SLOT_WORDS, "workgroups", "indirect"),
  };
  uploadRoot(recorder, n, shape, room, buffers);
  if (tables) {
    recorder.upload(shared.heldNodes, tables.nodes);
    recorder.upload(shared.heldLabels, tables.labels);
    recorder.upload(shared.heldValues, tables.values);
  }
  recorder.clear(shared.byDepth);
  return buffers;
}

/** The first level: one segment of all nodes. */
function uploadRoot(
  recorder: Recorder,
  n: number,
  { rank, candidates }: RowShape,
  { levels }: TreeRoom,
  { shared, segments, tiles, groups }: LevelBuffers<never>,
): void {
  recorder.upload(shared.order, Uint32Array.from({ length: n }, (_, i) => i));
  const rootTiles = Math.ceil(n / TILE);
  recorder.upload(shared.state, Uint32Array.of(1, 1, 0, 0, 1, rootTiles, 0, 0));
  const root = new Uint32Array(NODE_WORDS);
  root.set([NONE, 0, 0, n, 0, NONE]);
  recorder.upload(shared.tree, root);
  recorder.upload(segments[0]!, Uint32Array.of(0, n, 0, rootTiles, 0, NONE, 0, 0));
  recorder.upload(
    tiles[0]!,
    Uint32Array.from({ length: rootTiles * 4 }, (_, i) => {
      const begin = (i >> 2) * TILE;
      return [0, begin, Math.min(TILE, n - begin), 0][i % 4]!;
    }),
  );
  const blocks = Math.ceil(rank / 64);
  const first = new Uint32Array((levels + 1) * SLOT_WORDS);
  recorder.upload(groups[1]!, first);
  first.set([
    ...[1, 1, 1],
    ...[rootTiles, 1, 1],
    ...[rootTiles, blocks * blocks, 1],
    ...[Math.ceil(rank * rank / 256), 1, 1],
    ...[rootTiles, candidates, 1],
    ...[1, 1, 1],
  ]);
  recorder.upload(groups[0]!, first);
}

/** The bindings of a kernel of the cut; `uniform` are the settings of its level, where it reads them. */
export function bindingsOf(
  kernel: Kernel,
  uniform: GPUBufferBinding | undefined,
  buffers: Partial<Record<BufferName, GPUBuffer>>,
): Record<number, GPUBuffer | GPUBufferBinding> {
  const bindings: Record<number, GPUBuffer | GPUBufferBinding> = uniform ? { 0: uniform } : {};
  for (const name of kernel.buffers) {
    const buffer = buffers[name];
    if (!buffer) throw new TypeError(`Cannot bind ${name} to ${kernel.source.label}: no such buffer`);
    bindings[BINDINGS[name]] = buffer;
  }
  return bindings;
}

/** The struct `Level` of `cut_types.wgsl`. */
export function levelSettings(
  { walk, shape: { rank, width, probes, candidates }, settings, held }: LevelPlan,
  depth: number,
): (number | { f32: number })[] {
  const { steps, stop, room, maxLeaves, minPart, thresholds, renew = false, hysteresis = HYSTERESIS } =
    settings;
  return [
    walk.n,
    rank,
    width,
    probes,
    depth,
    minPart,
    maxLeaves,
    held?.count ?? 0,
    Number(stop.kind === "ncut"),
    Number(depth === room.levels - 1),
    walk.matrix.size / 64,
    { f32: stop.kind === "ncut" ? stop.threshold : 0 },
    { f32: hysteresis },
    { f32: renew ? NEVER : STALE_TRACE },
    thresholds,
    Number(steps === 1),
    candidates,
    { f32: 1 / walk.matrix.scale },
    // With nothing to start from every vector is to be as good as it can.
    { f32: held ? settledTrace(walk.n, steps) : NEVER },
  ];
}
