/**
 * Random graphs for tests, from a seed.
 *
 * @module
 */
import { uniform } from "../../lib/random.ts";

/** A seed that changes with every run; tests print it where they fail. */
export function freshSeed(): number {
  return Math.floor(Math.random() * 2 ** 31);
}

/** A row-stochastic matrix `[n, n]` as float32 holds it, of one of three kinds. */
export function randomWalkMatrix(
  n: number,
  seed: number,
  kind: "noise" | "points" | "blocks" = (["noise", "points", "blocks"] as const)[seed % 3]!,
): Float32Array<ArrayBuffer> {
  const next = uniform(seed);
  const clusters = 2 + seed % 4;
  const points = Array.from({ length: n }, (_, i) => {
    const c = i % clusters;
    return [
      Math.cos(c * 2.4) * 1.5 + next(),
      Math.sin(c * 2.4) * 1.5 + next(),
      next() < 0.9 ? 1 : 3,
    ] as const;
  });
  const matrix = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    const row = new Float64Array(n);
    let sum = 0;
    for (let j = 0; j < n; j++) {
      const [a, b] = [points[i]!, points[j]!];
      const far = ((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) / 0.3;
      row[j] = kind === "noise"
        ? next() ** 6 + 1e-4
        : kind === "points"
        ? b[2] * Math.exp(-far) + 1e-5
        : (i % clusters === j % clusters ? 1 : 0.15) * (0.2 + next());
      sum += row[j]!;
    }
    for (let j = 0; j < n; j++) matrix[i * n + j] = row[j]! / sum;
  }
  return matrix;
}

/** A random partition of 0 … n − 1 into `count` sets of at least one node, ascending. */
export function randomSegments(n: number, count: number, seed: number): Uint32Array<ArrayBuffer>[] {
  const next = uniform(seed);
  const sets: number[][] = Array.from({ length: count }, () => []);
  for (let i = 0; i < n; i++) sets[i < count ? i : Math.floor(next() * count)]!.push(i);
  return sets.map((set) => Uint32Array.from(set));
}

/** Neighbours on a ring that hardly see beyond the next few: no low rank holds it. */
export function peakedWalk(n: number, seed: number): Float32Array<ArrayBuffer> {
  const next = uniform(seed);
  const matrix = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    let sum = 0;
    for (let j = 0; j < n; j++) {
      const far = Math.min(Math.abs(i - j), n - Math.abs(i - j));
      sum += matrix[i * n + j] = Math.exp(-far * far) * (0.5 + next()) + 1e-6;
    }
    for (let j = 0; j < n; j++) matrix[i * n + j]! /= sum;
  }
  return matrix;
}
