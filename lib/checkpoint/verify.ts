/**
 * Compares an imported network with activations that another program computed.
 *
 * @module
 */
import { oneLine, textOf, UsageError, WalkcutError } from "../errors.ts";
import type { NetworkDevice } from "../features/session.ts";
import { dimensionValues } from "./graph.ts";
import { hashFile } from "./hash_file.ts";
import { type DiffusionManifest, readManifest } from "./manifest.ts";
import { type Backend, openBackend, PartRunner, type Tensor } from "./runtime.ts";
import { openSafetensors, readFloat32, type TensorSource } from "./safetensors.ts";

/** How far one tensor is from the reference. */
export interface Comparison {
  readonly tensor: string;
  /** Largest absolute difference. */
  readonly maximum: number;
  /** ‖a − b‖ / ‖b‖. */
  readonly relative: number;
}

/** Largest relative error that passes, by precision. */
export const TOLERANCE = { fp32: 2e-3, fp16: 2e-2 } as const;

/** What the reference's file may hold besides outputs. */
const INPUTS = ["sample", "context", "image", "text_embeds", "time_ids"];

/**
 * Checks the hashes of the network in `folder`, runs it on the inputs in `reference` and yields a comparison for each
 * output in it: `tT.eps`, `tT.MODULE.to_q`, `tT.MODULE.to_k` at timestep T, and `vae_mean`.
 */
export async function* verify(
  folder: string,
  reference: string,
  where: NetworkDevice,
): AsyncGenerator<Comparison, void, void> {
  const manifest = await readManifest(folder);
  const file = await openSafetensors(reference);
  try {
    await requireHashes(folder, manifest);
    const groups = groupOutputs(file, manifest);
    const backend = await openBackend(where);
    yield* verifyUNet(folder, manifest, file, groups, backend);
    if (file.tensors.has("vae_mean")) yield await verifyVae(folder, manifest, file, backend);
  } finally {
    file.close();
  }
}

/** Throws unless weights and conditions are those that the import wrote. */
async function requireHashes(
  folder: string,
  { unet, vae, texts, conditions }: DiffusionManifest,
): Promise<void> {
  const inFolders = texts.flatMap(({ folder: own, weights, tokenizer }) =>
    [weights, ...tokenizer].map((record) => ({ ...record, file: `${own}/${record.file}` }))
  );
  for (const expected of [unet.weights, vae.weights, conditions, ...inFolders]) {
    const { sha256 } = await hashFile(folder, expected.file);
    if (sha256 === expected.sha256) continue;
    throw new WalkcutError({
      what: `Cannot verify, the SHA-256 of ${oneLine(`${folder}/${expected.file}`)} is not its manifest's`,
      found: sha256,
      advice: "import the checkpoint again",
    });
  }
}

/** Outputs of the UNet in the file, by timestep. */
function groupOutputs(file: TensorSource, { unet, name }: DiffusionManifest): Map<number, string[]> {
  const known = new Set([
    "eps",
    ...unet.layers.flatMap((layer) => [`${layer.name}.to_q`, `${layer.name}.to_k`]),
  ]);
  const groups = new Map<number, string[]>();
  for (const tensor of file.tensors.keys()) {
    const match = /^t(\d+)\.(.+)$/.exec(tensor);
    if (match === null) continue;
    const [timestep, output] = [Number(match[1]), match[2]!];
    if (!known.has(output)) {
      throw new UsageError({
        what: `Cannot verify, the network ${oneLine(name)} has no output of this name`,
        found: tensor,
        advice: "check that the reference was computed with the same checkpoint",
      });
    }
    groups.set(timestep, [...groups.get(timestep) ?? [], output]);
  }
  if (groups.size === 0 && !file.tensors.has("vae_mean")) {
    throw new UsageError({
      what: "Cannot verify, the reference has no output to compare with",
      found: file.label,
      advice: "it needs tensors like t301.eps or vae_mean",
    });
  }
  return groups;
}

async function* verifyUNet(
  folder: string,
  { unet }: DiffusionManifest,
  file: TensorSource,
  groups: ReadonlyMap<number, string[]>,
  backend: Backend,
): AsyncGenerator<Comparison, void, void> {
  if (groups.size === 0) return;
  const feeds = await readInputs(file, backend);
  const needed = unet.textWidth === null
    ? ["sample", "context"]
    : ["sample", "context", "text_embeds", "time_ids"];
  requireInputs(feeds, needed, file);
  if (unet.textWidth !== null) {
    requireShape("text_embeds", feeds, [1, unet.textWidth]);
    requireShape("time_ids", feeds, [1, 6]);
  }
  const [, channels, height, width] = feeds.sample!.dims;
  const step = 2 ** (unet.levels - 1);
  if (
    feeds.sample!.dims.length !== 4 || channels !== unet.latentChannels || height! % step || width! % step
  ) {
    throw new UsageError({
      what: `Cannot verify, sample must be [1, ${unet.latentChannels}, H, W] with sides that ${step} divides`,
      found: `[${feeds.sample!.dims}]`,
    });
  }
  const runner = await PartRunner.open(folder, unet, backend, {
    ...dimensionValues(height!, width!, unet.levels),
    context_tokens: feeds.context!.dims[1]!,
  });
  try {
    for (const [timestep, outputs] of [...groups].sort(([a], [b]) => a - b)) {
      const time = new backend.ort.Tensor("float32", Float32Array.of(timestep), [1]);
      const results = await runFor(file, () => runner.run({ ...feeds, timestep: time }, outputs));
      for (const output of outputs) {
        const tensor = `t${timestep}.${output}`;
        yield compare(tensor, results[output]!.data as Float32Array, await readFloat32(file, tensor));
      }
    }
  } finally {
    await runner.close();
  }
}

async function verifyVae(
  folder: string,
  { vae }: DiffusionManifest,
  file: TensorSource,
  backend: Backend,
): Promise<Comparison> {
  const feeds = await readInputs(file, backend);
  requireInputs(feeds, ["image"], file);
  const [, , height, width] = feeds.image!.dims;
  const runner = await PartRunner.open(folder, vae, backend, dimensionValues(height!, width!, vae.levels));
  try {
    const { mean } = await runFor(file, () => runner.run({ image: feeds.image! }, ["mean"]));
    return compare("vae_mean", mean!.data as Float32Array, await readFloat32(file, "vae_mean"));
  } finally {
    await runner.close();
  }
}

async function readInputs(file: TensorSource, { ort }: Backend): Promise<Record<string, Tensor>> {
  const feeds: Record<string, Tensor> = {};
  for (const name of INPUTS) {
    const info = file.tensors.get(name);
    if (info) feeds[name] = new ort.Tensor("float32", await readFloat32(file, name), info.shape);
  }
  return feeds;
}

function requireInputs(feeds: Record<string, Tensor>, names: readonly string[], file: TensorSource): void {
  const missing = names.filter((name) => feeds[name] === undefined);
  if (missing.length === 0) return;
  throw new UsageError({
    what: `Cannot verify, the reference ${oneLine(file.label)} lacks inputs`,
    found: missing.join(", "),
    advice: "write the tensors that the network was fed beside its outputs",
  });
}

function requireShape(name: string, feeds: Record<string, Tensor>, shape: readonly number[]): void {
  const { dims } = feeds[name]!;
  if (dims.length === shape.length && dims.every((dim, i) => dim === shape[i])) return;
  throw new UsageError({
    what: `Cannot verify, ${name} must be [${shape.join(", ")}]`,
    found: `[${dims.join(", ")}]`,
    advice: "check that the reference was computed with the same checkpoint",
  });
}

/** Runs the network; what it says of inputs that do not fit becomes one line. */
async function runFor<T>({ label }: TensorSource, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    if (cause instanceof WalkcutError) throw cause;
    throw new WalkcutError({
      what: `Cannot run the network on the reference's inputs in ${oneLine(label)}`,
      found: textOf(cause).slice(0, 160),
      advice: "check that the reference was computed with the same checkpoint",
      cause,
    });
  }
}

/** The difference of two tensors; one of another length, or with a NaN, is infinitely far away. */
export function compare(tensor: string, found: ArrayLike<number>, expected: ArrayLike<number>): Comparison {
  if (found.length !== expected.length) return { tensor, maximum: Infinity, relative: Infinity };
  let [maximum, difference, norm] = [0, 0, 0];
  for (let i = 0; i < expected.length; i++) {
    const d = Math.abs(found[i]! - expected[i]!);
    if (!(d <= maximum)) maximum = Number.isNaN(d) ? Infinity : d;
    difference += d * d;
    norm += expected[i]! ** 2;
  }
  const relative = Math.sqrt(difference / norm);
  return { tensor, maximum, relative: Number.isNaN(relative) ? Infinity : relative };
}
