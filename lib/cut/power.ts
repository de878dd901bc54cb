/**
 * M = P^k formed by repeated squaring, or P applied k times: whichever is cheaper by
 * counted cost (paper, sections 3.2 and 4.4). All costs are in products of an N×N by an N×1.
 *
 * @module
 */

/** How P^k comes about. */
export type Power = "form" | "apply";

/** Whether P^k may be formed where exact products with it are wanted. */
export function mayForm({ steps, power }: { readonly steps: number; readonly power?: Power }): boolean {
  return steps === 1 || power !== "apply";
}

/** Products of two N×N matrices that form P^k by repeated squaring: ⌊log2 k⌋ + popcount(k) − 1. */
export function formingProducts(k: number): number {
  let products = -1;
  for (let rest = k; rest > 0; rest >>= 1) products += (rest & 1) + Number(rest > 1);
  return products;
}

/**
 * The cheaper of the two for a run of products with M.
 *
 * Formed, each product with M costs one with P after N·{@linkcode formingProducts}; applied, it costs k.
 * @param vectors products of M or Mᵀ by an N×1 that are expected.
 */
export function cheaperPower(n: number, k: number, vectors: number): Power {
  return formingProducts(k) * n + vectors < k * vectors ? "form" : "apply";
}

/** Sketches that a cold factor tries, by their columns; see `sketchFactor`. */
const COLD_COLUMNS = [64, 112];

/** Products of a sketch's column: three of the power iteration, one of the projection. */
const SKETCH = 4;

/** Leaves of a tree that is not known yet. */
const LEAVES = 12;

/** What a frame's factor and certificates are expected to take at k = 1, cold or from a held basis. */
export function expectedVectors(
  n: number,
  held?: { readonly rank: number; readonly leaves: number },
): number {
  const certificate = 2 * (2 * (held?.leaves ?? LEAVES) - 1);
  if (held) return held.rank + certificate;
  return SKETCH * COLD_COLUMNS.reduce((sum, columns) => sum + Math.min(n, columns), 0) + certificate;
}
