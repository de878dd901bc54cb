/**
 * Second eigenvectors of D^-1/2·F·Fᵀ·D^-1/2, found in the r-dimensional column space of F.
 *
 * With G = D^-1/2·F, B = G·Gᵀ (m×m) and K = Gᵀ·G (r×r) have the same non-zero
 * eigenvalues and x = G·z/√θ carries one's eigenvectors to the other's. Lanczos
 * runs on K with full reorthogonalisation: its vectors have r entries, so that costs
 * nothing.
 *
 * @module
 */
import { tridiagonalEigen } from "./small_eigen.ts";

/** Eigenvectors of K, the leading one and the one that continues a given start. */
export interface RitzPairs {
  /** Largest eigenvalue of K beside the deflated one; 0 where there is none. */
  readonly theta: number;
  /** Its eigenvector, `[r]`, of length 1. */
  readonly leading: Float64Array;
  /**
   * The start's projection on all eigenvectors whose value is within `cluster` of the
   * largest, `[r]`, of length 1: `leading` itself where that is the only one. Absent where the start has
   * hardly any part in them.
   */
  readonly held?: Float64Array;
}

/** A start of which less than this share lies in the leading cluster does not continue anything. */
const CONTINUES = 0.5;

/** Residuals below this are noise of a K with float32 sums. */
const VANISHING = 2e-7;

/**
 * @param k K = Gᵀ·G, `[r, r]`.
 * @param m the number of rows of G: K has no more directions.
 * @param known the known eigenvector of K, of any length, to be deflated.
 * @param start where to begin, `[r]`; need not be normalised.
 * @param tolerance on ‖Kz − θz‖/θ.
 * @param cluster relative distance from the largest eigenvalue that still counts as one with it.
 */
export function lanczos(
  k: Float64Array,
  r: number,
  m: number,
  known: Float64Array,
  start: Float64Array,
  tolerance: number,
  cluster: number,
): RitzPairs {
  const most = Math.min(r, m) - 1;
  // The known vector, then the basis.
  const found = [unit(known) ?? new Float64Array(r)];
  const alpha: number[] = [];
  const beta: number[] = [];
  const first = start.slice();
  removeParts(first, found);
  for (let next = unit(first); next && alpha.length < most;) {
    found.push(next);
    const residual = multiplySquare(k, r, next);
    alpha.push(dot(residual, next));
    // Twice, because the first pass leaves what float64 lost.
    removeParts(residual, found);
    removeParts(residual, found);
    const size = Math.sqrt(dot(residual, residual));
    beta.push(size);
    if (size <= VANISHING) break;
    if (alpha.length % 4 === 0 || alpha.length === most) {
      const { values, vectors } = tridiagonalEigen(alpha, beta, alpha.length);
      const error = size * Math.abs(vectors[alpha.length - 1]!);
      if (error <= Math.max(tolerance * values[0]!, VANISHING)) break;
    }
    next = unit(residual);
  }
  const basis = found.slice(1);
  if (basis.length === 0) return { theta: 0, leading: new Float64Array(r) };
  const count = basis.length;
  const { values, vectors } = tridiagonalEigen(alpha, beta, count);
  const theta = Math.max(0, values[0]!);
  const leading = weighted(basis, vectors.subarray(0, count));
  const weights = new Float64Array(count);
  let inside = 0;
  let members = 0;
  for (; members < count && values[members]! >= theta * (1 - cluster); members++) {
    const part = vectors[members * count]!;
    inside += part * part;
    for (let i = 0; i < count; i++) weights[i]! += part * vectors[members * count + i]!;
  }
  if (inside < CONTINUES ** 2) return { theta, leading };
  return { theta, leading, held: members === 1 ? leading : unit(weighted(basis, weights))! };
}

/** K·z: rows of a symmetric matrix added up, four at a time, as a sum waits for the one before. */
export function multiplySquare(k: Float64Array, r: number, z: Float64Array): Float64Array {
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

function weighted(basis: readonly Float64Array[], weights: ArrayLike<number>): Float64Array {
  const out = new Float64Array(basis[0]!.length);
  basis.forEach((z, j) => {
    for (let a = 0; a < out.length; a++) out[a]! += weights[j]! * z[a]!;
  });
  return out;
}

/** Takes from x its parts along vectors of length 1, in place. */
function removeParts(x: Float64Array, along: readonly Float64Array[]): void {
  for (const z of along) {
    const part = dot(x, z);
    for (let a = 0; a < x.length; a++) x[a]! -= part * z[a]!;
  }
}

function unit(x: Float64Array): Float64Array | undefined {
  const size = Math.sqrt(dot(x, x));
  return size > 1e-12 ? x.map((v) => v / size) : undefined;
}

/** xᵀ·y. */
export function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let a = 0; a < x.length; a++) sum += x[a]! * y[a]!;
  return sum;
}
