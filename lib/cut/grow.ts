/**
 * The recursion: level by level, all segments of a level at once.
 *
 * @module
 */
import { heirOf, type HeldNode, type HeldTree, wasCut } from "./held_tree.ts";
import type { Proposal, SegmentNodes, Solver } from "./solver.ts";
import type { SegmentWeights } from "./min_cut.ts";
import type { CutLeaves } from "./certify.ts";
import { costOf, type StopRule, thresholdOf } from "./stop.ts";

/** Bounds of the recursion. */
export interface GrowSettings {
  readonly stop: StopRule;
  /** Most leaves; 0 for no bound. */
  readonly maxSegments: number;
  /** Fewest nodes of a part. */
  readonly minPart: number;
}

/** A segment of the tree, the cut proposed for it, and its parts where that was made. */
export interface Branch {
  proposal: Proposal;
  /** What decides: the proposal's NCut, or a cut over T where the stop rule says so. */
  cost: number;
  /** What the cost was held against. */
  threshold: number;
  /** The place in the last frame's tree that it has taken. */
  readonly held: HeldNode | undefined;
  /** What was done there, as {@linkcode wasCut} says. */
  history: boolean | undefined;
  parts?: [Branch, Branch];
}

/**
 * The tree of all cuts below one segment.
 *
 * @param room how many leaves more than this one there may be.
 * @param weights writes a segment's adjacency out, which the stop `manc-mincut` needs.
 */
export async function grow(
  solver: Solver,
  nodes: Uint32Array<ArrayBuffer>,
  settings: GrowSettings,
  held: HeldTree | undefined,
  room = settings.maxSegments > 0 ? settings.maxSegments - 1 : Infinity,
  weights?: SegmentWeights,
): Promise<Branch> {
  const [root] = await branches(solver, [nodes], settings, held, weights);
  let level = [root!];
  while (level.length > 0 && room > 0) {
    // Where leaves are bounded the clearest cuts go first.
    const cut = level.filter(({ cost, threshold, proposal }) => cost < threshold && proposal.right.length > 0)
      .sort((a, b) => a.cost - b.cost)
      .slice(0, room);
    room -= cut.length;
    const parts = await branches(
      solver,
      cut.flatMap(({ proposal }) => [proposal.left, proposal.right]),
      settings,
      held,
      weights,
    );
    cut.forEach((branch, i) => branch.parts = [parts[2 * i]!, parts[2 * i + 1]!]);
    level = parts;
  }
  return root!;
}

/** All branches of a tree; every branch comes before its parts. */
export function branchesOf(root: Branch): Branch[] {
  const all = [root];
  for (let i = 0; i < all.length; i++) if (all[i]!.parts) all.push(...all[i]!.parts!);
  return all;
}

/** The branches that were cut, every one before its parts, with their leaves' positions. */
export function cutsOf(root: Branch): CutLeaves[] {
  const places = new Map(leavesOf(root).map((leaf, i) => [leaf, i]));
  const under = (branch: Branch) => leavesOf(branch).map((leaf) => places.get(leaf)!);
  return branchesOf(root).filter(({ parts }) => parts)
    .map((branch) => ({ branch, left: under(branch.parts![0]), right: under(branch.parts![1]) }));
}

/** The leaves below a branch, from left to right. */
export function leavesOf(branch: Branch): Branch[] {
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

async function branches(
  solver: Solver,
  segments: readonly Uint32Array<ArrayBuffer>[],
  settings: GrowSettings,
  held: HeldTree | undefined,
  weights: SegmentWeights | undefined,
): Promise<Branch[]> {
  if (segments.length === 0) return [];
  const heirs = segments.map((nodes) => heirOf(held, nodes));
  const proposals = await solver.propose(
    segments.map((nodes, i): SegmentNodes => ({
      nodes,
      minPart: settings.minPart,
      ...startOf(nodes, heirs[i]),
    })),
  );
  return await Promise.all(proposals.map(async (proposal, i) => {
    const history = wasCut(held, heirs[i], proposal);
    const threshold = thresholdOf(settings.stop, proposal, history);
    const cost = await costOf(settings.stop, proposal, threshold, weights);
    return { proposal, held: heirs[i], history, cost, threshold };
  }));
}

function startOf(nodes: Uint32Array, heir: HeldNode | undefined): Pick<SegmentNodes, "start" | "hold"> {
  if (!heir) return {};
  const start = new Float32Array(nodes.length);
  for (let i = 0; i < nodes.length; i++) start[i] = heir.vector[nodes[i]!]!;
  // Where nothing was cut, a better cut than the last frame's must win: it may be an object that came in.
  return start.some((v) => v !== 0) ? { start, hold: heir.leftLeaves > 0 } : {};
}
