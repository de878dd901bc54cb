/**
 * Trees of cuts, as tests look into them.
 *
 * @module
 */
import type { CutResult } from "../lib/cut/cut_frame.ts";

/** Nodes of a tree's node, by the labels of the leaves below it. */
export function nodesUnder({ segmentation: { tree, leaves, labels } }: CutResult, id: number): number[] {
  const below = (at: number): number[] => tree[at]!.children?.flatMap(below) ?? [leaves.indexOf(at)];
  const own = new Set(below(id));
  return [...labels.keys()].filter((i) => own.has(labels[i]!));
}

/** The cuts of two trees of the same segment where they part ways, by how far the second's NCut is from the first's. */
export function differences(one: CutResult, other: CutResult): number[] {
  const [a, b] = [one.segmentation, other.segmentation];
  const walk = (i: number, j: number): number[] => {
    const [own, its] = [a.tree[i]!, b.tree[j]!];
    const [left, right] = own.children ?? [];
    const sides = its.children?.map((child) => nodesUnder(other, child).join()) ?? [];
    const to = own.children?.map((child) => sides.indexOf(nodesUnder(one, child).join())) ?? [];
    if (to.includes(-1) || to.length !== sides.length) {
      // Where one is left whole, its threshold is what was close.
      const close = own.children && its.children ? its.ncut : its.threshold;
      return [Math.abs(own.ncut / close - 1)];
    }
    return left === undefined
      ? []
      : [...walk(left, its.children![to[0]!]!), ...walk(right!, its.children![to[1]!]!)];
  };
  return walk(0, 0);
}
