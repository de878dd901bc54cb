/**
 * A Stable Diffusion 1.4 of full size with random weights, and what benches tell of their steps.
 *
 * @module
 */
import { parseUNetConfig, parseVaeConfig } from "../../lib/checkpoint/config.ts";
import { elements, type Parameter } from "../../lib/checkpoint/graph.ts";
import { importCheckpoint } from "../../lib/checkpoint/import_checkpoint.ts";
import { buildUNet } from "../../lib/checkpoint/unet.ts";
import { buildVaeEncoder, vaeDecoderParameters } from "../../lib/checkpoint/vae.ts";
import { SD14_UNET, SD_VAE } from "../../tests/checkpoint_configs.ts";

/** Makes and imports the checkpoint in fp16 under `root`; gives the network's folder. */
export async function importRandom(root: string): Promise<string> {
  await makeCheckpoint(`${root}/sd14`);
  const folder = await timed("import", () =>
    importCheckpoint({
      folder: `${root}/sd14`,
      models: `${root}/models`,
      name: "sd14",
      precision: "fp16",
      prompt: "",
      onProgress: () => {},
      onNote: console.log,
    }));
  await Deno.remove(`${root}/sd14`, { recursive: true });
  console.log(`on disk: ${((await sizeOf(folder)) / 1e9).toFixed(2)} GB`);
  return folder;
}

/** Runs a step and prints its time and the process's peak of memory in it. */
export async function timed<T>(name: string, run: () => Promise<T>): Promise<T> {
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
  return 1024 * Number(/VmHWM:\s*(\d+)/.exec(await inShell(`cat /proc/${Deno.pid}/status`))![1]);
}

async function resetPeak(): Promise<void> {
  if (Deno.build.os === "linux") await inShell(`echo 5 > /proc/${Deno.pid}/clear_refs`);
}

/** Deno itself opens /proc only with every permission. */
async function inShell(command: string): Promise<string> {
  const { stdout } = await new Deno.Command("sh", { args: ["-c", command] }).output();
  return new TextDecoder().decode(stdout);
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
