/**
 * What the factor proposed, held against exact products; what fails is done by them.
 *
 * Each cut of the tree is certified by its exact NCut and the exact residual of its
 * Fiedler vector. A vector that is not good enough is improved by exact products, and
 * its segment cut again; a segment whose NCut is refuted is left to the exact solver,
 * with all that lies below it.
 *
 * @module
 */
import { backward, forward, type Tally } from "../walk/tally.ts";
import { WalkGram } from "./adjacency.ts";
import { type Certificate, type Certificates, certify, type CutLeaves } from "./certify.ts";
import { ENOUGH_TRACE, type Factor } from "./factor.ts";
import { FactorSolver, sweepRows } from "./factor_solver.ts";
import { type Branch, branchesOf, cutsOf, grow, type GrowSettings, labelNodes, leavesOf } from "./grow.ts";
import { type HeldTree, wasCut } from "./held_tree.ts";
import { Iterate, OperatorSolver } from "./operator.ts";
import { thresholdOf } from "./stop.ts";

/** Largest ‖Bx − θx‖/θ of an accepted cut's vector where nothing is carried from an earlier frame. */
export const COLD_RESIDUAL = 1e-4;

/**
 * The same within a stream, where the vectors come from the last frame's basis. What is decided by is the cut's
 * exact NCut, in which an error of the vector counts by its square; and products are what a frame costs, on a
 * GPU readbacks too.
 */
export const WARM_RESIDUAL = 5e-2;

/**
 * λ below which two cuts of next to no weight may lie nearer than sums in f32 tell apart: their vectors come out
 * mixed, and no threshold gives the better one.
 */
const TOLD_LAMBDA = 1e-3;

/** Whether a tree has cuts that sums in f32 may have mixed up with others. */
export function isBlurred(root: Branch): boolean {
  return cutsOf(root).some(({ branch: { proposal } }) => 1 - proposal.theta < TOLD_LAMBDA);
}

/** Threshold from which a cut that separates nothing, at an NCut of 1, may be made. */
const ALIKE = 0.9;

/** What confirming needs. */
export interface Confirmation {
  readonly tally: Tally;
  readonly steps: number;
  readonly settings: GrowSettings & { readonly thresholds?: number };
  /** The last frame's tree. */
  readonly held: HeldTree | undefined;
  /** A_ii, `[N]`, as the factor knows it. */
  readonly diagonal: Float32Array;
  /** The factor that made the tree, asked for only where a certificate fails. */
  factor(): Promise<Factor>;
  /** Largest residual of an accepted cut. */
  readonly tolerance: number;
  /** Share of tr A that the factor holds. */
  readonly traceShare: number;
}

/** How a tree came out. */
export interface Confirmed {
  /** Largest residual among the cuts that are left. */
  readonly residual: number;
  /** Segments whose certificate failed, and which exact products took over. */
  readonly recertified: number;
}

/**
 * Certifies every cut of a tree, in place.
 *
 * @param first certificates of all cuts of the tree in the order of {@linkcode cutsOf}, where they are known.
 */
export async function confirmTree(
  work: Confirmation,
  root: Branch,
  first?: Certificates,
): Promise<Confirmed> {
  const residuals = new Map<Branch, number>();
  const improved = new Set<Branch>();
  let recertified = 0;
  for (const leaf of blindLeaves(work, root)) {
    recertified++;
    for (const own of await solveExactly(work, root, leaf)) residuals.set(own, own.proposal.residual);
    // What is certified already has other leaves now.
    first = undefined;
  }
  for (let known = first, round = 0;; known = undefined, round++) {
    const open = cutsOf(root).filter(({ branch }) => !residuals.has(branch));
    // The first round is for the leaves' T as well.
    if (open.length === 0 && round > 0) break;
    const { cuts: certificates, totals } = known ?? await certificatesOf(work, root, open);
    const weak: Branch[] = [];
    const refuted = takeTotals(root, totals, work.settings).filter((leaf) => !improved.has(leaf));
    // A leaf is asked again once.
    for (const leaf of refuted) improved.add(leaf);
    recertified += refuted.length;
    open.forEach(({ branch }, i) => {
      const exact = certificates[i]!;
      const { threshold } = takeCertificate(branch, exact, work.settings);
      if (!(exact.ncut < threshold) || improved.has(branch) && exact.residual > work.tolerance) {
        refuted.push(branch);
      } else if (exact.residual > work.tolerance) weak.push(branch);
      else residuals.set(branch, exact.residual);
    });
    recertified += weak.length;
    const gone = new Set<Branch>();
    for (const branch of refuted) {
      if (gone.has(branch)) continue;
      recertified += Number(!improved.has(branch));
      for (const below of branchesOf(branch)) gone.add(below);
      for (const own of await solveExactly(work, root, branch)) residuals.set(own, own.proposal.residual);
    }
    const left = weak.filter((branch) => !gone.has(branch));
    if (left.length > 0) await improve(work, left);
    for (const branch of left) {
      improved.add(branch);
      if (gone.has(branch)) continue;
      const old = branch.parts!;
      const { left: low, right: high } = branch.proposal;
      if (sameNodes(old[0].proposal.nodes, low) && sameNodes(old[1].proposal.nodes, high)) {
        residuals.set(branch, branch.proposal.residual);
      } else {
        for (const below of branchesOf(branch)) if (below !== branch) gone.add(below);
        await regrow(work, root, branch);
      }
    }
  }
  return {
    residual: cutsOf(root).reduce((most, { branch }) => Math.max(most, residuals.get(branch)!), 0),
    recertified,
  };
}

/**
 * How many segments of a tree do not hold against its certificates: cuts with a larger residual or whose exact
 * NCut is no longer below their threshold, and leaves that exact T would have cut.
 */
export function failuresOf(
  root: Branch,
  { cuts, totals }: Certificates,
  { stop, maxSegments }: GrowSettings,
  tolerance: number,
): number {
  const limit = ({ proposal, history }: Branch, total: number) =>
    thresholdOf(stop, { ...proposal, total }, history);
  const failed = cutsOf(root).filter(({ branch }, i) => {
    const { ncut, total, residual } = cuts[i]!;
    return residual > tolerance || !(ncut < limit(branch, total));
  });
  const leaves = leavesOf(root);
  const room = maxSegments === 0 || leaves.length < maxSegments;
  const open = leaves.filter((leaf, i) =>
    room && !(leaf.cost < leaf.threshold) && leaf.cost < limit(leaf, totals[i]!)
  );
  return failed.length + open.length;
}

/**
 * Leaves of which the factor knows no vector at all, although they may be cut: where it holds too
 * little, or where a cut of NCut 1, that of rows which are all alike, would be made.
 */
function blindLeaves(
  { traceShare, settings: { minPart, maxSegments } }: Confirmation,
  root: Branch,
): Branch[] {
  const leaves = leavesOf(root);
  if (maxSegments > 0 && leaves.length >= maxSegments) return [];
  return leaves.filter(({ proposal: { ncut, nodes }, threshold }) =>
    Number.isNaN(ncut) && nodes.length >= Math.max(2, 2 * minPart) &&
    (traceShare < ENOUGH_TRACE || threshold > ALIKE)
  );
}

/** Puts what is exact into a branch. */
function takeCertificate(
  branch: Branch,
  { ncut, total, residual }: Certificate,
  { stop }: GrowSettings,
): Branch {
  branch.proposal = { ...branch.proposal, ncut, total, residual };
  branch.cost = ncut;
  branch.threshold = thresholdOf(stop, branch.proposal, branch.history);
  return branch;
}

async function certificatesOf(
  { tally, steps, diagonal }: Confirmation,
  root: Branch,
  cuts: readonly CutLeaves[],
): Promise<Certificates> {
  const labels = labelNodes(root, tally.walk.n);
  return await certify(tally, steps, cuts, labels, leavesOf(root).length, diagonal);
}

/** Puts the exact T into the leaves; returns those that it would have cut. */
function takeTotals(root: Branch, totals: readonly number[], settings: GrowSettings): Branch[] {
  const leaves = leavesOf(root);
  const room = settings.maxSegments === 0 || leaves.length < settings.maxSegments;
  return leaves.filter((leaf, i) => {
    const before = leaf.cost < leaf.threshold;
    leaf.proposal = { ...leaf.proposal, total: totals[i]! };
    leaf.threshold = thresholdOf(settings.stop, leaf.proposal, leaf.history);
    return room && !before && leaf.cost < leaf.threshold;
  });
}

/** Cuts a segment by exact products, and what comes of it; returns the branches that were cut. */
async function solveExactly(work: Confirmation, root: Branch, branch: Branch): Promise<Branch[]> {
  const { tally, steps, diagonal, settings } = work;
  const adjacency = WalkGram.withLoops(tally.walk, steps, diagonal);
  const solver = new OperatorSolver(adjacency, settings);
  const own = await grow(solver, branch.proposal.nodes, settings, work.held, roomOf(root, branch, settings));
  tally.applications += adjacency.applications;
  replace(branch, own);
  return branchesOf(branch).filter(({ parts }) => parts);
}

/** Gives a branch's parts to the factor again, whose nodes have changed. */
async function regrow(work: Confirmation, root: Branch, branch: Branch): Promise<void> {
  const { settings, held } = work;
  const solver = new FactorSolver(await work.factor(), settings.thresholds);
  // Two leaves are spent on the parts themselves; what is left goes to the clearer one.
  let room = roomOf(root, branch, settings) - 1;
  const parts: Branch[] = [];
  for (const nodes of [branch.proposal.left, branch.proposal.right]) {
    const part = await grow(solver, nodes, settings, held, room);
    room -= leavesOf(part).length - 1;
    parts.push(part);
  }
  branch.parts = [parts[0]!, parts[1]!];
}

/** Leaves that a branch may have beyond one. */
function roomOf(root: Branch, branch: Branch, { maxSegments }: GrowSettings): number {
  if (maxSegments === 0) return Infinity;
  return maxSegments - leavesOf(root).length + leavesOf(branch).length - 1;
}

function replace(branch: Branch, by: Branch): void {
  delete branch.parts;
  Object.assign(branch, by);
}

/**
 * Improves the Fiedler vectors of some segments, all in one block of exact products an
 * iteration, and proposes their cuts anew.
 */
async function improve(work: Confirmation, branches: readonly Branch[]): Promise<void> {
  const { tally, steps, diagonal, tolerance, settings } = work;
  const { n } = tally.walk;
  const loops = Float64Array.from(diagonal);
  const word = backward(steps) + forward(steps);
  const multiply = async (fill: (column: number, z: Float64Array) => void, columns: number) => {
    const block = new Float32Array(n * columns);
    const z = new Float64Array(n);
    for (let c = 0; c < columns; c++) {
      z.fill(0);
      fill(c, z);
      for (let i = 0; i < n; i++) block[i * columns + c] = z[i]!;
    }
    const [product] = await tally.products([{ block, columns, word }]);
    return (c: number) => Float64Array.from({ length: n }, (_, i) => product![i * columns + c]!);
  };
  const ones = await multiply((c, z) => {
    for (const i of branches[c]!.proposal.nodes) z[i] = 1;
  }, branches.length);
  const iterates = branches.map(({ proposal: { nodes, vector: start } }, c) =>
    new Iterate({ nodes, start }, ones(c), loops, { tolerance: tolerance / 2, start: "near" })
  );
  for (let open = iterates; open.length > 0;) {
    const images = await multiply((c, z) => open[c]!.give(z), open.length);
    open.forEach((iterate, c) => iterate.take(images(c)));
    open = open.filter(({ done }) => !done);
  }
  const factor = await work.factor();
  branches.forEach((branch, b) => {
    const { theta, residual, total } = iterates[b]!;
    const { nodes, vector: start, ncut } = branch.proposal;
    const again = sweepRows(factor, nodes, iterates[b]!.fiedlerVector(), start, settings);
    branch.proposal = { ...again, theta, residual, total, ncut };
    branch.history = wasCut(work.held, branch.held, again);
  });
}

function sameNodes(a: Uint32Array, b: Uint32Array): boolean {
  return a.length === b.length && a.every((node, i) => node === b[i]);
}
