/**
 * Imports a Stable Diffusion 1.4 of full size with random weights, made on the spot and removed
 * afterwards, and runs it on one frame of 512×512: time, peak memory, size on disk.
 *
 *     deno run -A bench/diffusion/full_size.ts [cpu|webgpu] [inversion steps, default 0]
 *
 * Needs 4 GB on the disk of the temporary folder and 10 GB of main memory.
 */
import { parseUNetConfig, parseVaeConfig } from "../../lib/checkpoint/config.ts";
import { openDiffusionNetwork } from "../../lib/checkpoint/diffusion_network.ts";
import { elements, type Parameter } from "../../lib/checkpoint/graph.ts";
import { importCheckpoint } from "../../lib/checkpoint/import_checkpoint.ts";
import { buildUNet } from "../../lib/checkpoint/unet.ts";
import { buildVaeEncoder, vaeDecoderParameters } from "../../lib/checkpoint/vae.ts";
import { openGpu } from "../../lib/walk/webgpu/device.ts";
import { SD14_UNET, SD_VAE } from "../../tests/checkpoint_configs.ts";

const [device = "cpu", steps = "0"] = Deno.args;
const SIDE = 512;
const folder = await Deno.makeTempDir({ prefix: "walkcut-full-size-" });
try {
  await makeCheckpoint(`${folder}/sd14`);
  await timed("import", () =>
    importCheckpoint({
      folder: `${folder}/sd14`,
      models: `${folder}/models`,
      name: "sd14",
      precision: "fp16",
      prompt: "",
      onProgress: () => {},
      onNote: console.log,
    }));
  await Deno.remove(`${folder}/sd14`, { recursive: true });
  console.log(`on disk: ${((await sizeOf(`${folder}/models/sd14`)) / 1e9).toFixed(2)} GB`);
  const gpu = device === "webgpu" ? await openGpu() : undefined;
  const where = gpu ? { device: "webgpu" as const, gpu: gpu.device } : { device: "cpu" as const };
  console.log(`device: ${gpu?.description ?? "cpu"}`);
  const network = await timed("load", () =>
    openDiffusionNetwork(`${folder}/models/sd14`, where, {
      grid: 64,
      inversionSteps: Number(steps),
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

async function timed<T>(name: string, run: () => Promise<T>): Promise<T> {
  await resetPeak();
  const start = performance.now();
  const result = await run();
  const seconds = (performance.now() - start) / 1000;
  console.log(`${name}: ${seconds.toFixed(1)} s, peak ${(await peakBytes() / 1e9).toFixed(2)} GB resident`);
  return result;
}

/** Linux keeps the peak of resident memory; elsewhere the present value stands in. */
async function peakBytes(): Promise<number> {
  if (Deno.build.os !== "linux") return Deno.memoryUsage().rss;
  const status = await Deno.readTextFile("/proc/self/status");
  return 1024 * Number(/VmHWM:\s*(\d+)/.exec(status)![1]);
}

async function resetPeak(): Promise<void> {
  if (Deno.build.os === "linux") await Deno.writeTextFile("/proc/self/clear_refs", "5");
}

async function makeCheckpoint(path: string): Promise<void> {
  const unet = parseUNetConfig(SD14_UNET, "unet");
  const vae = parseVaeConfig(SD_VAE, "vae");
  const scheduler = {
    beta_start: 0.00085,
    beta_end: 0.012,
    beta_schedule: "scaled_linear",
    steps_offset: 1,
    set_alpha_to_one: false,
  };
  const parts: [string, string, unknown, Iterable<Parameter>][] = [
    ["scheduler", "scheduler_config.json", scheduler, []],
    ["unet", "config.json", SD14_UNET, buildUNet(unet, "float32").parameters.values()],
    ["vae", "config.json", SD_VAE, [
      ...buildVaeEncoder(vae, "float32").parameters.values(),
      ...vaeDecoderParameters(vae),
    ]],
  ];
  for (const [part, file, config, parameters] of parts) {
    await Deno.mkdir(`${path}/${part}`, { recursive: true });
    await Deno.writeTextFile(`${path}/${part}/${file}`, JSON.stringify(config));
    if (part === "scheduler") continue;
    await writeRandom(`${path}/${part}/diffusion_pytorch_model.fp16.safetensors`, [...parameters]);
  }
}

/** Weights that keep the variance of what they act on: norms near 1, matrices ±√(3/fan-in). */
async function writeRandom(path: string, parameters: readonly Parameter[]): Promise<void> {
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const { name, shape } of parameters) {
    header[name] = { dtype: "F16", shape, data_offsets: [end, end += 2 * elements(shape)] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  using file = await Deno.open(path, { write: true, create: true });
  const length = new BigUint64Array([BigInt(text.length)]);
  for (const bytes of [new Uint8Array(length.buffer), text]) await writeFully(file, bytes);
  let state = 1;
  for (const { shape } of parameters) {
    const values = new Float16Array(elements(shape));
    const span = shape.length === 1 ? 0.02 : Math.sqrt(3 / elements(shape.slice(1)));
    const centre = shape.length === 1 ? 0.5 : 0;
    for (let i = 0; i < values.length; i++) {
      state = Math.imul(state, 1664525) + 1013904223 | 0;
      values[i] = centre + span * state / 2 ** 31;
    }
    await writeFully(file, new Uint8Array(values.buffer));
  }
}

async function writeFully(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
}

async function sizeOf(path: string): Promise<number> {
  let bytes = 0;
  for await (const { name } of Deno.readDir(path)) bytes += (await Deno.stat(`${path}/${name}`)).size;
  return bytes;
}
