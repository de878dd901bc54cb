/**
 * The layout of blocks of vectors: `[n, columns]`, row-major.
 *
 * @module
 */

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
