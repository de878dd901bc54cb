/**
 * The layout of blocks of vectors: `[n, columns]`, row-major.
 *
 * @module
 */
import { WalkcutError } from "../errors.ts";
import type { Product } from "./walk.ts";

/**
 * Checks a product before it is computed.
 * @throws {RangeError} a block that is not `[n, columns]`.
 * @throws {TypeError} an operator that is neither n nor t.
 */
export function checkProduct({ block, columns, word }: Product, n: number): void {
  if (block.length !== n * columns) {
    throw new RangeError(
      `Cannot multiply: a block of ${columns} columns must have ${
        n * columns
      } values: current length is ${block.length}`,
    );
  }
  const unknown = [...word].find((letter) => letter !== "n" && letter !== "t");
  if (unknown !== undefined) {
    throw new TypeError(`Cannot apply an operator: ${unknown} is neither n nor t`);
  }
}

/**
 * Checks a dense matrix before it becomes a walk.
 * @throws {WalkcutError} another number of values than n².
 */
export function checkMatrix(matrix: Float32Array, n: number): void {
  if (matrix.length !== n * n) {
    throw new WalkcutError({ what: `A walk of ${n} nodes needs ${n * n} numbers`, found: matrix.length });
  }
}

/** Puts blocks of `n` rows side by side. */
export function joinBlocks(
  blocks: readonly Float32Array[],
  widths: readonly number[],
  n: number,
): Float32Array<ArrayBuffer> {
  const columns = widths.reduce((a, b) => a + b, 0);
  const out = new Float32Array(n * columns);
  let at = 0;
  blocks.forEach((block, k) => {
    const width = widths[k]!;
    for (let i = 0; i < n; i++) out.set(block.subarray(i * width, (i + 1) * width), i * columns + at);
    at += width;
  });
  return out;
}

/** Columns `from` to `from + width` of a block. */
export function takeColumns(
  block: Float32Array,
  n: number,
  columns: number,
  from: number,
  width: number,
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(n * width);
  for (let i = 0; i < n; i++) {
    out.set(block.subarray(i * columns + from, i * columns + from + width), i * width);
  }
  return out;
}
