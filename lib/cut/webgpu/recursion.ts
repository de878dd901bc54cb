/**
 * The whole recursion of a frame on the GPU: factor, all levels, certificate, and
 * one readback at the end.
 *
 * The schedule of dispatches is fixed. A level lays out the next one on the device
 * and writes its workgroups, none where nothing is left to split.
 *
 * @module
 */
import { backward, forward } from "../../walk/tally.ts";
import type { Gpu } from "../../walk/webgpu/device.ts";
import type { Block } from "../../walk/webgpu/matrix.ts";
import { Recorder, type StageTime, type Submitted } from "../../walk/webgpu/recorder.ts";
import { MATRIX_ALIGNMENT, roundUp } from "../../walk/webgpu/kernels.ts";
import type { WebGpuWalk } from "../../walk/webgpu/walk_device.ts";
import { STALE_TRACE } from "../factor.ts";
import { HYSTERESIS, type StopRule } from "../stop.ts";
import {
  BINDINGS,
  type BufferName,
  checkKernel,
  GROUPS,
  heirsKernel,
  holdKernel,
  type Kernel,
  leavesKernel,
  LEVEL_KERNELS,
  renewalKernels,
  type RoundStep,
  sumsKernel,
} from "./kernels.ts";

/** Most leaves that the device's tree holds. */
export const MAX_LEAVES = 64;

/** Levels of the schedule; a tree that wants more is cut on the CPU. */
export const MAX_DEPTH = 16;

/** Largest rank that the eigensolver's workgroup holds: two components a thread. */
const EIGEN_RANK = 512;

/** Most leaves of a last frame's tree that can be taken up. */
export const MAX_HELD_LEAVES = 256;

const MAX_NODES = 2 * MAX_LEAVES - 1;
/** Nodes that `cut_hold.wgsl` writes. */
const KEPT = 128;
/** Columns of the certificate: the leaves' indicators and the cuts' vectors. */
const CERTIFICATE_WIDTH = 2 * MAX_LEAVES;
const TILE = 64;
const KRYLOV_STEPS = 48;
const ROTATIONS = 4096;
/** More of the trace than there is. */
const RENEW_ALWAYS = 2;
const NONE = 0xffffffff;
/** NCut of a segment that no threshold cuts. */
const NOTHING = 1e29;
const NODE_WORDS = 16;
const SEGMENT_WORDS = 8;
const HELD_WORDS = 8;
const STATE_WORDS = 8;
const SLOT_WORDS = GROUPS.length * 3;

/** The basis of the factor on the device, with the probes beside it. */
export interface ResidentBasis {
  /** `[padded n, width]`: V, then random probes orthogonal to it. */
  readonly buffer: GPUBuffer;
  readonly width: number;
  readonly rank: number;
  readonly probes: number;
}

/** The last frame's tree as the kernels read it. */
export interface HeldTables {
  /** `[nodes, 8]`: first leaf, leaf after the last, size, split, depth. */
  readonly nodes: Uint32Array<ArrayBuffer>;
  readonly count: number;
  /** `[N]`. */
  readonly labels: Uint32Array<ArrayBuffer>;
  /** `[depths, N]`. */
  readonly values: Float32Array<ArrayBuffer>;
}

/** The last frame's tree where it still lies on the device. */
export interface HeldBuffers {
  /** `[KEPT, 8]`, as {@linkcode HeldTables.nodes}; what is no node shares nothing with a segment. */
  readonly nodes: GPUBuffer;
  readonly count: number;
  readonly labels: GPUBuffer;
  readonly values: GPUBuffer;
}

/** What decides. */
export interface RecursionSettings {
  readonly steps: number;
  readonly stop: StopRule;
  readonly maxLeaves: number;
  readonly minPart: number;
  /** Evenly spaced thresholds that are tried; 0 for all that tell two nodes apart. */
  readonly thresholds: number;
  /** Renew the basis even where it holds enough of the trace. */
  readonly renew: boolean;
}

/** A node of the tree as the device left it. */
export interface DeviceNode {
  readonly parent: number;
  /** Left part, the right one follows; 0 for a leaf. */
  readonly child: number;
  /** Range of positions in the order. */
  readonly begin: number;
  readonly size: number;
  readonly depth: number;
  /** Node of the last frame's tree, −1. */
  readonly heir: number;
  /** Nodes on the left of the proposed cut. */
  readonly position: number;
  /** NaN where no threshold cuts it. */
  readonly ncut: number;
  readonly threshold: number;
  readonly theta: number;
  readonly residual: number;
  readonly splitValue: number;
  /** 1ᵀA1 inside the segment. */
  readonly weight: number;
  /** Σ A_ii. */
  readonly loops: number;
  /** Σ ‖F_i‖². */
  readonly held: number;
}

/** A frame's recursion, read back. */
export interface DeviceTree {
  /** True where leaves or levels ran out: the tree is not whole. */
  readonly overflow: boolean;
  readonly nodes: readonly DeviceNode[];
  readonly leaves: number;
  /** Nodes by position. */
  readonly order: Uint32Array<ArrayBuffer>;
  /** Leaf of each node. */
  readonly labels: Uint32Array<ArrayBuffer>;
  /** Fiedler vectors by depth, `[depths, N]`. */
  readonly values: Float32Array<ArrayBuffer>;
  /** A·[H | Y], `[N, width]`: leaves first, then the cuts in the tree's order. */
  readonly certificate: Float32Array<ArrayBuffer>;
  readonly width: number;
  /** A_ii, `[N]`, where M's rows are at hand: P itself, or P^k formed. */
  readonly loops: Float32Array<ArrayBuffer> | undefined;
  /** What a sketch found: the basis, `[N, its width]`, and FᵀF with the probes' images, `[c, c]`. */
  readonly sketch?: { readonly basis: Float32Array<ArrayBuffer>; readonly gram: Float32Array<ArrayBuffer> };
  /** The basis, `[N, its width]`, where the device renewed it. */
  readonly renewed: Float32Array<ArrayBuffer> | undefined;
  readonly times: readonly StageTime[];
}

/** A recursion that the device was given. */
export interface Recursion {
  /** The tree as the next frame takes it up, where it was to be kept. */
  readonly held: HeldBuffers | undefined;
  /** Reads the tree back, by one `mapAsync`; not twice. */
  tree(): Promise<DeviceTree>;
  /** Gives up the tree, where it was not read. */
  discard(): void;
}

/** How {@linkcode submitRecursion} goes about it. */
export interface RecursionStart {
  /** The last frame's tree, from the host or still on the device; none when cold. */
  readonly held?: HeldTables | HeldBuffers | undefined;
  /** A basis that is taken over into the one given, before anything else. */
  readonly copied?: ResidentBasis | undefined;
  /** The basis is made first, of the random block that lies in its place. */
  readonly sketch?: boolean;
  /** Keep the tree on the device for the next frame; {@linkcode releaseHeld} frees it. */
  readonly keep?: boolean;
}

/** Largest rank whose matrices, one a tile, the device can bind. */
export function largestRank({ gpu, n }: WebGpuWalk): number {
  return Math.min(EIGEN_RANK, Math.floor(Math.sqrt(gpu.maxBinding / (4 * tilesOf(n)))));
}

/** Most tiles that the segments of a level have. */
function tilesOf(n: number): number {
  return Math.ceil(n / TILE) + MAX_LEAVES;
}

/** Gives the recursion to the device: one submission. */
export function submitRecursion(
  walk: WebGpuWalk,
  basis: ResidentBasis,
  settings: RecursionSettings,
  { held, copied, sketch = false, keep = false }: RecursionStart = {},
): Recursion {
  const { gpu, n } = walk;
  const recorder = new Recorder(gpu, "cut");
  if (copied) recorder.copy(copied.buffer, 0, basis.buffer, 0, copied.buffer.size);
  const kept = keep ? acquireHeld(gpu, n) : undefined;
  const buffers = allocate(recorder, n, basis, held, kept);
  if (sketch) {
    recorder.stage("sketch");
    recordSketch(recorder, walk, basis, settings, held, buffers);
  }
  recorder.stage("factor");
  const rows = walk.recordWord(recorder, forward(settings.steps), basis);
  const shared = { ...buffers.shared, rows: rows.buffer };
  const exactLoops = settings.steps === 1;
  if (exactLoops) walk.matrix.recordRowSquares(recorder, shared.loops);
  recordRenewal(recorder, walk, basis, settings, held, rows, buffers);
  recorder.stage("recursion");
  recordLevels(recorder, walk, basis, settings, held, shared, buffers);
  recorder.stage("certificate");
  const block = walk.newBlock(recorder, CERTIFICATE_WIDTH, "certificate");
  recorder.clear(block.buffer);
  const leaves = leavesKernel(CERTIFICATE_WIDTH);
  const uniform = recorder.uniform(levelSettings(walk, basis, settings, held, 0));
  recorder.dispatch(
    gpu.pipeline(leaves.source),
    bindingsOf(leaves, uniform, { ...shared, block: block.buffer }),
    [Math.ceil(n / 256)],
  );
  if (kept) {
    const bindings = bindingsOf(holdKernel, uniform, { ...shared, keptNodes: kept.nodes });
    // The tree alone decides; the level's settings are not read.
    delete bindings[0];
    recorder.dispatch(gpu.pipeline(holdKernel.source), bindings, [1]);
  }
  const adjacency = backward(settings.steps) + forward(settings.steps);
  const certificate = walk.recordWord(recorder, adjacency, block, shared.productGroups);
  if (sketch) {
    const [{ kernel }] = renewalKernels(false);
    const round = { ...shared, columns: rows.buffer, probes: rows.buffer };
    recorder.dispatch(
      gpu.pipeline(kernel.source),
      bindingsOf(kernel, uniform, round),
      gramGroups(basis),
    );
  }
  recorder.read(shared.state, 0, STATE_WORDS * 4);
  recorder.read(shared.tree, 0, MAX_NODES * NODE_WORDS * 4);
  recorder.read(shared.order, 0, n * 4);
  recorder.read(shared.labels, 0, n * 4);
  recorder.read(shared.byDepth, 0, MAX_DEPTH * n * 4);
  recorder.read(certificate.buffer, 0, n * CERTIFICATE_WIDTH * 4);
  recorder.read(basis.buffer, 0, n * basis.width * 4);
  recorder.read(shared.gram, 0, sketch ? (basis.rank + basis.probes) ** 2 * 4 : 4);
  if (exactLoops) recorder.read(shared.loops, 0, n * 4);
  const submitted = recorder.submit();
  return { held: kept, tree: () => readTree(submitted, sketch), discard: () => submitted.discard() };
}

/** Gives back what was kept for a next frame; the queue has done with it by then. */
export function releaseHeld(gpu: Gpu, { nodes, labels, values }: HeldBuffers): void {
  for (const buffer of [nodes, labels, values]) gpu.pool.release(buffer);
}

function acquireHeld(gpu: Gpu, n: number): HeldBuffers {
  const acquire = (words: number, label: string) => gpu.pool.acquire("block", words * 4, `kept ${label}`);
  return {
    nodes: acquire(KEPT * HELD_WORDS, "nodes"),
    count: KEPT,
    labels: acquire(n, "labels"),
    values: acquire(MAX_DEPTH * n, "vectors"),
  };
}

async function readTree(submitted: Submitted, sketch: boolean): Promise<DeviceTree> {
  const { data, times } = await submitted.read();
  const state = new Uint32Array(data[0]!);
  return {
    overflow: state[3]! !== 0,
    nodes: nodesOf(data[1]!, state[0]!),
    leaves: state[1]!,
    order: new Uint32Array(data[2]!),
    labels: new Uint32Array(data[3]!),
    values: new Float32Array(data[4]!),
    certificate: new Float32Array(data[5]!),
    width: CERTIFICATE_WIDTH,
    loops: data[8] && new Float32Array(data[8]),
    ...(sketch ? { sketch: { basis: new Float32Array(data[6]!), gram: new Float32Array(data[7]!) } } : {}),
    renewed: state[6]! !== 0 ? new Float32Array(data[6]!) : undefined,
    times,
  };
}

/** All levels of the schedule. */
function recordLevels(
  recorder: Recorder,
  walk: WebGpuWalk,
  basis: ResidentBasis,
  settings: RecursionSettings,
  held: HeldTables | HeldBuffers | undefined,
  shared: Buffers["shared"],
  buffers: Buffers,
): void {
  const { gpu } = walk;
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    const uniform = recorder.uniform(levelSettings(walk, basis, settings, held, depth));
    const parity = depth % 2;
    const level = { ...shared, ...levelBuffers(buffers, parity) };
    for (const kernel of held ? [heirsKernel, ...LEVEL_KERNELS] : LEVEL_KERNELS) {
      const slot = depth * SLOT_WORDS + GROUPS.indexOf(kernel.groups) * 3;
      recorder.dispatchIndirect(
        gpu.pipeline(kernel.source),
        bindingsOf(kernel, uniform, level),
        buffers.groups[parity]!,
        slot * 4,
      );
    }
  }
}

/**
 * Dispatches of a frame, which depend on neither the picture nor the depth of its tree. A cold frame's are
 * those of one sketch.
 *
 * @param kept whether the tree is kept for the next frame.
 */
export function dispatchesOf(steps: number, warm: boolean, kept = false): number {
  const round = renewalKernels(true).length;
  const renewal = 2 + 2 * round + 2 * steps;
  const sketch = warm ? 0 : 4 * round + 3 * steps + 1;
  const loops = Number(steps === 1);
  const levels = MAX_DEPTH * (LEVEL_KERNELS.length + Number(warm));
  return levels + loops + renewal + sketch + 1 + Number(kept) + 3 * steps;
}

/** The buffers that two levels take turns with. */
function levelBuffers({ segments, tiles, groups }: Buffers, parity: number) {
  return {
    segments: segments[parity]!,
    nextSegments: segments[1 - parity]!,
    tiles: tiles[parity]!,
    nextTiles: tiles[1 - parity]!,
    nextGroups: groups[1 - parity]!,
  };
}

/**
 * Half a subspace iteration, V ← orth((Mᵀ)^k·F), F ← M^k·V, where the device finds that
 * F holds too little of the trace; dispatches of no workgroups where it holds enough.
 */
function recordRenewal(
  recorder: Recorder,
  walk: WebGpuWalk,
  basis: ResidentBasis,
  settings: RecursionSettings,
  held: HeldTables | HeldBuffers | undefined,
  rows: Block,
  buffers: Buffers,
): void {
  const { gpu } = walk;
  const { basisGroups } = buffers.shared;
  const uniform = recorder.uniform(levelSettings(walk, basis, settings, held, 0));
  const first = { ...buffers.shared, ...levelBuffers(buffers, 0), rows: rows.buffer };
  recorder.dispatchIndirect(
    gpu.pipeline(sumsKernel.source),
    bindingsOf(sumsKernel, uniform, first),
    buffers.groups[0]!,
    GROUPS.indexOf(sumsKernel.groups) * 12,
  );
  recorder.dispatch(gpu.pipeline(checkKernel.source), bindingsOf(checkKernel, uniform, first), [1]);
  const image = walk.recordWord(recorder, backward(settings.steps), rows, basisGroups);
  recordRounds(recorder, walk, basis, image, ({ kernel, slot }, round) => {
    recorder.dispatchIndirect(
      gpu.pipeline(kernel.source),
      bindingsOf(kernel, uniform, { ...buffers.shared, ...round }),
      basisGroups,
      slot * 12,
    );
  });
  walk.recordWord(recorder, forward(settings.steps), basis, basisGroups, rows);
}

/**
 * A basis from nothing: V ← orth(Mᵀ·orth(M·orth(Mᵀ·Ω))) of the random block Ω, the row space of
 * one power iteration. Nearly orthonormal at every step, so that f32 keeps the weaker directions.
 */
function recordSketch(
  recorder: Recorder,
  walk: WebGpuWalk,
  basis: ResidentBasis,
  settings: RecursionSettings,
  held: HeldTables | HeldBuffers | undefined,
  buffers: Buffers,
): void {
  const { gpu, n } = walk;
  const uniform = recorder.uniform(levelSettings(walk, basis, settings, held, 0));
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
    const image = walk.recordWord(recorder, word(settings.steps), from);
    const round = { columns: image.buffer, probes: from.buffer, solution: to.buffer };
    for (const step of renewalKernels(false)) dispatch(step, round);
  }
  recordRounds(recorder, walk, basis, walk.recordWord(recorder, backward(settings.steps), basis), dispatch);
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
  walk: WebGpuWalk,
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

type Shared = Exclude<
  BufferName,
  | "columns"
  | "probes"
  | "solution"
  | "rows"
  | "segments"
  | "tiles"
  | "nextSegments"
  | "nextTiles"
  | "nextGroups"
  | "keptNodes"
  | "block"
>;

interface Buffers {
  readonly shared: Record<Shared, GPUBuffer>;
  readonly segments: readonly GPUBuffer[];
  readonly tiles: readonly GPUBuffer[];
  readonly groups: readonly GPUBuffer[];
}

function isOnHost(held: HeldTables | HeldBuffers): held is HeldTables {
  return held.nodes instanceof Uint32Array;
}

/** Allocates what a frame's recursion needs and lays out its first level. */
function allocate(
  recorder: Recorder,
  n: number,
  { rank, width, probes }: ResidentBasis,
  held: HeldTables | HeldBuffers | undefined,
  kept: HeldBuffers | undefined,
): Buffers {
  const tiles = tilesOf(n);
  const tables = held && isOnHost(held) ? held : undefined;
  const words: Record<Shared, number> = {
    order: n,
    sums: tiles * width,
    starts: tiles * width,
    degrees: n,
    grams: tiles * rank * rank,
    matrices: MAX_LEAVES * rank * rank,
    rotations: MAX_LEAVES * ROTATIONS * 4,
    krylov: MAX_LEAVES * KRYLOV_STEPS * width,
    vectors: MAX_LEAVES * 2 * width,
    pairs: MAX_LEAVES * 8,
    values: 2 * n,
    sorted: 2 * n,
    sortedSums: 2 * tiles * width,
    cuts: 2 * tiles * 2,
    state: STATE_WORDS,
    tree: MAX_NODES * NODE_WORDS,
    productGroups: 3,
    basisGroups: 12,
    gram: (rank + probes) ** 2,
    triangle: (rank + probes) ** 2,
    heldNodes: tables?.nodes.length ?? HELD_WORDS,
    heldLabels: tables?.labels.length ?? 1,
    heldValues: tables?.values.length ?? 1,
    byDepth: MAX_DEPTH * n,
    labels: n,
    loops: roundUp(n, MATRIX_ALIGNMENT),
  };
  const onDevice = held && !isOnHost(held) ? held : undefined;
  const given: Partial<Record<Shared, GPUBuffer | undefined>> = {
    heldNodes: onDevice?.nodes,
    heldLabels: onDevice?.labels,
    heldValues: onDevice?.values,
    labels: kept?.labels,
    byDepth: kept?.values,
  };
  const shared = {} as Record<Shared, GPUBuffer>;
  for (const name of Object.keys(words) as Shared[]) {
    const known = given[name];
    if (known) {
      shared[name] = known;
      continue;
    }
    const kind = name === "productGroups" || name === "basisGroups" ? "indirect" : "block";
    shared[name] = recorder.temporary(words[name] * 4, `cut ${name}`, kind);
  }
  const pair = (size: number, label: string, kind: "block" | "indirect" = "block") => [
    recorder.temporary(size * 4, `cut ${label} even`, kind),
    recorder.temporary(size * 4, `cut ${label} odd`, kind),
  ];
  const segments = pair(MAX_LEAVES * SEGMENT_WORDS, "segments");
  const tileLists = pair(tiles * 4, "tiles");
  const groups = pair((MAX_DEPTH + 1) * SLOT_WORDS, "workgroups", "indirect");

  recorder.upload(shared.order, Uint32Array.from({ length: n }, (_, i) => i));
  const rootTiles = Math.ceil(n / TILE);
  recorder.upload(shared.state, Uint32Array.of(1, 1, 0, 0, 1, rootTiles, 0, 0));
  const root = new Uint32Array(NODE_WORDS);
  root.set([NONE, 0, 0, n, 0, NONE]);
  recorder.upload(shared.tree, root);
  recorder.upload(segments[0]!, Uint32Array.of(0, n, 0, rootTiles, 0, NONE, 0, 0));
  recorder.upload(
    tileLists[0]!,
    Uint32Array.from({ length: rootTiles * 4 }, (_, i) => {
      const begin = (i >> 2) * TILE;
      return [0, begin, Math.min(TILE, n - begin), 0][i % 4]!;
    }),
  );
  const blocks = Math.ceil(rank / 64);
  const first = new Uint32Array((MAX_DEPTH + 1) * SLOT_WORDS);
  recorder.upload(groups[1]!, first);
  first.set([
    ...[1, 1, 1],
    ...[rootTiles, 1, 1],
    ...[rootTiles, blocks * blocks, 1],
    ...[Math.ceil(rank * rank / 256), 1, 1],
    ...[rootTiles, 2, 1],
    ...[1, 1, 1],
  ]);
  recorder.upload(groups[0]!, first);
  if (tables) {
    recorder.upload(shared.heldNodes, tables.nodes);
    recorder.upload(shared.heldLabels, tables.labels);
    recorder.upload(shared.heldValues, tables.values);
  }
  recorder.clear(shared.byDepth);
  return { shared, segments, tiles: tileLists, groups };
}

/** The bindings of a kernel of the cut. */
export function bindingsOf(
  kernel: Kernel,
  uniform: GPUBufferBinding,
  buffers: Partial<Record<BufferName, GPUBuffer>>,
): Record<number, GPUBuffer | GPUBufferBinding> {
  const bindings: Record<number, GPUBuffer | GPUBufferBinding> = { 0: uniform };
  for (const name of kernel.buffers) {
    const buffer = buffers[name];
    if (!buffer) throw new TypeError(`Cannot bind ${name} to ${kernel.source.label}: no such buffer`);
    bindings[BINDINGS[name]] = buffer;
  }
  return bindings;
}

/** The struct `Level` of `cut_types.wgsl`. */
function levelSettings(
  walk: WebGpuWalk,
  { rank, width, probes }: ResidentBasis,
  { steps, stop, maxLeaves, minPart, renew, thresholds }: RecursionSettings,
  held: HeldTables | HeldBuffers | undefined,
  depth: number,
): (number | { f32: number })[] {
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
    Number(depth === MAX_DEPTH - 1),
    walk.matrix.size / 64,
    { f32: stop.kind === "ncut" ? stop.threshold : 0 },
    { f32: HYSTERESIS },
    { f32: renew ? RENEW_ALWAYS : STALE_TRACE },
    thresholds,
    Number(steps === 1),
  ];
}

function nodesOf(bytes: ArrayBuffer, count: number): DeviceNode[] {
  const integers = new Uint32Array(bytes);
  const floats = new Float32Array(bytes);
  return Array.from({ length: count }, (_, i) => {
    const at = i * NODE_WORDS;
    const [parent, child, begin, size, depth, heir, position] = integers.subarray(at, at + 7);
    const [ncut, threshold, theta, residual, splitValue, weight, loops, held] = floats.subarray(
      at + 8,
      at + 16,
    );
    return {
      parent: parent === NONE ? -1 : parent!,
      child: child!,
      begin: begin!,
      size: size!,
      depth: depth!,
      heir: heir === NONE ? -1 : heir!,
      position: position!,
      ncut: ncut! < NOTHING ? ncut! : NaN,
      threshold: threshold!,
      theta: theta!,
      residual: residual!,
      splitValue: splitValue!,
      weight: weight!,
      loops: loops!,
      held: held!,
    };
  });
}
