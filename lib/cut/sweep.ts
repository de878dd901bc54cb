/**
 * The sweep over thresholds (paper, section 3.4): the NCut of the bipartitions {y ≤ t, y > t},
 * for every t that tells two nodes apart or for a number of evenly spaced ones.
 *
 * @module
 */

/** The bit that tells whether a number is negative. */
const SIGN = 0x8000_0000;

/** What 53 bits leave beside a float's 32: more than there are ever nodes. */
const PLACES = 2 ** 21;

/** The best threshold of a sweep. */
export interface Split {
  /** Smallest NCut (paper, equation 2); NaN where the values allow no split. */
  readonly ncut: number;
  /** The first `position` nodes of the order go left. */
  readonly position: number;
}

/** Indices of `values` in ascending order of value; equal values keep their order. */
export function ascending(values: Float32Array): Uint32Array<ArrayBuffer> {
  const m = values.length;
  // A float's bits, turned so that they rise with it, and its index beside them in one number: those are
  // sorted without a function that compares them.
  const numbers = new Float32Array(1);
  const bits = new Uint32Array(numbers.buffer);
  const keys = new Float64Array(m);
  for (let i = 0; i < m; i++) {
    // -0 becomes 0.
    numbers[0] = values[i]! + 0;
    const key = bits[0]! & SIGN ? ~bits[0]! >>> 0 : (bits[0]! | SIGN) >>> 0;
    keys[i] = key * PLACES + i;
  }
  keys.sort();
  const order = new Uint32Array(m);
  for (let i = 0; i < m; i++) order[i] = keys[i]! & (PLACES - 1);
  return order;
}

/**
 * Positions at which a threshold on the values can cut: between different values, with
 * `minPart` nodes on either side; of these the ones that `thresholds` evenly spaced values hit.
 */
export function allowedPositions(
  values: Float32Array,
  order: Uint32Array,
  minPart: number,
  thresholds: number | undefined,
): Uint8Array {
  const m = order.length;
  const allowed = new Uint8Array(m + 1);
  const at = (p: number) => values[order[p]!]!;
  if (thresholds === undefined) {
    for (let p = minPart; p <= m - minPart; p++) allowed[p] = at(p - 1) !== at(p) ? 1 : 0;
    return allowed;
  }
  const low = at(0);
  const high = at(m - 1);
  for (let t = 1, p = 0; t <= thresholds; t++) {
    const threshold = low + (high - low) * t / (thresholds + 1);
    while (p < m && at(p) <= threshold) p++;
    if (p >= minPart && p <= m - minPart) allowed[p] = 1;
  }
  return allowed;
}

/**
 * Tries all allowed thresholds, by default |S| − 1, from one running sum of the sorted rows of F:
 * assoc(L, L) = ‖Σ_{i∈L} F_i‖², assoc(L, S) = Σ_{i∈L} d_i, cut = the difference.
 *
 * @param rows F, `[N, r]` row-major.
 * @param nodes the nodes of S, `[m]`.
 * @param degrees d_S = F_S·(F_Sᵀ·1), `[m]`.
 * @param order positions in `nodes` by ascending value of the eigenvector.
 * @param allowed `allowed[p]` is 1 where the first p nodes may be one part, `[m + 1]`.
 */
export function sweepFactor(
  rows: Float32Array,
  r: number,
  nodes: Uint32Array,
  degrees: Float64Array,
  order: Uint32Array,
  allowed: Uint8Array,
): Split {
  const m = order.length;
  let whole = 0;
  for (let i = 0; i < m; i++) whole += degrees[i]!;
  const sum = new Float64Array(r);
  let left = 0;
  let best = NaN;
  let position = 0;
  for (let p = 1; p < m; p++) {
    const node = order[p - 1]!;
    left += degrees[node]!;
    let inside = 0;
    const base = nodes[node]! * r;
    for (let a = 0; a < r; a++) {
      const c = sum[a]! + rows[base + a]!;
      sum[a] = c;
      inside += c * c;
    }
    if (!allowed[p]) continue;
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
