/**
 * The configs of a diffusers folder, checked and made uniform.
 *
 * What the builders do not know is refused by name: a network that is built wrongly
 * without notice would be worse than none.
 *
 * @module
 */
import { oneLine, UsageError } from "../errors.ts";

/** One block of the UNet. */
export interface UNetBlock {
  /** True where its layers have transformers. */
  readonly attention: boolean;
  /** Transformer blocks of each of its layers. */
  readonly layers: readonly number[];
  readonly heads: number;
  readonly crossDim: number;
}

/** A `UNet2DConditionModel`. */
export interface UNetConfig {
  readonly inChannels: number;
  readonly outChannels: number;
  /** Side of the latent for which it was trained. */
  readonly sampleSize: number;
  readonly blockChannels: readonly number[];
  readonly down: readonly UNetBlock[];
  readonly mid: UNetBlock | null;
  readonly up: readonly UNetBlock[];
  readonly crossAttentionDims: readonly number[];
  readonly groups: number;
  readonly epsilon: number;
  readonly linearProjection: boolean;
  readonly upcastAttention: boolean;
  readonly flipSinToCos: boolean;
  readonly freqShift: number;
  readonly downsamplePadding: number;
  readonly convInKernel: number;
  readonly convOutKernel: number;
  /** SDXL's added conditions: width of the pooled text and of each of six embedded numbers. */
  readonly added: { readonly textWidth: number; readonly timeWidth: number } | null;
}

/** An `AutoencoderKL`. */
export interface VaeConfig {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly latentChannels: number;
  readonly blockChannels: readonly number[];
  readonly layersPerBlock: number;
  readonly groups: number;
  readonly scalingFactor: number;
  readonly quantConv: boolean;
  readonly postQuantConv: boolean;
  readonly midAttention: boolean;
  /** True where its activations leave the range of float16, as SDXL's do. */
  readonly forceUpcast: boolean;
}

/** A CLIP text encoder. */
export interface TextConfig {
  readonly vocabulary: number;
  readonly positions: number;
  readonly width: number;
  readonly inner: number;
  readonly heads: number;
  readonly layers: number;
  readonly activation: "quick_gelu" | "gelu";
  readonly epsilon: number;
  /** Width of the pooled output, or null without a projection. */
  readonly projection: number | null;
}

/** The noise schedule. */
export interface SchedulerConfig {
  readonly trainSteps: number;
  readonly betaStart: number;
  readonly betaEnd: number;
  readonly schedule: "scaled_linear" | "linear";
  readonly stepsOffset: number;
  readonly setAlphaToOne: boolean;
  readonly prediction: "epsilon" | "v_prediction";
}

/**
 * Side of the latent that is used: the largest power of two within the size for which the network
 * was trained, so that its resolutions fit the walk's grid (64 for SD 1.x and 2.x, 128 for SDXL).
 */
export function latentSide(sampleSize: number): number {
  return 2 ** Math.floor(Math.log2(sampleSize));
}

/** Reads `unet/config.json`. `label` names it in errors. */
export function parseUNetConfig(json: unknown, label: string): UNetConfig {
  const c = new Fields(json, label);
  requireDefaults(c, {
    center_input_sample: [false],
    only_cross_attention: [false],
    dual_cross_attention: [false],
    class_embed_type: [null],
    num_class_embeds: [null],
    encoder_hid_dim: [null],
    encoder_hid_dim_type: [null],
    num_attention_heads: [null],
    resnet_time_scale_shift: ["default"],
    resnet_skip_time_act: [false],
    resnet_out_scale_factor: [1],
    mid_block_scale_factor: [1],
    mid_block_only_cross_attention: [null, false],
    time_embedding_type: ["positional"],
    time_embedding_dim: [null],
    time_embedding_act_fn: [null],
    timestep_post_act: [null],
    time_cond_proj_dim: [null],
    cross_attention_norm: [null],
    class_embeddings_concat: [false],
    attention_type: ["default"],
    act_fn: ["silu"],
  });
  const channels = c.counts("block_out_channels");
  const types = c.strings("down_block_types", channels.length);
  const upTypes = c.strings("up_block_types", channels.length);
  const layers = c.perBlock("layers_per_block", channels.length, 2);
  const heads = c.perBlock("attention_head_dim", channels.length, 8);
  const cross = c.perBlock("cross_attention_dim", channels.length, 1280);
  if (new Set(cross).size !== 1) c.refuse("cross_attention_dim", "one width for all blocks");
  channels.forEach((n, i) => {
    if (n % heads[i]! !== 0) c.refuse("attention_head_dim", `divisors of block_out_channels (${n})`);
  });
  const depths = layers.map((n, i) => c.depths("transformer_layers_per_block", i, n));
  const block = (attention: boolean, layers: number[], i: number): UNetBlock => ({
    attention,
    layers,
    heads: heads[i]!,
    crossDim: cross[i]!,
  });
  const reversed = c.has("reverse_transformer_layers_per_block");
  return {
    inChannels: c.count("in_channels", 4),
    outChannels: c.count("out_channels", 4),
    sampleSize: c.count("sample_size"),
    blockChannels: channels,
    down: types.map((type, i) =>
      block(c.blockType("down_block_types", type, "CrossAttnDownBlock2D", "DownBlock2D"), depths[i]!, i)
    ),
    mid: midBlock(c, (attention) => block(attention, [depths.at(-1)![0]!], channels.length - 1)),
    up: upTypes.map((type, i) => {
      const mirror = channels.length - 1 - i;
      const count = layers[mirror]! + 1;
      const depth = reversed
        ? c.depths("reverse_transformer_layers_per_block", i, count)
        : c.depths("transformer_layers_per_block", mirror, count);
      return block(c.blockType("up_block_types", type, "CrossAttnUpBlock2D", "UpBlock2D"), depth, mirror);
    }),
    crossAttentionDims: cross,
    groups: c.count("norm_num_groups", 32),
    epsilon: c.number("norm_eps", 1e-5),
    linearProjection: c.boolean("use_linear_projection", false),
    upcastAttention: c.boolean("upcast_attention", false),
    flipSinToCos: c.boolean("flip_sin_to_cos", true),
    freqShift: c.number("freq_shift", 0),
    downsamplePadding: c.number("downsample_padding", 1),
    convInKernel: c.count("conv_in_kernel", 3),
    convOutKernel: c.count("conv_out_kernel", 3),
    added: addedConditions(c),
  };
}

/** Reads `vae/config.json`. */
export function parseVaeConfig(json: unknown, label: string): VaeConfig {
  const c = new Fields(json, label);
  requireDefaults(c, { act_fn: ["silu"], latents_mean: [null], latents_std: [null], shift_factor: [null] });
  const channels = c.counts("block_out_channels");
  for (const type of c.strings("down_block_types", channels.length)) {
    c.blockType("down_block_types", type, "DownEncoderBlock2D");
  }
  for (const type of c.strings("up_block_types", channels.length)) {
    c.blockType("up_block_types", type, "UpDecoderBlock2D");
  }
  return {
    inChannels: c.count("in_channels", 3),
    outChannels: c.count("out_channels", 3),
    latentChannels: c.count("latent_channels", 4),
    blockChannels: channels,
    layersPerBlock: c.count("layers_per_block", 1),
    groups: c.count("norm_num_groups", 32),
    scalingFactor: c.number("scaling_factor", 0.18215),
    quantConv: c.boolean("use_quant_conv", true),
    postQuantConv: c.boolean("use_post_quant_conv", true),
    midAttention: c.boolean("mid_block_add_attention", true),
    forceUpcast: c.boolean("force_upcast", false),
  };
}

/** Reads `text_encoder/config.json`. */
export function parseTextConfig(json: unknown, label: string): TextConfig {
  const c = new Fields(json, label);
  const architecture = c.strings("architectures", 1)[0];
  const activation = c.string("hidden_act", "quick_gelu");
  if (activation !== "quick_gelu" && activation !== "gelu") c.refuse("hidden_act", "quick_gelu or gelu");
  const projected = c.blockType(
    "architectures",
    architecture!,
    "CLIPTextModelWithProjection",
    "CLIPTextModel",
  );
  return {
    vocabulary: c.count("vocab_size", 49408),
    positions: c.count("max_position_embeddings", 77),
    width: c.count("hidden_size", 512),
    inner: c.count("intermediate_size", 2048),
    heads: c.count("num_attention_heads", 8),
    layers: c.count("num_hidden_layers", 12),
    activation: activation as TextConfig["activation"],
    epsilon: c.number("layer_norm_eps", 1e-5),
    projection: projected ? c.count("projection_dim", 512) : null,
  };
}

/** Reads `scheduler/scheduler_config.json`; every scheduler of Stable Diffusion shares these fields. */
export function parseSchedulerConfig(json: unknown, label: string): SchedulerConfig {
  const c = new Fields(json, label);
  requireDefaults(c, { trained_betas: [null], rescale_betas_zero_snr: [false] });
  const schedule = c.string("beta_schedule", "linear");
  if (schedule !== "scaled_linear" && schedule !== "linear") {
    c.refuse("beta_schedule", "scaled_linear or linear");
  }
  const prediction = c.string("prediction_type", "epsilon");
  if (prediction !== "epsilon" && prediction !== "v_prediction") {
    c.refuse("prediction_type", "epsilon or v_prediction");
  }
  return {
    trainSteps: c.count("num_train_timesteps", 1000),
    betaStart: c.number("beta_start", 0.0001),
    betaEnd: c.number("beta_end", 0.02),
    schedule: schedule as SchedulerConfig["schedule"],
    stepsOffset: c.number("steps_offset", 0),
    setAlphaToOne: c.boolean("set_alpha_to_one", true),
    prediction: prediction as SchedulerConfig["prediction"],
  };
}

function midBlock(c: Fields, block: (attention: boolean) => UNetBlock): UNetBlock | null {
  if (c.isNull("mid_block_type")) return null;
  const type = c.string("mid_block_type", "UNetMidBlock2DCrossAttn");
  return block(c.blockType("mid_block_type", type, "UNetMidBlock2DCrossAttn", "UNetMidBlock2D"));
}

function addedConditions(c: Fields): UNetConfig["added"] {
  if (!c.has("addition_embed_type")) return null;
  if (c.string("addition_embed_type", "") !== "text_time") {
    c.refuse("addition_embed_type", "null or text_time");
  }
  const timeWidth = c.count("addition_time_embed_dim");
  const textWidth = c.count("projection_class_embeddings_input_dim") - 6 * timeWidth;
  if (textWidth <= 0) c.refuse("projection_class_embeddings_input_dim", `more than 6 × ${timeWidth}`);
  return { textWidth, timeWidth };
}

function requireDefaults(c: Fields, allowed: Record<string, readonly unknown[]>): void {
  for (const [name, values] of Object.entries(allowed)) {
    if (!c.isDefault(name, values)) c.refuse(name, values.map((v) => JSON.stringify(v)).join(" or "));
  }
}

/** Access to a config's fields that checks their types. */
class Fields {
  readonly #json: Record<string, unknown>;

  constructor(json: unknown, readonly label: string) {
    if (typeof json !== "object" || json === null || Array.isArray(json)) {
      throw new UsageError({
        what: `Cannot use ${oneLine(label)}, it is not a JSON object`,
        found: typeof json,
      });
    }
    this.#json = json as Record<string, unknown>;
  }

  /** Throws: `name` holds what is not supported. */
  refuse(name: string, supported: string): never {
    throw new UsageError({
      what: `Cannot use ${oneLine(this.label)}, ${name} must be ${supported}`,
      found: JSON.stringify(this.#json[name]) ?? "nothing",
      advice: "use a Stable Diffusion 1.x, 2.x, SDXL or SSD-1B checkpoint",
    });
  }

  has(name: string): boolean {
    return this.#json[name] !== undefined && this.#json[name] !== null;
  }

  isNull(name: string): boolean {
    return this.#json[name] === null;
  }

  isDefault(name: string, values: readonly unknown[]): boolean {
    return this.#json[name] === undefined || values.includes(this.#json[name]);
  }

  number(name: string, fallback?: number): number {
    const value = this.#json[name] ?? fallback;
    if (typeof value !== "number" || !Number.isFinite(value)) this.refuse(name, "a number");
    return value as number;
  }

  count(name: string, fallback?: number): number {
    const value = this.number(name, fallback);
    if (!isCount(value)) this.refuse(name, "a whole number above 0");
    return value;
  }

  boolean(name: string, fallback: boolean): boolean {
    const value = this.#json[name] ?? fallback;
    if (typeof value !== "boolean") this.refuse(name, "true or false");
    return value as boolean;
  }

  string(name: string, fallback: string): string {
    const value = this.#json[name] ?? fallback;
    if (typeof value !== "string") this.refuse(name, "a text");
    return value as string;
  }

  counts(name: string): number[] {
    const value = this.#json[name];
    if (!Array.isArray(value) || value.length === 0 || value.length > 16 || !value.every(isCount)) {
      this.refuse(name, "a list of whole numbers");
    }
    return value as number[];
  }

  strings(name: string, length: number): string[] {
    const value = this.#json[name];
    if (!Array.isArray(value) || value.length !== length || !value.every((v) => typeof v === "string")) {
      this.refuse(name, `a list of ${length} names`);
    }
    return value as string[];
  }

  /** A number a block; one number stands for all. */
  perBlock(name: string, blocks: number, fallback: number): number[] {
    const value = this.#json[name] ?? fallback;
    const list = Array.isArray(value) ? value : Array(blocks).fill(value);
    if (list.length !== blocks || !list.every(isCount)) {
      this.refuse(name, `a whole number or ${blocks} of them`);
    }
    return list as number[];
  }

  /** Transformer blocks of each of `layers` layers of block `i`. */
  depths(name: string, i: number, layers: number): number[] {
    const value = this.#json[name] ?? 1;
    const entry: unknown = Array.isArray(value) ? value[i] : value;
    const list = Array.isArray(entry) ? entry : Array(layers).fill(entry);
    if (list.length !== layers || !list.every(isCount)) {
      this.refuse(name, `a whole number a block, or one for each of its ${layers} layers`);
    }
    return list as number[];
  }

  /** True for the first of `known`, false for the second; anything else is refused. */
  blockType(name: string, type: string, ...known: string[]): boolean {
    const index = known.indexOf(type);
    if (index < 0) {
      throw new UsageError({
        what: `Cannot use ${oneLine(this.label)}, ${name} has an unknown type (known: ${known.join(", ")})`,
        found: type,
        advice: "use a Stable Diffusion 1.x, 2.x, SDXL or SSD-1B checkpoint",
      });
    }
    return index === 0;
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}
