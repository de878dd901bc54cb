import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { neighbourOffsets, pamr, pamrStep, pamrWeights } from "../lib/cut/pamr.ts";
import { pamrOnDevice } from "../lib/cut/webgpu/pamr.ts";
import { uniform } from "../lib/random.ts";
import { openGpu } from "../lib/walk/webgpu/device.ts";

Deno.test("pamrWeights() equals its definition and sums to 1", () => {
  const seed = Math.floor(Math.random() * 1e9);
  const random = uniform(seed);
  const [width, height, dilations] = [7, 5, [1, 3]] as const;
  const rgb = Array.from({ length: width * height * 3 }, () => Math.floor(256 * random()));
  const weights = pamrWeights(rgb, width, height, dilations);
  const offsets = neighbourOffsets(dilations);
  const at = (x: number, y: number, c: number) =>
    rgb[3 * (Math.min(height - 1, Math.max(0, y)) * width + Math.min(width - 1, Math.max(0, x))) + c]!;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const logits = offsets.map(() => 0);
      for (let c = 0; c < 3; c++) {
        const window = [
          ...dilations.map(() => at(x, y, c)),
          ...offsets.map(([dx, dy]) => at(x + dx, y + dy, c)),
        ];
        const mean = window.reduce((a, b) => a + b) / window.length;
        const sd = Math.sqrt(window.reduce((a, v) => a + (v - mean) ** 2, 0) / (window.length - 1));
        offsets.forEach(([dx, dy], q) =>
          logits[q]! -= Math.abs(at(x, y, c) - at(x + dx, y + dy, c)) / (1e-8 + 0.1 * sd) / 3
        );
      }
      const most = Math.max(...logits);
      const exps = logits.map((v) => Math.exp(v - most));
      const sum = exps.reduce((a, b) => a + b);
      exps.forEach((e, q) =>
        assertAlmostEquals(weights[q * width * height + y * width + x]!, e / sum, 1e-4, `seed ${seed}`)
      );
    }
  }
  const ones = pamrStep(new Float32Array(width * height).fill(1), weights, width, height, dilations);
  for (const value of ones) assertAlmostEquals(value, 1, 1e-5);
});

Deno.test("pamr() moves a border to the picture's edge, at full and at reduced size", () => {
  const [width, height] = [96, 64];
  const data = new Uint8Array(width * height * 3);
  const [truth, rough] = [new Uint16Array(width * height), new Uint16Array(width * height)];
  for (let p = 0; p < truth.length; p++) {
    const x = p % width;
    data.fill(x < 40 ? 60 : 180, 3 * p, 3 * p + 3);
    truth[p] = x < 40 ? 4 : 7;
    // Off by up to 3 px, in steps.
    rough[p] = x < 40 + (Math.floor(p / width / 8) % 2 === 0 ? 3 : -3) ? 4 : 7;
  }
  const wrong = (labels: Uint16Array) =>
    labels.reduce((sum, label, p) => sum + Number(label !== truth[p]), 0);
  const full = pamr({ width, height, data }, rough);
  assert(wrong(full) <= 0.1 * wrong(rough), `${wrong(full)} of ${wrong(rough)}`);
  const reduced = pamr({ width, height, data }, rough, { maxPixels: 2000 });
  assert(wrong(reduced) <= 0.5 * wrong(rough), `${wrong(reduced)} of ${wrong(rough)}`);
  assertEquals(new Set(reduced), new Set([4, 7]));
});

Deno.test("pamrOnDevice() equals pamr(), with more masks than a chunk holds, at full and at reduced size", async () => {
  const seed = Math.floor(Math.random() * 1e9);
  const random = uniform(seed);
  const gpu = await openGpu();
  assert(gpu, "no WebGPU adapter: install mesa-vulkan-drivers");
  try {
    const [width, height] = [101, 67];
    // Patches of a few colours with some noise, and labels that do not quite follow them.
    const side = 12;
    const shades = Array.from({ length: 81 }, () => [0, 1, 2].map(() => 256 * random()));
    const patch = (x: number, y: number) =>
      Math.floor(y / side) * Math.ceil(width / side) + Math.floor(x / side);
    const data = new Uint8Array(width * height * 3);
    const labels = new Uint16Array(width * height);
    for (let p = 0; p < labels.length; p++) {
      const [x, y] = [p % width, Math.floor(p / width)];
      shades[patch(x, y)]!.forEach((shade, c) => data[3 * p + c] = Math.min(255, shade + 8 * random()));
      labels[p] = 1000 + 37 * patch(Math.min(width - 1, x + Math.floor(3 * random())), y);
    }
    const frame = { width, height, data };
    for (const options of [{}, { maxPixels: 1500 }, { iterations: 3, dilations: [1, 5] }]) {
      const expected = pamr(frame, labels, options);
      const found = await pamrOnDevice(gpu, frame, labels, options);
      assert(new Set(expected).size > 16, `seed ${seed}`);
      // Sums of f32 in another order: a pixel between two masks may go either way.
      const other = found.reduce((sum, label, p) => sum + Number(label !== expected[p]), 0);
      assert(
        other <= 0.002 * labels.length,
        `seed ${seed}, ${JSON.stringify(options)}: ${other} pixels differ`,
      );
      const changed = expected.reduce((sum, label, p) => sum + Number(label !== labels[p]), 0);
      assert(changed > 0.02 * labels.length, `seed ${seed}: ${changed} pixels changed`);
    }
    assertEquals(gpu.pool.inUse, 0);
  } finally {
    gpu.close();
  }
});
