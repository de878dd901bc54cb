import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { UsageError, WalkcutError } from "../lib/errors.ts";
import { levelWeightsOf, parseManifest } from "../lib/features/manifest.ts";
import type { AttentionLayer, TensorData } from "../lib/features/network.ts";
import { float, GraphBuilder, int } from "../lib/features/onnx.ts";
import { SquareScaler } from "../lib/features/preprocess.ts";
import { loadRuntime } from "../lib/features/runtime.ts";
import { openNetwork } from "../lib/features/session.ts";
import { uniform } from "../lib/random.ts";
import type { Frame } from "../lib/source/frame.ts";
import { HEAD_DIM, RECIPE } from "../models/build.ts";

const MANIFEST = new URL("../models/embedded.json", import.meta.url);

function freshSeed(): number {
  return Math.floor(Math.random() * 2 ** 31);
}

/** Flat and striped patches in random colours: something for every channel of the features. */
function picture(width: number, height: number, seed: number): Frame {
  const next = uniform(seed);
  const patches = Array.from({ length: 12 }, () => ({
    x: next() * width,
    y: next() * height,
    colour: [next() * 200 + 20, next() * 200 + 20, next() * 200 + 20],
    wave: [next() - 0.5, next() - 0.5],
    depth: 60 * next() ** 2,
  }));
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const near = patches.reduce((a, b) =>
        Math.hypot(a.x - x, a.y - y) < Math.hypot(b.x - x, b.y - y) ? a : b
      );
      const stripe = near.depth * Math.sin(3 * (near.wave[0]! * x + near.wave[1]! * y)) + 6 * (next() - 0.5);
      for (let c = 0; c < 3; c++) {
        data[(y * width + x) * 3 + c] = Math.max(0, Math.min(255, near.colour[c]! + stripe));
      }
    }
  }
  return { index: 0, pts: 0, width, height, data };
}

// --- Scaling --------------------------------------------------------------------------------

/** Mean of a picture's channel over a box, by its definition. */
function boxMean(frame: Frame, c: number, size: number, x: number, y: number): number {
  const axis = (length: number, o: number) => {
    const half = Math.max(1, length / size) / 2;
    const centre = (o + 0.5) * length / size;
    const shares = Array.from(
      { length },
      (_, i) => Math.max(0, Math.min(centre + half, i + 1) - Math.max(centre - half, i)),
    );
    const total = shares.reduce((a, b) => a + b, 0);
    return shares.map((share) => share / total);
  };
  const [wx, wy] = [axis(frame.width, x), axis(frame.height, y)];
  let sum = 0;
  for (let j = 0; j < frame.height; j++) {
    if (wy[j]! === 0) continue;
    for (let i = 0; i < frame.width; i++) {
      sum += wy[j]! * wx[i]! * frame.data[(j * frame.width + i) * 3 + c]!;
    }
  }
  return sum;
}

for (
  const [width, height, size] of [[97, 61, 32], [40, 200, 64], [5, 3, 16], [64, 64, 64], [1, 1, 8]] as const
) {
  Deno.test(`SquareScaler scales ${width}x${height} to ${size} by area`, () => {
    const seed = freshSeed();
    const next = uniform(seed);
    const data = Uint8Array.from({ length: width * height * 3 }, () => Math.floor(256 * next()));
    const frame = { index: 0, pts: 0, width, height, data };
    const scaler = new SquareScaler(size, -1, 1);
    scaler.scale(picture(13, 17, seed)); // another size before must leave no trace
    const out = scaler.scale(frame);
    for (let trial = 0; trial < 100; trial++) {
      const [c, x, y] = [Math.floor(3 * next()), Math.floor(size * next()), Math.floor(size * next())];
      const expected = boxMean(frame, c, size, x, y) / 127.5 - 1;
      const found = out[(c * size + y) * size + x]!;
      assert(Math.abs(found - expected) < 1e-5, `seed ${seed}, ${c} ${x} ${y}: ${found} for ${expected}`);
    }
  });
}

// --- The network against its recipe, in float64 ----------------------------------------------

type Map2 = { readonly side: number; readonly at: Float64Array };

function poolMap({ side, at }: Map2, by: number): Map2 {
  const small = side / by;
  const out = new Float64Array(small * small);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const o = Math.floor(y / by) * small + Math.floor(x / by);
      out[o] = out[o]! + at[y * side + x]! / by ** 2;
    }
  }
  return { side: small, at: out };
}

function extreme({ side, at }: Map2, pick: (...values: number[]) => number): Map2 {
  const out = at.map((_, i) => {
    const [x, y] = [i % side, Math.floor(i / side)];
    const values: number[] = [];
    for (let j = Math.max(0, y - 1); j <= Math.min(side - 1, y + 1); j++) {
      for (let k = Math.max(0, x - 1); k <= Math.min(side - 1, x + 1); k++) values.push(at[j * side + k]!);
    }
    return pick(...values);
  });
  return { side, at: out };
}

function blurMap({ side, at }: Map2, sigma: number): Map2 {
  const radius = Math.ceil(3 * sigma);
  const out = at.map((_, i) => {
    const [x, y] = [i % side, Math.floor(i / side)];
    let [sum, total] = [0, 0];
    for (let j = Math.max(0, y - radius); j <= Math.min(side - 1, y + radius); j++) {
      for (let k = Math.max(0, x - radius); k <= Math.min(side - 1, x + radius); k++) {
        const weight = Math.exp(-((j - y) ** 2 + (k - x) ** 2) / (2 * sigma ** 2));
        sum += weight * at[j * side + k]!;
        total += weight;
      }
    }
    return sum / total;
  });
  return { side, at: out };
}

/** CIE Lab of coded sRGB, from the definitions. */
function labOf(rgb: readonly number[]): number[] {
  const [r, g, b] = rgb.map((v) => v > 0.04045 ? ((v + 0.055) / 1.055) ** 2.4 : v / 12.92) as [
    number,
    number,
    number,
  ];
  const f = (t: number) => t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116;
  const x = f((0.412453 * r + 0.357580 * g + 0.180423 * b) / 0.95047);
  const y = f(0.212671 * r + 0.715160 * g + 0.072169 * b);
  const z = f((0.019334 * r + 0.119193 * g + 0.950227 * b) / 1.08883);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

/** Mean over orientations of a Gabor filter's magnitude about the centres of a 128² grid. */
function gabor(map: Map2, orientation: number): Map2 {
  const { side, at } = map;
  const stride = side / 128;
  const taps = stride === 1 ? 13 : 12;
  const angle = Math.PI * orientation / RECIPE.orientations;
  const mirror = (i: number) => i < 0 ? -i : i < side ? i : 2 * (side - 1) - i;
  const shifts = Array.from({ length: taps }, (_, t) => t - (taps - 1) / 2);
  const cells = shifts.flatMap((dy) =>
    shifts.map((dx) => {
      const envelope = Math.exp(-(dx * dx + dy * dy) / (2 * RECIPE.sigma ** 2));
      const phase = 2 * Math.PI / RECIPE.wavelength * (dx * Math.cos(angle) + dy * Math.sin(angle));
      return { dx, dy, envelope, re: Math.cos(phase), im: Math.sin(phase) };
    })
  );
  const total = cells.reduce((sum, cell) => sum + cell.envelope, 0);
  const dcRe = cells.reduce((sum, cell) => sum + cell.envelope * cell.re, 0) / total;
  const dcIm = cells.reduce((sum, cell) => sum + cell.envelope * cell.im, 0) / total;
  const out = new Float64Array(128 * 128);
  for (let o = 0; o < out.length; o++) {
    const cx = (o % 128 + 0.5) * stride - 0.5;
    const cy = (Math.floor(o / 128) + 0.5) * stride - 0.5;
    let [re, im] = [0, 0];
    for (const cell of cells) {
      const value = at[mirror(cy + cell.dy) * side + mirror(cx + cell.dx)]! * cell.envelope / total;
      re += value * (cell.re - dcRe);
      im += value * (cell.im - dcIm);
    }
    out[o] = Math.hypot(re, im);
  }
  return { side: 128, at: out };
}

function standard(maps: readonly Map2[], floor: number): Map2[] {
  const centred = maps.map(({ side, at }) => {
    const mean = at.reduce((a, b) => a + b, 0) / at.length;
    return { side, at: at.map((v) => v - mean) };
  });
  const power = centred.reduce((sum, { at }) => sum + at.reduce((a, b) => a + b * b, 0) / at.length, 0) /
    maps.length;
  return centred.map(({ side, at }) => ({ side, at: at.map((v) => v / Math.sqrt(power + floor ** 2)) }));
}

/** The six appearance channels on 64² cells. */
function referenceFeatures(frame: Frame): Map2[] {
  const side = RECIPE.input;
  const planar = new SquareScaler(side).scale(frame);
  const channels = [0, 1, 2].map((c): Map2 => ({
    side,
    at: Float64Array.from(planar.subarray(c * side * side, (c + 1) * side * side)),
  }));
  const small = channels.map((map) => poolMap(map, side / 128));
  const lab = [0, 1, 2].map((): Map2 => ({ side: 128, at: new Float64Array(128 * 128) }));
  for (let i = 0; i < 128 * 128; i++) {
    labOf(small.map(({ at }) => at[i]!)).forEach((v, c) =>
      lab[c]!.at[i] = c === 0 ? v * RECIPE.lightness : v
    );
  }
  const colour = standard(lab.map((map) => blurMap(poolMap(map, 2), RECIPE.colourBlur)), RECIPE.colourFloor);
  const luma: Map2 = {
    side,
    at: channels[0]!.at.map((r, i) =>
      21.2671 * r + 71.5160 * channels[1]!.at[i]! + 7.2169 * channels[2]!.at[i]!
    ),
  };
  const bands = [1, 2, 4].map((by) => {
    const scaled = poolMap(luma, by);
    const sum = new Float64Array(64 * 64);
    for (let o = 0; o < RECIPE.orientations; o++) {
      const opened = extreme(extreme(poolMap(gabor(scaled, o), 2), Math.min), Math.max);
      blurMap(opened, RECIPE.textureBlur).at.forEach((v, i) => sum[i] = sum[i]! + v / RECIPE.orientations);
    }
    return { side: 64, at: sum.map((v) => Math.log1p(v)) };
  });
  const texture = standard(bands, RECIPE.textureFloor)
    .map(({ side, at }, band) => ({ side, at: at.map((v) => v * RECIPE.texture[band]!) }));
  return [...colour, ...texture];
}

function arrayOf(data: TensorData): Float32Array {
  assert(data instanceof Float32Array);
  return data;
}

for (const grid of RECIPE.grids) {
  Deno.test(`openNetwork() gives the recipe's features at grid ${grid}, as a float64 reference has them`, async () => {
    const seed = freshSeed();
    const frame = picture(300, 200, seed);
    const network = await openNetwork(MANIFEST, { device: "cpu" }, { grid });
    try {
      const { layers, unetEvals } = await network.evaluate(frame);
      assertEquals(unetEvals, 1);
      assertEquals(layers.map((layer) => layer.resolution), RECIPE.levels.filter((r) => r <= grid));
      const reference = referenceFeatures(frame);
      for (const { resolution, heads, headDim, queries, keys } of layers) {
        assertEquals([heads, headDim], [1, HEAD_DIM]);
        const [q, k] = [arrayOf(queries), arrayOf(keys)];
        assertEquals([q.length, k.length], [resolution ** 2 * HEAD_DIM, resolution ** 2 * HEAD_DIM]);
        const pooled = reference.map((map) => poolMap(map, 64 / resolution));
        for (let i = 0; i < resolution ** 2; i++) {
          const f = pooled.map(({ at }) => at[i]! / RECIPE.bandwidth[grid]![resolution]!);
          f.push((i % resolution + 0.5) / resolution / RECIPE.reach[resolution]!);
          f.push((Math.floor(i / resolution) + 0.5) / resolution / RECIPE.reach[resolution]!);
          const norm = f.reduce((a, b) => a + b * b, 0);
          const expected = { q: [...f, 1, 0, 0, 0], k: [...f, -norm / 2, 0, 0, 0] };
          for (let c = 0; c < HEAD_DIM; c++) {
            for (const [name, found] of [["q", q], ["k", k]] as const) {
              const [want, got] = [expected[name][c]!, found[i * HEAD_DIM + c]!];
              assert(
                Math.abs(want - got) < 2e-3 * Math.max(1, Math.abs(want)),
                `seed ${seed}, ${name}${resolution}[${i}, ${c}]: ${got} for ${want}`,
              );
            }
          }
        }
      }
    } finally {
      await network.close();
    }
  });
}

// --- CPU against WebGPU ----------------------------------------------------------------------

async function readBack(gpu: GPUDevice, data: TensorData, length: number): Promise<Float32Array> {
  assert(!(data instanceof Float32Array), "queries and keys stay on the device");
  const staging = gpu.createBuffer({
    size: length * 4,
    usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
  });
  const encoder = gpu.createCommandEncoder();
  encoder.copyBufferToBuffer(data, 0, staging, 0, length * 4);
  gpu.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const out = new Float32Array(staging.getMappedRange().slice(0));
  staging.destroy();
  return out;
}

Deno.test("openNetwork() gives on WebGPU what it gives on the CPU, frame after frame", async () => {
  const seed = freshSeed();
  const adapter = await navigator.gpu.requestAdapter();
  assert(adapter, "there is no WebGPU adapter; `walkcut doctor --fix --with-gpu` installs one");
  const limits: Record<string, number> = {};
  for (
    const name of ["maxStorageBufferBindingSize", "maxBufferSize", "maxStorageBuffersPerShaderStage"] as const
  ) {
    limits[name] = adapter.limits[name];
  }
  const gpu = await adapter.requestDevice({ requiredLimits: limits });
  const onCpu = await openNetwork(MANIFEST, { device: "cpu" }, { grid: 64 });
  const onGpu = await openNetwork(MANIFEST, { device: "webgpu", gpu }, { grid: 64 });
  try {
    for (let frame = 0; frame < 2; frame++) {
      const shot = picture(160, 90, seed + frame);
      const expected = (await onCpu.evaluate(shot)).layers;
      const found = (await onGpu.evaluate(shot)).layers;
      for (const [l, layer] of found.entries()) {
        const length = layer.resolution ** 2 * layer.headDim;
        for (const part of ["queries", "keys"] as const) {
          const want = arrayOf((expected[l] as AttentionLayer)[part]);
          const got = await readBack(gpu, layer[part], length);
          want.forEach((value, i) =>
            assert(
              Math.abs(value - got[i]!) < 1e-3 * Math.max(1, Math.abs(value)),
              `seed ${seed}, frame ${frame}, ${part}${layer.resolution}[${i}]: ${got[i]} for ${value}`,
            )
          );
        }
      }
    }
  } finally {
    await onCpu.close();
    await onGpu.close();
    gpu.destroy();
  }
});

// --- Manifest, levels, failures --------------------------------------------------------------

Deno.test("openNetwork() gives only the levels that are asked for, with weights that sum to 1", async () => {
  const network = await openNetwork(MANIFEST, { device: "cpu" }, { grid: 32, levels: [32, 8] });
  try {
    const { layers } = await network.evaluate(picture(40, 30, 1));
    assertEquals(layers.map((layer) => layer.resolution), [32, 8]);
    assertEquals([...network.levelWeights.keys()], [32, 8]);
    const sum = [...network.levelWeights.values()].reduce((a, b) => a + b, 0);
    assert(Math.abs(sum - 1) < 1e-12);
  } finally {
    await network.close();
  }
});

Deno.test("openNetwork() says what is wrong with a network", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const good = JSON.parse(await Deno.readTextFile(MANIFEST));
    const write = async (manifest: unknown, name = "m.json") => {
      const path = `${folder}/${name}`;
      await Deno.writeTextFile(path, typeof manifest === "string" ? manifest : JSON.stringify(manifest));
      return new URL(`file://${path}`);
    };
    const open = (url: URL, grid = 32) => openNetwork(url, { device: "cpu" }, { grid });
    await assertRejects(() => open(new URL(`file://${folder}/none.json`)), UsageError, "missing");
    await assertRejects(async () => open(await write("not json")), UsageError, "no JSON");
    await assertRejects(async () => open(await write({ ...good, format: "x" })), UsageError, "format");
    await assertRejects(async () => open(await write(good), 48), UsageError, "no graph for this grid");
    await assertRejects(async () => open(await write(good)), UsageError, "embedded.onnx");
    await Deno.writeFile(`${folder}/embedded.onnx`, new Uint8Array(10));
    await assertRejects(async () => open(await write(good)), WalkcutError, "hash");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("parseManifest() refuses what is incomplete", async () => {
  const good = JSON.parse(await Deno.readTextFile(MANIFEST));
  assertEquals(parseManifest(JSON.stringify(good), "here"), good);
  for (
    const [bad, said] of [
      [{ name: 3 }, "name"],
      [{ input: { ...good.input, range: [0] } }, "input"],
      [{ graphs: { 32: { file: "x", sha256: "y" } } }, "graphs"],
      [{ layers: [] }, "layers"],
      [{ layers: [{ ...good.layers[0], headDim: 0 }] }, "layers"],
      [{ levelWeights: { 32: { 32: -1 } } }, "level weights"],
      [{ walkSteps: 0 }, "walkSteps"],
    ] as const
  ) {
    assertThrows(() => parseManifest(JSON.stringify({ ...good, ...bad }), "here"), UsageError, said);
  }
  assertThrows(() => levelWeightsOf(good, 32, [64]), UsageError, "no such level");
});

Deno.test("GraphBuilder writes what ONNX Runtime reads: attributes, constants, shapes", async () => {
  const g = new GraphBuilder("probe");
  const x = g.input("x", [1, 1, 4, 4]);
  const pooled = g.op("AveragePool", [x], { kernel_shape: int([2, 2]), strides: int([2, 2]) });
  const leaky = g.op("LeakyRelu", [pooled], { alpha: float(0.25) });
  const flat = g.op("Reshape", [leaky, g.indices([4])]);
  g.output("y", g.op("Mul", [flat, g.constant([1, 2, 3, 4], [4])]), [4]);
  const ort = await loadRuntime("cpu");
  const session = await ort.InferenceSession.create(g.build(), { executionProviders: ["wasm"] });
  const input = Float32Array.from({ length: 16 }, (_, i) => i - 8);
  const { y } = await session.run({ x: new ort.Tensor("float32", input, [1, 1, 4, 4]) });
  assertEquals([...y!.data as Float32Array], [-5.5 * 0.25, -3.5 * 0.25 * 2, 2.5 * 3, 4.5 * 4]);
  await session.release();
  assertThrows(() => g.constant([1, 2], [3]), RangeError, "shape");
});
