/**
 * Pixel-adaptive mask refinement (Araslanov and Roth, "Single-Stage Semantic
 * Segmentation from Image Labels", CVPR 2020), as DiffCut uses it after its cut.
 *
 * Each pixel's mask becomes the mean of its neighbours' in a ring of eight at
 * several distances, weighted by how alike their colours are:
 *
 *   w(p, q) = softmax over q of −mean over RGB of |x_p − x_q| / (1e-8 + 0.1·σ_p),
 *
 * σ_p being the standard deviation of a channel over the pixels of all rings and
 * p. This is done `iterations` times with the same weights; the label is the
 * largest mask. DiffCut refines 128×128 pixels; here it is the picture's size up to 512×512, as our labels
 * follow edges already and would be made coarser (measured: boundary F 0.487 against 0.447, without 0.462).
 *
 * @module
 */
import type { Frame } from "../source/frame.ts";

/** Settings of {@linkcode pamr}. */
export interface PamrOptions {
  /** Default 10. */
  readonly iterations?: number;
  /** Distances of the rings, in pixels. Default 1, 2, 4, 8. */
  readonly dilations?: readonly number[];
  /** Pixels above which it works on a smaller copy. Default 262,144 (512×512, the size it was published for). */
  readonly maxPixels?: number;
}

/** DiffCut's iterations. */
export const PAMR_ITERATIONS = 10;
/** DiffCut's dilations. */
export const PAMR_DILATIONS: readonly number[] = [1, 2, 4, 8];
/** 512×512, the size for which it was published. */
const MAX_PIXELS = 262_144;
/** Directions of a ring. */
const RING = [[-1, -1], [0, -1], [1, -1], [-1, 0], [1, 0], [-1, 1], [0, 1], [1, 1]] as const;

/** Offsets `[dx, dy]` of all neighbours, ring by ring. */
export function neighbourOffsets(dilations: readonly number[]): [number, number][] {
  return dilations.flatMap((d) => RING.map(([x, y]): [number, number] => [x * d, y * d]));
}

/**
 * Weights of each pixel's neighbours.
 *
 * @param rgb `[height, width, 3]`, any scale.
 * @returns `[neighbours, height·width]`; the weights of a pixel sum to 1. Beyond the border lies its last pixel.
 */
export function pamrWeights(
  rgb: ArrayLike<number>,
  width: number,
  height: number,
  dilations: readonly number[] = PAMR_DILATIONS,
): Float32Array<ArrayBuffer> {
  const offsets = neighbourOffsets(dilations);
  const pixels = width * height;
  const out = new Float32Array(offsets.length * pixels);
  const count = 9 * dilations.length;
  const near = new Int32Array(offsets.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const p = y * width + x;
      offsets.forEach(([dx, dy], q) => {
        near[q] = Math.min(height - 1, Math.max(0, y + dy)) * width +
          Math.min(width - 1, Math.max(0, x + dx));
      });
      for (let c = 0; c < 3; c++) {
        const own = rgb[3 * p + c]!;
        // The pixel itself is in the window once a ring.
        let [sum, squares] = [0, 0];
        for (const q of near) {
          const difference = rgb[3 * q + c]! - own;
          sum += difference;
          squares += difference * difference;
        }
        const variance = Math.max(0, (squares - sum * sum / count) / (count - 1));
        const scale = 1 / (3 * (1e-8 + 0.1 * Math.sqrt(variance)));
        for (let q = 0; q < near.length; q++) {
          out[q * pixels + p]! -= Math.abs(rgb[3 * near[q]! + c]! - own) * scale;
        }
      }
      softmax(out, p, pixels, near.length);
    }
  }
  return out;
}

/** Softmax of `count` values, `stride` apart. */
function softmax(values: Float32Array<ArrayBuffer>, at: number, stride: number, count: number): void {
  let most = -Infinity;
  for (let q = 0; q < count; q++) most = Math.max(most, values[q * stride + at]!);
  let sum = 0;
  for (let q = 0; q < count; q++) sum += values[q * stride + at] = Math.exp(values[q * stride + at]! - most);
  for (let q = 0; q < count; q++) values[q * stride + at]! /= sum;
}

/**
 * One iteration on one mask.
 *
 * @param mask `[height, width]`.
 * @param weights of {@linkcode pamrWeights} for the same dilations.
 */
export function pamrStep(
  mask: Float32Array<ArrayBuffer>,
  weights: Float32Array<ArrayBuffer>,
  width: number,
  height: number,
  dilations: readonly number[] = PAMR_DILATIONS,
): Float32Array<ArrayBuffer> {
  const pixels = width * height;
  const out = new Float32Array(pixels);
  neighbourOffsets(dilations).forEach(([dx, dy], q) => {
    const own = weights.subarray(q * pixels, (q + 1) * pixels);
    for (let y = 0; y < height; y++) {
      const row = Math.min(height - 1, Math.max(0, y + dy)) * width;
      for (let x = 0, p = y * width; x < width; x++, p++) {
        const column = x + dx < 0 ? 0 : x + dx >= width ? width - 1 : x + dx;
        out[p]! += own[p]! * mask[row + column]!;
      }
    }
  });
  return out;
}

/**
 * Moves the borders of segments to the edges of the picture.
 *
 * @param labels `[height, width]` of the frame.
 * @returns labels of the same size; a segment may vanish, none is new.
 */
export function pamr(
  frame: Pick<Frame, "width" | "height" | "data">,
  labels: Uint16Array<ArrayBuffer>,
  { iterations = PAMR_ITERATIONS, dilations = PAMR_DILATIONS, maxPixels = MAX_PIXELS }: PamrOptions = {},
): Uint16Array<ArrayBuffer> {
  const { width, height } = frame;
  const small = shrink(frame, labels, maxPixels);
  const weights = pamrWeights(small.rgb, small.width, small.height, dilations);
  const best = new Float32Array(width * height).fill(-1);
  const out = new Uint16Array(width * height);
  for (const id of small.ids) {
    let mask = small.share(id);
    for (let i = 0; i < iterations; i++) mask = pamrStep(mask, weights, small.width, small.height, dilations);
    enlarge(mask, small.width, small.height, small.factor, width, height, (p, value) => {
      if (value <= best[p]!) return;
      best[p] = value;
      out[p] = id;
    });
  }
  return out;
}

/** A frame and its labels at the size at which masks are refined. */
export interface SmallFrame {
  readonly width: number;
  readonly height: number;
  /** Pixels of the frame, across and down, that became one. */
  readonly factor: number;
  /** Mean colours, `[height, width, 3]`, 0 … 255. */
  readonly rgb: Float32Array<ArrayBuffer>;
  /** Labels that occur, ascending. */
  readonly ids: readonly number[];
  /** The mask of a label: its share of each pixel, `[height, width]`. */
  share(id: number): Float32Array<ArrayBuffer>;
}

/** Means over squares of as few pixels as leave at most `maxPixels`. */
export function shrink(
  { width, height, data }: Pick<Frame, "width" | "height" | "data">,
  labels: Uint16Array<ArrayBuffer>,
  maxPixels = MAX_PIXELS,
): SmallFrame {
  const factor = Math.max(1, Math.ceil(Math.sqrt(width * height / maxPixels)));
  const ids = [...new Set(labels)].sort((a, b) => a - b);
  const [w, h] = [Math.ceil(width / factor), Math.ceil(height / factor)];
  const rgb = new Float32Array(w * h * 3);
  const counts = new Uint16Array(w * h);
  const cell = (p: number) =>
    Math.floor(Math.floor(p / width) / factor) * w + Math.floor((p % width) / factor);
  for (let p = 0; p < labels.length; p++) {
    const q = cell(p);
    counts[q]!++;
    for (let c = 0; c < 3; c++) rgb[3 * q + c]! += data[3 * p + c]!;
  }
  for (let i = 0; i < rgb.length; i++) rgb[i]! /= counts[Math.floor(i / 3)]!;
  const share = (id: number) => {
    const mask = new Float32Array(w * h);
    for (let p = 0; p < labels.length; p++) {
      if (labels[p] !== id) continue;
      const q = cell(p);
      mask[q]! += 1 / counts[q]!;
    }
    return mask;
  };
  return { width: w, height: h, factor, rgb, ids, share };
}

/** Visits each pixel of the large size with the bilinear value of the small one. */
function enlarge(
  mask: Float32Array<ArrayBuffer>,
  w: number,
  h: number,
  factor: number,
  width: number,
  height: number,
  visit: (pixel: number, value: number) => void,
): void {
  if (factor === 1) {
    mask.forEach((value, p) => visit(p, value));
    return;
  }
  for (let y = 0; y < height; y++) {
    const v = Math.min(h - 1, Math.max(0, (y + 0.5) / factor - 0.5));
    const y0 = Math.floor(v);
    const y1 = Math.min(h - 1, y0 + 1);
    for (let x = 0; x < width; x++) {
      const u = Math.min(w - 1, Math.max(0, (x + 0.5) / factor - 0.5));
      const x0 = Math.floor(u);
      const x1 = Math.min(w - 1, x0 + 1);
      const top = mask[y0 * w + x0]! * (1 - u + x0) + mask[y0 * w + x1]! * (u - x0);
      const bottom = mask[y1 * w + x0]! * (1 - u + x0) + mask[y1 * w + x1]! * (u - x0);
      visit(y * width + x, top * (1 - v + y0) + bottom * (v - y0));
    }
  }
}
