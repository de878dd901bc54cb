/**
 * Small dense algebra on tall row-major blocks `[n, r]`.
 *
 * Gram matrices are summed in float64, as their small eigenvalues count; what is summed
 * in float32 runs in WebAssembly.
 *
 * @module
 */
import { PANEL } from "../walk/cpu/tile_product.ts";
import { padded, TileMemory } from "../walk/cpu/tiles.ts";

/** Where blocks are multiplied; nothing stays in it from one call to the next. */
const memory = new TileMemory();

/** Rows that {@linkcode gram} takes at a time, so that each sum is touched once for them. */
const TOGETHER = 8;

/** XᵀX of a block, `[r, r]`, full. */
export function gram(x: Float32Array, n: number, r: number): Float64Array {
  const out = new Float64Array(r * r);
  // In float64 from the start: each number is read r times.
  const rows = new Float64Array(TOGETHER * r);
  const [p, q, s, t, u, v, w] = [r, 2 * r, 3 * r, 4 * r, 5 * r, 6 * r, 7 * r];
  for (let i = 0; i < n; i += TOGETHER) {
    const count = Math.min(TOGETHER, n - i) * r;
    if (count < rows.length) rows.fill(0, count);
    for (let at = 0; at < count; at++) rows[at] = x[i * r + at]!;
    for (let a = 0; a < r; a++) {
      const [x0, x1, x2, x3] = [rows[a]!, rows[p + a]!, rows[q + a]!, rows[s + a]!];
      const [x4, x5, x6, x7] = [rows[t + a]!, rows[u + a]!, rows[v + a]!, rows[w + a]!];
      const base = a * r;
      for (let b = a; b < r; b++) {
        out[base + b]! += x0 * rows[b]! + x1 * rows[p + b]! + x2 * rows[q + b]! + x3 * rows[s + b]! +
          (x4 * rows[t + b]! + x5 * rows[u + b]! + x6 * rows[v + b]! + x7 * rows[w + b]!);
      }
    }
  }
  for (let a = 0; a < r; a++) for (let b = 0; b < a; b++) out[a * r + b] = out[b * r + a]!;
  return out;
}

/** Rows of a block that are multiplied with all others at a time. */
const ROWS = 128;

/** X·Xᵀ of the rows of a wide block `[m, n]`, `[m, m]`, full. Sums are float32 over parts of the row. */
export function rowGram(x: Float32Array, m: number, n: number): Float64Array {
  const out = new Float64Array(m * m);
  const rows = memory.matrix(x, m, n);
  for (let from = 0; from < m; from += ROWS) {
    const count = Math.min(ROWS, m - from);
    const panels = memory.rowsAsPanels(rows, from, count);
    const product = memory.multiply(rows, false, panels);
    memory.write(product, out, m, from);
    for (const region of [panels, product]) memory.free(region);
  }
  memory.free(rows);
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

/** What is left of a column's variance is noise below this share of it, where sums are float32. */
const ROUNDED_NOISE = 1e-5;

/**
 * An orthonormal basis of a block's columns: twice by a triangle of its Gram matrix, as
 * one pass loses half the digits. Columns come in order of what they add to those before.
 *
 * @param rank most columns to keep; fewer are kept where the block has fewer directions.
 * @param apart whether the columns are not far from orthogonal, of whatever lengths: then float32 sums are enough.
 */
export function orthonormalise(
  x: Float32Array,
  n: number,
  r: number,
  rank = r,
  apart = false,
): { basis: Float32Array<ArrayBuffer>; rank: number } {
  const first = apart
    ? independent(x, n, r, rank, roundedGram(x, n, r), ROUNDED_NOISE)
    : independent(x, n, r, rank);
  const weights = inverseOfNearIdentity(roundedGram(first.basis, n, first.rank), first.rank);
  // Where rounding made directions of its own, the triangle has no sure diagonal.
  if (!weights) return independent(first.basis, n, first.rank, first.rank);
  return { basis: combine(first.basis, n, first.rank, weights, first.rank), rank: first.rank };
}

/** Orthonormal combinations of the columns, by Cholesky's triangle with the strongest remainder first. */
function independent(
  x: Float32Array,
  n: number,
  r: number,
  most: number,
  g = gram(x, n, r),
  ownNoise = 0,
): { basis: Float32Array<ArrayBuffer>; rank: number } {
  const order = Array.from({ length: r }, (_, i) => i);
  const left = Float64Array.from(order, (i) => g[i * r + i]!);
  const largest = left.reduce((a, b) => Math.max(a, b), 0);
  const least = left.map((own) => Math.max(NOISE * largest, ownNoise * own));
  // Row i belongs to column order[i].
  const lower = Array.from(order, () => new Float64Array(r));
  let rank = 0;
  for (; rank < Math.min(most, r); rank++) {
    let pivot = rank;
    // What is noise counts as nothing.
    for (let i = rank; i < r; i++) if (!(left[i]! > least[i]!)) left[i] = 0;
    for (let i = rank + 1; i < r; i++) if (left[i]! > left[pivot]!) pivot = i;
    if (left[pivot] === 0) break;
    for (const list of [order, left, least, lower] as { [i: number]: unknown }[]) {
      [list[rank], list[pivot]] = [list[pivot], list[rank]];
    }
    const own = lower[rank]!;
    own[rank] = Math.sqrt(left[rank]!);
    const column = order[rank]! * r;
    for (let i = rank + 1; i < r; i++) {
      const row = lower[i]!;
      let sum = g[column + order[i]!]!;
      for (let k = 0; k < rank; k++) sum -= row[k]! * own[k]!;
      row[rank] = sum / own[rank]!;
      left[i]! -= row[rank]! ** 2;
    }
  }
  const inverse = inverseTriangle(lower, rank);
  const weights = new Float64Array(rank * r);
  for (let i = 0; i < rank; i++) {
    for (let j = 0; j <= i; j++) weights[i * r + order[j]!] = inverse[i * rank + j]!;
  }
  return { basis: combine(x, n, r, weights, rank), rank };
}

/** XᵀX with float32 sums of parts: enough where it is nearly the identity, or only multiplied with. */
export function roundedGram(x: Float32Array, n: number, r: number): Float64Array {
  const panels = memory.panels(x, n, r);
  const out = memory.gram(panels);
  memory.free(panels);
  return out;
}

/**
 * Σ s_i²·x_i·x_iᵀ over some rows of a block, `[r, r]`, full, with float32 sums of parts.
 *
 * @param nodes the rows.
 * @param scale s, one number for each of them.
 */
export function scaledGram(
  x: Float32Array,
  r: number,
  nodes: Uint32Array,
  scale: Float64Array,
): Float64Array {
  const m = nodes.length;
  const panels = memory.paddedPanels(m, r);
  const { numbers } = memory;
  const height = padded(m);
  for (let column = 0; column < r; column += PANEL) {
    const some = Math.min(PANEL, r - column);
    const base = panels.at + column * height;
    for (let i = 0; i < m; i++) {
      const source = nodes[i]! * r + column;
      const target = base + i * PANEL;
      const s = scale[i]!;
      for (let c = 0; c < some; c++) numbers[target + c] = x[source + c]! * s;
    }
  }
  const out = memory.gram(panels);
  memory.free(panels);
  return out;
}

/** Smallest diagonal of a triangle of nearly the identity. */
const SURE = 0.5;

/** L⁻¹ of G = L·Lᵀ, `[r, r]`; nothing where G is far from the identity. */
function inverseOfNearIdentity(g: Float64Array, r: number): Float64Array | undefined {
  const lower: Float64Array[] = [];
  for (let i = 0; i < r; i++) {
    const row = g.slice(i * r, i * r + i + 1);
    for (let j = 0; j <= i; j++) {
      const other = lower[j] ?? row;
      let sum = row[j]!;
      for (let k = 0; k < j; k++) sum -= row[k]! * other[k]!;
      if (i > j) row[j] = sum / other[j]!;
      else if (sum > SURE ** 2) row[i] = Math.sqrt(sum);
      else return undefined;
    }
    lower.push(row);
  }
  return inverseTriangle(lower, r);
}

/** The inverse of a lower triangle given by rows, `[r, r]`. */
function inverseTriangle(lower: readonly Float64Array[], r: number): Float64Array {
  const inverse = new Float64Array(r * r);
  for (let i = 0; i < r; i++) {
    const own = 1 / lower[i]![i]!;
    for (let k = 0; k < i; k++) {
      const weight = lower[i]![k]! * own;
      for (let j = 0; j <= k; j++) inverse[i * r + j]! -= weight * inverse[k * r + j]!;
    }
    inverse[i * r + i] = own;
  }
  return inverse;
}

/** Removes from each column of `x` `[n, s]` its part in the span of an orthonormal `basis` `[n, r]`, in place. */
export function deflate(x: Float32Array, s: number, basis: Float32Array, n: number, r: number): void {
  if (r === 0 || s === 0) return;
  const rows = memory.matrix(basis, n, r);
  const panels = memory.panels(x, n, s);
  const inner = memory.multiply(rows, true, panels);
  const part = memory.multiply(rows, false, inner);
  memory.subtract(part, x);
  for (const region of [rows, panels, inner, part]) memory.free(region);
}
