/**
 * The whole recursion of a frame on the GPU: factor, all levels, certificate, and
 * one readback at the end.
 *
 * The schedule of dispatches is fixed. A level lays out the next one on the device
 * and writes its workgroups, none where nothing is left to split.
 *
 * @module
 */
import { forward } from "../../walk/tally.ts";
import { Recorder, type Submitted } from "../../walk/webgpu/recorder.ts";
import type { WebGpuWalk } from "../../walk/webgpu/walk_device.ts";
import { WARM_RESIDUAL } from "../confirm.ts";
import { formingProducts } from "../power.ts";
import { recordGram, recordRenewal, recordSketch, type ResidentBasis } from "./basis_steps.ts";
import { recordCertificate, recordCheck, recordPlain } from "./certificate.ts";
import { type DeviceTree, recordTreeReads, treeOf } from "./device_tree.ts";
import { gateKernel, refineKernel } from "./exact_kernels.ts";
import {
  exactDispatchesOf,
  type ExactTree,
  exactTreeOf,
  fitsExactly,
  productsOf,
  recordExactRecursion,
  roundWords,
} from "./exact_recursion.ts";
import { acquireHeld, type HeldBuffers, type HeldTables, temporaryHeld } from "./held_buffers.ts";
import { endOf, type LevelKernel, levelKernels, renewalKernels } from "./kernels.ts";
import { tilesOf, type TreeRoom, USUAL_ROOM } from "./layout.ts";
import {
  allocate,
  bindingsOf,
  type LevelBuffers,
  levelBuffers,
  type LevelPlan,
  levelSettings,
  type LevelStep,
  type RecursionSettings,
  slotOf,
} from "./level_buffers.ts";
import { Refinement, REFINEMENT_DISPATCHES, refines } from "./refinement.ts";
import { recordSecondTry } from "./second_try.ts";

/** Largest rank that the eigensolver's workgroup holds: two components a thread. */
const EIGEN_RANK = 512;

/** Words that `exact_gate.wgsl` closes. */
const GATED_WORDS = 18;

const KRYLOV_STEPS = 48;
const ROTATIONS = 4096;

/** A frame's recursion over the factor, read back. */
export interface FactorTree extends DeviceTree {
  /** A_ii, `[N]`, where M's rows are at hand: P itself, or P^k formed. */
  readonly loops: Float32Array<ArrayBuffer> | undefined;
  /** The basis as it was left, `[N, its width]`. */
  readonly basis: Float32Array<ArrayBuffer>;
  /** FᵀF with the probes' images, `[c, c]`, behind a sketch. */
  readonly gram: Float32Array<ArrayBuffer>;
  /** Products of an N×N by an N×1 that refining the vectors took. */
  readonly products: number;
  /** Segments whose certificate fails, where a tolerance was given. */
  readonly weak: number;
  /** The tree by exact products that was made because of them. */
  readonly refined: ExactTree | undefined;
}

/** A recursion that the device was given. */
export interface Recursion {
  /** The tree as the next frame takes it up, where it was to be kept. */
  readonly held: HeldBuffers | undefined;
  /** Reads the tree back, by one `mapAsync`; not twice. */
  tree(): Promise<FactorTree>;
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
  /** Keep the tree on the device for the next frame; `releaseHeld` frees it. */
  readonly keep?: boolean;
  /**
   * Largest residual of a cut's certificate; where one has a larger one, or fails otherwise, exact products
   * make the tree anew within the submission, from its vectors; P^k is formed for that. Only for a matrix in one
   * piece.
   */
  readonly tolerance?: number | undefined;
}

/** Largest rank whose matrices, one a tile, the device can bind. */
export function largestRank({ gpu, n }: WebGpuWalk, room: TreeRoom): number {
  return Math.min(EIGEN_RANK, Math.floor(Math.sqrt(gpu.maxBinding / (4 * tilesOf(n, room)))));
}

/** Gives the recursion to the device: one submission. */
export function submitRecursion(
  walk: WebGpuWalk,
  basis: ResidentBasis,
  settings: RecursionSettings,
  { held, copied, sketch = false, keep = false, tolerance }: RecursionStart = {},
): Recursion {
  const { gpu, n } = walk;
  const { steps, room } = settings;
  const plan: LevelPlan = { walk, shape: { ...basis, candidates: 2 }, settings, held };
  const recorder = new Recorder(gpu, "cut");
  if (copied) recorder.copy(copied.buffer, 0, basis.buffer, 0, copied.buffer.size);
  const checked = tolerance !== undefined;
  // Products are left out only where M is in one piece.
  const again = held !== undefined && fitsExactly(walk);
  const kept = keep
    ? acquireHeld(gpu, n, room)
    : checked || again
    ? temporaryHeld(recorder, n, room)
    : undefined;
  const buffers = allocate(recorder, plan, factorWords(plan), kept);
  if (sketch) {
    recorder.stage("sketch");
    recordSketch(recorder, plan, basis, buffers);
  }
  recorder.stage("factor");
  const rows = walk.recordWord(recorder, forward(steps), basis);
  const { shared } = buffers;
  const exactLoops = steps === 1;
  if (exactLoops) walk.matrix.recordRowSquares(recorder, shared.loops);
  recordRenewal(recorder, plan, basis, rows, buffers);
  recorder.stage("recursion");
  const refinement = !sketch && refines(plan) ? new Refinement(recorder, plan, buffers) : undefined;
  const levels = levelsOver(recorder, plan, buffers, rows.buffer, refinement);
  levels();
  recorder.stage("certificate");
  const certificate = recordCertificate(recorder, plan, shared, kept);
  if (kept && again) {
    recorder.stage("second try");
    recordSecondTry(recorder, { plan, basis, rows, buffers, kept, certificate, levels }, WARM_RESIDUAL);
  }
  if (sketch) recordGram(recorder, plan, basis, rows, buffers);
  recordTreeReads(recorder, shared, certificate.buffer, n, room);
  recorder.read(basis.buffer, 0, n * basis.width * 4);
  recorder.read(shared.gram, 0, sketch ? (basis.rank + basis.probes) ** 2 * 4 : 4);
  if (exactLoops) recorder.read(shared.loops, 0, n * 4);
  refinement?.read();
  if (kept && checked) {
    const weak = recordCheck(recorder, plan, shared, certificate, kept, tolerance);
    recorder.read(weak, 0, 4);
    // What the factor found is no history that a threshold should heed.
    const exact = { ...settings, steps: 1, hysteresis: 0, adjacency: "dot" as const };
    const m = steps === 1 ? walk : recordPowerWhere(recorder, plan, weak);
    recordExactRecursion(recorder, m, exact, kept, weak);
  }
  const submitted = recorder.submit();
  return {
    held: keep ? kept : undefined,
    tree: () => readFactorTree(submitted, plan, refinement !== undefined),
    discard: () => submitted.discard(),
  };
}

/** P^k for this submission, formed only where there are segments whose certificate fails. */
function recordPowerWhere(recorder: Recorder, plan: LevelPlan, weak: GPUBuffer): WebGpuWalk {
  const { walk, settings: { steps } } = plan;
  const groups = recorder.temporary(GATED_WORDS * 4, "workgroups of the power", "indirect");
  const open = new Uint32Array(GATED_WORDS);
  open.set(walk.matrix.squareGroups);
  recorder.upload(groups, open);
  recordPlain(recorder, plan, gateKernel, { nextGroups: groups, weak });
  const power = walk.recordPower(recorder, steps, groups);
  for (const { buffer } of power.matrix.bands) recorder.releaseLater(buffer);
  return power;
}

async function readFactorTree(
  submitted: Submitted,
  { walk: { n }, settings: { steps, room } }: LevelPlan,
  refined: boolean,
): Promise<FactorTree> {
  const { data, times } = await submitted.read();
  const { tree, rest: [basis, gram, ...rest] } = treeOf(data, times, room);
  const loops = steps === 1 ? new Float32Array(rest.shift()!) : undefined;
  const products = refined ? productsOf(rest.shift()!, n) : 0;
  const [weak, ...exact] = rest;
  const short = weak ? new Uint32Array(weak)[0]! : 0;
  return {
    ...tree,
    basis: new Float32Array(basis!),
    gram: new Float32Array(gram!),
    loops,
    products,
    weak: short,
    refined: short > 0 ? exactTreeOf(exact, times, n, { room, adjacency: "dot" }) : undefined,
  };
}

/** Words of the buffers that the recursion over the factor has of its own. */
function factorWords(
  { walk: { n, matrix }, shape: { rank, width, probes }, settings: { room } }: LevelPlan,
) {
  const tiles = tilesOf(n, room);
  return {
    sums: tiles * width,
    starts: tiles * width,
    degrees: n,
    grams: tiles * rank * rank,
    matrices: room.leaves * rank * rank,
    rotations: room.leaves * ROTATIONS * 4,
    krylov: room.leaves * KRYLOV_STEPS * width,
    vectors: room.leaves * 2 * width,
    // Of either candidate's rows of F, and of one's rows of M.
    sortedSums: tiles * Math.max(2 * width, matrix.size),
    basisGroups: 12,
    gram: (rank + probes) ** 2,
    triangle: (rank + probes) ** 2,
    ...roundWords(n, matrix.size, room),
  };
}

/** Binds all levels of the schedule; what it returns records them, once or more often. */
function levelsOver(
  recorder: Recorder,
  plan: LevelPlan,
  buffers: LevelBuffers<keyof ReturnType<typeof factorWords>>,
  rows: GPUBuffer,
  refinement: Refinement | undefined,
): () => void {
  const { walk: { gpu }, settings: { room }, held } = plan;
  const warm = held !== undefined;
  const steps = Array.from({ length: room.levels }, (_, depth) => {
    const uniform = recorder.uniform(levelSettings(plan, depth));
    const level = { ...buffers.shared, ...levelBuffers(buffers, depth % 2), rows };
    const bound = (kernel: LevelKernel): LevelStep => ({
      kernel: recorder.bind(gpu.pipeline(kernel.source), bindingsOf(kernel, uniform, level)),
      groups: buffers.groups[depth % 2]!,
      offset: slotOf(depth, kernel.groups),
    });
    return [
      ...levelKernels(warm).map(bound),
      ...(refinement ? [bound(refineKernel), ...refinement.level(depth)] : []),
      ...endOf(warm).map(bound),
    ];
  }).flat();
  return () => steps.forEach(({ kernel, groups, offset }) => recorder.runIndirect(kernel, groups, offset));
}

/**
 * Dispatches of a frame, which depend on neither the picture nor the depth of its tree. A cold frame's are
 * those of one sketch, whose certificate is checked where exact products may follow; a warm one's have room
 * for a second try.
 *
 * @param kept whether the tree is kept for the next frame.
 * @param exact nodes of a frame that exact products may cut anew; 0 where they may not.
 * @param refined whether the vectors of a warm one are refined.
 * @param room what its tree may take.
 */
export function dispatchesOf(
  steps: number,
  warm: boolean,
  { kept = false, exact = 0, refined = false, room = USUAL_ROOM } = {},
): number {
  const round = renewalKernels(true).length;
  const iteration = 4 * round + 2 * steps;
  // Sums and a check; a Gram matrix with its triangle, the projection and its check.
  const renewal = 2 + iteration + 4;
  const sketch = warm ? 0 : 4 * round + 3 * steps + 1;
  const loops = Number(steps === 1);
  const level = levelKernels(warm).length + (refined ? REFINEMENT_DISPATCHES : 0) + endOf(warm).length;
  const levels = room.levels * level;
  const certificate = 1 + Number(kept || warm || exact > 0) + 2 * steps;
  const again = warm ? 2 + iteration + levels + certificate : 0;
  const forming = steps === 1 ? 0 : 1 + formingProducts(steps);
  const anew = exact > 0 ? 2 + forming + exactDispatchesOf(exact, room, true) : 0;
  return steps + loops + sketch + renewal + Number(refined) + levels + certificate + again + anew;
}
