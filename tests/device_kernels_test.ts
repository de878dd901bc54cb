import { assert, assertAlmostEquals, assertEquals, assertLessOrEqual } from "@std/assert";
import { allowedPositions, ascending, sweepFactor } from "../lib/cut/sweep.ts";
import { levelKernels } from "../lib/cut/webgpu/kernels.ts";
import { CUT_WORDS } from "../lib/cut/webgpu/layout.ts";
import { bindingsOf } from "../lib/cut/webgpu/level_buffers.ts";
import { uniform } from "../lib/random.ts";
import { type Gpu, openGpu } from "../lib/walk/webgpu/device.ts";
import { Recorder } from "../lib/walk/webgpu/recorder.ts";
import { createWebGpuWalkDevice } from "../lib/walk/webgpu/walk_device.ts";

const TILE = 64;

/** A fresh seed a run; failures name it. */
function newSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]! >>> 1;
}

async function withGpu(body: (gpu: Gpu) => Promise<void>): Promise<void> {
  const gpu = await openGpu();
  assert(gpu, "no WebGPU adapter: install mesa-vulkan-drivers");
  try {
    await body(gpu);
    assertEquals(gpu.pool.inUse, 0, "buffers still in use");
  } finally {
    gpu.close();
  }
}

/** Values of which some are equal, none so near to a threshold that rounding decides on its side. */
function sweptValues(count: number, thresholds: number, next: () => number): Float32Array<ArrayBuffer> {
  const values = Float32Array.from({ length: count }, () => Math.round(2000 * next() ** 3) / 1000 - 0.3);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return values.map((value) => {
    const place = (value - low) / (high - low) * (thresholds + 1);
    const near = thresholds > 0 && Math.abs(place - Math.round(place)) < 1e-3;
    return near && value > low && value < high ? value + 4e-3 * (high - low) / (thresholds + 1) : value;
  });
}

Deno.test("cut_sweep tries all thresholds or those of a number of evenly spaced ones, as sweepFactor() does", async () => {
  const seed = newSeed();
  const next = uniform(seed);
  const rank = 37;
  const stride = 64;
  const sizes = [150, 2, 64, 65];
  const n = sizes.reduce((a, b) => a + b);
  const sweep = levelKernels(false).find(({ source }) => source.label === "cut sweep")!;
  await withGpu(async (gpu) => {
    for (const [thresholds, minPart] of [[0, 1], [1, 1], [2, 5], [7, 1], [100, 1], [5000, 20]] as const) {
      const rows = new Float32Array(n * stride);
      for (let i = 0; i < n; i++) for (let a = 0; a < rank; a++) rows[i * stride + a] = next() ** 2;
      const values = new Float32Array(2 * n);
      const sorted = new Uint32Array(2 * n);
      const [segments, tiles]: [number[], number[]] = [[], []];
      let begin = 0;
      sizes.forEach((size, s) => {
        segments.push(begin, size, tiles.length / 4, Math.ceil(size / TILE), 0, 0, 0, 0);
        for (let at = 0; at < size; at += TILE) tiles.push(s, begin + at, Math.min(TILE, size - at), 0);
        for (const base of [0, n]) {
          const own = sweptValues(size, thresholds, next);
          values.set(own, base + begin);
          sorted.set(ascending(own).map((i) => begin + i), base + begin);
        }
        begin += size;
      });
      const count = tiles.length / 4;
      const sums = new Float32Array(2 * count * stride);
      for (let candidate = 0; candidate < 2; candidate++) {
        for (let t = 0; t < count; t++) {
          for (let i = 0; i < tiles[t * 4 + 2]!; i++) {
            const node = sorted[candidate * n + tiles[t * 4 + 1]! + i]!;
            const to = (candidate * count + t) * stride;
            for (let a = 0; a < rank; a++) sums[to + a]! += rows[node * stride + a]!;
          }
        }
      }
      const recorder = new Recorder(gpu, "test of the sweep");
      const give = (data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>, label: string) => {
        const buffer = recorder.temporary(data.byteLength, label);
        recorder.upload(buffer, data);
        return buffer;
      };
      const cuts = recorder.temporary(2 * count * CUT_WORDS * 4, "cuts");
      // The fields of `Level`, of which the sweep reads n, rank, stride, minPart and thresholds.
      const fields = [n, rank, stride, 0, 0, minPart, 0, 0, 0, 0, 0, 0, 0, 0, thresholds, 0, 2, 0];
      const level = recorder.uniform(fields);
      const buffers = {
        rows: give(rows, "rows"),
        segments: give(Uint32Array.from(segments), "segments"),
        tiles: give(Uint32Array.from(tiles), "tiles"),
        values: give(values, "values"),
        sorted: give(sorted, "sorted"),
        sortedSums: give(sums, "sums"),
        cuts,
      };
      recorder.dispatch(gpu.pipeline(sweep.source), bindingsOf(sweep, level, buffers), [count, 2]);
      recorder.read(cuts, 0, 2 * count * CUT_WORDS * 4);
      const { data } = await recorder.finish();
      const [ncuts, positions] = [new Float32Array(data[0]!), new Uint32Array(data[0]!)];
      let from = 0;
      sizes.forEach((size, s) => {
        for (let candidate = 0; candidate < 2; candidate++) {
          const message = `${thresholds} thresholds, segment ${s}, candidate ${candidate}, seed ${seed}`;
          const own = values.subarray(candidate * n + from, candidate * n + from + size);
          const order = ascending(own);
          const compact = new Float32Array(size * rank);
          for (let i = 0; i < size; i++) {
            compact.set(rows.subarray((from + i) * stride, (from + i) * stride + rank), i * rank);
          }
          const whole = Float64Array.from({ length: rank }, (_, a) => {
            let sum = 0;
            for (let i = 0; i < size; i++) sum += compact[i * rank + a]!;
            return sum;
          });
          const degrees = Float64Array.from(
            { length: size },
            (_, i) => whole.reduce((sum, w, a) => sum + w * compact[i * rank + a]!, 0),
          );
          const allowed = allowedPositions(own, order, minPart, thresholds || undefined);
          const all = Uint32Array.from({ length: size }, (_, i) => i);
          const expected = sweepFactor(compact, rank, all, degrees, order, allowed);
          let [ncut, position] = [1e30, 0];
          for (let t = segments[s * 8 + 2]!; t < segments[s * 8 + 2]! + segments[s * 8 + 3]!; t++) {
            const at = (candidate * count + t) * CUT_WORDS;
            if (ncuts[at]! < ncut) [ncut, position] = [ncuts[at]!, positions[at + 1]!];
          }
          if (Number.isNaN(expected.ncut)) assertEquals(position, 0, message);
          else {
            assertAlmostEquals(ncut, expected.ncut, 2e-6, message);
            // Another position may be as good but for rounding; it must be one that may be cut.
            assertEquals(allowed[position], 1, message);
          }
        }
        from += size;
      });
    }
  });
});

Deno.test("rowSquares() are the squared lengths of the walk's rows, in f32, f16 and bands", async () => {
  const seed = newSeed();
  const next = uniform(seed);
  const n = 333;
  const matrix = Float32Array.from({ length: n * n }, () => next() ** 6 / n);
  for (
    const [options, error] of [
      [{ precision: "f32" }, 2e-6],
      [{ precision: "f16" }, 1e-3],
      [{ precision: "f32", maxBand: 128 * 384 * 4 }, 2e-6],
    ] as const
  ) {
    const device = await createWebGpuWalkDevice((await openGpu())!, options);
    const walk = await device.fromDense(matrix, n);
    const squares = await walk.rowSquares();
    walk.release();
    assertEquals(squares.length, n);
    squares.forEach((found, i) => {
      let sum = 0;
      for (const value of matrix.subarray(i * n, (i + 1) * n)) sum += value * value;
      assertLessOrEqual(
        Math.abs(found / sum - 1),
        error,
        `row ${i}, ${JSON.stringify(options)}, seed ${seed}`,
      );
    });
    assertEquals(device.gpu.pool.inUse, 0);
    await device.close();
  }
});
