import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { importCheckpoint } from "../lib/checkpoint/import_checkpoint.ts";
import { openAnyModel } from "../lib/checkpoint/open_model.ts";
import { DiffusionNetwork } from "../lib/checkpoint/diffusion_network.ts";
import { cutFrame } from "../lib/cut/cut_frame.ts";
import type { NetworkDevice } from "../lib/features/session.ts";
import { gaussian } from "../lib/random.ts";
import type { Frame } from "../lib/source/frame.ts";
import { createCpuWalkDevice } from "../lib/walk/cpu/walk_device.ts";
import type { WalkDevice } from "../lib/walk/walk.ts";
import { openGpu } from "../lib/walk/webgpu/device.ts";
import { createWebGpuWalkDevice } from "../lib/walk/webgpu/walk_device.ts";
import { fixture, freshSeed } from "./checkpoint_make.ts";

const GRID = 32;

/** A noisy picture whose left half is dark. */
function picture(seed: number): Frame {
  const [width, height] = [64, 64];
  const noise = gaussian(3 * width * height, seed);
  const data = Uint8Array.from(noise, (x, i) => (Math.floor(i / 3) % width < width / 2 ? 60 : 180) + 10 * x);
  return { index: 0, pts: 0, width, height, data };
}

/** P, labels and counts of two frames of a still picture. */
async function segment(
  folder: string,
  where: NetworkDevice,
  device: WalkDevice,
  inversionSteps: number,
  seed: number,
) {
  const network = await openAnyModel(folder, where, { grid: GRID, inversionSteps });
  assert(network instanceof DiffusionNetwork);
  try {
    const evals: number[] = [];
    let dense = new Float32Array();
    let segmentation;
    for (let i = 0; i < 2; i++) {
      const { layers, unetEvals } = await network.evaluate(picture(seed));
      evals.push(unetEvals);
      const walk = await device.walk(layers, GRID, network.levelWeights);
      dense = await walk.dense();
      const settings = {
        steps: network.walkSteps,
        stop: { kind: "manc-ncut" },
        maxSegments: 0,
        minPart: 1,
      } as const;
      ({ segmentation } = await cutFrame(walk, settings, undefined));
      walk.release();
    }
    return { dense, evals, segmentation: segmentation! };
  } finally {
    await network.close();
  }
}

Deno.test({
  name: "an imported network segments frames end to end, the same on cpu and webgpu",
  ignore: fixture === undefined,
  fn: async () => {
    const seed = freshSeed();
    console.log(`seed ${seed}`);
    const root = await Deno.makeTempDir();
    const gpu = await openGpu();
    assert(gpu !== undefined, "the test needs a WebGPU adapter; a software one will do");
    const [cpuDevice, gpuDevice] = [await createCpuWalkDevice(), await createWebGpuWalkDevice(gpu)];
    try {
      const folder = await importCheckpoint({
        folder: fixture!,
        models: root,
        name: "tiny",
        precision: "fp32",
        prompt: "",
        onProgress: () => {},
        onNote: () => {},
      });
      const cpu = await segment(folder, { device: "cpu" }, cpuDevice, 10, seed);
      const direct = await segment(folder, { device: "cpu" }, cpuDevice, 0, seed);
      // Two steps are as good as ten to compare devices, and a software adapter is slow.
      const short = await segment(folder, { device: "cpu" }, cpuDevice, 2, seed);
      const onGpu = await segment(folder, { device: "webgpu", gpu: gpu.device }, gpuDevice, 2, seed);
      const evals = [cpu, direct, short, onGpu].map((run) => run.evals);
      assertEquals(evals, [[11, 1], [1, 1], [3, 1], [3, 1]]);
      for (const { dense, segmentation } of [cpu, direct, short, onGpu]) {
        for (let i = 0; i < GRID ** 2; i += 97) {
          const row = dense.subarray(i * GRID ** 2, (i + 1) * GRID ** 2);
          assertAlmostEquals(row.reduce((a, b) => a + b), 1, 1e-3);
        }
        assertEquals(segmentation.labels.length, GRID ** 2);
        assert(segmentation.segments >= 1);
      }
      const change = short.dense.reduce((sum, p, i) => sum + Math.abs(p - onGpu.dense[i]!), 0) / 2 /
        GRID ** 2;
      assert(change < 1e-3, `seed ${seed}: cpu and webgpu differ by ${change} of the walk's mass`);
    } finally {
      await cpuDevice.close();
      await gpuDevice.close();
      await Deno.remove(root, { recursive: true });
    }
  },
});
