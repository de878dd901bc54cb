/**
 * The slowest mode of a small matrix that is not symmetric, in float64.
 *
 * @module
 */

/** Iterations that a vector takes. */
const ITERATIONS = 3;

/** Steps on one eigenvalue after which its shift is a guess, and after which it is taken as it is. */
const STUCK = 10;
const MOST_STEPS = 60;

/** An eigenvalue, one of a pair where its imaginary part is not 0. */
export interface Eigenvalue {
  readonly re: number;
  readonly im: number;
}

/** An eigenvalue and its vector z. */
export interface Mode {
  readonly value: Eigenvalue;
  /** Re z and, where the eigenvalue is one of a pair, Im z, orthogonal and no longer: `[1 or 2][n]`, ‖z‖ = 1. */
  readonly parts: readonly Float64Array[];
}

/**
 * The mode of the eigenvalue μ that has the largest |1 + μ|: that by which a walk that stays where it is every second
 * time forgets slowest. Of a pair it is the one with Im μ > 0.
 *
 * @param matrix `[n, n]` row-major. Not changed.
 */
export function slowestModeOf(matrix: Float64Array, n: number): Mode {
  const slowness = ({ re, im }: Eigenvalue) => Math.hypot(1 + re, im);
  const value = eigenvaluesOf(matrix, n).reduce((most, own) => slowness(own) > slowness(most) ? own : most);
  const { re, im } = value;
  if (im === 0) return { value, parts: [vectorAt(matrix, n, re)] };
  // H·x + im·y = re·x and H·y − im·x = re·y, for z = x + i·y.
  const both = new Float64Array(4 * n * n);
  for (let i = 0; i < n; i++) {
    both.set(matrix.subarray(i * n, (i + 1) * n), 2 * i * n);
    both.set(matrix.subarray(i * n, (i + 1) * n), 2 * (n + i) * n + n);
    both[2 * i * n + n + i] = Math.abs(im);
    both[2 * (n + i) * n + i] = -Math.abs(im);
  }
  const z = vectorAt(both, 2 * n, re);
  return { value: { re, im: Math.abs(im) }, parts: turned(z.subarray(0, n), z.subarray(n)) };
}

/** z times the number of length 1 that makes its real part longest; the imaginary one is then orthogonal to it. */
export function turned(re: Float64Array, im: Float64Array): [re: Float64Array, im: Float64Array] {
  // The square of that number turns zᵀz to a positive one.
  let [real, imaginary] = [0, 0];
  re.forEach((x, i) => {
    real += x * x - im[i]! ** 2;
    imaginary += 2 * x * im[i]!;
  });
  const angle = -Math.atan2(imaginary, real) / 2;
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  return [re.map((x, i) => cos * x - sin * im[i]!), re.map((x, i) => sin * x + cos * im[i]!)];
}

/** All eigenvalues, by Francis's double steps on the Hessenberg form. */
export function eigenvaluesOf(matrix: Float64Array, n: number): Eigenvalue[] {
  const h = hessenbergOf(matrix, n);
  const found: Eigenvalue[] = [];
  const at = (i: number, j: number) => h[i * n + j]!;
  let steps = 0;
  for (let high = n - 1; high >= 0;) {
    let low = high;
    while (low > 0) {
      const beside = Math.abs(at(low - 1, low - 1)) + Math.abs(at(low, low)) || 1;
      if (Math.abs(at(low, low - 1)) <= Number.EPSILON * beside) break;
      low--;
    }
    const taken = steps >= MOST_STEPS;
    if (low === high || taken) {
      found.push({ re: at(high, high), im: 0 });
      high--;
    } else if (low === high - 1) {
      found.push(...pairOf(at(low, low), at(low, high), at(high, low), at(high, high)));
      high -= 2;
    } else {
      francisStep(h, n, low, high, ++steps % STUCK === 0);
      continue;
    }
    steps = 0;
  }
  return found;
}

/** The eigenvalues of a 2×2 matrix. */
function pairOf(a: number, b: number, c: number, d: number): [Eigenvalue, Eigenvalue] {
  const half = (a - d) / 2;
  const square = half * half + b * c;
  const middle = (a + d) / 2;
  const root = Math.sqrt(Math.abs(square));
  if (square < 0) return [{ re: middle, im: root }, { re: middle, im: -root }];
  // The one whose sum does not cancel, and the other from the determinant.
  const far = middle + (middle < 0 ? -root : root);
  const near = far === 0 ? 0 : (a * d - b * c) / far;
  return [{ re: far, im: 0 }, { re: near, im: 0 }];
}

/** One double step with both eigenvalues of the last 2×2 block as shifts, on rows and columns low … high. */
function francisStep(h: Float64Array, n: number, low: number, high: number, isStuck: boolean): void {
  const at = (i: number, j: number) => h[i * n + j]!;
  let trace = at(high - 1, high - 1) + at(high, high);
  let determinant = at(high - 1, high - 1) * at(high, high) - at(high - 1, high) * at(high, high - 1);
  if (isStuck) {
    const guess = Math.abs(at(high, high - 1)) + Math.abs(at(high - 1, high - 2));
    [trace, determinant] = [1.5 * guess, guess * guess];
  }
  // The first column of (H − a)·(H − b).
  let column = [
    at(low, low) * (at(low, low) - trace) + determinant + at(low, low + 1) * at(low + 1, low),
    at(low + 1, low) * (at(low, low) + at(low + 1, low + 1) - trace),
    at(low + 2, low + 1) * at(low + 1, low),
  ];
  for (let k = low; k < high; k++) {
    reflect(h, n, column, k, [low, high]);
    if (k + 2 > high) break;
    column = [k + 1, k + 2, k + 3].filter((i) => i <= high).map((i) => at(i, k));
  }
}

/** Turns rows and columns from `k` so that a column's part there becomes a multiple of its first unit vector. */
function reflect(
  h: Float64Array,
  n: number,
  column: readonly number[],
  k: number,
  [low, high]: readonly [low: number, high: number],
): void {
  const size = Math.hypot(...column);
  if (size === 0) return;
  const v = column.slice();
  v[0]! += v[0]! < 0 ? -size : size;
  const scale = 2 / v.reduce((sum, x) => sum + x * x, 0);
  for (let j = Math.max(low, k - 1); j <= high; j++) {
    let along = 0;
    v.forEach((x, i) => along += x * h[(k + i) * n + j]!);
    v.forEach((x, i) => h[(k + i) * n + j]! -= scale * along * x);
  }
  for (let i = low; i <= Math.min(high, k + 3); i++) {
    let along = 0;
    v.forEach((x, j) => along += x * h[i * n + k + j]!);
    v.forEach((x, j) => h[i * n + k + j]! -= scale * along * x);
  }
}

/** A matrix similar to the given one with zeros below its subdiagonal (Householder). */
export function hessenbergOf(matrix: Float64Array, n: number): Float64Array {
  const h = matrix.slice();
  const v = new Float64Array(n);
  for (let column = 0; column + 2 < n; column++) {
    let square = 0;
    for (let i = column + 1; i < n; i++) square += (v[i] = h[i * n + column]!) ** 2;
    const first = v[column + 1]!;
    const size = Math.sqrt(square);
    if (size === Math.abs(first)) continue;
    v[column + 1] = first + (first < 0 ? -size : size);
    const scale = 2 / (square - first ** 2 + v[column + 1]! ** 2);
    for (let j = column; j < n; j++) {
      let along = 0;
      for (let i = column + 1; i < n; i++) along += v[i]! * h[i * n + j]!;
      for (let i = column + 1; i < n; i++) h[i * n + j]! -= scale * along * v[i]!;
    }
    for (let i = 0; i < n; i++) {
      let along = 0;
      for (let j = column + 1; j < n; j++) along += h[i * n + j]! * v[j]!;
      for (let j = column + 1; j < n; j++) h[i * n + j]! -= scale * along * v[j]!;
    }
  }
  return h;
}

/** The eigenvector at an eigenvalue, by inverse iteration. */
function vectorAt(matrix: Float64Array, n: number, value: number): Float64Array {
  const a = matrix.slice();
  for (let i = 0; i < n; i++) a[i * n + i]! -= value;
  const order = Array.from({ length: n }, (_, i) => i);
  const tiny = Number.EPSILON * Math.max(Math.abs(value), Number.MIN_VALUE);
  for (let column = 0; column < n; column++) {
    let best = column;
    for (let i = column; i < n; i++) {
      if (Math.abs(a[order[i]! * n + column]!) > Math.abs(a[order[best]! * n + column]!)) best = i;
    }
    [order[column], order[best]] = [order[best]!, order[column]!];
    const upper = order[column]! * n;
    if (Math.abs(a[upper + column]!) < tiny) a[upper + column] = tiny;
    for (let i = column + 1; i < n; i++) {
      const row = order[i]! * n;
      const factor = a[row + column] = a[row + column]! / a[upper + column]!;
      for (let j = column + 1; j < n; j++) a[row + j]! -= factor * a[upper + j]!;
    }
  }
  let x = new Float64Array(n).fill(1);
  for (let iteration = 0; iteration < ITERATIONS; iteration++) {
    const solved = Float64Array.from(order, (row) => x[row]!);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < i; j++) solved[i]! -= a[order[i]! * n + j]! * solved[j]!;
    }
    for (let i = n - 1; i >= 0; i--) {
      for (let j = i + 1; j < n; j++) solved[i]! -= a[order[i]! * n + j]! * solved[j]!;
      solved[i]! /= a[order[i]! * n + i]!;
    }
    const size = Math.hypot(...solved);
    x = solved.map((v) => v / size);
  }
  return x;
}
