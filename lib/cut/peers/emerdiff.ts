/**
 * The masks of EmerDiff (Namekata et al., "EmerDiff: Emerging Pixel-level Semantic
 * Knowledge in Diffusion Models", ICLR 2024), at the resolution of its features.
 *
 * K-means on the queries of one 16×16 attention layer; published parameter: K = 30.
 * EmerDiff goes on to pixels by generating the picture anew with each mask's features
 * changed; that needs a decoder, which the embedded network lacks, so here the masks
 * are interpolated.
 *
 * @module
 */
import type { AttentionLayer } from "../../features/network.ts";
import { uniform } from "../../random.ts";
import type { WalkDevice } from "../../walk/walk.ts";
import type { Segmentation } from "../segmentation.ts";
import { flatSegmentation, upsampleScores } from "./flat.ts";
import { queriesOf } from "./layer.ts";

/** Settings of {@linkcode emerDiff}. */
export interface EmerDiffOptions {
  /** Masks, K. Default 30. */
  readonly masks?: number;
}

/** Rounds of Lloyd's algorithm at most. */
const ROUNDS = 100;

/**
 * Segments a frame by K-means on a layer's queries.
 *
 * @param layer the one that EmerDiff would take, see {@linkcode nearestLayer}.
 * @param grid nodes a side of the result.
 */
export async function emerDiff(
  layer: AttentionLayer,
  device: WalkDevice,
  grid: number,
  { masks = 30 }: EmerDiffOptions = {},
): Promise<Segmentation> {
  const side = layer.resolution;
  const n = side ** 2;
  const labels = kMeans(await queriesOf(layer, device), n, masks);
  const count = Math.min(masks, n);
  const members = new Float32Array(n * count);
  labels.forEach((label, i) => members[i * count + label] = 1);
  return flatSegmentation(upsampleScores(members, side, count, grid), grid ** 2, count, NaN, 0);
}

/**
 * K-means with the starts of k-means++ from a fixed seed.
 *
 * @param points `[n, d]`, row-major.
 * @returns cluster of each point, 0 … min(k, n) − 1; points that are alike may leave clusters empty.
 */
export function kMeans(
  points: Float32Array<ArrayBuffer>,
  n: number,
  k: number,
  seed = 0,
): Uint16Array<ArrayBuffer> {
  const d = points.length / n;
  const count = Math.min(k, n);
  const centres = new Float64Array(count * d);
  const distance = (i: number, c: number) => {
    let sum = 0;
    for (let j = 0; j < d; j++) sum += (points[i * d + j]! - centres[c * d + j]!) ** 2;
    return sum;
  };
  const random = uniform(seed);
  const nearest = new Float64Array(n).fill(Infinity);
  for (let c = 0, start = Math.floor(n * random()); c < count; c++) {
    for (let j = 0; j < d; j++) centres[c * d + j] = points[start * d + j]!;
    let total = 0;
    for (let i = 0; i < n; i++) total += nearest[i] = Math.min(nearest[i]!, distance(i, c));
    // The next centre is drawn with the square of its distance from the nearest.
    let left = random() * total;
    for (start = 0; start < n - 1 && (left -= nearest[start]!) > 0; start++);
  }
  const labels = new Uint16Array(n);
  for (let round = 0; round < ROUNDS; round++) {
    let moved = round === 0;
    for (let i = 0; i < n; i++) {
      let [best, least] = [labels[i]!, distance(i, labels[i]!)];
      for (let c = 0; c < count; c++) {
        const far = distance(i, c);
        if (far < least) [best, least] = [c, far];
      }
      if (best !== labels[i]) moved = true;
      labels[i] = best;
    }
    if (!moved) break;
    const sizes = new Uint32Array(count);
    const sums = new Float64Array(count * d);
    for (let i = 0; i < n; i++) {
      sizes[labels[i]!]!++;
      for (let j = 0; j < d; j++) sums[labels[i]! * d + j]! += points[i * d + j]!;
    }
    for (let c = 0; c < count; c++) {
      if (sizes[c]! > 0) { for (let j = 0; j < d; j++) centres[c * d + j] = sums[c * d + j]! / sizes[c]!; }
    }
  }
  return labels;
}
