/**
 * Small dense algebra on tall row-major blocks `[n, r]`.
 *
 * Gram matrices are summed in float64, as their small eigenvalues count; what is summed
 * in float32 runs in WebAssembly.
 *
 * @module
 */
import { TileMemory } from "../walk/cpu/tiles.ts";
import { symmetricEigen } from "./small_eigen.ts";

/** Where blocks are multiplied; nothing stays in it from one call to the next. */
const memory = new TileMemory();

/** XᵀX of a block, `[r, r]`, full. */
export function gram(x: Float32Array, n: number, r: number): Float64Array {
  const out = new Float64Array(r * r);
  for (let i = 0; i < n; i++) {
    const row = i * r;
    for (let a = 0; a < r; a++) {
      const xa = x[row + a]!;
      const base = a * r;
      for (let b = a; b < r; b++) out[base + b]! += xa * x[row + b]!;
    }
  }
  for (let a = 0; a < r; a++) for (let b = 0; b < a; b++) out[a * r + b] = out[b * r + a]!;
  return out;
}

/** X·W, W given by columns as rows of `w` `[s, r]`; the result is `[n, s]`. */
export function combine(
  x: Float32Array,
  n: number,
  r: number,
  w: Float64Array,
  s: number,
): Float32Array<ArrayBuffer> {
  const weights = new Float32Array(r * s);
  for (let j = 0; j < s; j++) for (let a = 0; a < r; a++) weights[a * s + j] = w[j * r + a]!;
  const rows = memory.matrix(x, n, r);
  const panels = memory.panels(weights, r, s);
  const product = memory.multiply(rows, false, panels);
  const out = memory.read(product);
  for (const region of [rows, panels, product]) memory.free(region);
  return out;
}

/** Directions of a block below this share of its largest variance are noise of float32. */
const NOISE = 1e-9;

/**
 * An orthonormal basis of a block's columns, strongest first, by the eigenvectors
 * of its Gram matrix, applied twice because one pass loses half the digits.
 *
 * @param rank most columns to keep; fewer are kept where the block has fewer directions.
 */
export function orthonormalise(
  x: Float32Array,
  n: number,
  r: number,
  rank = r,
): { basis: Float32Array<ArrayBuffer>; rank: number } {
  let block = x as Float32Array<ArrayBuffer>;
  let columns = r;
  for (let pass = 0; pass < 2; pass++) {
    const { values, vectors } = symmetricEigen(gram(block, n, columns), columns);
    let keep = 0;
    while (keep < Math.min(rank, columns) && values[keep]! > NOISE * values[0]!) keep++;
    for (let j = 0; j < keep; j++) {
      const scale = 1 / Math.sqrt(values[j]!);
      for (let a = 0; a < columns; a++) vectors[j * columns + a]! *= scale;
    }
    block = combine(block, n, columns, vectors, keep);
    columns = keep;
  }
  return { basis: block, rank: columns };
}

/** Removes from each column of `x` `[n, s]` its part in the span of an orthonormal `basis` `[n, r]`, in place. */
export function deflate(x: Float32Array, s: number, basis: Float32Array, n: number, r: number): void {
  if (r === 0 || s === 0) return;
  const rows = memory.matrix(basis, n, r);
  const panels = memory.panels(x, n, s);
  const inner = memory.multiply(rows, true, panels);
  const part = memory.multiply(rows, false, inner);
  const along = memory.read(part);
  for (let i = 0; i < x.length; i++) x[i]! -= along[i]!;
  for (const region of [rows, panels, inner, part]) memory.free(region);
}
