/**
 * A frame's cut on the GPU by exact products with M, read back once.
 *
 * @module
 */
import type { WebGpuWalk } from "../../walk/webgpu/walk_device.ts";
import type { CutSettings, CutState, GraphCut } from "../cut_frame.ts";
import { COLD_RESIDUAL, isBlurred } from "../confirm.ts";
import { type Branch, branchesOf, cutsOf } from "../grow.ts";
import type { HeldTree } from "../held_tree.ts";
import { formingProducts, mayForm } from "../power.ts";
import { needsCuts } from "../stop.ts";
import { branchesFrom, type DeviceCut, deviceCut, deviceGraph } from "./branches.ts";
import { isCrowded, isWhole } from "./device_tree.ts";
import type { ExactAdjacency } from "./exact_kernels.ts";
import { type ExactTree, fitsExactly, submitExactRecursion } from "./exact_recursion.ts";
import { heldTables } from "./held_buffers.ts";
import { LARGE_ROOM, roomFor, type TreeRoom } from "./layout.ts";
import { recursionSettings } from "./level_buffers.ts";

/** Eigenvalue below which sums in f32 leave a residual above {@linkcode COLD_RESIDUAL}, which is relative to it. */
const TOLD_THETA = 0.02;

/**
 * λ = 1 − θ below which f32 products may have the random walk's weights wrong: an error of 1e-6 in the stationary
 * state becomes one of 1e-6/λ in how it is shared between two parts.
 */
const TOLD_WALK_LAMBDA = 2e-3;

/** A frame's tree by exact products. */
export interface ExactCut {
  readonly root: Branch;
  readonly tree: ExactTree;
  /** Largest residual among its cuts. */
  readonly residual: number;
  /** Products of an N×N by an N×1. */
  readonly applications: number;
}

/**
 * The tree of M itself by exact products.
 *
 * @param held where its vectors start, and the history of its segments.
 * @returns nothing where the host has to cut: what is asked for is a minimum cut; M does not fit one binding; a
 *   node has no weight at all; the tree wants more than 256 leaves or 24 levels; or a vector did not come out well
 *   enough, as one of a complex pair does.
 */
async function exactTreeOnDevice(
  m: WebGpuWalk,
  settings: CutSettings,
  held: HeldTree | undefined,
  adjacency: ExactAdjacency,
): Promise<ExactCut | undefined> {
  if (needsCuts(settings.stop) || !fitsExactly(m)) return undefined;
  const tables = held && heldTables(held);
  // Where the last frame was too much, so is this one.
  if (held && !tables) return undefined;
  const treeIn = (room: TreeRoom) => {
    const own = recursionSettings({ ...settings, steps: 1 }, room);
    return submitExactRecursion(m, { ...own, adjacency }, tables).tree();
  };
  const tree = await treeIn(roomFor(settings, tables?.room));
  if (!isCrowded(tree, settings.maxSegments)) return exactCutOf(tree, settings, held, adjacency);
  const whole = await treeIn(LARGE_ROOM);
  return exactCutOf({ ...whole, products: tree.products + whole.products }, settings, held, adjacency);
}

/** The cut of a tree that was read back; nothing where it is not whole, or a vector did not come out well enough. */
export function exactCutOf(
  tree: ExactTree,
  { maxSegments }: CutSettings,
  held: HeldTree | undefined,
  adjacency: ExactAdjacency = "dot",
): ExactCut | undefined {
  if (!isWhole(tree, maxSegments)) return undefined;
  const { root } = branchesFrom(tree, held);
  const proposals = cutsOf(root).map(({ branch }) => branch.proposal);
  const residual = proposals.reduce((most, proposal) => Math.max(most, proposal.residual), 0);
  if (!(residual <= COLD_RESIDUAL) || isBlurred(root)) return undefined;
  if (proposals.some(({ theta }) => theta < TOLD_THETA)) return undefined;
  if (adjacency === "walk") {
    if (proposals.some(({ theta }) => 1 - theta < TOLD_WALK_LAMBDA)) return undefined;
    if (branchesOf(root).some(mayBeCut)) return undefined;
  }
  // Two for each leaf's scores.
  const applications = Math.ceil(tree.products) + (adjacency === "given" ? 0 : 2 * tree.leaves);
  return { root, tree, residual, applications };
}

/** Whether a segment without a vector may have a cut all the same: NCut is hardly ever below λ. */
function mayBeCut({ proposal: { residual, theta }, threshold }: Branch): boolean {
  return !(residual <= COLD_RESIDUAL) && !(1 - theta >= threshold);
}

/**
 * Cuts one frame by exact products; P^k is formed on the device where k > 1.
 *
 * @param traceShare share of tr A that a factor held which was too small.
 * @returns nothing where the host has to cut: P^k is to be applied and not formed, or as
 *   {@linkcode exactTreeOnDevice} says.
 */
export async function cutExactlyOnDevice(
  walk: WebGpuWalk,
  settings: CutSettings,
  last: CutState | undefined,
  traceShare = 0,
): Promise<DeviceCut | undefined> {
  const { steps, power = "form", stop } = settings;
  if (!mayForm(settings)) return undefined;
  const cut = await exactTreeOfPower(walk, settings, last?.tree);
  if (!cut) return undefined;
  const { root, tree } = cut;
  const stats = { ...exactStats(cut), traceShare, power };
  return deviceCut(tree, root, {
    stats: { ...stats, matrixProducts: formingProducts(steps) },
    stop,
    last,
  });
}

function exactStats({ residual, applications }: ExactCut) {
  return {
    solver: "operator",
    rank: 0,
    traceShare: 0,
    operatorApplications: applications,
    residual,
    recertified: 0,
  } as const;
}

/**
 * Cuts a symmetric adjacency that lies on the device as it is; takes the place of `cutGraph` where it can.
 *
 * @returns nothing where that has to cut, as {@linkcode exactTreeOnDevice} says.
 */
export async function cutGivenOnDevice(
  adjacency: WebGpuWalk,
  settings: CutSettings,
  last: CutState | undefined,
): Promise<GraphCut | undefined> {
  const cut = await exactTreeOnDevice(adjacency, settings, last?.tree, "given");
  if (!cut) return undefined;
  return deviceGraph(cut.tree, cut.root, { stats: exactStats(cut), stop: settings.stop, last });
}

/** {@linkcode exactTreeOnDevice} of P^k, which is formed where k > 1. */
export async function exactTreeOfPower(
  walk: WebGpuWalk,
  settings: CutSettings,
  held: HeldTree | undefined,
): Promise<ExactCut | undefined> {
  const formed = settings.steps > 1 ? await walk.power(settings.steps) : undefined;
  try {
    return await exactTreeOnDevice(formed ?? walk, settings, held, settings.adjacency ?? "dot");
  } finally {
    formed?.release();
  }
}
