/**
 * DiffCut (Couairon et al., NeurIPS 2024): recursive Normalised Cuts on the cosine
 * similarity of features.
 *
 * The similarities are stretched to [0, 1] and raised to the power α, which sharpens
 * them; a segment is split where the best of 100 thresholds of its second
 * eigenvector gives an NCut below τ. Published parameters: 1024 nodes, α = 10,
 * τ = 0.5 (SSD-1B). The features are the output of one attention layer; as our
 * networks give no values, its queries stand in for them: each node's feature is the
 * mean of the queries that it attends to.
 *
 * @module
 */
import type { AttentionLayer } from "../../features/network.ts";
import type { WalkDevice } from "../../walk/walk.ts";
import type { Segmentation } from "../segmentation.ts";
import { flatSegmentation, upsampleScores } from "./flat.ts";
import { queriesOf } from "./layer.ts";
import { secondEigenvector } from "./second_eigen.ts";

/** Settings of {@linkcode diffCut}. */
export interface DiffCutOptions {
  /** Power of the similarities. Default 10. */
  readonly alpha?: number;
  /** NCut above which a segment is left whole. Default 0.5. */
  readonly tau?: number;
  /** Thresholds tried on an eigenvector. Default 100. */
  readonly thresholds?: number;
}

/** A segment that is whole, and the NCut that its best split would have had. */
interface Leaf {
  readonly nodes: readonly number[];
  readonly ncut: number;
}

/**
 * Segments a frame as DiffCut does, on what one attention layer gives.
 *
 * @param layer the one that DiffCut would take, see {@linkcode nearestLayer}.
 * @param grid nodes a side of the result.
 */
export async function diffCut(
  layer: AttentionLayer,
  device: WalkDevice,
  grid: number,
  options: DiffCutOptions = {},
): Promise<Segmentation> {
  const { resolution, heads, headDim } = layer;
  const columns = heads * headDim;
  const block = await queriesOf(layer, device);
  const attention = await device.walk([layer], resolution, new Map([[resolution, 1]]));
  try {
    const [output] = await attention.products([{ block, columns, word: "n" }]);
    return diffCutFeatures(output!, resolution, columns, grid, options);
  } finally {
    attention.release();
  }
}

/**
 * Segments features as DiffCut does.
 *
 * @param features `[side², channels]`, row-major.
 * @param grid nodes a side of the result; scores are interpolated where it is not `side`.
 */
export function diffCutFeatures(
  features: Float32Array<ArrayBuffer>,
  side: number,
  channels: number,
  grid: number,
  { alpha = 10, tau = 0.5, thresholds = 100 }: DiffCutOptions = {},
): Segmentation {
  const n = side ** 2;
  const unit = normaliseRows(features, n, channels);
  const affinity = sharpen(cosines(unit, n, channels), alpha);
  let applications = 0;
  const leaves: Leaf[] = [];
  const open: number[][] = [Array.from({ length: n }, (_, i) => i)];
  while (open.length > 0) {
    const nodes = open.pop()!;
    const best = bestSplit(affinity, n, nodes, thresholds);
    applications += best.applications;
    if (best.ncut < tau) open.push(best.right, best.left);
    else leaves.push({ nodes, ncut: best.ncut });
  }
  const scores = upsampleScores(segmentScores(unit, n, channels, leaves), side, leaves.length, grid);
  return flatSegmentation(scores, grid ** 2, leaves.length, tau, applications, leaves);
}

function normaliseRows(x: Float32Array<ArrayBuffer>, n: number, channels: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(x.length);
  for (let i = 0; i < n; i++) {
    const row = x.subarray(i * channels, (i + 1) * channels);
    const length = Math.sqrt(row.reduce((sum, v) => sum + v * v, 0)) || 1;
    for (let c = 0; c < channels; c++) out[i * channels + c] = row[c]! / length;
  }
  return out;
}

/** Products of all pairs of rows, `[n, n]`. */
function cosines(unit: Float32Array<ArrayBuffer>, n: number, channels: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    const a = i * channels;
    for (let j = i; j < n; j++) {
      const b = j * channels;
      let sum = 0;
      for (let c = 0; c < channels; c++) sum += unit[a + c]! * unit[b + c]!;
      out[i * n + j] = out[j * n + i] = sum;
    }
  }
  return out;
}

/** Stretches to [0, 1] and raises to α, in place. */
function sharpen(matrix: Float32Array<ArrayBuffer>, alpha: number): Float32Array<ArrayBuffer> {
  let [least, most] = [Infinity, -Infinity];
  for (const value of matrix) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  // Features that are all alike are all as near as can be.
  if (most === least) return matrix.fill(1);
  const range = most - least;
  for (let i = 0; i < matrix.length; i++) matrix[i] = ((matrix[i]! - least) / range) ** alpha;
  return matrix;
}

/** The best of evenly spaced thresholds of a segment's second eigenvector. */
function bestSplit(affinity: Float32Array<ArrayBuffer>, n: number, nodes: number[], thresholds: number) {
  const m = nodes.length;
  const none = { ncut: NaN, left: nodes, right: [] as number[], applications: 0 };
  if (m < 2) return none;
  const inside = new Float32Array(m * m);
  const degrees = new Float64Array(m);
  for (let i = 0; i < m; i++) {
    const row = nodes[i]! * n;
    for (let j = 0; j < m; j++) degrees[i]! += inside[i * m + j] = affinity[row + nodes[j]!]!;
  }
  const total = degrees.reduce((sum, d) => sum + d, 0);
  const scale = degrees.map((d) => d > 0 ? 1 / Math.sqrt(d) : 0);
  let applications = 0;
  const { vector } = secondEigenvector(
    (x) => {
      applications++;
      const out = new Float64Array(m);
      const scaled = x.map((v, i) => v * scale[i]!);
      for (let i = 0; i < m; i++) {
        let sum = 0;
        for (let j = 0, at = i * m; j < m; j++) sum += inside[at + j]! * scaled[j]!;
        out[i] = sum * scale[i]!;
      }
      return out;
    },
    degrees.map((d) => Math.sqrt(d / total)),
  );
  const fiedler = vector.map((v, i) => v * scale[i]!);
  const order = [...fiedler.keys()].sort((a, b) => fiedler[a]! - fiedler[b]!);
  const [low, high] = [0.99 * fiedler[order[0]!]!, 0.99 * fiedler[order.at(-1)!]!];
  const left = new Uint8Array(m);
  let [cut, volume, taken] = [0, 0, 0];
  let best = { ncut: Infinity, taken: 0 };
  for (let t = 0; t < thresholds; t++) {
    const threshold = low + (high - low) * t / (thresholds - 1);
    for (; taken < m && fiedler[order[taken]!]! <= threshold; taken++) {
      const node = order[taken]!;
      let toLeft = 0;
      for (let j = 0; j < m; j++) if (left[j]) toLeft += inside[node * m + j]!;
      cut += degrees[node]! - inside[node * m + node]! - 2 * toLeft;
      volume += degrees[node]!;
      left[node] = 1;
    }
    if (taken === 0 || taken === m) continue;
    const ncut = cut / volume + cut / (total - volume);
    if (ncut < best.ncut) best = { ncut, taken };
  }
  if (best.taken === 0) return { ...none, applications };
  const part = (from: number, to: number) =>
    order.slice(from, to).map((i) => nodes[i]!).sort((a, b) => a - b);
  return { ncut: best.ncut, left: part(0, best.taken), right: part(best.taken, m), applications };
}

/** Cosine of each node with each segment's mean feature, `[n, leaves]`. */
function segmentScores(
  unit: Float32Array<ArrayBuffer>,
  n: number,
  channels: number,
  leaves: readonly Leaf[],
) {
  const means = new Float32Array(leaves.length * channels);
  leaves.forEach(({ nodes }, s) => {
    for (const i of nodes) {
      for (let c = 0; c < channels; c++) means[s * channels + c]! += unit[i * channels + c]!;
    }
  });
  const directions = normaliseRows(means, leaves.length, channels);
  const scores = new Float32Array(n * leaves.length);
  for (let i = 0; i < n; i++) {
    for (let s = 0; s < leaves.length; s++) {
      let sum = 0;
      for (let c = 0; c < channels; c++) sum += unit[i * channels + c]! * directions[s * channels + c]!;
      scores[i * leaves.length + s] = sum;
    }
  }
  return scores;
}
