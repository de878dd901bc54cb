import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { parseVaeConfig } from "../lib/checkpoint/config.ts";
import {
  type DiffusionNetwork,
  type DiffusionOptions,
  openDiffusionNetwork,
} from "../lib/checkpoint/diffusion_network.ts";
import { importCheckpoint } from "../lib/checkpoint/import_checkpoint.ts";
import { cpuFailure } from "../lib/checkpoint/runtime.ts";
import { Schedule } from "../lib/checkpoint/scheduler.ts";
import { compare } from "../lib/checkpoint/verify.ts";
import { DeviceError, UsageError } from "../lib/errors.ts";
import type { AttentionLayer } from "../lib/features/network.ts";
import type { Frame } from "../lib/source/frame.ts";
import { fixture, freshSeed, makeCheckpoint, randomNumbers, SCHEDULER, TINY_VAE } from "./checkpoint_make.ts";

/** A picture of smooth random waves, moved by `shift` pixels. */
function waves(seed: number, shift = 0): Frame {
  const random = randomNumbers(seed);
  const [width, height] = [96, 64];
  const parts = Array.from({ length: 9 }, () => [random() / 8, random() / 8, 3 * random()] as const);
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) {
    const [x, y, c] = [Math.floor(i / 3) % width + shift, Math.floor(i / 3 / width), i % 3];
    const [fx, fy, phase] = parts[c]!;
    data[i] = 128 + 100 * Math.sin(fx * x + fy * y + phase);
  }
  return { index: 0, pts: 0, width, height, data };
}

/** The imported random network, made once. */
const imported = { root: "", folder: "" };

async function folderOf(): Promise<string> {
  if (imported.folder !== "") return imported.folder;
  imported.root = await Deno.makeTempDir();
  const source = fixture ?? `${imported.root}/source`;
  if (fixture === undefined) await makeCheckpoint(source, {}, freshSeed());
  return imported.folder = await importCheckpoint({
    folder: source,
    models: `${imported.root}/models`,
    name: "tiny",
    precision: "fp32",
    prompt: "",
    onProgress: () => {},
    onNote: () => {},
  });
}

globalThis.addEventListener("unload", () => {
  if (imported.root !== "") Deno.removeSync(imported.root, { recursive: true });
});

async function withNetwork<T>(
  options: Partial<DiffusionOptions>,
  use: (network: DiffusionNetwork) => Promise<T>,
): Promise<T> {
  const network = await openDiffusionNetwork(await folderOf(), { device: "cpu" }, { grid: 32, ...options });
  try {
    return await use(network);
  } finally {
    await network.close();
  }
}

/** Copies of all queries and keys: the network's own live until the next call. */
function keep(layers: readonly AttentionLayer[]): Float32Array[] {
  return layers.flatMap(({ queries, keys }) => [queries, keys].map((x) => (x as Float32Array).slice()));
}

/** Largest relative difference over all layers. */
function distance(a: readonly Float32Array[], b: readonly Float32Array[]): number {
  assertEquals(a.length, b.length);
  return Math.max(...a.map((x, i) => compare("", x, b[i]!).relative));
}

function length(a: Float32Array, b: Float32Array): number {
  return Math.hypot(...a.map((x, i) => x - b[i]!));
}

/** Mean over rows of half the absolute difference of two networks' attention: 0 … 1. */
function attentionChange(a: AttentionLayer, b: { queries: Float32Array; keys: Float32Array }): number {
  const [p, q] = [
    attentionOf(a, a.queries as Float32Array, a.keys as Float32Array),
    attentionOf(a, b.queries, b.keys),
  ];
  return p.reduce((sum, x, i) => sum + Math.abs(x - q[i]!), 0) / 2 / a.resolution ** 2;
}

function attentionOf(
  { resolution, heads, headDim, scale }: AttentionLayer,
  q: Float32Array,
  k: Float32Array,
) {
  const n = resolution ** 2;
  const p = new Float64Array(n * n);
  for (let h = 0; h < heads; h++) {
    for (let i = 0; i < n; i++) {
      const row = new Float64Array(n);
      for (let j = 0; j < n; j++) {
        for (let c = h * headDim; c < (h + 1) * headDim; c++) {
          row[j] = row[j]! + q[i * heads * headDim + c]! * k[j * heads * headDim + c]! * scale;
        }
      }
      const weights = row.map((s) => Math.exp(s - Math.max(...row)));
      const total = weights.reduce((a, b) => a + b);
      weights.forEach((w, j) => p[i * n + j] = p[i * n + j]! + w / total / heads);
    }
  }
  return p;
}

Deno.test("DiffusionNetwork inverts a key frame and reuses its noise on the frames behind it", () =>
  withNetwork({ inversionSteps: 10 }, async (network) => {
    const seed = freshSeed();
    console.log(`seed ${seed}`);
    const first = await network.evaluate(waves(seed));
    const inverted = keep(first.layers);
    assertEquals(first.unetEvals, 11);
    const again = await network.evaluate(waves(seed));
    assertEquals(again.unetEvals, 1);
    // On a static picture the reused noise gives the inverted latent back, up to rounding.
    const still = distance(keep(again.layers), inverted);
    assert(still < 1e-4, `seed ${seed}: ${still}`);
    const moved = await network.evaluate(waves(seed, 8));
    const reused = keep(moved.layers);
    assertEquals(moved.unetEvals, 1);
    assert(distance(reused, inverted) > 10 * still, `seed ${seed}`);
    network.restart();
    const restarted = await network.evaluate(waves(seed, 8));
    assertEquals(restarted.unetEvals, 11);
    // How far the reuse is from inverting the moved frame: stated, and far less than P's own size.
    const layer = restarted.layers.findIndex(({ resolution }) => resolution <= 16);
    const change = attentionChange(restarted.layers[layer]!, {
      queries: reused[2 * layer]!,
      keys: reused[2 * layer + 1]!,
    });
    console.log(
      `moved by 8 of 96 pixels, P by reuse differs from P by inversion by ${
        (100 * change).toFixed(2)
      } % of its mass`,
    );
    assert(change < 0.5, `seed ${seed}: ${change}`);
  }));

Deno.test("DiffusionNetwork without reuse inverts every frame", () =>
  withNetwork({ inversionSteps: 2, reuseNoise: false }, async (network) => {
    const evals = [];
    for (let i = 0; i < 2; i++) evals.push((await network.evaluate(waves(3))).unetEvals);
    assertEquals(evals, [3, 3]);
  }));

Deno.test("DiffusionNetwork without inversion reads the clean latent, as DiffSeg does", async () => {
  const seed = freshSeed();
  const clean = await withNetwork({ inversionSteps: 0 }, async (network) => {
    assertEquals(network.plan.timestep, 300);
    const { layers, unetEvals } = await network.evaluate(waves(seed));
    assertEquals(unetEvals, 1);
    return keep(layers);
  });
  const later = await withNetwork(
    { inversionSteps: 0, timestep: 900 },
    async (network) => keep((await network.evaluate(waves(seed))).layers),
  );
  assert(distance(clean, later) > 1e-3, `seed ${seed}: the timestep must matter`);
});

Deno.test("DiffusionNetwork's layers and weights follow the paper's choice or DiffSeg's", async () => {
  const resolutions = (network: DiffusionNetwork) => network.plan.layers.map(({ resolution }) => resolution);
  const side = fixture === undefined ? 16 : 32;
  await withNetwork({}, async (network) => {
    assertEquals(network.plan.layers.every(({ part }) => part === "up"), true);
    assertEquals([...network.levelWeights.keys()], [side / 4, side / 2, side]);
    assertEquals([...network.levelWeights.values()].map((w) => Math.round(1e6 * w)), [
      142857,
      285714,
      571429,
    ]);
    const { layers } = await network.evaluate(waves(1));
    for (const { resolution, heads, headDim, scale, queries, keys } of layers) {
      assertEquals(
        [queries, keys].map((x) => (x as Float32Array).length),
        Array(2).fill(resolution ** 2 * heads * headDim),
      );
      assertAlmostEquals(scale, 1 / Math.sqrt(headDim), 1e-9);
    }
  });
  await withNetwork({ layers: "all" }, (network) => {
    assertEquals(
      resolutions(network).filter((r) => r === side / 8).length,
      1,
      "the mid block alone has the coarsest",
    );
    assertEquals(resolutions(network).length, network.manifest.unet.layers.length);
    assertAlmostEquals([...network.levelWeights.values()].reduce((a, b) => a + b), 1, 1e-12);
    return Promise.resolve();
  });
  await withNetwork({ levels: [side / 8, side / 2] }, (network) => {
    assertEquals(new Set(network.plan.layers.map(({ part }) => part)), new Set(["mid", "up"]));
    assertAlmostEquals(network.levelWeights.get(side / 8)!, 0.2, 1e-12);
    return Promise.resolve();
  });
});

Deno.test("openDiffusionNetwork() refuses options out of range, and tells the memory that it takes", async () => {
  const folder = await folderOf();
  const open = (options: Partial<DiffusionOptions>) =>
    openDiffusionNetwork(folder, { device: "cpu" }, { grid: 32, ...options });
  await assertRejects(
    () => open({ inversionSteps: 51 }),
    UsageError,
    "--inversion-steps must be a whole number from 0 to 50: 51",
  );
  await assertRejects(
    () => open({ timestep: 1000 }),
    UsageError,
    "--timestep must be a whole number from 0 to 999: 1000",
  );
  await assertRejects(() => open({ levels: [5] }), UsageError, "no such level at grid 32: 5; choose among");
  await assertRejects(
    () => openDiffusionNetwork("/nowhere", { device: "cpu" }, { grid: 32 }),
    UsageError,
    "its manifest cannot be read",
  );
  const notes: string[] = [];
  await withNetwork({ onNote: (line) => notes.push(line) }, () => Promise.resolve());
  assert(
    /^the network needs about \d+\.\d\d GB of memory \(weights .*, activations .*, walk .*\)$/.test(
      notes[0]!,
    ),
    notes[0],
  );
});

Deno.test("DDIM's inversion, run back, returns the latent within its error", () =>
  withNetwork({}, async (network) => {
    const seed = freshSeed();
    const schedule = new Schedule(network.manifest.scheduler);
    const clean = await network.encode(waves(seed));
    const errors = [];
    for (const steps of [5, 10]) {
      // To about the same noise level by steps of 40 and of 20.
      const grid = schedule.timesteps(5 * steps).slice(0, steps);
      const latent = clean.slice();
      let from = -1;
      for (const to of grid) {
        schedule.step(latent, await network.predictNoise(latent, to, from), from, to);
        from = to;
      }
      const noisy = latent.slice();
      for (const to of [...grid.slice(0, -1).reverse(), -1]) {
        schedule.step(latent, await network.predictNoise(latent, from, from), from, to);
        from = to;
      }
      // What is left of the way that the inversion went.
      errors.push(length(latent, clean) / length(noisy, clean));
    }
    const shares = errors.map((error) => `${(100 * error).toFixed(0)} %`);
    console.log(`the round trip misses by ${shares.join(" and ")} of its way by 5 and 10 steps`);
    assert(errors[1]! < 0.6, `seed ${seed}: ${errors}`);
    // DDIM is of first order; random weights bend the way more than trained ones.
    assert(errors[1]! < 0.8 * errors[0]!, `seed ${seed}: smaller steps must err less, ${errors}`);
  }));

Deno.test("the VAE's scaling factor is in the latent", async () => {
  const seed = freshSeed();
  const root = await Deno.makeTempDir();
  try {
    const latents: Float32Array[] = [];
    for (const factor of [0.2, 0.4]) {
      const vae = { ...TINY_VAE, scaling_factor: factor };
      assertEquals(parseVaeConfig(vae, "vae").scalingFactor, factor);
      const source = `${root}/${factor}`;
      await makeCheckpoint(source, { vae, scheduler: SCHEDULER }, seed);
      const folder = await importCheckpoint({
        folder: source,
        models: root,
        name: `net${10 * factor}`,
        precision: "fp32",
        prompt: "",
        onProgress: () => {},
        onNote: () => {},
      });
      const network = await openDiffusionNetwork(folder, { device: "cpu" }, { grid: 32 });
      latents.push(await network.encode(waves(seed)));
      await network.close();
    }
    latents[0]!.forEach((x, i) => assertAlmostEquals(2 * x, latents[1]![i]!, 1e-5, `seed ${seed}`));
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});

Deno.test("cpuFailure() turns memory that ran out into one line of advice", () => {
  const error = cpuFailure(new Error("failed to allocate a buffer: std::bad_alloc"));
  assert(error instanceof DeviceError);
  assert(/4 GiB of WebAssembly.*use --device webgpu/.test(error.message), error.message);
  const other = new Error("Integer overflow");
  assertEquals(cpuFailure(other), other);
});
