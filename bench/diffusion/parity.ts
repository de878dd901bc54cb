/**
 * Compares float16 on WebGPU with float32 on the CPU for a UNet with SD 1.4's widths and random
 * weights, on a latent of 16×16.
 *
 * Needs 4 GB on the disk of the temporary folder and 8 GB of main memory.
 *
 * @module
 */
import { dimensionValues } from "../../lib/checkpoint/graph.ts";
import { type Part, readManifest } from "../../lib/checkpoint/manifest.ts";
import { openBackend, PartRunner } from "../../lib/checkpoint/runtime.ts";
import { compare } from "../../lib/checkpoint/verify.ts";
import type { NetworkDevice } from "../../lib/features/session.ts";
import { gaussian } from "../../lib/random.ts";
import { openGpu } from "../../lib/walk/webgpu/device.ts";
import { importRandom, timed } from "./random_checkpoint.ts";

const SIDE = 16;
const LEVELS = 4;
const TOKENS = 77;
const WIDTH = 768;

/** Prints a line an output. */
export async function parity(): Promise<void> {
  const root = await Deno.makeTempDir({ prefix: "walkcut-parity-" });
  try {
    const folder = await importRandom(root);
    const { unet } = await readManifest(folder);
    const names = ["eps", ...unet.layers.flatMap(({ name }) => [`${name}.to_q`, `${name}.to_k`])];
    const gpu = await openGpu();
    if (gpu === undefined) throw new Error("There is no WebGPU adapter to compare with");
    const found = await run(folder, unet, names, { device: "webgpu", gpu: gpu.device });
    gpu.close();
    const expected = await run(folder, unet, names, { device: "cpu" });
    for (const name of names) console.log(JSON.stringify(compare(name, found[name]!, expected[name]!)));
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

/** All outputs of the UNet in `folder` on a device. */
async function run(
  folder: string,
  part: Part,
  names: readonly string[],
  where: NetworkDevice,
): Promise<Record<string, Float32Array>> {
  const backend = await openBackend(where);
  const { Tensor } = backend.ort;
  const dimensions = { ...dimensionValues(SIDE, SIDE, LEVELS), context_tokens: TOKENS };
  const runner = await timed(
    `${where.device}: load`,
    () => PartRunner.open(folder, part, backend, dimensions),
  );
  const feeds = {
    sample: new Tensor("float32", gaussian(4 * SIDE ** 2, 1), [1, 4, SIDE, SIDE]),
    context: new Tensor("float32", gaussian(TOKENS * WIDTH, 2), [1, TOKENS, WIDTH]),
    timestep: new Tensor("float32", Float32Array.of(181), [1]),
  };
  const outputs = await timed(`${where.device}: run in ${runner.type}`, () => runner.run(feeds, names));
  await runner.close();
  return Object.fromEntries(names.map((name) => [name, (outputs[name]!.data as Float32Array).slice()]));
}
