/**
 * A small estimate of motion between two frames, for measures that need no truth.
 *
 * Block matching: frames become brightness at half resolution, less the mean of
 * the frame (so that a change of light is no motion). Each 8×8 block of the later frame
 * looks for its like in the earlier one: at a quarter of that resolution all shifts
 * of up to 5 cells, then ±4 half-pixels around the best and around rest. The cost is the mean
 * absolute difference plus 0.15 levels a pixel of shift away from that of rest, so
 * that flat blocks stay where they are. Motion up to about ±40 source pixels a frame is found.
 *
 * @module
 */
import type { Frame } from "../source/frame.ts";

/** One plane of a frame at half resolution. */
export interface Plane {
  readonly width: number;
  readonly height: number;
  /** `[height, width]`, levels of 8 bits. */
  readonly data: Float32Array<ArrayBuffer>;
}

/** Side of a block, in pixels of {@linkcode Plane}. */
export const BLOCK = 8;
const COARSE = 4;
const COARSE_REACH = 5;
const FINE_REACH = 4;
const REST = 0.15;

/** Motion of each block of a frame, from the frame before it. */
export interface Flow {
  /** Blocks across and down. */
  readonly columns: number;
  readonly rows: number;
  /** Where a block's content was in the last frame, less where it is: source pixels, `[rows, columns, 2]`. */
  readonly shift: Int16Array<ArrayBuffer>;
  /** Mean absolute difference of the match, levels of 8 bits. */
  readonly residual: Float32Array<ArrayBuffer>;
}

/** Red, green and blue of a frame, 2×2 pixels averaged. */
export function channels({ width, height, data }: Pick<Frame, "width" | "height" | "data">): Plane[] {
  const [w, h] = [Math.floor(width / 2), Math.floor(height / 2)];
  return [0, 1, 2].map((channel) => {
    const out = new Float32Array(w * h);
    for (let y = 0, i = 0; y < h; y++) {
      for (let x = 0; x < w; x++, i++) {
        const above = 3 * (2 * y * width + 2 * x) + channel, below = above + 3 * width;
        out[i] = (data[above]! + data[above + 3]! + data[below]! + data[below + 3]!) / 4;
      }
    }
    return { width: w, height: h, data: out };
  });
}

/** Brightness (ITU-R BT.601) from the planes of {@linkcode channels}, mean 0. */
export function brightness([red, green, blue]: readonly Plane[]): Plane {
  const data = red!.data.map((value, i) => 0.299 * value + 0.587 * green!.data[i]! + 0.114 * blue!.data[i]!);
  const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
  return { ...red!, data: data.map((value) => value - mean) };
}

/** Averages squares of `factor` pixels. */
function shrink({ width, height, data }: Plane, factor: number): Plane {
  const [w, h] = [Math.floor(width / factor), Math.floor(height / factor)];
  const out = new Float32Array(w * h);
  for (let y = 0; y < h * factor; y++) {
    for (let x = 0; x < w * factor; x++) {
      out[Math.floor(y / factor) * w + Math.floor(x / factor)]! += data[y * width + x]! / (factor * factor);
    }
  }
  return { width: w, height: h, data: out };
}

/** Mean absolute difference of a square of `now` and its shifted place in `then`; stops beyond `bound`. */
function difference(
  now: Plane,
  then: Plane,
  x0: number,
  y0: number,
  size: number,
  dx: number,
  dy: number,
  bound: number,
): number {
  const x1 = Math.min(now.width, x0 + size);
  const y1 = Math.min(now.height, y0 + size);
  if (x0 + dx < 0 || y0 + dy < 0 || x1 + dx > then.width || y1 + dy > then.height) return Infinity;
  const count = (x1 - x0) * (y1 - y0);
  let sum = 0;
  for (let y = y0; y < y1; y++) {
    const a = y * now.width;
    const b = (y + dy) * then.width + dx;
    for (let x = x0; x < x1; x++) sum += Math.abs(now.data[a + x]! - then.data[b + x]!);
    if (sum > bound * count) return Infinity;
  }
  return sum / count;
}

/** Best shift in square windows around some shifts, by difference and distance from rest. */
function search(
  now: Plane,
  then: Plane,
  [x, y]: readonly [number, number],
  size: number,
  around: readonly (readonly [number, number])[],
  reach: number,
) {
  let [best, bx, by, residual] = [Infinity, 0, 0, Infinity];
  const attempt = (dx: number, dy: number) => {
    const penalty = REST * Math.sqrt(dx * dx + dy * dy);
    const found = difference(now, then, x, y, size, dx, dy, best - penalty);
    if (found + penalty < best) [best, bx, by, residual] = [found + penalty, dx, dy, found];
  };
  attempt(0, 0);
  for (const [ax, ay] of around) {
    for (let dy = ay - reach; dy <= ay + reach; dy++) {
      for (let dx = ax - reach; dx <= ax + reach; dx++) attempt(dx, dy);
    }
  }
  return { dx: bx, dy: by, residual };
}

/** Motion from `then` to `now`. */
export function blockFlow(then: Plane, now: Plane): Flow {
  const [coarseThen, coarseNow] = [shrink(then, COARSE), shrink(now, COARSE)];
  const columns = Math.ceil(now.width / BLOCK);
  const rows = Math.ceil(now.height / BLOCK);
  const shift = new Int16Array(columns * rows * 2);
  const residual = new Float32Array(columns * rows);
  const size = BLOCK / COARSE;
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      // The coarse window is wider than the block: two by two cells alone say too little.
      const cx = Math.max(0, Math.min(coarseNow.width - 2 * size, c * size - size / 2));
      const cy = Math.max(0, Math.min(coarseNow.height - 2 * size, r * size - size / 2));
      const coarse = search(coarseNow, coarseThen, [cx, cy], 2 * size, [[0, 0]], COARSE_REACH);
      const around = [[0, 0], [coarse.dx * COARSE, coarse.dy * COARSE]] as const;
      const fine = search(now, then, [c * BLOCK, r * BLOCK], BLOCK, around, FINE_REACH);
      const at = r * columns + c;
      shift[2 * at] = 2 * fine.dx;
      shift[2 * at + 1] = 2 * fine.dy;
      residual[at] = fine.residual;
    }
  }
  return { columns, rows, shift, residual };
}
