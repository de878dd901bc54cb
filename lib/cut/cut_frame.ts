/**
 * From the walk of a frame to its segments, cold or from the last frame's tree.
 *
 * @module
 */
import { Tally } from "../walk/tally.ts";
import type { Walk } from "../walk/walk.ts";
import { type Certificate, certify, type CutLeaves } from "./certify.ts";
import { continueFactor, type Factor, sketchFactor } from "./factor.ts";
import { FactorSolver } from "./factor_solver.ts";
import { type Branch, branchesOf, grow, type GrowSettings } from "./grow.ts";
import type { HeldTree } from "./held_tree.ts";
import type { CutNode, Segmentation } from "./segmentation.ts";
import { thresholdOf } from "./stop.ts";

/** How a frame is cut. */
export interface CutSettings extends GrowSettings {
  /** k of M = P^k. */
  readonly steps: number;
}

/** What the next frame starts from. */
export interface CutState {
  /** V of the factor; absent after exact products. */
  readonly basis: Float32Array<ArrayBuffer> | undefined;
  readonly tree: HeldTree;
  /** Frames since the cold start. */
  readonly age: number;
}

/** A frame's segments, and what the next frame starts from. */
export interface CutResult {
  readonly segmentation: Segmentation;
  readonly state: CutState;
}

/** Cuts one frame; `last` is the state that the frame before it left. */
export async function cutFrame(walk: Walk, settings: CutSettings, last?: CutState): Promise<CutResult> {
  const tally = new Tally(walk);
  const age = last ? last.age + 1 : 0;
  const factor = last?.basis
    ? await continueFactor(tally, settings.steps, last.basis, age + 1)
    : await sketchFactor(tally, settings.steps);
  const nodes = Uint32Array.from({ length: walk.n }, (_, i) => i);
  const root = await grow(new FactorSolver(factor), nodes, settings, last?.tree);
  const { residual, refuted } = await confirm(tally, settings, root, factor);
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
        recertified: refuted,
      },
    },
    state: { basis: factor.basis, tree: hold(root, labels), age },
  };
}

/** Holds every cut against its exact NCut and threshold; a cut that fails is undone. */
async function confirm(
  tally: Tally,
  settings: CutSettings,
  root: Branch,
  factor: Factor,
): Promise<{ residual: number; refuted: number }> {
  if (!root.parts) return { residual: 0, refuted: 0 };
  const cuts = cutsOf(root);
  const labels = labelNodes(root, factor.n);
  const { length } = leavesOf(root);
  const certificates = await certify(tally, settings.steps, cuts, labels, length, factor.diagonal);
  return undoRefuted(settings, cuts, certificates);
}

/** The branches that were cut, every one before its parts, with their leaves' positions. */
export function cutsOf(root: Branch): CutLeaves[] {
  const places = new Map(leavesOf(root).map((leaf, i) => [leaf, i]));
  const under = (branch: Branch) => leavesOf(branch).map((leaf) => places.get(leaf)!);
  return branchesOf(root).filter(({ parts }) => parts)
    .map((branch) => ({ branch, left: under(branch.parts![0]), right: under(branch.parts![1]) }));
}

/** Undoes the cuts whose exact NCut does not pass; `residual` is the largest among those kept. */
export function undoRefuted(
  settings: CutSettings,
  cuts: readonly CutLeaves[],
  certificates: readonly Certificate[],
): { residual: number; refuted: number } {
  let residual = 0;
  let refuted = 0;
  certificates.forEach((exact, i) => {
    const { branch } = cuts[i]!;
    const { nodes } = branch.proposal;
    if (exact.ncut < thresholdOf(settings.stop, { nodes, total: exact.total }, branch.held?.split)) {
      residual = Math.max(residual, exact.residual);
    } else {
      delete branch.parts;
      refuted++;
    }
  });
  return { residual, refuted };
}

/** The leaves below a branch, from left to right. */
function leavesOf(branch: Branch): Branch[] {
  return branch.parts ? branch.parts.flatMap(leavesOf) : [branch];
}

/** Leaf of each node, leaves numbered from left to right. */
export function labelNodes(root: Branch, n: number): Uint16Array<ArrayBuffer> {
  const labels = new Uint16Array(n);
  leavesOf(root).forEach(({ proposal }, leaf) => {
    for (const node of proposal.nodes) labels[node] = leaf;
  });
  return labels;
}

/** score_s(i) = ⟨F_i, Σ_S F⟩ / ‖Σ_S F‖: the cosine of node i's row with segment s's mean, up to ‖F_i‖. */
function leafScores(
  { n, rank, rows }: Factor,
  labels: Uint16Array,
  leaves: number,
): Float32Array<ArrayBuffer> {
  const sums = new Float64Array(leaves * rank);
  for (let i = 0; i < n; i++) {
    const base = labels[i]! * rank;
    for (let a = 0; a < rank; a++) sums[base + a]! += rows[i * rank + a]!;
  }
  const sizes = Float64Array.from({ length: leaves }, (_, s) => {
    let size = 0;
    for (let a = 0; a < rank; a++) size += sums[s * rank + a]! ** 2;
    return Math.sqrt(size) || 1;
  });
  const scores = new Float32Array(n * leaves);
  for (let i = 0; i < n; i++) {
    for (let s = 0; s < leaves; s++) {
      let inner = 0;
      for (let a = 0; a < rank; a++) inner += rows[i * rank + a]! * sums[s * rank + a]!;
      scores[i * leaves + s] = inner / sizes[s]!;
    }
  }
  return scores;
}

/** The tree as it is handed out. */
export function flatten(root: Branch): Pick<Segmentation, "tree" | "leaves" | "segments"> {
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
    lambda2: 1 - branch.proposal.theta,
    residual: branch.proposal.residual,
    splitValue: branch.proposal.splitValue,
  }));
  const leaves = leavesOf(root).map((leaf) => places.get(leaf)!);
  return { tree, leaves, segments: leaves.length };
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
        split: branch.parts !== undefined,
        vector,
      };
    }),
  };
}
