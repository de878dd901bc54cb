import { assert, assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { DeviceError, WalkcutError } from "../lib/errors.ts";
import type { AttentionLayer } from "../lib/features/network.ts";
import { gaussian, uniform } from "../lib/random.ts";
import { aggregateWalk, applyWord, axisShares, levelsOf } from "../lib/walk/reference.ts";
import { chooseGpu } from "../lib/walk/choose_gpu.ts";
import { type Gpu, openGpu } from "../lib/walk/webgpu/device.ts";
import { Recorder } from "../lib/walk/webgpu/recorder.ts";
import {
  createWebGpuWalkDevice,
  type WebGpuWalkDevice,
  type WebGpuWalkOptions,
} from "../lib/walk/webgpu/walk_device.ts";

const WEIGHTS = new Map([[4, 4 / 60], [8, 8 / 60], [16, 16 / 60], [32, 32 / 60]]);

/** A fresh seed a run; failures name it. */
function newSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

async function gpuOrFail(): Promise<Gpu> {
  const gpu = await openGpu();
  assert(gpu, "no WebGPU adapter: install mesa-vulkan-drivers");
  return gpu;
}

/** Runs a test with a device that is closed after, and checks that nothing was left in use. */
async function withDevice(
  options: WebGpuWalkOptions,
  body: (device: WebGpuWalkDevice) => Promise<void>,
): Promise<void> {
  const device = await createWebGpuWalkDevice(await gpuOrFail(), options);
  try {
    await body(device);
    assertEquals(device.gpu.pool.inUse, 0, "buffers still in use");
    device.gpu.check();
  } finally {
    await device.close();
  }
}

function randomLayer(resolution: number, heads: number, headDim: number, seed: number): AttentionLayer {
  const length = resolution ** 2 * heads * headDim;
  return {
    resolution,
    heads,
    headDim,
    scale: 1.5 / Math.sqrt(headDim),
    queries: gaussian(length, seed),
    keys: gaussian(length, seed + 1),
  };
}

function randomStochastic(n: number, seed: number): Float32Array<ArrayBuffer> {
  const next = uniform(seed);
  const matrix = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    let sum = 0;
    for (let j = 0; j < n; j++) sum += matrix[i * n + j] = next() ** 4;
    for (let j = 0; j < n; j++) matrix[i * n + j]! /= sum;
  }
  return matrix;
}

/** max |a − b| over max |b|. */
function worst(a: Float32Array, b: Float32Array | Float64Array, seed: number): number {
  assertEquals(a.length, b.length, `seed ${seed}`);
  let error = 0;
  let size = 0;
  for (let i = 0; i < b.length; i++) {
    error = Math.max(error, Math.abs(a[i]! - b[i]!));
    size = Math.max(size, Math.abs(b[i]!));
    assert(Number.isFinite(a[i]!), `not finite at ${i}, seed ${seed}`);
  }
  return error / size;
}

/** The aggregate in the most naive way: whole softmaxes and a 4-D upsampling, in float64. */
function naiveWalk(layers: readonly AttentionLayer[], grid: number): Float64Array {
  const n = grid ** 2;
  const used = [...new Set(layers.map((layer) => layer.resolution))];
  const total = used.reduce((sum, r) => sum + WEIGHTS.get(r)!, 0);
  const out = new Float64Array(n * n);
  for (const r of used) {
    const group = layers.filter((layer) => layer.resolution === r);
    const mean = new Float64Array(r ** 4);
    for (const layer of group) {
      for (let h = 0; h < layer.heads; h++) {
        for (let i = 0; i < r * r; i++) {
          const row = Array.from({ length: r * r }, (_, j) => {
            let dot = 0;
            for (let c = 0; c < layer.headDim; c++) {
              dot += (layer.queries as Float32Array)[(i * layer.heads + h) * layer.headDim + c]! *
                (layer.keys as Float32Array)[(j * layer.heads + h) * layer.headDim + c]!;
            }
            return Math.exp(dot * layer.scale);
          });
          const sum = row.reduce((a, b) => a + b);
          row.forEach((value, j) => mean[i * r * r + j]! += value / sum / layer.heads / group.length);
        }
      }
    }
    // As matrices: walk = Q · mean · K with Q [n, R²] and K [R², n] made a node at a time.
    const node = (at: number) => [at % grid, Math.floor(at / grid)] as const;
    const spread = (at: number) => {
      // weights of the source cells of one axis, for keys
      const weights = new Float64Array(r);
      if (r > grid) { for (let c = 0; c < r; c++) weights[c] = Math.floor(c * grid / r) === at ? 1 : 0; }
      else {
        const x = Math.min(r - 1, Math.max(0, (at + 0.5) * r / grid - 0.5));
        for (let c = 0; c < r; c++) weights[c] = Math.max(0, 1 - Math.abs(c - x));
      }
      return weights;
    };
    const chosen = (at: number) => {
      if (r > grid) return spread(at);
      return Float64Array.from({ length: r }, (_, c) => c === Math.floor((at + 0.5) * r / grid) ? 1 : 0);
    };
    for (let i = 0; i < n; i++) {
      const [ix, iy] = node(i);
      const [qx, qy] = [chosen(ix), chosen(iy)];
      const source = new Float64Array(r * r);
      for (let q = 0; q < r * r; q++) {
        const weight = qx[q % r]! * qy[Math.floor(q / r)]!;
        if (weight > 0) { for (let k = 0; k < r * r; k++) source[k]! += weight * mean[q * r * r + k]!; }
      }
      const row = Array.from({ length: n }, (_, j) => {
        const [kx, ky] = node(j).map(spread) as [Float64Array, Float64Array];
        let value = 0;
        for (let k = 0; k < r * r; k++) value += source[k]! * kx[k % r]! * ky[Math.floor(k / r)]!;
        return value;
      });
      const sum = row.reduce((a, b) => a + b);
      row.forEach((value, j) => out[i * n + j]! += WEIGHTS.get(r)! / total * value / sum);
    }
  }
  return out;
}

Deno.test("aggregateWalk() and WalkDevice.walk() equal the naive float64 aggregate", async () => {
  const seed = newSeed();
  const cases: { grid: number; layers: AttentionLayer[] }[] = [
    // heads and channels that fit no tile, two layers of one resolution, and a level finer than the grid
    {
      grid: 8,
      layers: [randomLayer(8, 3, 5, seed), randomLayer(8, 1, 17, seed + 2), randomLayer(4, 2, 9, seed + 4)],
    },
    { grid: 8, layers: [randomLayer(16, 1, 7, seed + 6), randomLayer(8, 2, 4, seed + 8)] },
    // N = 36 needs padding; no resolution divides the grid
    { grid: 6, layers: [randomLayer(4, 1, 3, seed + 10), randomLayer(8, 1, 6, seed + 12)] },
  ];
  await withDevice({ precision: "f32" }, async (device) => {
    for (const { grid, layers } of cases) {
      const expected = naiveWalk(layers, grid);
      const reference = aggregateWalk(layers, grid, WEIGHTS);
      assert(worst(reference, expected, seed) < 1e-6, `reference at grid ${grid}, seed ${seed}`);
      const before = { ...device.counters };
      const walk = await device.walk(layers, grid, WEIGHTS);
      assertEquals(device.counters.readbacks, before.readbacks, "the walk was read back");
      assertEquals(device.counters.submissions, before.submissions + 1);
      const dense = await walk.dense();
      const error = worst(dense, expected, seed);
      assert(error < 1e-5, `error ${error} at grid ${grid}, seed ${seed}`);
      for (let i = 0; i < walk.n; i++) {
        const sum = dense.subarray(i * walk.n, (i + 1) * walk.n).reduce((a, b) => a + b, 0);
        assertAlmostEquals(sum, 1, 1e-5, `row ${i}, seed ${seed}`);
      }
      walk.release();
    }
  });
});

Deno.test("WalkDevice.walk() takes queries and keys that lie in GPU buffers", async () => {
  const seed = newSeed();
  await withDevice({ precision: "f32" }, async (device) => {
    const { pool, device: gpu } = device.gpu;
    const layer = randomLayer(8, 2, 6, seed);
    const buffers = [layer.queries, layer.keys].map((data) => {
      const array = data as Float32Array<ArrayBuffer>;
      const buffer = pool.acquire("block", array.byteLength, "test");
      gpu.queue.writeBuffer(buffer, 0, array);
      return buffer;
    });
    const bytesUp = device.counters.bytesUp;
    const walk = await device.walk([{ ...layer, queries: buffers[0]!, keys: buffers[1]! }], 8, WEIGHTS);
    // Only the eight key shares went up.
    assertEquals(device.counters.bytesUp - bytesUp, 8 * 4);
    const error = worst(await walk.dense(), aggregateWalk([layer], 8, WEIGHTS), seed);
    assert(error < 1e-5, `error ${error}, seed ${seed}`);
    walk.release();
    buffers.forEach((buffer) => pool.release(buffer));
  });
});

Deno.test("WalkDevice.walk() stays exact where logits are far apart", async () => {
  const seed = newSeed();
  await withDevice({ precision: "f32" }, async (device) => {
    const layer = { ...randomLayer(8, 1, 8, seed), scale: 60 };
    const walk = await device.walk([layer], 8, WEIGHTS);
    const error = worst(await walk.dense(), aggregateWalk([layer], 8, WEIGHTS), seed);
    // exp amplifies the rounding of logits in the hundreds
    assert(error < 1e-3, `error ${error}, seed ${seed}`);
    walk.release();
  });
});

Deno.test("levelsOf() sorts and renormalises, and refuses what has no weight", () => {
  const levels = levelsOf(
    [randomLayer(4, 1, 1, 1), randomLayer(8, 1, 1, 2), randomLayer(4, 1, 1, 3)],
    WEIGHTS,
  );
  assertEquals(levels.map((level) => [level.resolution, level.layers.length]), [[8, 1], [4, 2]]);
  assertAlmostEquals(levels[0]!.weight, 8 / 12);
  assertThrows(() => levelsOf([], WEIGHTS), WalkcutError, "no attention layers");
  assertThrows(() => levelsOf([randomLayer(5, 1, 1, 1)], WEIGHTS), WalkcutError, "5×5");
});

Deno.test("axisShares() of a coarse axis sum to the grid", () => {
  for (const [r, grid] of [[8, 64], [5, 16], [16, 16], [1, 4]] as const) {
    assertAlmostEquals(axisShares(r, grid).reduce((a, b) => a + b), grid, 1e-4);
  }
  assertEquals([...axisShares(8, 4)], Array(8).fill(1));
});

Deno.test("Walk.products() applies words of P and Pᵀ to blocks of any width, with one readback", async () => {
  const seed = newSeed();
  for (const n of [2, 64, 131]) {
    const matrix = randomStochastic(n, seed + n);
    const list = [
      { columns: 1, word: "n" },
      { columns: 3, word: "tn" },
      { columns: 4, word: "t" },
      { columns: 5, word: "ttnn" },
      { columns: 33, word: "nt" },
      { columns: 2, word: "" },
    ].map((product, i) => ({ ...product, block: gaussian(n * product.columns, seed + i) }));
    // one band, and three for n = 131
    for (const maxBand of [1 << 27, 64 * 192 * 4]) {
      await withDevice({ precision: "f32", maxBand }, async (device) => {
        const walk = await device.fromDense(matrix, n);
        assertEquals(walk.matrix.bands.length, maxBand === 1 << 27 ? 1 : Math.ceil(n / 64));
        assertEquals(worst(await walk.dense(), matrix, seed), 0);
        const before = { ...device.counters };
        const results = await walk.products(list);
        assertEquals(device.counters.readbacks - before.readbacks, 1);
        assertEquals(device.counters.submissions - before.submissions, 1);
        results.forEach((result, i) => {
          const error = worst(result, applyWord(matrix, n, list[i]!), seed);
          assert(error < 2e-6, `error ${error} of product ${i}, n ${n}, seed ${seed}`);
        });
        assertEquals(await walk.products([]), []);
        walk.release();
      });
    }
  }
});

Deno.test("Walk.products() refuses a block of the wrong size and an unknown operator", async () => {
  await withDevice({}, async (device) => {
    const walk = await device.fromDense(randomStochastic(4, 1), 4);
    await assertRejects(
      () => walk.products([{ block: new Float32Array(5), columns: 1, word: "n" }]),
      RangeError,
    );
    await assertRejects(() => device.fromDense(new Float32Array(5), 2), WalkcutError, "4 numbers: 5");
    walk.release();
  });
});

Deno.test("Walk.power() equals repeated products for k = 1 … 8", async () => {
  const seed = newSeed();
  const n = 100;
  const matrix = randomStochastic(n, seed);
  for (const maxBand of [1 << 27, 64 * 128 * 4]) {
    await withDevice({ precision: "f32", maxBand }, async (device) => {
      const walk = await device.fromDense(matrix, n);
      let expected = matrix;
      for (let k = 1; k <= 8; k++) {
        if (k > 1) expected = applyWord(matrix, n, { block: expected, columns: n, word: "n" });
        const power = await walk.power(k);
        const error = worst(await power.dense(), expected, seed);
        assert(error < 1e-5, `error ${error} of power ${k}, seed ${seed}`);
        power.release();
      }
      await assertRejects(() => walk.power(0), RangeError, "whole number >= 1");
      walk.release();
    });
  }
});

Deno.test("a walk stored as f16 keeps its products to f16's precision", async () => {
  const seed = newSeed();
  const n = 96;
  const matrix = randomStochastic(n, seed);
  await withDevice({ precision: "f16" }, async (device) => {
    const walk = await device.fromDense(matrix, n);
    assertEquals(walk.matrix.precision, "f16");
    assert(worst(await walk.dense(), matrix, seed) < 5e-4, `seed ${seed}`);
    for (const [columns, word] of [[2, "nt"], [40, "tn"]] as const) {
      const product = { block: gaussian(n * columns, seed), columns, word };
      const [result] = await walk.products([product]);
      const error = worst(result!, applyWord(matrix, n, product), seed);
      assert(error < 1e-3, `error ${error}, seed ${seed}`);
    }
    const power = await walk.power(3);
    const cube = applyWord(matrix, n, { block: matrix, columns: n, word: "nn" });
    assert(worst(await power.dense(), cube, seed) < 2e-3, `seed ${seed}`);
    power.release();
    const layers = [randomLayer(8, 1, 5, seed), randomLayer(4, 1, 5, seed + 2)];
    const attention = await device.walk(layers, 8, WEIGHTS);
    assert(worst(await attention.dense(), aggregateWalk(layers, 8, WEIGHTS), seed) < 5e-4, `seed ${seed}`);
    attention.release();
    walk.release();
  });
});

Deno.test("release() hands buffers on to the next walk", async () => {
  await withDevice({ precision: "f32" }, async (device) => {
    const matrix = randomStochastic(8, 1);
    const first = await device.fromDense(matrix, 8);
    const { buffer } = first.matrix.bands[0]!;
    first.release();
    first.release();
    const second = await device.fromDense(matrix, 8);
    assert(second.matrix.bands[0]!.buffer === buffer);
    second.release();
  });
});

Deno.test("an uncaptured error of the device is thrown by the next call", async () => {
  const gpu = await gpuOrFail();
  try {
    const pipeline = gpu.pipeline({ label: "broken", code: "fn main( {", entryPoint: "main" });
    const recorder = new Recorder(gpu, "broken");
    const buffer = recorder.temporary(16, "broken");
    await assertRejects(async () => {
      recorder.dispatch(pipeline, { 0: buffer }, [1]);
      recorder.read(buffer, 0, 16);
      await recorder.finish();
    }, DeviceError);
    assertThrows(() => gpu.check(), DeviceError, "The WebGPU device reports an error");
    assertThrows(() => new Recorder(gpu, "after"), DeviceError);
  } finally {
    gpu.close();
  }
});

Deno.test("a lost device is told in one line, a closed one too", async () => {
  const gpu = await gpuOrFail();
  gpu.device.destroy();
  await gpu.device.lost;
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertThrows(() => gpu.check(), DeviceError, "The WebGPU device was lost");
  gpu.close();
  assertThrows(() => gpu.check(), DeviceError, "closed");
});

Deno.test("chooseGpu() opens no device on a software adapter that was not asked for", async () => {
  const adapter = await navigator.gpu.requestAdapter();
  assert(adapter, "no WebGPU adapter: install mesa-vulkan-drivers");
  const { requestDevice } = GPUAdapter.prototype;
  let opened = 0;
  GPUAdapter.prototype.requestDevice = function (descriptor) {
    opened++;
    return requestDevice.call(this, descriptor);
  };
  try {
    const hardware = Number(!adapter.info.isFallbackAdapter);
    const gpu = await chooseGpu("auto");
    assertEquals([opened, Number(gpu !== undefined)], [hardware, hardware]);
    gpu?.close();
    const asked = await chooseGpu("webgpu");
    assertEquals(opened, hardware + 1);
    asked!.close();
  } finally {
    GPUAdapter.prototype.requestDevice = requestDevice;
  }
});
