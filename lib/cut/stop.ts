/**
 * When to leave a segment whole.
 *
 * @module
 */
import type { Proposal } from "./solver.ts";

/** A rule that decides whether a proposed cut is made. */
export type StopRule =
  /** NCut against T/(n−1), the MAN-C threshold of a dense graph (paper, section 3.5). No parameter. */
  | { readonly kind: "manc-ncut" }
  /** NCut against a fixed threshold, 0 … 2 (paper, section 3.4). */
  | { readonly kind: "ncut"; readonly threshold: number };

/** How far a segment's history moves its threshold: a value that hovers there must not make it blink. */
export const HYSTERESIS = 0.12;

/**
 * The threshold below which a proposal's NCut splits its segment.
 *
 * T counts each edge once, without loops; it is not scale free, so A is never rescaled.
 * @param wasSplit whether the segment was split in the last frame; undefined where it is new.
 */
export function thresholdOf(
  rule: StopRule,
  { total, nodes }: Pick<Proposal, "total" | "nodes">,
  wasSplit?: boolean,
): number {
  const limit = rule.kind === "ncut" ? rule.threshold : nodes.length > 1 ? total / (nodes.length - 1) : 0;
  if (wasSplit === undefined) return limit;
  return limit * (wasSplit ? 1 + HYSTERESIS : 1 - HYSTERESIS);
}
