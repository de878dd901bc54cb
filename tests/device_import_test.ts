import { assert, assertMatch, assertRejects } from "@std/assert";
import { openDiffusionNetwork } from "../lib/checkpoint/diffusion_network.ts";
import { importCheckpoint } from "../lib/checkpoint/import_checkpoint.ts";
import { DeviceError } from "../lib/errors.ts";
import { openGpu } from "../lib/walk/webgpu/device.ts";
import { freshSeed, makeCheckpoint } from "./checkpoint_make.ts";
import { inflate } from "./device_faults.ts";
import { inFolder } from "./io_media.ts";

Deno.test("an imported network that a device cannot hold ends in one line that says what to change", () =>
  inFolder(async (folder) => {
    await makeCheckpoint(`${folder}/source`, {}, freshSeed());
    const network = await importCheckpoint({
      folder: `${folder}/source`,
      models: `${folder}/models`,
      name: "tiny",
      precision: "fp32",
      prompt: "",
      onProgress: () => {},
      onNote: () => {},
    });
    const gpu = await openGpu();
    assert(gpu !== undefined, "the test needs a WebGPU adapter; a software one will do");
    const where = { device: "webgpu", gpu: gpu.device } as const;
    inflate(gpu.device);
    const { message } = await assertRejects(
      () => openDiffusionNetwork(network, where, { grid: 32 }),
      DeviceError,
    );
    assertMatch(
      message,
      /memory of the device: .*; use --grid 32, import with --precision fp16, lower --inversion-steps, or/,
    );
    gpu.close();
  }));
