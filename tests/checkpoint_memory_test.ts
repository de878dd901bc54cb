import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
  latentSide,
  parseSchedulerConfig,
  parseUNetConfig,
  parseVaeConfig,
} from "../lib/checkpoint/config.ts";
import { estimateMemory, openDiffusionNetwork } from "../lib/checkpoint/diffusion_network.ts";
import { activationSizes, countParameters, dimensionValues, type Graph } from "../lib/checkpoint/graph.ts";
import { DIFFUSION_FORMAT, type DiffusionManifest, MANIFEST_FILE } from "../lib/checkpoint/manifest.ts";
import { buildUNet } from "../lib/checkpoint/unet.ts";
import { buildVaeEncoder } from "../lib/checkpoint/vae.ts";
import { DeviceError } from "../lib/errors.ts";
import type { NetworkDevice } from "../lib/features/session.ts";
import { SD14_UNET, SD_VAE, SDXL_UNET } from "./checkpoint_configs.ts";
import { SCHEDULER } from "./checkpoint_make.ts";

/** As much of an import's manifest as says what it needs, from the configs alone. */
function manifestOf(unetConfig: Record<string, unknown>): DiffusionManifest {
  const config = parseUNetConfig(unetConfig, "unet");
  const vaeConfig = parseVaeConfig(SD_VAE, "vae");
  const unet = buildUNet(config, "float32");
  const side = latentSide(config.sampleSize);
  const levels = config.blockChannels.length;
  const part = (graph: Graph, dimensions: Record<string, number>) => {
    const sections = [{
      file: "part.onnx",
      offset: 0,
      length: countParameters(graph.parameters.values()),
      head: true,
    }];
    return {
      weights: { file: "part.weights", bytes: 0, sha256: "" },
      location: "part.weights",
      stored: "float16" as const,
      graphs: { float32: sections, float16: sections },
      activations: activationSizes(graph, dimensions),
      parameters: 0,
    };
  };
  const vae = buildVaeEncoder(vaeConfig, "float32", side ** 2);
  return {
    format: DIFFUSION_FORMAT,
    name: "full",
    precision: "fp16",
    source: { folder: "", files: [] },
    unet: {
      ...part(unet, { ...dimensionValues(side, side, levels), context_tokens: 77 }),
      latentChannels: 4,
      sampleSize: config.sampleSize,
      levels,
      layers: unet.layers,
      textWidth: null,
    },
    vae: { ...part(vae, dimensionValues(8 * side, 8 * side, 4)), scalingFactor: 0.18215, levels: 4 },
    scheduler: parseSchedulerConfig(SCHEDULER, "scheduler"),
    texts: [],
    conditions: { file: "", bytes: 0, sha256: "", prompt: "", encoded: false },
  };
}

/** A device of which only features and limits matter. */
function gpuWith(limit: number, features: string[] = ["shader-f16"]): NetworkDevice {
  const limits = { maxBufferSize: limit, maxStorageBufferBindingSize: limit };
  return { device: "webgpu", gpu: { limits, features: new Set(features) } as unknown as GPUDevice };
}

Deno.test("estimateMemory() of SD 1.4 at full size keeps a frame on a GPU below 4 GB", () => {
  const manifest = manifestOf(SD14_UNET);
  const half = estimateMemory(manifest, gpuWith(2 ** 30), 64);
  assertMatch(
    half.line,
    /^the network needs about 2\.\d\d GB of memory \(weights 1\.79 GB, activations 0\.\d\d GB, walk 0\.07 GB\)$/,
  );
  assert(half.bytes < 4e9);
  // Without float16 on the device all but the walk takes twice as much.
  const single = estimateMemory(manifest, gpuWith(2 ** 30, []), 64);
  assertEquals(single.bytes - 4 * 64 ** 4, 2 * (half.bytes - 4 * 64 ** 4));
  assertEquals(estimateMemory(manifest, { device: "cpu" }, 64).bytes, single.bytes);
  // A coarser grid has a smaller walk and nothing else.
  assertEquals(half.bytes - estimateMemory(manifest, gpuWith(2 ** 30), 32).bytes, 4 * (64 ** 4 - 32 ** 4));
  assert(estimateMemory(manifestOf(SDXL_UNET), gpuWith(2 ** 30), 64).bytes > 5e9);
});

Deno.test("openDiffusionNetwork() refuses what cannot fit before it reads a weight", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const manifest = manifestOf(SD14_UNET);
    const open = async (where: NetworkDevice, factor = 1) => {
      const { unet } = manifest;
      const float32 = unet.graphs.float32.map((section) => ({ ...section, length: factor * section.length }));
      const scaled = { ...manifest, unet: { ...unet, graphs: { ...unet.graphs, float32 } } };
      await Deno.writeTextFile(`${folder}/${MANIFEST_FILE}`, JSON.stringify(scaled));
      const notes: string[] = [];
      const error = await assertRejects(
        () => openDiffusionNetwork(folder, where, { grid: 64, onNote: (line) => notes.push(line) }),
        DeviceError,
      );
      assertMatch(notes.join("\n"), /^the network needs about .* GB of memory \(.*\)$/);
      return error.message;
    };
    assertMatch(
      await open(gpuWith(2 ** 26 - 1)),
      /^The network full needs buffers of 0\.07 GB, more than the device allows: 0\.07 GB; import it with --precision fp16, or use --device cpu$/,
    );
    assertMatch(
      await open({ device: "cpu" }, 1000),
      /^The network full needs \d{4}\.\d\d GB of main memory: .* GB are free; use --device webgpu, or/,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
