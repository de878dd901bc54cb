/**
 * The exact sweep over thresholds: the NCut of every bipartition {y ≤ t, y > t}.
 *
 * @module
 */

/** The best threshold of a sweep. */
export interface Split {
  /** Smallest NCut (paper, equation 2); NaN where the values allow no split. */
  readonly ncut: number;
  /** The first `position` nodes of the order go left. */
  readonly position: number;
}

/** Indices of `values` in ascending order of value; equal values keep their order. */
export function ascending(values: Float32Array): Uint32Array<ArrayBuffer> {
  const order = new Uint32Array(values.length);
  for (let i = 0; i < order.length; i++) order[i] = i;
  return order.sort((a, b) => values[a]! - values[b]! || a - b);
}

/**
 * Tries all |S| − 1 thresholds from one running sum of the sorted rows of F:
 * assoc(L, L) = ‖Σ_{i∈L} F_i‖², assoc(L, S) = Σ_{i∈L} d_i, cut = the difference.
 *
 * @param rows F_S, `[m, r]` row-major.
 * @param degrees d_S = F_S·(F_Sᵀ·1), `[m]`.
 * @param values y, `[m]`, one a node.
 * @param order the nodes by ascending value.
 * @param minPart fewest nodes a part may have.
 */
export function sweepFactor(
  rows: Float32Array,
  r: number,
  degrees: Float64Array,
  values: Float32Array,
  order: Uint32Array,
  minPart = 1,
): Split {
  const m = order.length;
  let whole = 0;
  for (let i = 0; i < m; i++) whole += degrees[i]!;
  const sum = new Float64Array(r);
  let left = 0;
  let best = NaN;
  let position = 0;
  for (let p = 1; p <= m - minPart; p++) {
    const node = order[p - 1]!;
    left += degrees[node]!;
    let inside = 0;
    const base = node * r;
    for (let a = 0; a < r; a++) {
      const c = sum[a]! + rows[base + a]!;
      sum[a] = c;
      inside += c * c;
    }
    if (p < minPart || values[node]! === values[order[p]!]!) continue;
    const right = whole - left;
    if (!(left > 0) || !(right > 0)) continue;
    const cut = Math.max(0, left - inside);
    const ncut = cut / left + cut / right;
    if (!(ncut >= best)) {
      best = ncut;
      position = p;
    }
  }
  return { ncut: best, position };
}
