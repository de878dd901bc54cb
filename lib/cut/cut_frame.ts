/**
 * From the walk of a frame to its segments, cold or from the last frame's tree.
 *
 * @module
 */
import { backward, forward, Tally } from "../walk/tally.ts";
import type { Walk } from "../walk/walk.ts";
import { type Adjacency, DenseGram, WalkGram } from "./adjacency.ts";
import { combine } from "./blocks.ts";
import type { Certificates } from "./certify.ts";
import { COLD_RESIDUAL, confirmTree, isBlurred, WARM_RESIDUAL } from "./confirm.ts";
import {
  continueFactor,
  ENOUGH_TRACE,
  type Factor,
  type HeldFactor,
  sketchFactor,
  withDiagonal,
} from "./factor.ts";
import { FactorSolver } from "./factor_solver.ts";
import { type Branch, branchesOf, cutsOf, grow, type GrowSettings, labelNodes, leavesOf } from "./grow.ts";
import type { HeldTree } from "./held_tree.ts";
import { globalMinCut, type SegmentWeights } from "./min_cut.ts";
import { cheaperPower, expectedVectors, formingProducts, type Power } from "./power.ts";
import { denseWalk, OperatorSolver } from "./operator.ts";
import { RandomWalkSolver } from "./random_walk.ts";
import { isRefined, RefinedSolver } from "./refined_solver.ts";
import { AppliedSource, FormedSource, type WalkSource } from "./segment_walk.ts";
import type { CutNode, Segmentation } from "./segmentation.ts";
import type { Solver } from "./solver.ts";
import { needsCuts, type StopRule } from "./stop.ts";

/** How a frame is cut. */
export interface CutSettings extends GrowSettings {
  /** k of M = P^k, the k-step walk (paper, sections 3.2 and 4.4). */
  readonly steps: number;
  /**
   * Default `"dot"`, M·Mᵀ; `"cosine"` of M's rows (paper, section 3.3); `"walk"`, M itself (sections 3.2
   * and 4.1). The last two are cut by exact products.
   */
  readonly adjacency?: "dot" | "cosine" | "walk";
  /**
   * `"auto"`, the default, takes the factor where it holds {@linkcode ENOUGH_TRACE} of the trace, of
   * {@linkcode LEAST_FACTORED} nodes or more.
   */
  readonly solver?: "auto" | "factor" | "operator";
  /** Whether P^k (section 3.2) is formed or P applied k times; default the cheaper by counted cost (see {@linkcode withPower}). */
  readonly power?: Power;
  /** Evenly spaced thresholds between an eigenvector's ends that are tried (section 3.4, step 2); default all |S| − 1. */
  readonly thresholds?: number;
}

/** Nodes from which a factor may be a saving: of fewer its columns are hardly less than all of M. */
const LEAST_FACTORED = 256;

/** Whether a walk of `n` nodes is cut by exact products from the start: they are asked for, or cost less. */
export function takesExact({ adjacency = "dot", solver = "auto", stop }: CutSettings, n: number): boolean {
  if (adjacency !== "dot" || needsCuts(stop)) return true;
  return solver === "operator" || solver === "auto" && n < LEAST_FACTORED;
}

/** What the next frame starts from. */
export interface CutState {
  /** V of the factor; absent after exact products. */
  readonly basis: Float32Array<ArrayBuffer> | undefined;
  /** The factor itself where the CPU made it. */
  readonly factor?: HeldFactor;
  readonly tree: HeldTree;
  /** True where the frame was cut by exact products. */
  readonly exact?: boolean;
  /** Frames since the cold start. */
  readonly age: number;
}

/** A frame's segments, and what the next frame starts from. */
export interface CutResult {
  readonly segmentation: Segmentation;
  readonly state: CutState;
}

/** Cuts one frame; `last` is the state that the frame before it left. */
export function cutFrame(walk: Walk, settings: CutSettings, last?: CutState): Promise<CutResult> {
  return withPower(walk, settings, last, (m, own) => cutOnce(m, own, last));
}

/**
 * Forms P^k where that is asked for or cheaper, and cuts the formed walk with k = 1.
 *
 * Exact products with `dot` and `cosine` need ‖M_i‖² of every node, for which applying costs
 * k·N products, more than forming does; so there `apply` is taken only where it is asked for.
 *
 * @param form forms P^k, which is released here.
 */
export async function withPower(
  walk: Walk,
  settings: CutSettings,
  last: CutState | undefined,
  cut: (walk: Walk, settings: CutSettings) => Promise<CutResult>,
  form: (k: number) => Promise<Walk> = (k) => walk.power(k),
): Promise<CutResult> {
  const { steps, power } = settings;
  if (steps === 1) return await cut(walk, settings);
  const held = last?.basis && { rank: last.basis.length / walk.n, leaves: leafCount(last.tree) };
  // Exact products form what they need by themselves.
  const exact = takesExact(settings, walk.n) || last?.exact === true && settings.solver !== "factor";
  const chosen = power ?? (exact ? "apply" : cheaperPower(walk.n, steps, expectedVectors(walk.n, held)));
  if (chosen === "apply") return await cut(walk, settings);
  const formed = await form(steps);
  try {
    const result = await cut(formed, { ...settings, steps: 1 });
    const { segmentation } = result;
    const stats = { ...segmentation.stats, power: "form" as const, matrixProducts: formingProducts(steps) };
    return { ...result, segmentation: { ...segmentation, stats } };
  } finally {
    formed.release();
  }
}

function leafCount({ nodes }: HeldTree): number {
  return nodes[0]!.leaves.length;
}

/** Most nodes of a graph that is cut again in float64 where the factor's f32 may have mixed up two weak cuts. */
const MOST_SHARPENED = 1024;

/** Cuts with M as the settings leave it: P applied `steps` times. */
async function cutOnce(walk: Walk, settings: CutSettings, last: CutState | undefined): Promise<CutResult> {
  const tally = new Tally(walk);
  const age = last ? last.age + 1 : 0;
  const { solver = "auto" } = settings;
  // A stream whose factor was too small once is not asked again until it starts anew.
  if (takesExact(settings, walk.n) || solver === "auto" && last?.exact) {
    return await cutExactly(tally, settings, last);
  }
  const estimated = last?.factor
    ? await continueFactor(tally, settings.steps, last.factor, age + 1)
    : await sketchFactor(tally, settings.steps);
  const squares = settings.steps === 1 ? await walk.rowSquares?.() : undefined;
  const factor = squares ? withDiagonal(estimated, squares) : estimated;
  if (solver === "auto" && factor.traceShare < ENOUGH_TRACE) {
    return await cutExactly(tally, settings, last, factor.traceShare);
  }
  const { root, certificates } = await growFrom(factor, tally, settings, last);
  const { residual, recertified } = await confirmTree(
    {
      tally,
      steps: settings.steps,
      settings,
      held: last?.tree,
      diagonal: factor.diagonal,
      factor: () => Promise.resolve(factor),
      tolerance: last?.factor ? WARM_RESIDUAL : COLD_RESIDUAL,
      traceShare: factor.traceShare,
    },
    root,
    certificates,
  );
  if (solver === "auto" && !last && walk.n <= MOST_SHARPENED && isBlurred(root)) {
    return await cutExactly(tally, settings, last, factor.traceShare);
  }
  const labels = labelNodes(root, walk.n);
  const scores = leafScores(factor, labels, leavesOf(root).length);
  return {
    segmentation: {
      ...flatten(root),
      labels,
      scores,
      stats: {
        solver: "factor",
        warm: last !== undefined,
        rank: factor.rank,
        traceShare: factor.traceShare,
        operatorApplications: tally.applications,
        residual,
        recertified,
        power: "apply",
        matrixProducts: 0,
      },
    },
    state: { basis: factor.basis, factor, tree: hold(root, labels), age },
  };
}

/** The tree that a factor makes; that of a carried one with its vectors refined, and so certified. */
async function growFrom(
  factor: Factor,
  tally: Tally,
  settings: CutSettings,
  last: CutState | undefined,
): Promise<{ root: Branch; certificates?: Certificates }> {
  const nodes = allNodes(factor.n);
  if (!last?.factor || !isRefined(factor.n, settings.steps)) {
    return { root: await grow(new FactorSolver(factor, settings.thresholds), nodes, settings, last?.tree) };
  }
  const adjacency = WalkGram.withLoops(tally.walk, settings.steps, factor.diagonal);
  const solver = new RefinedSolver(factor, adjacency, settings);
  const root = await grow(solver, nodes, settings, last.tree);
  tally.applications += solver.applications;
  return { root, certificates: solver.certificates(root) };
}

/** Cuts by exact products: its proposals need no certificate. */
async function cutExactly(
  tally: Tally,
  settings: CutSettings,
  last: CutState | undefined,
  traceShare = 0,
): Promise<CutResult> {
  const { walk } = tally;
  const { solver, weights, power, dense } = await exactSolver(walk, settings);
  const { graph, state } = await cutGraph({ solver, weights, n: walk.n }, settings, last);
  const matrixProducts = power === "form" ? formingProducts(settings.steps) : 0;
  let scores: Float32Array<ArrayBuffer>;
  if (dense) {
    // M is in main memory: another product on a device would be another readback.
    scores = leafScores({ n: walk.n, rank: walk.n, rows: dense }, graph.labels, graph.segments);
    tally.applications += 1 + graph.segments;
  } else scores = await walkScores(tally, settings.steps, graph.labels, graph.segments);
  const operatorApplications = graph.stats.operatorApplications + tally.applications;
  return {
    segmentation: {
      ...graph,
      scores,
      stats: { ...graph.stats, traceShare, operatorApplications, power, matrixProducts },
    },
    state,
  };
}

/** A graph that is cut by exact products. */
export interface ExactGraph {
  readonly n: number;
  readonly solver: Solver;
  readonly weights: SegmentWeights;
}

/** A graph's segments, and what the next one starts from. */
export interface GraphCut {
  readonly graph: Omit<Segmentation, "scores">;
  readonly state: CutState;
}

/** Cuts any graph that an exact solver knows; there is no walk, and so no scores. */
export async function cutGraph(
  { n, solver, weights }: ExactGraph,
  settings: GrowSettings,
  last?: CutState,
): Promise<GraphCut> {
  const root = await grow(solver, allNodes(n), settings, last?.tree, undefined, weights);
  const labels = labelNodes(root, n);
  await settleMinCuts(root, settings, weights);
  const residuals = cutsOf(root).map(({ branch }) => branch.proposal.residual);
  return {
    graph: {
      ...flatten(root, settings.stop),
      labels,
      stats: {
        solver: "operator",
        warm: last !== undefined,
        rank: 0,
        traceShare: 0,
        operatorApplications: solver.applications,
        residual: residuals.reduce((a, b) => Math.max(a, b), 0),
        recertified: 0,
        power: "apply",
        matrixProducts: 0,
      },
    },
    state: { basis: undefined, exact: true, tree: hold(root, labels), age: last ? last.age + 1 : 0 },
  };
}

/**
 * Computes the minimum cut of leaves whose least degree alone would have split them, were there
 * room for more leaves: so that what is reported of a leaf is no mere bound.
 */
async function settleMinCuts(root: Branch, { stop }: GrowSettings, weights: SegmentWeights): Promise<void> {
  if (stop.kind !== "manc-mincut") return;
  for (const leaf of leavesOf(root)) {
    const { nodes, total } = leaf.proposal;
    if (nodes.length < 2 || !(leaf.cost < leaf.threshold) || !(total > 0)) continue;
    leaf.cost = globalMinCut(await weights(nodes), nodes.length).value / total;
  }
}

/** What an exact cut is made with. */
interface ExactMeans {
  readonly solver: Solver;
  readonly weights: SegmentWeights;
  readonly power: Power;
  /** M, where it was written out. */
  readonly dense: Float32Array<ArrayBuffer> | undefined;
}

/** The exact solver that the settings ask for, and what writes its adjacency out. */
async function exactSolver(
  walk: Walk,
  { steps, adjacency = "dot", power = "form", thresholds }: CutSettings,
): Promise<ExactMeans> {
  const tried = thresholds === undefined ? {} : { thresholds };
  if (adjacency === "walk") {
    const source = power === "apply"
      ? await AppliedSource.create(walk, steps)
      : new FormedSource(await denseWalk(walk, steps), walk.n);
    const solver = new RandomWalkSolver(source, tried);
    return { solver, weights: (nodes) => solver.weights(nodes), power, dense: denseOf(source) };
  }
  const solver = await OperatorSolver.create(walk, { steps, adjacency, power, ...tried });
  const { adjacency: gram } = solver;
  return { solver, weights: (nodes) => gram.weights(nodes), power, dense: denseOf(gram) };
}

/** M, where what multiplies by it has it in main memory. */
function denseOf(source: WalkSource | Adjacency): Float32Array<ArrayBuffer> | undefined {
  return source instanceof FormedSource || source instanceof DenseGram ? source.matrix : undefined;
}

/** score_s(i) = ⟨M_i, Σ_S M⟩ / ‖Σ_S M‖ by exact products: M·(Mᵀ·1_S), scaled. */
export async function walkScores(
  tally: Tally,
  steps: number,
  labels: Uint16Array,
  leaves: number,
): Promise<Float32Array<ArrayBuffer>> {
  const indicators = new Float32Array(labels.length * leaves);
  labels.forEach((leaf, i) => indicators[i * leaves + leaf] = 1);
  const word = backward(steps) + forward(steps);
  const [scores] = await tally.products([{ block: indicators, columns: leaves, word }]);
  // ‖Σ_S M‖² = 1_Sᵀ·A·1_S.
  const sizes = new Float64Array(leaves);
  labels.forEach((leaf, i) => sizes[leaf]! += scores![i * leaves + leaf]!);
  const scale = sizes.map((size) => size > 0 ? 1 / Math.sqrt(size) : 0);
  return scores!.map((score, at) => score * scale[at % leaves]!);
}

function allNodes(n: number): Uint32Array<ArrayBuffer> {
  return Uint32Array.from({ length: n }, (_, i) => i);
}

/**
 * score_s(i) = ⟨F_i, Σ_S F⟩ / ‖Σ_S F‖: the cosine of node i's row with segment s's mean, up to ‖F_i‖; with M in
 * place of F as well.
 */
function leafScores(
  { n, rank, rows }: Pick<Factor, "n" | "rank" | "rows">,
  labels: Uint16Array,
  leaves: number,
): Float32Array<ArrayBuffer> {
  const sums = new Float64Array(leaves * rank);
  for (let i = 0; i < n; i++) {
    const base = labels[i]! * rank;
    for (let a = 0; a < rank; a++) sums[base + a]! += rows[i * rank + a]!;
  }
  for (let s = 0; s < leaves; s++) {
    const own = sums.subarray(s * rank, (s + 1) * rank);
    const size = Math.sqrt(own.reduce((sum, v) => sum + v * v, 0)) || 1;
    for (let a = 0; a < rank; a++) own[a]! /= size;
  }
  return combine(rows, n, rank, sums, leaves);
}

/** The tree as it is handed out. */
export function flatten(root: Branch, stop?: StopRule): Pick<Segmentation, "tree" | "leaves" | "segments"> {
  const all = branchesOf(root);
  const places = new Map(all.map((branch, i) => [branch, i]));
  const parents = new Map(
    all.flatMap((branch) => (branch.parts ?? []).map((part) => [part, places.get(branch)!])),
  );
  const tree = all.map((branch, id): CutNode => ({
    id,
    parent: parents.get(branch) ?? -1,
    ...(branch.parts ? { children: [places.get(branch.parts[0])!, places.get(branch.parts[1])!] } : {}),
    size: branch.proposal.nodes.length,
    ncut: branch.proposal.ncut,
    threshold: branch.threshold,
    ...minCutOf(branch, stop),
    lambda2: 1 - branch.proposal.theta,
    residual: branch.proposal.residual,
    splitValue: branch.proposal.splitValue,
  }));
  const leaves = leavesOf(root).map((leaf) => places.get(leaf)!);
  return { tree, leaves, segments: leaves.length };
}

function minCutOf({ cost, proposal: { nodes, total, cut } }: Branch, stop?: StopRule): { minCut?: number } {
  if (nodes.length < 2 || !stop || !needsCuts(stop)) return {};
  const minCut = stop.kind === "manc-mincut" ? total > 0 ? cost * total : 0 : cut;
  return minCut === undefined ? {} : { minCut };
}

/** The tree as the next frame takes it up. */
export function hold(root: Branch, labels: Uint16Array<ArrayBuffer>): HeldTree {
  const places = new Map(leavesOf(root).map((leaf, i) => [leaf, i]));
  return {
    labels,
    nodes: branchesOf(root).map((branch) => {
      const { nodes, vector: values } = branch.proposal;
      const vector = new Float32Array(labels.length);
      nodes.forEach((node, i) => vector[node] = values[i]!);
      return {
        leaves: leavesOf(branch).map((leaf) => places.get(leaf)!),
        size: nodes.length,
        leftLeaves: branch.parts ? leavesOf(branch.parts[0]).length : 0,
        vector,
      };
    }),
  };
}
