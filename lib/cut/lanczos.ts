/**
 * Second eigenvectors of D^-1/2·F·Fᵀ·D^-1/2, found in the r-dimensional column space of F.
 *
 * With G = D^-1/2·F, B = G·Gᵀ (m×m) and K = Gᵀ·G (r×r) have the same non-zero
 * eigenvalues and x = G·z/√θ carries one's eigenvectors to the other's. Lanczos
 * runs on K with full reorthogonalisation: its vectors have r entries, so that costs
 * nothing. Where the segment is large K is formed, else it is applied as Gᵀ·(G·z).
 *
 * @module
 */
import { roundedGram } from "./blocks.ts";
import { tridiagonalEigen } from "./small_eigen.ts";

/** Eigenvectors of K, the leading one and the one that continues a given start. */
export interface RitzPairs {
  /** Largest eigenvalue of K beside the deflated one; 0 where there is none. */
  readonly theta: number;
  /** Its eigenvector, `[r]`, of length 1. */
  readonly leading: Float64Array;
  /**
   * The start's projection on all eigenvectors whose value is within `cluster` of the
   * largest, `[r]`, of length 1; absent where the start has hardly any part in them.
   */
  readonly held?: Float64Array;
}

/** A start of which less than this share lies in the leading cluster does not continue anything. */
const CONTINUES = 0.5;

/** Rows a column from which on K is formed. */
const FORMED = 2;

/** Eigenvalues below this are noise of float32 rows. */
const VANISHING = 1e-7;

/**
 * @param rows G, `[m, r]` row-major.
 * @param known the known eigenvector of K, of length 1, to be deflated.
 * @param start where to begin, `[r]`; need not be normalised.
 * @param tolerance on ‖Kz − θz‖/θ.
 * @param cluster relative distance from the largest eigenvalue that still counts as one with it.
 */
export function lanczos(
  rows: Float32Array,
  m: number,
  r: number,
  known: Float64Array,
  start: Float64Array,
  tolerance: number,
  cluster: number,
): RitzPairs {
  const most = Math.min(r, m) - 1;
  const formed = m >= FORMED * r ? roundedGram(rows, m, r) : undefined;
  const basis: Float64Array[] = [];
  const alpha: number[] = [];
  const beta: number[] = [];
  let next = unit(orthogonal(start, [known]));
  while (next && basis.length < most) {
    const z = next;
    basis.push(z);
    const kz = formed ? multiplySquare(formed, r, z) : applyGram(rows, m, r, z);
    alpha.push(dot(kz, z));
    // Twice, because the first pass leaves what float64 lost.
    const residual = orthogonal(orthogonal(kz, [known, ...basis]), [known, ...basis]);
    const size = Math.sqrt(dot(residual, residual));
    beta.push(size);
    if (size <= VANISHING) break;
    if (basis.length % 4 === 0 || basis.length === most) {
      const { values, vectors } = tridiagonalEigen(alpha, beta, alpha.length);
      if (size * Math.abs(vectors[alpha.length - 1]!) <= tolerance * values[0]!) break;
    }
    next = unit(residual);
  }
  if (basis.length === 0) return { theta: 0, leading: new Float64Array(r) };
  const count = basis.length;
  const { values, vectors } = tridiagonalEigen(alpha, beta, count);
  const theta = Math.max(0, values[0]!);
  const leading = weighted(basis, vectors.subarray(0, count));
  const weights = new Float64Array(count);
  let inside = 0;
  for (let j = 0; j < count && values[j]! >= theta * (1 - cluster); j++) {
    const part = vectors[j * count]!;
    inside += part * part;
    for (let i = 0; i < count; i++) weights[i]! += part * vectors[j * count + i]!;
  }
  if (inside < CONTINUES ** 2) return { theta, leading };
  return { theta, leading, held: unit(weighted(basis, weights))! };
}

/** K·z of a formed K: rows of a symmetric matrix added up, four at a time, as a sum waits for the one before. */
function multiplySquare(k: Float64Array, r: number, z: Float64Array): Float64Array {
  const out = new Float64Array(r);
  let i = 0;
  for (; i + 4 <= r; i += 4) {
    const [p, q, s, t] = [i * r, (i + 1) * r, (i + 2) * r, (i + 3) * r];
    const [zp, zq, zs, zt] = [z[i]!, z[i + 1]!, z[i + 2]!, z[i + 3]!];
    for (let j = 0; j < r; j++) out[j]! += zp * k[p + j]! + zq * k[q + j]! + zs * k[s + j]! + zt * k[t + j]!;
  }
  for (; i < r; i++) for (let j = 0, row = i * r; j < r; j++) out[j]! += z[i]! * k[row + j]!;
  return out;
}

/** Gᵀ·(G·z). */
export function applyGram(rows: Float32Array, m: number, r: number, z: Float64Array): Float64Array {
  const out = new Float64Array(r);
  for (let i = 0, base = 0; i < m; i++, base += r) {
    let x = 0;
    for (let a = 0; a < r; a++) x += rows[base + a]! * z[a]!;
    for (let a = 0; a < r; a++) out[a]! += rows[base + a]! * x;
  }
  return out;
}

function weighted(basis: readonly Float64Array[], weights: ArrayLike<number>): Float64Array {
  const out = new Float64Array(basis[0]!.length);
  basis.forEach((z, j) => {
    for (let a = 0; a < out.length; a++) out[a]! += weights[j]! * z[a]!;
  });
  return out;
}

function orthogonal(x: Float64Array, against: readonly Float64Array[]): Float64Array {
  const out = x.slice();
  for (const z of against) {
    const part = dot(out, z);
    for (let a = 0; a < out.length; a++) out[a]! -= part * z[a]!;
  }
  return out;
}

function unit(x: Float64Array): Float64Array | undefined {
  const size = Math.sqrt(dot(x, x));
  return size > 1e-12 ? x.map((v) => v / size) : undefined;
}

function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let a = 0; a < x.length; a++) sum += x[a]! * y[a]!;
  return sum;
}
