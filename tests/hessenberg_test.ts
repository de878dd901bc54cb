import { assert, assertAlmostEquals, assertEquals, assertLessOrEqual } from "@std/assert";
import { hessenbergOf, slowestModeOf } from "../lib/cut/hessenberg.ts";
import { gaussian, uniform } from "../lib/random.ts";
import { freshSeed } from "./reference/graphs.ts";

/** S·D·S⁻¹ with S = (1 + u·vᵀ)·Q: eigenvalues those of D, vectors far from orthogonal. */
function similar(d: Float64Array, n: number, seed: number): Float64Array {
  let a = d.slice();
  for (const turn of [0, 1]) {
    const u = gaussian(n, seed + turn).map((v) => v / Math.sqrt(n));
    const w = turn === 0
      ? u.map((v) => -2 * v / u.reduce((sum, x) => sum + x * x, 0))
      : gaussian(n, seed + 7);
    const scaled = turn === 0 ? w : w.map((v) => v / Math.sqrt(n));
    // (1 + u·wᵀ)⁻¹ = 1 − u·wᵀ/(1 + wᵀu).
    const inner = 1 + u.reduce((sum, v, i) => sum + v * scaled[i]!, 0);
    const left = a.slice();
    for (let j = 0; j < n; j++) {
      let along = 0;
      for (let i = 0; i < n; i++) along += scaled[i]! * a[i * n + j]!;
      for (let i = 0; i < n; i++) left[i * n + j]! += u[i]! * along;
    }
    const both = left.slice();
    for (let i = 0; i < n; i++) {
      let along = 0;
      for (let j = 0; j < n; j++) along += left[i * n + j]! * u[j]!;
      for (let j = 0; j < n; j++) both[i * n + j]! -= along * scaled[j]! / inner;
    }
    a = both;
  }
  return a;
}

Deno.test("slowestModeOf() finds the mode of largest |1 + μ| among complex and nearly double ones", () => {
  const seed = freshSeed();
  for (let round = 0; round < 60; round++) {
    const next = uniform(seed + round);
    const n = 1 + (seed + 7 * round) % 40;
    const pairs = Math.min(Math.floor(n / 2) - 1, round % 6);
    const d = new Float64Array(n * n);
    let [slowest, expected] = [0, { re: 0, im: 0 }];
    const add = (re: number, im: number) => {
      if (Math.hypot(1 + re, im) > slowest) [slowest, expected] = [Math.hypot(1 + re, im), { re, im }];
    };
    for (let i = 0; i < n;) {
      if (i < 2 * pairs) {
        // Complex pairs, some of them slower than every real mode.
        const [re, im] = [next(), 0.05 + 0.5 * next()];
        add(re, im);
        d[i * n + i] = d[(i + 1) * n + i + 1] = re;
        d[i * n + i + 1] = im;
        d[(i + 1) * n + i] = -im;
        i += 2;
      } else {
        const near = i === n - 1 && round % 3 === 0 && slowest > 1;
        const value = near ? slowest - 1 + 1e-4 : 0.9 * next();
        d[i * n + i] = value;
        add(value, 0);
        i++;
      }
    }
    const matrix = similar(d, n, seed + round);
    const message = `seed ${seed}, round ${round}, n ${n}, ${pairs} pairs`;
    const { value, parts } = slowestModeOf(matrix, n);
    assertAlmostEquals(value.re, expected.re, 1e-8, message);
    assertAlmostEquals(value.im, expected.im, 1e-8, message);
    assertEquals(parts.length, expected.im === 0 ? 1 : 2, message);
    const [x, y = new Float64Array(n)] = parts;
    let rest = 0;
    for (let i = 0; i < n; i++) {
      let [re, im] = [0, 0];
      for (let j = 0; j < n; j++) {
        re += matrix[i * n + j]! * x![j]!;
        im += matrix[i * n + j]! * y[j]!;
      }
      rest += (re - value.re * x![i]! + value.im * y[i]!) ** 2 +
        (im - value.re * y[i]! - value.im * x![i]!) ** 2;
    }
    assertLessOrEqual(Math.sqrt(rest), 1e-9, `${message}: residual`);
    const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, v, i) => sum + v * b[i]!, 0);
    assertAlmostEquals(dot(x!, x!) + dot(y, y), 1, 1e-12, message);
    assertAlmostEquals(dot(x!, y), 0, 1e-12, `${message}: phase`);
    assertLessOrEqual(dot(y, y), dot(x!, x!) + 1e-12, `${message}: phase`);
  }
});

Deno.test("hessenbergOf() keeps trace and powers, and leaves nothing below the subdiagonal", () => {
  const seed = freshSeed();
  const n = 17;
  const matrix = Float64Array.from(gaussian(n * n, seed));
  const h = hessenbergOf(matrix, n);
  const traceOf = (a: Float64Array) =>
    Array.from({ length: n }, (_, i) => a[i * n + i]!).reduce((x, y) => x + y);
  const square = (a: Float64Array) =>
    Float64Array.from({ length: n * n }, (_, at) => {
      let sum = 0;
      for (let k = 0; k < n; k++) sum += a[Math.floor(at / n) * n + k]! * a[k * n + at % n]!;
      return sum;
    });
  assertAlmostEquals(traceOf(h), traceOf(matrix), 1e-10, `seed ${seed}`);
  assertAlmostEquals(traceOf(square(h)), traceOf(square(matrix)), 1e-9, `seed ${seed}`);
  for (let i = 2; i < n; i++) {
    for (let j = 0; j + 1 < i; j++) assert(Math.abs(h[i * n + j]!) < 1e-12, `seed ${seed}: (${i}, ${j})`);
  }
});
