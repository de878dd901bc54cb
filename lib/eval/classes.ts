/**
 * The protocol of the paper's tables (section 4, "Metrics"; that of PiCIE and
 * DiffSeg): segments carry no class, so each image's segments are assigned to the
 * classes by the Hungarian method; true and false positives and false negatives of
 * each class are summed over the data set.
 *
 * A segment left over goes to a class that the image lacks, where it counts as
 * false positives; once there are more segments than classes, the surplus counts
 * as false negatives of what it covers.
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import { assign } from "./assignment.ts";

/** Label of a truth pixel that does not count. */
export const IGNORED = 65_535;

/** Scores in percent-free shares, 0 … 1; NaN where nothing was labelled. */
export interface ClassTotals {
  /** Pixels given the right class. */
  readonly accuracy: number;
  /** Mean over the classes that occur of 2TP / (2TP + FP + FN). */
  readonly f1: number;
  /** Mean over the classes that occur of TP / (TP + FP + FN). */
  readonly miou: number;
}

/** Counts of one image or of many, in pixels a class. */
export interface ClassCounts {
  readonly tp: number[];
  readonly fp: number[];
  readonly fn: number[];
  /** Pixels with a class. */
  total: number;
}

/** Counts of nothing. */
export function emptyCounts(classes: number): ClassCounts {
  const zeros = () => new Array<number>(classes).fill(0);
  return { tp: zeros(), fp: zeros(), fn: zeros(), total: 0 };
}

/** Adds the counts of an image. */
export function addCounts(sum: ClassCounts, more: ClassCounts): void {
  for (const key of ["tp", "fp", "fn"] as const) {
    for (let c = 0; c < sum[key].length; c++) sum[key][c]! += more[key][c]!;
  }
  sum.total += more.total;
}

/** Means over the classes; a class that neither occurs nor is predicted is left out. */
export function classTotals({ tp, fp, fn, total }: ClassCounts): ClassTotals {
  let [iou, f1, present, right] = [0, 0, 0, 0];
  for (let c = 0; c < tp.length; c++) {
    const all = tp[c]! + fp[c]! + fn[c]!;
    right += tp[c]!;
    if (all === 0) continue;
    present++;
    iou += tp[c]! / all;
    f1 += 2 * tp[c]! / (tp[c]! + all);
  }
  return { accuracy: right / total, f1: f1 / present, miou: iou / present };
}

/**
 * Matches the segments of one image to the classes and counts.
 *
 * @param labels any labels; their order is kept.
 * @param truth class of each pixel, 0 … classes − 1; anything else does not count.
 * @throws {UsageError} if the sizes differ.
 */
export function classCounts(
  labels: ArrayLike<number>,
  truth: ArrayLike<number>,
  classes: number,
): ClassCounts {
  if (labels.length !== truth.length) {
    throw new UsageError({
      what: "Label maps of unequal size",
      found: `${labels.length} and ${truth.length} pixels`,
      advice: "score maps of the same picture",
    });
  }
  const values = new Set<number>();
  for (let i = 0; i < labels.length; i++) values.add(labels[i]!);
  const position = new Map([...values].sort((a, b) => a - b).map((label, i) => [label, i]));
  const columns = Math.max(classes, position.size);
  const histogram = new Float64Array(classes * columns);
  let total = 0;
  for (let i = 0; i < labels.length; i++) {
    const c = truth[i]!;
    if (c >= classes) continue;
    histogram[c * columns + position.get(labels[i]!)!]! += 1;
    total++;
  }
  const counts = emptyCounts(classes);
  counts.total = total;
  const { columns: matched } = assign(histogram, classes, columns, true);
  for (let c = 0; c < classes; c++) {
    const column = matched[c]!;
    const tp = histogram[c * columns + column]!;
    let [inRow, inColumn] = [0, 0];
    for (let j = 0; j < columns; j++) inRow += histogram[c * columns + j]!;
    for (let k = 0; k < classes; k++) inColumn += histogram[k * columns + column]!;
    counts.tp[c] = tp;
    counts.fn[c] = inRow - tp;
    counts.fp[c] = inColumn - tp;
  }
  return counts;
}
