/**
 * Proposals from an eigenvector and its best threshold.
 *
 * @module
 */
import type { Proposal } from "./solver.ts";

/** Turns `values` in place so that it points the way `start` does. */
export function align(values: Float32Array, start: Float32Array | undefined): void {
  if (!start) return;
  let along = 0;
  for (let i = 0; i < values.length; i++) along += values[i]! * start[i]!;
  if (along < 0) { for (let i = 0; i < values.length; i++) values[i] = -values[i]!; }
}

/** The proposal that puts the first `position` nodes of `order` left. */
export function splitProposal(
  nodes: Uint32Array<ArrayBuffer>,
  vector: Float32Array<ArrayBuffer>,
  order: Uint32Array,
  position: number,
  found: Pick<Proposal, "theta" | "residual" | "ncut" | "total" | "cut" | "leastDegree">,
): Proposal {
  const part = (from: number, to: number) => {
    const members = new Uint32Array(to - from);
    for (let p = from; p < to; p++) members[p - from] = nodes[order[p]!]!;
    return members.sort();
  };
  return {
    ...found,
    nodes,
    vector,
    splitValue: position > 0 ? vector[order[position - 1]!]! : NaN,
    left: part(0, position),
    right: part(position, nodes.length),
  };
}

/** The proposal of a segment that cannot be split: one node. */
export function wholeProposal(nodes: Uint32Array<ArrayBuffer>): Proposal {
  return {
    nodes,
    vector: new Float32Array(nodes.length),
    theta: 0,
    residual: 0,
    ncut: NaN,
    splitValue: NaN,
    left: nodes,
    right: new Uint32Array(0),
    total: 0,
  };
}
