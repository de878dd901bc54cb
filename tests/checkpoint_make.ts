/**
 * Small checkpoints with random weights, for tests.
 *
 * @module
 */
import { parseTextConfig, parseUNetConfig, parseVaeConfig } from "../lib/checkpoint/config.ts";
import { elements, type Parameter } from "../lib/checkpoint/graph.ts";
import { writeSafetensors } from "../lib/checkpoint/safetensors.ts";
import { buildTextEncoder } from "../lib/checkpoint/text_encoder.ts";
import { buildUNet } from "../lib/checkpoint/unet.ts";
import { uniform } from "../lib/random.ts";
import { buildVaeEncoder, vaeDecoderParameters } from "../lib/checkpoint/vae.ts";
import { SD14_UNET, SD_VAE } from "./checkpoint_configs.ts";

/** Where the fixtures lie, or undefined where they are missing. */
export const fixture: string | undefined = findFixture();

function findFixture(): string | undefined {
  const path = new URL("../../shared/fixtures/sd1-tiny", import.meta.url).pathname;
  try {
    Deno.statSync(path);
    return path;
  } catch {
    console.log("Skipping the tests against sd1-tiny: ../shared is missing");
    return undefined;
  }
}

/** A seed for this run; printed by the tests that use it. */
export function freshSeed(): number {
  return Math.floor(Math.random() * 2 ** 31);
}

/** Uniform numbers in −1 … 1 from a seed. */
export function randomNumbers(seed: number): () => number {
  const next = uniform(seed);
  return () => 2 * next() - 1;
}

/** Tensors for a table of parameters: norms and biases near 1 and 0, matrices by their fan-in. */
export function randomTensors(parameters: Iterable<Parameter>, random: () => number) {
  const tensors: Record<string, { shape: readonly number[]; data: Float32Array<ArrayBuffer> }> = {};
  for (const { name, shape } of parameters) {
    const vector = shape.length === 1;
    const centre = vector && name.endsWith("weight") ? 1 : 0;
    const span = vector ? 0.2 : Math.sqrt(3 / elements(shape.slice(1)));
    tensors[name] = {
      shape,
      data: Float32Array.from({ length: elements(shape) }, () => centre + span * random()),
    };
  }
  return tensors;
}

/** A VAE with four levels of few channels. */
export const TINY_VAE = {
  ...SD_VAE,
  block_out_channels: [8, 8, 16, 16],
  layers_per_block: 1,
  norm_num_groups: 4,
};

/** A UNet like SD 1.x's with few channels. */
export const TINY_UNET = {
  ...SD14_UNET,
  sample_size: 16,
  block_out_channels: [16, 16, 32, 32],
  layers_per_block: 1,
  norm_num_groups: 4,
  attention_head_dim: 4,
  cross_attention_dim: 24,
};

/** A UNet like SDXL's with few channels. */
export const XL_UNET = {
  ...TINY_UNET,
  sample_size: 16,
  down_block_types: ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
  up_block_types: ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
  block_out_channels: [16, 16, 32],
  transformer_layers_per_block: [1, 2, 3],
  attention_head_dim: [2, 4, 8],
  use_linear_projection: true,
  addition_embed_type: "text_time",
  addition_time_embed_dim: 8,
  projection_class_embeddings_input_dim: 20 + 6 * 8,
};

/** A text encoder like SD 1.x's with few channels. */
export const TINY_TEXT = {
  architectures: ["CLIPTextModel"],
  vocab_size: 100,
  max_position_embeddings: 9,
  hidden_size: 24,
  intermediate_size: 40,
  num_attention_heads: 4,
  num_hidden_layers: 3,
  hidden_act: "quick_gelu",
};

/** SDXL's two text encoders with few channels. */
export const XL_TEXTS = [
  { ...TINY_TEXT, hidden_size: 8, num_attention_heads: 2 },
  {
    ...TINY_TEXT,
    architectures: ["CLIPTextModelWithProjection"],
    hidden_size: 16,
    hidden_act: "gelu",
    projection_dim: 20,
  },
] as const;

export const SCHEDULER = {
  num_train_timesteps: 1000,
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: "scaled_linear",
  steps_offset: 1,
  set_alpha_to_one: false,
  prediction_type: "epsilon",
};

/** Letters alone: a whole vocabulary for plain texts where there are no merges. */
export function tinyVocabulary(): Record<string, number> {
  const letters = "abcdefghijklmnopqrstuvwxyz0123456789!?.,'".split("");
  const tokens = ["!", ...letters.filter((c) => c !== "!"), ...letters.map((c) => `${c}</w>`)];
  return Object.fromEntries([...tokens, "<|startoftext|>", "<|endoftext|>"].map((token, id) => [token, id]));
}

/** What a checkpoint is made of; parts that are absent are left out. */
export interface CheckpointParts {
  readonly unet?: Record<string, unknown>;
  readonly vae?: Record<string, unknown>;
  readonly scheduler?: Record<string, unknown>;
  /** Configs of one or two text encoders. */
  readonly texts?: readonly Record<string, unknown>[];
}

/** Writes a checkpoint in diffusers' layout. */
export async function makeCheckpoint(path: string, parts: CheckpointParts, seed: number): Promise<void> {
  const { unet = TINY_UNET, vae = TINY_VAE, scheduler = SCHEDULER, texts = [] } = parts;
  const random = randomNumbers(seed);
  const write = async (part: string, config: unknown, stem: string, parameters: Iterable<Parameter>) => {
    await Deno.mkdir(`${path}/${part}`, { recursive: true });
    await Deno.writeTextFile(`${path}/${part}/config.json`, JSON.stringify(config));
    await writeSafetensors(`${path}/${part}/${stem}.safetensors`, randomTensors(parameters, random));
  };
  const unetConfig = parseUNetConfig(unet, "unet");
  const vaeConfig = parseVaeConfig(vae, "vae");
  await write("unet", unet, "diffusion_pytorch_model", buildUNet(unetConfig, "float32").parameters.values());
  await write("vae", vae, "diffusion_pytorch_model", [
    ...buildVaeEncoder(vaeConfig, "float32").parameters.values(),
    ...vaeDecoderParameters(vaeConfig),
  ]);
  await Deno.mkdir(`${path}/scheduler`, { recursive: true });
  await Deno.writeTextFile(`${path}/scheduler/scheduler_config.json`, JSON.stringify(scheduler));
  for (const [i, text] of texts.entries()) {
    const suffix = i === 0 ? "" : `_${i + 1}`;
    const config = parseTextConfig(text, "text_encoder");
    await write(
      `text_encoder${suffix}`,
      text,
      "model",
      buildTextEncoder(config, "float32", false).parameters.values(),
    );
    await Deno.mkdir(`${path}/tokenizer${suffix}`, { recursive: true });
    await Deno.writeTextFile(`${path}/tokenizer${suffix}/vocab.json`, JSON.stringify(tinyVocabulary()));
    await Deno.writeTextFile(`${path}/tokenizer${suffix}/merges.txt`, "#version: 0.2\n");
  }
}
