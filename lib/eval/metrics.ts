/**
 * How alike two partitions of the same pixels are.
 *
 * Label values mean nothing here, only which pixels share one.
 *
 * @module
 */
import { UsageError, WalkcutError } from "../errors.ts";

/** Labels, one a pixel. */
export type Labels = ArrayLike<number>;

/** How many pixels two partitions share, region by region. */
export interface Overlap {
  /** Pixels that were counted. */
  readonly total: number;
  /** Labels of each side, ascending. */
  readonly a: readonly number[];
  readonly b: readonly number[];
  /** Pixels of each label. */
  readonly sizeA: Float64Array<ArrayBuffer>;
  readonly sizeB: Float64Array<ArrayBuffer>;
  /** Pairs of positions in `a` and `b` that share pixels, and how many. */
  readonly pairs: readonly { readonly i: number; readonly j: number; readonly count: number }[];
}

/**
 * Counts the pixels that each region of `a` shares with each region of `b`.
 *
 * @param ignore a label of `b` whose pixels do not count.
 * @throws {UsageError} if the lengths differ.
 */
export function overlap(a: Labels, b: Labels, ignore?: number): Overlap {
  if (a.length !== b.length) {
    throw new UsageError({
      what: "Label maps of unequal size",
      found: `${a.length} and ${b.length} pixels`,
      advice: "score maps of the same picture",
    });
  }
  const counts = new Map<number, Map<number, number>>();
  // Labels come in runs along a row: one look-up a run, not one a pixel.
  for (let i = 0; i < a.length;) {
    const [la, lb] = [a[i]!, b[i]!];
    let end = i + 1;
    while (end < a.length && a[end] === la && b[end] === lb) end++;
    if (lb !== ignore) {
      let row = counts.get(la);
      if (!row) counts.set(la, row = new Map());
      row.set(lb, (row.get(lb) ?? 0) + end - i);
    }
    i = end;
  }
  const listA = [...counts.keys()].sort((x, y) => x - y);
  const listB = [...new Set([...counts.values()].flatMap((row) => [...row.keys()]))].sort((x, y) => x - y);
  const indexB = new Map(listB.map((label, j) => [label, j]));
  const sizeA = new Float64Array(listA.length);
  const sizeB = new Float64Array(listB.length);
  const pairs: { i: number; j: number; count: number }[] = [];
  let total = 0;
  listA.forEach((label, i) => {
    for (const [other, count] of counts.get(label)!) {
      const j = indexB.get(other)!;
      pairs.push({ i, j, count });
      sizeA[i]! += count;
      sizeB[j]! += count;
      total += count;
    }
  });
  return { total, a: listA, b: listB, sizeA, sizeB, pairs };
}

/** Number of unordered pairs among `n`. */
const pairsOf = (n: number) => n * (n - 1) / 2;

/** Pairs of pixels together in both, in `a`, in `b`, and all pairs. */
function pairCounts({ total, sizeA, sizeB, pairs }: Overlap) {
  return {
    both: pairs.reduce((sum, { count }) => sum + pairsOf(count), 0),
    inA: sizeA.reduce((sum, n) => sum + pairsOf(n), 0),
    inB: sizeB.reduce((sum, n) => sum + pairsOf(n), 0),
    all: pairsOf(total),
  };
}

/** Rand index: share of the pairs of pixels on which the partitions agree, 0 … 1. */
export function randIndex(table: Overlap): number {
  const { both, inA, inB, all } = pairCounts(table);
  return all === 0 ? 1 : (all + 2 * both - inA - inB) / all;
}

/**
 * Adjusted Rand index (Hubert and Arabie 1985): 1 for equal partitions, 0 on
 * average for unrelated ones.
 */
export function adjustedRand(a: Labels, b: Labels): number {
  const { both, inA, inB, all } = pairCounts(overlap(a, b));
  const expected = all === 0 ? 0 : inA * inB / all;
  const most = (inA + inB) / 2;
  return most === expected ? 1 : (both - expected) / (most - expected);
}

/** Adapted Rand: precision and recall of pairs, and the error 1 − F (SNEMI3D). */
export function adaptedRand(table: Overlap): { error: number; precision: number; recall: number } {
  const { both, inA, inB } = pairCounts(table);
  return {
    error: inA + inB === 0 ? 0 : 1 - 2 * both / (inA + inB),
    precision: inA === 0 ? 1 : both / inA,
    recall: inB === 0 ? 1 : both / inB,
  };
}

/**
 * Variation of information in bits (Meilă 2005): H(b | a) + H(a | b).
 *
 * @returns `merge` = H(b | a), regions of `b` lumped together in `a`; `split` = H(a | b).
 */
export function variationOfInformation(table: Overlap): { merge: number; split: number; total: number } {
  const { total, sizeA, sizeB, pairs } = table;
  let merge = 0;
  let split = 0;
  for (const { i, j, count } of pairs) {
    merge -= count / total * Math.log2(count / sizeA[i]!);
    split -= count / total * Math.log2(count / sizeB[j]!);
  }
  // −0 where the partitions agree.
  return { merge: merge + 0, split: split + 0, total: merge + split + 0 };
}

/** Covering of the regions of `b` by those of `a`: best IoU of each, weighted by area (Arbeláez et al. 2011). */
export function covering(table: Overlap): number {
  const best = new Float64Array(table.b.length);
  for (const { i, j, count } of table.pairs) {
    best[j] = Math.max(best[j]!, count / (table.sizeA[i]! + table.sizeB[j]! - count));
  }
  return best.reduce((sum, iou, j) => sum + iou * table.sizeB[j]!, 0) / table.total;
}

/** Scores of one picture against all its annotators. */
export interface RegionScore {
  readonly covering: number;
  /** Probabilistic Rand index: the mean of the Rand index over the annotators (Unnikrishnan et al. 2007). */
  readonly pri: number;
  /** Bits, mean over the annotators. */
  readonly voi: number;
}

/** Region scores of a segmentation, each the mean over the annotators. */
export function regionScore(labels: Labels, truths: readonly Labels[]): RegionScore {
  if (truths.length === 0) throw new WalkcutError({ what: "No annotation to score against" });
  let [cover, pri, voi] = [0, 0, 0];
  for (const truth of truths) {
    const table = overlap(labels, truth);
    cover += covering(table);
    pri += randIndex(table);
    voi += variationOfInformation(table).total;
  }
  const n = truths.length;
  return { covering: cover / n, pri: pri / n, voi: voi / n };
}
