/**
 * When to leave a segment whole.
 *
 * @module
 */
import { bipartitionCost, minCutCost, type SegmentWeights } from "./min_cut.ts";
import type { Proposal } from "./solver.ts";

/** A rule that decides whether a proposed cut is made. */
export type StopRule =
  /** NCut against T/(n−1), the MAN-C threshold of a dense graph (paper, section 3.5). No parameter. */
  | { readonly kind: "manc-ncut" }
  /** NCut against a fixed threshold, 0 … 2 (paper, section 3.4). */
  | { readonly kind: "ncut"; readonly threshold: number }
  /** The exact global minimum cut over T against T/(n−1) (paper, section 3.5, adjustment 2). */
  | { readonly kind: "manc-mincut" }
  /** The same with the cut of the proposed bipartition. */
  | { readonly kind: "manc-mincut=bipartition" };

/** Whether a rule needs exact cuts, which the factor does not give. */
export function needsCuts(rule: StopRule): boolean {
  return rule.kind === "manc-mincut" || rule.kind === "manc-mincut=bipartition";
}

/**
 * What a proposal is held against its threshold with: its NCut, or a cut over T.
 * NaN, which is under no threshold, for a segment of one node.
 */
export function costOf(
  rule: StopRule,
  proposal: Proposal,
  threshold: number,
  weights: SegmentWeights | undefined,
): Promise<number> {
  if (rule.kind === "manc-mincut" && weights) return minCutCost(proposal, threshold, weights);
  return Promise.resolve(rule.kind === "manc-mincut=bipartition" ? bipartitionCost(proposal) : proposal.ncut);
}

/** How far a segment's history moves its threshold: a value that hovers there must not make it blink. */
export const HYSTERESIS = 0.12;

/**
 * The threshold below which a proposal's NCut splits its segment.
 *
 * T counts each edge once, without loops; it is not scale free, so A is never rescaled.
 * @param history whether the last frame made this cut or left the segment whole; undefined where neither is so.
 */
export function thresholdOf(
  rule: StopRule,
  { total, nodes }: Pick<Proposal, "total" | "nodes">,
  history?: boolean,
): number {
  const limit = rule.kind === "ncut" ? rule.threshold : nodes.length > 1 ? total / (nodes.length - 1) : 0;
  if (history === undefined) return limit;
  return limit * (history ? 1 + HYSTERESIS : 1 - HYSTERESIS);
}
