/**
 * Imports a Stable Diffusion 1.4 of full size with random weights, made on the spot and removed
 * afterwards, and runs it on two frames of 512×512: time, peak memory, size on disk.
 *
 * Needs 4 GB on the disk of the temporary folder and 10 GB of main memory.
 *
 * @module
 */
import { openDiffusionNetwork } from "../../lib/checkpoint/diffusion_network.ts";
import { openGpu } from "../../lib/walk/webgpu/device.ts";
import { importRandom, timed } from "./random_checkpoint.ts";

const SIDE = 512;

/** Prints a line a step. */
export async function fullSize(device: string, steps: number): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "walkcut-full-size-" });
  try {
    const model = await importRandom(folder);
    const gpu = device === "webgpu" ? await openGpu() : undefined;
    const where = gpu ? { device: "webgpu" as const, gpu: gpu.device } : { device: "cpu" as const };
    console.log(`device: ${gpu?.description ?? "cpu"}`);
    const network = await timed("load", () =>
      openDiffusionNetwork(model, where, {
        grid: 64,
        inversionSteps: steps,
        onNote: console.log,
      }));
    const data = crypto.getRandomValues(new Uint8Array(2 ** 16));
    const frame = {
      index: 0,
      pts: 0,
      width: SIDE,
      height: SIDE,
      data: Uint8Array.from({ length: 3 * SIDE * SIDE }, (_, i) => data[i % data.length]!),
    };
    for (const name of ["first frame", "second frame"]) {
      const { layers, unetEvals } = await timed(name, () => network.evaluate(frame));
      const { queries } = layers.at(-1)!;
      const finite = queries instanceof Float32Array ? queries.every(Number.isFinite) : "on the device";
      console.log(`  ${layers.length} layers, ${unetEvals} evaluations of the UNet, finite: ${finite}`);
    }
    await network.close();
    gpu?.close();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
