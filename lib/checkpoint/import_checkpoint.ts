/**
 * Imports a Stable Diffusion checkpoint: a folder in diffusers' layout becomes ONNX graphs with
 * their weights and a manifest.
 *
 * @module
 */
import { statfs } from "node:fs/promises";
import { oneLine, UsageError, WalkcutError } from "../errors.ts";
import {
  latentSide,
  parseSchedulerConfig,
  parseTextConfig,
  parseUNetConfig,
  parseVaeConfig,
  type TextConfig,
  type UNetConfig,
} from "./config.ts";
import type { Precision } from "./dtypes.ts";
import { CheckpointFolder } from "./folder.ts";
import { activationSizes, countParameters, dimensionValues } from "./graph.ts";
import {
  DIFFUSION_FORMAT,
  type DiffusionManifest,
  type FileRecord,
  MANIFEST_FILE,
  type TextPart,
} from "./manifest.ts";
import { hashFile } from "./hash_file.ts";
import { checkParameters, guardWrite, partBytes, type PartPlan, writePart } from "./part.ts";
import { type TensorSource, writeSafetensors } from "./safetensors.ts";
import { maySense } from "./sense.ts";
import { createModel } from "./store.ts";
import { buildTextEncoder } from "./text_encoder.ts";
import { DEFAULT_TOKENS, encodePrompt, TOKENIZER_FILES } from "./text.ts";
import { Tokenizer } from "./tokenizer.ts";
import { buildUNet } from "./unet.ts";
import { buildVaeEncoder, vaeDecoderParameters } from "./vae.ts";

/** What to import, and to where. */
export interface ImportOptions {
  /** The checkpoint's folder. */
  readonly folder: string;
  /** The models folder. */
  readonly models: string;
  readonly name: string;
  readonly precision: Precision;
  /** Text that conditions the network. The paper uses none. */
  readonly prompt: string;
  /** Told of the share that is done, 0 … 1. */
  readonly onProgress: (share: number) => void;
  /** Told what a person should know, a line each. */
  readonly onNote: (line: string) => void;
  readonly signal?: AbortSignal;
  /** Most weights a section; see `part.ts`. */
  readonly maxWeights?: number;
}

/** Name of the file that holds the text's embedding. */
const CONDITIONS_FILE = "conditions.safetensors";

/** Room for graphs, manifest and conditions, in bytes. */
const SMALL_FILES = 16 * 2 ** 20;

/** Imports a checkpoint and gives the folder of the network. */
export async function importCheckpoint(options: ImportOptions): Promise<string> {
  const source = await CheckpointFolder.open(options.folder, options.precision);
  using plan = await planImport(source, options);
  return await createModel(
    options.models,
    options.name,
    (folder) => writeModel(folder, source, plan, options),
  );
}

/** All that is to be written, opened and checked. */
interface ImportPlan extends Disposable {
  readonly unet: PartPlan;
  readonly vae: PartPlan;
  readonly texts: readonly TextPlan[];
  readonly config: UNetConfig;
  readonly vaeConfig: ReturnType<typeof parseVaeConfig>;
  readonly scheduler: ReturnType<typeof parseSchedulerConfig>;
  readonly vaeParameters: number;
}

interface TextPlan {
  readonly part: PartPlan;
  readonly config: TextConfig;
  /** Where its tokenizer's files lie, and which are there. */
  readonly tokenizer: { readonly folder: string; readonly files: readonly string[] };
}

async function planImport(folder: CheckpointFolder, options: ImportOptions): Promise<ImportPlan> {
  const { precision, maxWeights } = options;
  const size = maxWeights === undefined ? {} : { maxWeights };
  const config = parseUNetConfig(await folder.json("unet/config.json"), `${folder.path}/unet/config.json`);
  const vaeConfig = parseVaeConfig(await folder.json("vae/config.json"), `${folder.path}/vae/config.json`);
  const scheduler = parseSchedulerConfig(
    await folder.json("scheduler/scheduler_config.json"),
    `${folder.path}/scheduler/scheduler_config.json`,
  );
  requireLatents(config, vaeConfig.latentChannels, folder.path);
  const opened: TensorSource[] = [];
  const open = async (part: string, stem: string) => {
    const source = await folder.weights(part, stem);
    opened.push(source);
    return source;
  };
  const dispose = () => opened.forEach((source) => source.close());
  try {
    const unet: PartPlan = {
      stem: "unet",
      build: (type) => buildUNet(config, type),
      wanted: (output) => output !== "eps",
      source: await open("unet", "diffusion_pytorch_model"),
      precision,
      ...size,
    };
    const vae: PartPlan = {
      stem: "vae",
      build: (type) => buildVaeEncoder(vaeConfig, type, latentSide(config.sampleSize) ** 2),
      wanted: () => true,
      source: await open("vae", "diffusion_pytorch_model"),
      precision,
      computeHalf: !vaeConfig.forceUpcast,
      ...size,
    };
    checkParameters(unet.build("float32").parameters.values(), unet.source);
    const vaeTable = [...vae.build("float32").parameters.values(), ...vaeDecoderParameters(vaeConfig)];
    checkParameters(vaeTable, vae.source);
    const texts = await planTexts(folder, config, options, open);
    const vaeParameters = countParameters(vaeTable);
    return { unet, vae, texts, config, vaeConfig, scheduler, vaeParameters, [Symbol.dispose]: dispose };
  } catch (error) {
    dispose();
    throw error;
  }
}

function requireLatents({ inChannels, outChannels }: UNetConfig, latents: number, folder: string): void {
  if (inChannels === latents && outChannels === latents) return;
  throw new UsageError({
    what: `Cannot use ${oneLine(folder)}, its UNet must take and give the VAE's ${latents} channels`,
    found: `${inChannels} and ${outChannels}`,
    advice: "use a text-to-image checkpoint, not one for inpainting or depth",
  });
}

async function planTexts(
  folder: CheckpointFolder,
  { added, crossAttentionDims }: UNetConfig,
  { precision, prompt, maxWeights }: ImportOptions,
  open: (part: string, stem: string) => Promise<TensorSource>,
): Promise<TextPlan[]> {
  const texts: TextPlan[] = [];
  for (const suffix of added === null ? [""] : ["", "_2"]) {
    const name = `text_encoder${suffix}`;
    if (!await folder.has(name)) continue;
    const config = parseTextConfig(
      await folder.json(`${name}/config.json`),
      `${folder.path}/${name}/config.json`,
    );
    const part: PartPlan = {
      stem: name,
      build: (type) => buildTextEncoder(config, type, added !== null),
      wanted: () => true,
      source: await open(name, "model"),
      precision,
      ...(maxWeights === undefined ? {} : { maxWeights }),
    };
    checkParameters(part.build("float32").parameters.values(), part.source);
    // Encoded already here, so that a tokenizer that is no good is told before anything is written.
    (await Tokenizer.open(`${folder.path}/tokenizer${suffix}`)).encode(prompt, config.positions);
    texts.push({ part, config, tokenizer: await tokenizerFiles(folder, `tokenizer${suffix}`) });
  }
  const width = texts.reduce((n, { config }) => n + config.width, 0);
  const pooled = texts.at(-1)?.config.projection ?? null;
  if (texts.length > 0 && (width !== crossAttentionDims[0] || added !== null && pooled !== added.textWidth)) {
    throw new UsageError({
      what: `Cannot use ${oneLine(folder.path)}, its text encoders must give ${
        crossAttentionDims[0]
      } channels${added === null ? "" : ` and a pooled output of ${added.textWidth}`}`,
      found: `${width} and ${pooled ?? "no pooled output"}`,
      advice: "check that unet and text_encoder belong together",
    });
  }
  if (texts.length === 0 && prompt !== "") {
    throw new UsageError({
      what: "Cannot encode --prompt, the checkpoint has no text encoder",
      found: folder.path,
      advice: "leave --prompt out, or add the text_encoder and tokenizer folders",
    });
  }
  return texts;
}

async function tokenizerFiles(folder: CheckpointFolder, name: string): Promise<TextPlan["tokenizer"]> {
  const files: string[] = [];
  for (const file of TOKENIZER_FILES) if (await folder.has(`${name}/${file}`)) files.push(file);
  return { folder: `${folder.path}/${name}`, files };
}

async function writeModel(
  folder: string,
  source: CheckpointFolder,
  plan: ImportPlan,
  options: ImportOptions,
): Promise<void> {
  const { unet, vae, texts, config, vaeConfig, scheduler } = plan;
  const { signal, onProgress } = options;
  const total = [unet, vae, ...texts.map(({ part }) => part)].reduce((n, part) => n + partBytes(part), 0);
  await requireRoom(folder, total + SMALL_FILES);
  let done = 0;
  const onBytes = (bytes: number) => onProgress((done += bytes) / total);
  const unetPart = await writePart(folder, unet, onBytes, signal);
  const vaePart = await writePart(folder, vae, onBytes, signal);
  const textParts = await writeTexts(folder, texts, onBytes, signal);
  const conditions = await writeConditions(folder, textParts, config, options);
  const { layers } = buildUNet(config, "float32");
  const side = latentSide(config.sampleSize);
  const imageSide = side << (vaeConfig.blockChannels.length - 1);
  const manifest: DiffusionManifest = {
    format: DIFFUSION_FORMAT,
    name: options.name,
    precision: options.precision,
    source: { folder: await Deno.realPath(source.path), files: await source.records(signal) },
    unet: {
      ...unetPart,
      latentChannels: config.inChannels,
      sampleSize: config.sampleSize,
      levels: config.blockChannels.length,
      layers,
      parameters: countParameters(unet.build("float32").parameters.values()),
      textWidth: config.added?.textWidth ?? null,
      activations: activationSizes(
        unet.build("float32"),
        {
          ...dimensionValues(side, side, config.blockChannels.length),
          context_tokens: textParts[0]?.positions ?? DEFAULT_TOKENS,
        },
      ),
    },
    vae: {
      ...vaePart,
      scalingFactor: vaeConfig.scalingFactor,
      levels: vaeConfig.blockChannels.length,
      parameters: plan.vaeParameters,
      activations: activationSizes(
        vae.build("float32"),
        dimensionValues(imageSide, imageSide, vaeConfig.blockChannels.length),
      ),
    },
    scheduler,
    texts: textParts,
    conditions,
  };
  await guardWrite(
    folder,
    () => Deno.writeTextFile(`${folder}/${MANIFEST_FILE}`, JSON.stringify(manifest, null, 1) + "\n"),
  );
}

/** Throws unless the disk of `folder` has room for `bytes`, where the program may ask. */
export async function requireRoom(folder: string, bytes: number): Promise<void> {
  if (!maySense("statfs")) return;
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free >= bytes) return;
  throw new WalkcutError({
    what: `Cannot import, the disk of the models folder has too little room for ${megabytes(bytes)}`,
    found: `${megabytes(free)} free`,
    advice: "make room there, or give another folder with --models",
  });
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)} MB`;
}

/** Writes the text encoders with their tokenizers, each into a folder of its own. */
async function writeTexts(
  folder: string,
  texts: readonly TextPlan[],
  onBytes: (bytes: number) => void,
  signal?: AbortSignal,
): Promise<TextPart[]> {
  const parts: TextPart[] = [];
  for (const { part, config, tokenizer } of texts) {
    const own = `${folder}/${part.stem}`;
    await guardWrite(own, () => Deno.mkdir(own));
    const written = await writePart(own, part, onBytes, signal);
    const records: FileRecord[] = [];
    for (const file of tokenizer.files) {
      await guardWrite(
        `${own}/${file}`,
        () => Deno.copyFile(`${tokenizer.folder}/${file}`, `${own}/${file}`),
      );
      records.push(await hashFile(own, file, signal));
    }
    const { width, positions } = config;
    parts.push({ ...written, folder: part.stem, width, positions, tokenizer: records });
  }
  return parts;
}

/** Runs the text encoders on the prompt and stores what they give; zeros stand in where there is none. */
async function writeConditions(
  folder: string,
  texts: readonly TextPart[],
  { crossAttentionDims, added }: UNetConfig,
  { prompt, onNote }: ImportOptions,
): Promise<DiffusionManifest["conditions"]> {
  if (texts.length === 0) onNote("the checkpoint has no text encoder: the text's embedding is taken to be 0");
  const conditions = await encodePrompt(
    folder,
    texts,
    prompt,
    crossAttentionDims[0]!,
    added?.textWidth ?? null,
    onNote,
  );
  const path = `${folder}/${CONDITIONS_FILE}`;
  await guardWrite(path, () => writeSafetensors(path, conditions));
  return { ...await hashFile(folder, CONDITIONS_FILE), prompt, encoded: texts.length > 0 };
}
