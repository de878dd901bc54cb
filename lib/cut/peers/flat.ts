/**
 * What the peers have in common: a partition without a hierarchy.
 *
 * @module
 */
import type { CutNode, Segmentation } from "../segmentation.ts";

/** What is known of one segment of a flat partition. */
export interface FlatSegment {
  /** NCut of the split that was not taken; NaN where the method has none. */
  readonly ncut: number;
}

/**
 * Gives each node to its highest score and drops segments that win nowhere.
 *
 * The tree is a root with all segments below it; where there are several, the
 * root has no `children`, for they are not two.
 *
 * @param scores `[n, count]`, row-major.
 */
export function flatSegmentation(
  scores: Float32Array<ArrayBuffer>,
  n: number,
  count: number,
  threshold: number,
  applications: number,
  known: readonly FlatSegment[] = [],
): Segmentation {
  const winner = new Uint16Array(n);
  const sizes = new Uint32Array(count);
  for (let i = 0; i < n; i++) {
    let best = 0;
    for (let s = 1; s < count; s++) if (scores[i * count + s]! > scores[i * count + best]!) best = s;
    winner[i] = best;
    sizes[best]!++;
  }
  const kept = [...sizes.keys()].filter((s) => sizes[s]! > 0);
  const place = new Map(kept.map((s, k) => [s, k]));
  const segments = kept.length;
  const out = new Float32Array(n * segments);
  for (let i = 0; i < n; i++) kept.forEach((s, k) => out[i * segments + k] = scores[i * count + s]!);
  const blank = { ncut: NaN, threshold, lambda2: NaN, residual: NaN, splitValue: NaN };
  const tree: CutNode[] = [{ ...blank, id: 0, parent: -1, size: n }];
  for (const s of kept) {
    tree.push({ ...blank, id: tree.length, parent: 0, size: sizes[s]!, ncut: known[s]?.ncut ?? NaN });
  }
  return {
    labels: winner.map((s) => place.get(s)!),
    segments,
    leaves: kept.map((_, k) => k + 1),
    tree,
    scores: out,
    stats: {
      solver: "operator",
      warm: false,
      rank: 0,
      traceShare: 1,
      operatorApplications: applications,
      residual: 0,
      recertified: 0,
    },
  };
}

/** Bilinear, half-pixel centres, `[side², count]` to `[grid², count]`. */
export function upsampleScores(
  scores: Float32Array<ArrayBuffer>,
  side: number,
  count: number,
  grid: number,
): Float32Array<ArrayBuffer> {
  if (side === grid) return scores;
  const out = new Float32Array(grid ** 2 * count);
  const at = (node: number) => {
    const x = Math.min(side - 1, Math.max(0, (node + 0.5) * side / grid - 0.5));
    const low = Math.floor(x);
    return { low, high: Math.min(side - 1, low + 1), share: x - low };
  };
  for (let y = 0; y < grid; y++) {
    const row = at(y);
    for (let x = 0; x < grid; x++) {
      const column = at(x);
      for (let s = 0; s < count; s++) {
        const value = (r: number, c: number) => scores[(r * side + c) * count + s]!;
        const top = value(row.low, column.low) * (1 - column.share) +
          value(row.low, column.high) * column.share;
        const bottom = value(row.high, column.low) * (1 - column.share) +
          value(row.high, column.high) * column.share;
        out[(y * grid + x) * count + s] = top * (1 - row.share) + bottom * row.share;
      }
    }
  }
  return out;
}
