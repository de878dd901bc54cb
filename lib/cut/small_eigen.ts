/**
 * Eigendecompositions of small symmetric matrices, in float64.
 *
 * @module
 */

/** Eigenvalues in descending order, and the eigenvectors as rows of `vectors`. */
export interface Eigen {
  /** `[n]`, descending. */
  readonly values: Float64Array;
  /** `[n, n]`, row j is the eigenvector of `values[j]`. */
  readonly vectors: Float64Array;
}

/**
 * Eigendecomposition of a symmetric matrix by Householder reduction to
 * tridiagonal form and the implicit QL algorithm.
 *
 * @param matrix `[n, n]` row-major; the lower triangle is read. Not changed.
 */
export function symmetricEigen(matrix: Float64Array, n: number): Eigen {
  const q = matrix.slice();
  const diagonal = new Float64Array(n);
  const off = new Float64Array(n);
  tridiagonalise(q, diagonal, off, n);
  // Rows of the accumulated transformation are contiguous when transposed.
  const rows = new Float64Array(n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) rows[j * n + i] = q[i * n + j]!;
  implicitQl(diagonal, off, rows, n);
  return sorted(diagonal, rows, n);
}

/**
 * Eigendecomposition of a symmetric tridiagonal matrix.
 *
 * @param diagonal `[n]`.
 * @param off `[n − 1]`, the entries beside the diagonal.
 */
export function tridiagonalEigen(diagonal: ArrayLike<number>, off: ArrayLike<number>, n: number): Eigen {
  const d = Float64Array.from({ length: n }, (_, i) => diagonal[i]!);
  const e = new Float64Array(n);
  for (let i = 1; i < n; i++) e[i] = off[i - 1]!;
  const rows = new Float64Array(n * n);
  for (let i = 0; i < n; i++) rows[i * n + i] = 1;
  implicitQl(d, e, rows, n);
  return sorted(d, rows, n);
}

/** Householder reduction; on return `a` is the orthogonal transformation, off[0] = 0. */
function tridiagonalise(a: Float64Array, d: Float64Array, e: Float64Array, n: number): void {
  for (let i = n - 1; i > 0; i--) {
    const l = i - 1;
    let h = 0;
    let scale = 0;
    for (let k = 0; k <= l; k++) scale += Math.abs(a[i * n + k]!);
    if (l === 0 || scale === 0) {
      e[i] = a[i * n + l]!;
      d[i] = 0;
      continue;
    }
    for (let k = 0; k <= l; k++) {
      a[i * n + k]! /= scale;
      h += a[i * n + k]! ** 2;
    }
    let f = a[i * n + l]!;
    const g = f >= 0 ? -Math.sqrt(h) : Math.sqrt(h);
    e[i] = scale * g;
    h -= f * g;
    a[i * n + l] = f - g;
    // Only the lower triangle is kept: each row gives its own sum and its part of those above it.
    const v = a.subarray(i * n, i * n + i);
    e.fill(0, 0, i);
    for (let k = 0; k <= l; k++) {
      const row = k * n;
      const vk = v[k]!;
      let sum = a[row + k]! * vk;
      for (let j = 0; j < k; j++) {
        const entry = a[row + j]!;
        sum += entry * v[j]!;
        e[j]! += entry * vk;
      }
      e[k]! += sum;
    }
    f = 0;
    for (let j = 0; j <= l; j++) {
      a[j * n + i] = v[j]! / h;
      e[j]! /= h;
      f += e[j]! * v[j]!;
    }
    const hh = f / (h + h);
    for (let j = 0; j <= l; j++) {
      const fj = a[i * n + j]!;
      const gj = e[j]! - hh * fj;
      e[j] = gj;
      for (let k = 0; k <= j; k++) a[j * n + k]! -= fj * e[k]! + gj * a[i * n + k]!;
    }
    d[i] = h;
  }
  d[0] = 0;
  e[0] = 0;
  const g = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    if (d[i] !== 0) {
      g.fill(0, 0, i);
      for (let k = 0; k < i; k++) {
        const part = a[i * n + k]!;
        for (let j = 0, row = k * n; j < i; j++) g[j]! += part * a[row + j]!;
      }
      for (let k = 0; k < i; k++) {
        const part = a[k * n + i]!;
        for (let j = 0, row = k * n; j < i; j++) a[row + j]! -= part * g[j]!;
      }
    }
    d[i] = a[i * n + i]!;
    a[i * n + i] = 1;
    for (let j = 0; j < i; j++) a[j * n + i] = a[i * n + j] = 0;
  }
}

/** QL with implicit shifts; e[i] couples i−1 and i. Rotates the rows of `z` along. */
function implicitQl(d: Float64Array, e: Float64Array, z: Float64Array, n: number): void {
  for (let i = 1; i < n; i++) e[i - 1] = e[i]!;
  if (n > 0) e[n - 1] = 0;
  // What lies this far below the whole matrix is rounding: beside entries as small as itself it need not vanish.
  const least = Number.EPSILON * d.reduce((most, v, i) => Math.max(most, Math.abs(v) + Math.abs(e[i]!)), 0);
  for (let l = 0; l < n; l++) {
    for (let iteration = 0;; iteration++) {
      let m = l;
      for (; m < n - 1; m++) {
        const size = Math.abs(d[m]!) + Math.abs(d[m + 1]!);
        if (Math.abs(e[m]!) <= Math.max(Number.EPSILON * size, least)) break;
      }
      if (m === l) break;
      if (iteration === 60) throw new Error("Cannot diagonalise: QL does not converge in 60 steps");
      let g = (d[l + 1]! - d[l]!) / (2 * e[l]!);
      let r = Math.sqrt(g * g + 1);
      g = d[m]! - d[l]! + e[l]! / (g + (g >= 0 ? r : -r));
      let s = 1;
      let c = 1;
      let p = 0;
      let i = m - 1;
      for (; i >= l; i--) {
        const f = s * e[i]!;
        const b = c * e[i]!;
        r = Math.sqrt(f * f + g * g);
        e[i + 1] = r;
        if (r === 0) {
          d[i + 1]! -= p;
          e[m] = 0;
          break;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1]! - p;
        r = (d[i]! - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        for (let k = 0, lo = i * n, hi = lo + n; k < n; k++, lo++, hi++) {
          const upper = z[hi]!;
          const lower = z[lo]!;
          z[hi] = s * lower + c * upper;
          z[lo] = c * lower - s * upper;
        }
      }
      if (r === 0 && i >= l) continue;
      d[l]! -= p;
      e[l] = g;
      e[m] = 0;
    }
  }
}

function sorted(values: Float64Array, rows: Float64Array, n: number): Eigen {
  const order = Array.from({ length: n }, (_, i) => i).sort((a, b) => values[b]! - values[a]!);
  const vectors = new Float64Array(n * n);
  order.forEach((from, to) => vectors.set(rows.subarray(from * n, from * n + n), to * n));
  return { values: Float64Array.from(order, (i) => values[i]!), vectors };
}
