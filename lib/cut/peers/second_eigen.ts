/**
 * The second-largest eigenvector of a symmetric operator whose largest is known.
 *
 * @module
 */
import { tridiagonalEigen } from "../small_eigen.ts";

/** An eigenvalue and its vector of length 1. */
export interface EigenPair {
  readonly theta: number;
  readonly vector: Float64Array<ArrayBuffer>;
}

/** Most Lanczos steps; each costs one application. */
const STEPS = 160;

/**
 * Lanczos with full reorthogonalisation, orthogonal to `known`.
 *
 * @param apply the operator.
 * @param known the leading eigenvector, of length 1.
 * @param tolerance on ‖Bx − θx‖, as the last entry of the Ritz vector bounds it. Default 1e-6.
 */
export function secondEigenvector(
  apply: (x: Float64Array<ArrayBuffer>) => Float64Array<ArrayBuffer>,
  known: Float64Array<ArrayBuffer>,
  tolerance = 1e-6,
): EigenPair {
  const n = known.length;
  const basis: Float64Array<ArrayBuffer>[] = [];
  const [alpha, beta]: [number[], number[]] = [[], []];
  // A start without symmetry, the same each time: multiples of the golden ratio.
  let next = unit(clean(Float64Array.from({ length: n }, (_, i) => (i * 0.6180339887498949) % 1 - 0.5)));
  while (next && basis.length < Math.min(STEPS, n - 1)) {
    basis.push(next);
    const image = apply(next);
    alpha.push(dot(image, next));
    const rest = clean(clean(image));
    const size = Math.sqrt(dot(rest, rest));
    const count = basis.length;
    if (size < 1e-12) break;
    if (count % 8 === 0) {
      const { vectors } = tridiagonalEigen(alpha, beta, count);
      if (size * Math.abs(vectors[count - 1]!) < tolerance) break;
    }
    beta.push(size);
    next = rest.map((v) => v / size);
  }
  const count = basis.length;
  const { values, vectors } = tridiagonalEigen(alpha, beta.slice(0, Math.max(0, count - 1)), count);
  const vector = new Float64Array(n);
  for (let k = 0; k < count; k++) {
    for (let i = 0; i < n; i++) vector[i]! += vectors[k]! * basis[k]![i]!;
  }
  return { theta: values[0] ?? 0, vector };

  /** Takes out `known` and the basis so far. */
  function clean(x: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
    const out = x.slice();
    for (const b of [known, ...basis]) {
      const part = dot(out, b);
      for (let i = 0; i < n; i++) out[i]! -= part * b[i]!;
    }
    return out;
  }
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function unit(x: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> | undefined {
  const length = Math.sqrt(dot(x, x));
  return length > 1e-12 ? x.map((v) => v / length) : undefined;
}
