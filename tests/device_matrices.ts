/**
 * Walks for tests of the cut on a device.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { releaseBasis } from "../lib/cut/webgpu/cut_on_device.ts";
import { uniform } from "../lib/random.ts";
import { openGpu } from "../lib/walk/webgpu/device.ts";
import {
  createWebGpuWalkDevice,
  type WebGpuWalkDevice,
  type WebGpuWalkOptions,
} from "../lib/walk/webgpu/walk_device.ts";

/** A fresh seed a run; failures name it. */
export function newSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]! >>> 1;
}

/** Runs a test with a device that is closed after, and checks that nothing was left in use. */
export async function withDevice(
  body: (device: WebGpuWalkDevice) => Promise<void>,
  options: WebGpuWalkOptions = { precision: "f32" },
): Promise<void> {
  const gpu = await openGpu();
  assert(gpu, "no WebGPU adapter: install mesa-vulkan-drivers");
  const device = await createWebGpuWalkDevice(gpu, options);
  try {
    await body(device);
    releaseBasis(gpu);
    assertEquals(gpu.pool.inUse, 0, "buffers still in use");
  } finally {
    await device.close();
  }
}

/** Groups of very different size and tightness in pairs of pairs, so that the tree has several levels. */
export function blockWalk(n: number, groups: number, seed: number): Float32Array<ArrayBuffer> {
  const next = uniform(seed);
  const group = Array.from({ length: n }, () => Math.floor(groups * next() ** 1.5));
  const near = Array.from({ length: groups * groups }, (_, at) => {
    const [a, b] = [Math.floor(at / groups), at % groups];
    if (a === b) return 1 + 3 * next();
    return (a >> 1 === b >> 1 ? 0.08 : 0.01) * (0.5 + next());
  });
  const matrix = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    let sum = 0;
    for (let j = 0; j < n; j++) {
      sum += matrix[i * n + j] = near[group[i]! * groups + group[j]!]! * (0.7 + 0.6 * next());
    }
    for (let j = 0; j < n; j++) matrix[i * n + j]! /= sum;
  }
  return matrix;
}

/** The next frame's walk: entries change by up to `noise`, rows sum to 1 again. */
export function disturbed(
  matrix: Float32Array,
  n: number,
  noise: number,
  seed: number,
): Float32Array<ArrayBuffer> {
  const next = uniform(seed);
  const out = Float32Array.from(matrix, (v) => v * (1 + noise * (2 * next() - 1)));
  for (let i = 0; i < n; i++) {
    const row = out.subarray(i * n, (i + 1) * n);
    const sum = row.reduce((a, b) => a + b, 0);
    row.forEach((v, j) => row[j] = v / sum);
  }
  return out;
}

/** The walk over the symmetric part of a matrix: it has no complex modes. */
export function reversible(matrix: Float32Array, n: number): Float32Array<ArrayBuffer> {
  const out = Float32Array.from(matrix, (v, at) => v + matrix[at % n * n + Math.floor(at / n)]!);
  return disturbed(out, n, 0, 0);
}

/** Three parts of unequal size, from one on to the next: the second eigenvalue is one of a complex pair. */
export function roundWalk(n: number, seed: number): Float32Array<ArrayBuffer> {
  const part = (i: number) => i < 0.5 * n ? 0 : i < 0.8 * n ? 1 : 2;
  const weights = Float32Array.from({ length: n * n }, (_, at) => {
    const step = (part(at % n) - part(Math.floor(at / n)) + 3) % 3;
    return [0.8, 0.19, 0.01][step]!;
  });
  return disturbed(weights, n, 0.1, seed);
}

/** Neighbours on a grid, in four quarters that are tied more weakly: of nearly full rank. */
export function gridWalk(side: number, seed: number): Float32Array<ArrayBuffer> {
  const next = uniform(seed);
  const n = side * side;
  const at = (i: number) => [Math.floor(i / side), i % side] as const;
  const quarter = (i: number) => at(i).map((v) => Number(v < side * 0.4)).join();
  const matrix = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    const row = Float32Array.from({ length: n }, (_, j) => {
      // Farther across than along, so that no two vectors of a quarter are a tie.
      const far = (at(i)[0] - at(j)[0]) ** 2 + 2 * (at(i)[1] - at(j)[1]) ** 2;
      return (quarter(i) === quarter(j) ? 1 : 0.1) * Math.exp(-far / 2) * (0.8 + 0.4 * next()) + 1e-5;
    });
    const sum = row.reduce((a, b) => a + b);
    matrix.set(row.map((v) => v / sum), i * n);
  }
  return matrix;
}
