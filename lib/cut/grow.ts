/**
 * The recursion: level by level, all segments of a level at once.
 *
 * @module
 */
import { heirOf, type HeldNode, type HeldTree } from "./held_tree.ts";
import type { Proposal, SegmentNodes, Solver } from "./solver.ts";
import { type StopRule, thresholdOf } from "./stop.ts";

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
  readonly proposal: Proposal;
  /** What the proposal's NCut was held against. */
  readonly threshold: number;
  /** The place in the last frame's tree that it has taken. */
  readonly held: HeldNode | undefined;
  parts?: [Branch, Branch];
}

/**
 * The tree of all cuts below one segment.
 *
 * @param room how many leaves more than this one there may be.
 */
export async function grow(
  solver: Solver,
  nodes: Uint32Array<ArrayBuffer>,
  settings: GrowSettings,
  held: HeldTree | undefined,
  room = settings.maxSegments > 0 ? settings.maxSegments - 1 : Infinity,
): Promise<Branch> {
  const [root] = await branches(solver, [nodes], settings, held);
  let level = [root!];
  while (level.length > 0 && room > 0) {
    // Where leaves are bounded the clearest cuts go first.
    const cut = level.filter(({ proposal, threshold }) => proposal.ncut < threshold)
      .sort((a, b) => a.proposal.ncut - b.proposal.ncut)
      .slice(0, room);
    room -= cut.length;
    const parts = await branches(
      solver,
      cut.flatMap(({ proposal }) => [proposal.left, proposal.right]),
      settings,
      held,
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

async function branches(
  solver: Solver,
  segments: readonly Uint32Array<ArrayBuffer>[],
  settings: GrowSettings,
  held: HeldTree | undefined,
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
  return proposals.map((proposal, i) => ({
    proposal,
    held: heirs[i],
    threshold: thresholdOf(settings.stop, proposal, heirs[i]?.split),
  }));
}

function startOf(nodes: Uint32Array, heir: HeldNode | undefined): Pick<SegmentNodes, "start" | "hold"> {
  if (!heir) return {};
  const start = Float32Array.from(nodes, (node) => heir.vector[node]!);
  // Where nothing was cut, a better cut than the last frame's must win: it may be an object that came in.
  return start.some((v) => v !== 0) ? { start, hold: heir.split } : {};
}
