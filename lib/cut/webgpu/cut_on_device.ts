/**
 * A frame's cut on the GPU: the same tree as the CPU's factor solver grows, read back once.
 *
 * The basis of the factor stays on the device, which makes it when cold and renews it where it holds too
 * little of the trace.
 *
 * @module
 */
import { takeColumns } from "../../walk/block.ts";
import { forward, Tally } from "../../walk/tally.ts";
import type { Walk } from "../../walk/walk.ts";
import { BLOCK_ALIGNMENT } from "../../walk/webgpu/kernels.ts";
import { WebGpuWalk } from "../../walk/webgpu/walk_device.ts";
import { judge } from "../certify.ts";
import { type CutSettings, type CutState, takesExact, walkScores } from "../cut_frame.ts";
import { COLD_RESIDUAL, confirmTree, failuresOf, isBlurred, WARM_RESIDUAL } from "../confirm.ts";
import { ENOUGH_TRACE, type Factor, PROBES, sketchFactor } from "../factor.ts";
import { cutsOf, labelNodes, leavesOf } from "../grow.ts";
import { formingProducts, mayForm } from "../power.ts";
import { branchesFrom, type DeviceCut, deviceCut, leafScores, vectorImages } from "./branches.ts";
import { isCrowded, isWhole } from "./device_tree.ts";
import { cutExactlyOnDevice, type ExactCut, exactCutOf, exactTreeOfPower } from "./exact_on_device.ts";
import { heldTables } from "./held_buffers.ts";
import { LARGE_ROOM, roomFor, type TreeRoom } from "./layout.ts";
import { type Outcome, Pass, type PassStart } from "./pass.ts";
import { type FactorTree, largestRank } from "./recursion.ts";
import { widened } from "./resident_basis.ts";

export { releaseBasis } from "./resident_basis.ts";

/** Share of the trace that a sketch must miss for more columns to find it. */
const LEAST_MISSING = 1e-3;

/** What links a frame's cut with those of the frames next to it, where they are under way as well. */
export interface PassChain {
  /** P^k where it was formed ahead; whoever asks releases it. */
  formed(): Promise<Walk> | undefined;
  /** The pass that was submitted ahead of the last frame's outcome, if it starts from what that left. */
  take(walk: WebGpuWalk, last: CutState): Pass | undefined;
  /** Told of the pass that the next frame's may follow, once its outcome is asked for. */
  running(pass: Pass): void;
  /** Told of the state whose tree is the one that a pass left on the device. */
  kept(pass: Pass, state: CutState): void;
}

/**
 * Cuts one frame on the GPU; takes the place of `cutFrame` where it can.
 *
 * It reads back once, warm or cold, whatever the depth of the tree, by the factor or by exact products, and
 * again only where a certificate fails a second time within a stream, or a cold basis is too small: then exact
 * products take over.
 * @returns nothing where `cutFrame` has to cut: the settings ask for what `cutExactlyOnDevice` leaves to the
 *   host, or the tree wants more than 256 leaves, 24 levels or a rank that the device cannot hold.
 */
export async function cutOnDevice(
  walk: WebGpuWalk,
  settings: CutSettings,
  last?: CutState,
  chain?: PassChain,
): Promise<DeviceCut | undefined> {
  const tables = last ? heldTables(last.tree) : undefined;
  if (last && !tables) return undefined;
  const room = roomFor(settings, tables?.room);
  return await cutWithin(walk, settings, last, { held: tables, room }, chain);
}

/**
 * {@linkcode cutOnDevice} with room for a tree; where that is not enough, once more with the largest.
 *
 * @param spent products with P^k that were made already.
 */
async function cutWithin(
  walk: WebGpuWalk,
  settings: CutSettings,
  last: CutState | undefined,
  start: PassStart,
  chain: PassChain | undefined,
  spent = 0,
): Promise<DeviceCut | undefined> {
  const { solver = "auto" } = settings;
  if (takesExact(settings, walk.n) || (solver === "auto" && last?.exact)) {
    return await cutExactlyOnDevice(walk, settings, last);
  }
  const tally = new Tally(walk);
  tally.applications += spent;
  const ahead = last && chain?.take(walk, last);
  const first = ahead ??
    (last?.basis && Pass.submit(walk, settings, last.basis, { ...start, keep: chain !== undefined }));
  const reading = first?.outcome(last!.basis!);
  if (first) chain?.running(first);
  const tried = await reading;
  tally.applications += tried?.applications ?? 0;
  const warm = tried !== undefined && tried.traceShare >= ENOUGH_TRACE;
  // Nothing to start from, or not even the renewed basis is enough: a new one.
  const pass = warm ? tried : await coldPass(tally, walk, settings, start);
  if (!pass) return undefined;
  const { tree, traceShare } = pass;
  tally.applications += 2 * settings.steps * (2 * tree.leaves - 1);
  const refined = tree.refined && exactCutOf(tree.refined, settings, undefined);
  if (refined) return refinedCut(tally, settings, last, pass, refined, tree.weak);
  tally.applications += Math.ceil(tree.refined?.products ?? 0);
  if (solver === "auto" && traceShare < ENOUGH_TRACE) {
    return await cutExactlyOnDevice(walk, settings, last, traceShare);
  }
  if (isCrowded(tree, settings.maxSegments)) {
    const roomy = { ...start, room: LARGE_ROOM };
    return await cutWithin(walk, settings, last, roomy, undefined, tally.applications);
  }
  if (!isWhole(tree, settings.maxSegments)) return undefined;
  const cut = await certifiedCut(tally, settings, last, pass);
  if (!cut) return undefined;
  if (first && warm && cut.segmentation.stats.recertified === 0) chain?.kept(first, cut.state);
  return cut;
}

/**
 * A frame's cut from the tree of a pass, held against its certificate; what fails is cut by exact products.
 * Nothing where the host has to cut: f32 may have mixed up two cuts of next to no weight.
 */
async function certifiedCut(
  tally: Tally,
  settings: CutSettings,
  last: CutState | undefined,
  pass: Outcome,
): Promise<DeviceCut | undefined> {
  const { tree, traceShare, basis, next } = pass;
  const { steps } = settings;
  const { n } = tally.walk;
  const { root, places } = branchesFrom(tree, last?.tree);
  // The host may have more digits.
  if (!last && settings.solver !== "factor" && isBlurred(root)) return undefined;
  const cuts = cutsOf(root);
  const diagonal = loopsOf(tree);
  const certificates = judge(
    cuts,
    labelNodes(root, n),
    tree.leaves,
    diagonal,
    takeColumns(tree.certificate, n, tree.width, 0, tree.leaves),
    vectorImages(tree, cuts.map(({ branch }) => places.get(branch)!)),
  );
  const tolerance = last?.basis ? WARM_RESIDUAL : COLD_RESIDUAL;
  const failures = mayForm(settings) ? failuresOf(root, certificates, settings, tolerance) : 0;
  if (failures > 0 && tally.walk instanceof WebGpuWalk) {
    const exact = await exactTreeOfPower(tally.walk, settings, last?.tree);
    if (exact) return refinedCut(tally, settings, last, pass, exact, failures);
  }
  const { residual, recertified } = await confirmTree(
    {
      tally,
      steps,
      settings,
      held: last?.tree,
      diagonal,
      factor: () => factorOf(tally, steps, basis, diagonal, traceShare),
      tolerance,
      traceShare,
    },
    root,
    certificates,
  );
  const labels = labelNodes(root, n);
  const leaves = leavesOf(root).length;
  const scores = leafScores(tree, labels, leaves) ?? await walkScores(tally, steps, labels, leaves);
  return deviceCut(tree, root, {
    scores,
    stats: {
      solver: "factor",
      rank: basis.length / n,
      traceShare,
      operatorApplications: tally.applications,
      residual,
      recertified,
      matrixProducts: tree.refined ? formingProducts(steps) : 0,
    },
    basis: next,
    last,
  });
}

/**
 * A frame's cut by exact products, which take the place of those of a pass.
 *
 * @param recertified cuts of the pass whose vectors fell short.
 */
function refinedCut(
  tally: Tally,
  settings: CutSettings,
  last: CutState | undefined,
  { basis, next, traceShare, tree: { refined: tried } }: Outcome,
  { root, tree, residual, applications }: ExactCut,
  recertified: number,
): DeviceCut {
  const formed = Number(tried !== undefined) + Number(tree !== tried);
  const enough = settings.solver === "factor" || traceShare >= ENOUGH_TRACE;
  return deviceCut(tree, root, {
    stats: {
      solver: enough ? "factor" : "operator",
      rank: enough ? basis.length / tally.walk.n : 0,
      traceShare,
      operatorApplications: tally.applications + applications,
      residual,
      recertified: enough ? recertified : 0,
      matrixProducts: formed * formingProducts(settings.steps),
    },
    ...(enough ? { basis: next } : {}),
    last,
  });
}

/**
 * Columns of a sketch by the steps that M stands for, the last for all beyond: enough for most pictures' vectors
 * to come out below {@linkcode COLD_RESIDUAL}. M's spectrum falls the faster the more steps there are.
 */
const SKETCH_WIDTHS = [384, 256, 128] as const;

/** Share of the trace below which a wider sketch is not worth a try. */
const HOPELESS = 0.6;

/**
 * A pass with a new basis, which the device makes itself within the one readback; where that is too
 * small there follows a wider one. A walk of too few nodes for the widest gets the host's.
 */
async function coldPass(
  tally: Tally,
  walk: WebGpuWalk,
  settings: CutSettings,
  start: PassStart,
): Promise<Outcome | undefined> {
  const least = settings.solver === "factor" ? 0 : HOPELESS;
  for (const width of sketchWidths(walk, settings.steps, start.room)) {
    const pass = await Pass.sketch(walk, settings, width, start).sketched();
    tally.applications += pass.applications;
    const { traceShare } = pass;
    if (traceShare >= ENOUGH_TRACE || traceShare < least || width === SKETCH_WIDTHS[0]) return pass;
  }
  return await hostPass(tally, walk, settings, start);
}

/** Widths of the sketches that the device can make, in the order in which they are tried. */
function sketchWidths(walk: WebGpuWalk, steps: number, room: TreeRoom): number[] {
  const first = Math.min(steps * walk.exponent, SKETCH_WIDTHS.length) - 1;
  const most = Math.min(largestRank(walk, room) + PROBES, walk.n / 2);
  const widths = SKETCH_WIDTHS.map((width) => Math.min(width, most - most % BLOCK_ALIGNMENT));
  const fit = widths.slice(0, first + 1).filter((width) => width >= SKETCH_WIDTHS[2]);
  return [...new Set(fit)].reverse();
}

/** A pass with a basis that the host finds, of any rank. */
async function hostPass(
  tally: Tally,
  walk: WebGpuWalk,
  settings: CutSettings,
  start: PassStart,
): Promise<Outcome | undefined> {
  const { basis: found, rank, traceShare: share } = await sketchFactor(tally, settings.steps);
  // Where M has hardly more directions, further columns would be filled by rounding alone.
  const whole = share > 1 - LEAST_MISSING;
  const basis = whole ? found : widened(found, walk.n, rank);
  const pass = await Pass.submit(walk, settings, basis, { ...start, renew: !whole })?.outcome(basis);
  tally.applications += pass?.applications ?? 0;
  return pass;
}

/** A_ii of each node; where the probes estimate it each node gets its leaf's mean. */
export function loopsOf({ loops, nodes, labels }: FactorTree): Float32Array<ArrayBuffer> {
  if (loops) return loops;
  const leaves = nodes.filter(({ child }) => child === 0).sort((a, b) => a.begin - b.begin);
  return Float32Array.from(labels, (leaf) => leaves[leaf]!.loops / leaves[leaf]!.size);
}

/** The factor of a basis that lies on the device, for what a certificate sent back. */
async function factorOf(
  tally: Tally,
  steps: number,
  basis: Float32Array<ArrayBuffer>,
  diagonal: Float32Array<ArrayBuffer>,
  traceShare: number,
): Promise<Factor> {
  const { n } = tally.walk;
  const rank = basis.length / n;
  const [rows] = await tally.products([{ block: basis, columns: rank, word: forward(steps) }]);
  return { n, rank, rows: rows!, basis, diagonal, traceShare };
}
