/**
 * An imported diffusion network as a source of queries and keys: encode, invert, extract
 * (paper, section 3.1).
 *
 * @module
 */
import { DeviceError, oneLine, UsageError } from "../errors.ts";
import type { AttentionLayer, FeatureNetwork, Features, TensorData } from "../features/network.ts";
import { SquareScaler } from "../features/preprocess.ts";
import type { NetworkDevice, NetworkOptions } from "../features/session.ts";
import type { Frame } from "../source/frame.ts";
import { dimensionValues } from "./graph.ts";
import { latentSide } from "./config.ts";
import { type DiffusionManifest, type Part, readManifest } from "./manifest.ts";
import { type Backend, openBackend, PartRunner, type Tensor } from "./runtime.ts";
import { openSafetensors, readFloat32 } from "./safetensors.ts";
import { Schedule } from "./scheduler.ts";
import { maySense } from "./sense.ts";
import { type ConditionTensor, encodeFor } from "./text.ts";
import type { SelfAttention } from "./unet.ts";

/** What is asked of a diffusion network. */
export interface DiffusionOptions extends NetworkOptions {
  /** Steps of DDIM inversion out of {@linkcode GRID_STEPS}; 0 takes the clean latent. Default 10. */
  readonly inversionSteps?: number;
  /** Timestep at which attention is read. Default: the last inverted one; without inversion 300. */
  readonly timestep?: number;
  /** Layers in use: the paper's, or all as in DiffSeg. Default `"mid+up"`. */
  readonly layers?: "mid+up" | "all";
  /** Invert the first frame and after each {@linkcode DiffusionNetwork.restart} only. Default true. */
  readonly reuseNoise?: boolean;
  /** Text that conditions the network. Default: the one it was imported with. */
  readonly prompt?: string;
  /** Told the memory that is needed, a line for a person. */
  readonly onNote?: (line: string) => void;
}

/** Steps of the grid along which the paper inverts. */
export const GRID_STEPS = 50;

/** The paper's steps of inversion. */
export const DEFAULT_INVERSION_STEPS = 10;

/** The timestep at which DiffSeg reads attention of the clean latent. */
const DIFFSEG_TIMESTEP = 300;

/** Opens the network in `folder`. Files must have their size; their hashes are checked by `verify()`. */
export async function openDiffusionNetwork(
  folder: string,
  where: NetworkDevice,
  options: DiffusionOptions,
): Promise<DiffusionNetwork> {
  const manifest = await readManifest(folder);
  const plan = planExtraction(manifest, options);
  const memory = estimateMemory(manifest, where, options.grid);
  options.onNote?.(memory.line);
  requireFit(manifest, where, memory.bytes);
  const backend = await openBackend(where);
  const conditions = await readConditions(folder, manifest, plan.imageSide, backend, options);
  const { levels } = manifest.unet;
  const tokens = conditions.context!.dims[1]!;
  const dimensions = { ...dimensionValues(plan.side, plan.side, levels), context_tokens: tokens };
  const unet = await PartRunner.open(folder, manifest.unet, backend, dimensions);
  try {
    const imageDimensions = dimensionValues(plan.imageSide, plan.imageSide, manifest.vae.levels);
    const vae = await PartRunner.open(folder, manifest.vae, backend, imageDimensions);
    return new DiffusionNetwork(manifest, plan, backend, unet, vae, conditions);
  } catch (error) {
    await unet.close();
    throw error;
  }
}

/** What is run and read, decided once. */
interface ExtractionPlan {
  /** Side of the latent. */
  readonly side: number;
  /** Side of the picture, in pixels. */
  readonly imageSide: number;
  readonly layers: readonly (SelfAttention & { readonly resolution: number })[];
  readonly levelWeights: ReadonlyMap<number, number>;
  /** Timesteps of the inversion, ascending; none where the clean latent is taken. */
  readonly inversion: readonly number[];
  /** Timestep that the extraction pass is told. */
  readonly timestep: number;
  readonly reuseNoise: boolean;
}

/** Decides layers, level weights (DiffSeg's rule: in proportion to R) and timesteps. */
export function planExtraction(manifest: DiffusionManifest, options: DiffusionOptions): ExtractionPlan {
  const { unet, vae, scheduler } = manifest;
  const { inversionSteps = DEFAULT_INVERSION_STEPS, layers: choice = "mid+up", reuseNoise = true } = options;
  const side = latentSide(unet.sampleSize);
  const all = unet.layers.map((layer) => ({ ...layer, resolution: side >> layer.level }));
  const usable = all.filter(({ part, resolution }) =>
    (choice === "all" || part !== "down") && resolution <= options.grid
  );
  const known = [...new Set(usable.map(({ resolution }) => resolution))].sort((a, b) => a - b);
  // The paper's best variant leaves the mid block's own resolution out.
  const decoder = known.filter((r) =>
    usable.some(({ part, resolution }) => part === "up" && resolution === r)
  );
  const levels = options.levels ?? (choice === "all" ? known : decoder);
  const missing = levels.find((r) => !known.includes(r));
  if (missing !== undefined || levels.length === 0) {
    throw new UsageError({
      what: `The network ${oneLine(manifest.name)} has no such level at grid ${options.grid}`,
      found: missing ?? "none",
      advice: known.length > 0 ? `choose among ${known.join(", ")}` : "use --grid 64",
    });
  }
  if (!Number.isInteger(inversionSteps) || inversionSteps < 0 || inversionSteps > GRID_STEPS) {
    throw new UsageError({
      what: `--inversion-steps must be a whole number from 0 to ${GRID_STEPS}`,
      found: inversionSteps,
    });
  }
  const inversion = new Schedule(scheduler).timesteps(GRID_STEPS).slice(0, inversionSteps);
  const timestep = options.timestep ?? inversion.at(-1) ?? DIFFSEG_TIMESTEP;
  if (!Number.isInteger(timestep) || timestep < 0 || timestep >= scheduler.trainSteps) {
    throw new UsageError({
      what: `--timestep must be a whole number from 0 to ${scheduler.trainSteps - 1}`,
      found: timestep,
    });
  }
  const total = levels.reduce((a, b) => a + b, 0);
  return {
    side,
    imageSide: side << (vae.levels - 1),
    layers: usable.filter(({ resolution }) => levels.includes(resolution)),
    levelWeights: new Map(levels.map((r) => [r, r / total])),
    inversion,
    timestep,
    reuseNoise,
  };
}

/** Weights, activations and P, in bytes, and as a line. */
export function estimateMemory(
  { unet, vae }: DiffusionManifest,
  where: NetworkDevice,
  grid: number,
): { readonly bytes: number; readonly line: string } {
  const sizes = [unet, vae].map((part) => {
    const { graphs, activations } = part;
    const itemBytes = itemBytesOf(part, where);
    const weights = graphs.float32.reduce((n, { length }) => n + length, 0);
    return { weights: weights * itemBytes, activations: activations.peak * itemBytes };
  });
  const weights = sizes.reduce((n, size) => n + size.weights, 0);
  const activations = Math.max(...sizes.map((size) => size.activations));
  const walk = 4 * grid ** 4;
  const bytes = weights + activations + walk;
  const parts = `weights ${gigabytes(weights)}, activations ${gigabytes(activations)}, walk ${
    gigabytes(walk)
  }`;
  return { bytes, line: `the network needs about ${gigabytes(bytes)} of memory (${parts})` };
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(2)} GB`;
}

/** Refuses what is known beforehand not to fit. */
function requireFit({ name, unet, vae }: DiffusionManifest, where: NetworkDevice, bytes: number): void {
  if (where.device === "cpu") {
    if (!maySense("systemMemoryInfo")) return;
    const { available } = Deno.systemMemoryInfo();
    if (bytes <= available) return;
    throw new DeviceError({
      what: `The network ${oneLine(name)} needs ${gigabytes(bytes)} of main memory`,
      found: `${gigabytes(available)} are free`,
      advice: "use --device webgpu, or import a smaller network",
    });
  }
  const { maxBufferSize, maxStorageBufferBindingSize } = where.gpu.limits;
  const limit = Math.min(maxBufferSize, maxStorageBufferBindingSize);
  const largest = Math.max(...[unet, vae].map((part) => itemBytesOf(part, where) * part.activations.largest));
  if (largest <= limit) return;
  throw new DeviceError({
    what: `The network ${oneLine(name)} needs buffers of ${gigabytes(largest)}, more than the device allows`,
    found: gigabytes(limit),
    advice: "import it with --precision fp16, or use --device cpu",
  });
}

function itemBytesOf({ graphs }: Part, where: NetworkDevice): 2 | 4 {
  const half = where.device === "webgpu" && where.gpu.features.has("shader-f16");
  return half && graphs.float16 !== undefined ? 2 : 4;
}

/** The text's embedding and SDXL's other conditions, as feeds. */
async function readConditions(
  folder: string,
  manifest: DiffusionManifest,
  imageSide: number,
  { ort }: Backend,
  { prompt = manifest.conditions.prompt, onNote = () => {} }: DiffusionOptions,
): Promise<Record<string, Tensor>> {
  const { conditions, unet } = manifest;
  const file = await openSafetensors(`${folder}/${conditions.file}`);
  try {
    const stored: Record<string, ConditionTensor> = {};
    for (const [name, { shape }] of file.tensors) {
      stored[name] = { shape, data: await readFloat32(file, name) };
    }
    const texts = prompt === conditions.prompt
      ? stored
      : await encodeFor(folder, manifest, prompt, stored.context!.shape.at(-1)!, onNote);
    const feeds: Record<string, Tensor> = {};
    for (const [name, { shape, data }] of Object.entries(texts)) {
      feeds[name] = new ort.Tensor("float32", data, shape);
    }
    if (unet.textWidth !== null) {
      // Original size, crop and target size: the picture is whole and has the size it was trained for.
      const ids = [imageSide, imageSide, 0, 0, imageSide, imageSide];
      feeds.time_ids = new ort.Tensor("float32", Float32Array.from(ids), [1, 6]);
    }
    return feeds;
  } finally {
    file.close();
  }
}

/** A diffusion network on a stream of frames. */
export class DiffusionNetwork implements FeatureNetwork {
  /** The paper cuts P itself where it stops by NCut (its table for P^k is of another stop). */
  readonly walkSteps = 1;
  readonly #schedule: Schedule;
  readonly #scaler: SquareScaler;
  readonly #latentDims: readonly number[];
  #noise: Float32Array<ArrayBuffer> | undefined;
  #held: Tensor[] = [];

  constructor(
    readonly manifest: DiffusionManifest,
    readonly plan: ExtractionPlan,
    private readonly backend: Backend,
    private readonly unet: PartRunner,
    private readonly vae: PartRunner,
    private readonly conditions: Readonly<Record<string, Tensor>>,
  ) {
    this.#schedule = new Schedule(manifest.scheduler);
    this.#scaler = new SquareScaler(plan.imageSide, -1, 1);
    this.#latentDims = [1, manifest.unet.latentChannels, plan.side, plan.side];
  }

  get levelWeights(): ReadonlyMap<number, number> {
    return this.plan.levelWeights;
  }

  /** Makes the next frame a key frame, which is inverted in full. */
  restart(): void {
    this.#noise = undefined;
  }

  async evaluate(frame: Frame): Promise<Features> {
    this.#dispose();
    const clean = await this.encode(frame);
    const { latent, evals } = await this.#invert(clean);
    return { layers: await this.#extract(latent), unetEvals: evals + 1 };
  }

  async close(): Promise<void> {
    this.#dispose();
    await this.unet.close();
    await this.vae.close();
  }

  /** The clean latent of a frame: the VAE's mean, scaled. `[C, side, side]`. */
  async encode(frame: Frame): Promise<Float32Array<ArrayBuffer>> {
    const { imageSide } = this.plan;
    const image = this.#tensor(this.#scaler.scale(frame), [1, 3, imageSide, imageSide]);
    const outputs = await this.vae.run({ image }, ["mean"]);
    const { scalingFactor } = this.manifest.vae;
    return Float32Array.from(outputs.mean!.data as Float32Array, (x) => x * scalingFactor);
  }

  /** ε that the UNet predicts for `latent`, of noise level `level`, when told `timestep`. */
  async predictNoise(
    latent: Float32Array<ArrayBuffer>,
    timestep: number,
    level: number,
  ): Promise<Float32Array<ArrayBuffer>> {
    const outputs = await this.unet.run(this.#feeds(latent, timestep), ["eps"]);
    const prediction = Float32Array.from(outputs.eps!.data as Float32Array);
    outputs.eps!.dispose();
    return this.#schedule.toNoise(prediction, latent, level);
  }

  /** Brings a clean latent to the noise level at which attention is read. */
  async #invert(clean: Float32Array<ArrayBuffer>) {
    const { inversion, reuseNoise } = this.plan;
    const level = inversion.at(-1);
    if (level === undefined) return { latent: clean, evals: 0 };
    if (reuseNoise && this.#noise !== undefined) {
      return { latent: this.#schedule.addNoise(clean, this.#noise, level), evals: 0 };
    }
    const latent = clean.slice();
    let from = -1;
    for (const to of inversion) {
      this.#schedule.step(latent, await this.predictNoise(latent, to, from), from, to);
      from = to;
    }
    if (reuseNoise) this.#noise = this.#schedule.noiseBetween(clean, latent, level);
    return { latent, evals: inversion.length };
  }

  async #extract(latent: Float32Array<ArrayBuffer>): Promise<AttentionLayer[]> {
    const { layers, timestep } = this.plan;
    const wanted = layers.flatMap(({ name }) => [`${name}.to_q`, `${name}.to_k`]);
    const outputs = await this.unet.run(this.#feeds(latent, timestep), wanted, {
      whole: false,
      onDevice: true,
    });
    this.#held = Object.values(outputs);
    return layers.map(({ name, resolution, heads, channels }) => ({
      resolution,
      heads,
      headDim: channels / heads,
      scale: 1 / Math.sqrt(channels / heads),
      queries: dataOf(outputs[`${name}.to_q`]!),
      keys: dataOf(outputs[`${name}.to_k`]!),
    }));
  }

  #feeds(latent: Float32Array<ArrayBuffer>, timestep: number): Record<string, Tensor> {
    return {
      ...this.conditions,
      sample: this.#tensor(latent, this.#latentDims),
      timestep: this.#tensor(Float32Array.of(timestep), [1]),
    };
  }

  #tensor(data: Float32Array<ArrayBuffer>, dims: readonly number[]): Tensor {
    return new this.backend.ort.Tensor("float32", data, dims);
  }

  #dispose(): void {
    for (const tensor of this.#held) tensor.dispose();
    this.#held = [];
  }
}

function dataOf(tensor: Tensor): TensorData {
  if (tensor.location === "gpu-buffer") return tensor.gpuBuffer as unknown as GPUBuffer;
  return tensor.data as Float32Array<ArrayBuffer>;
}
