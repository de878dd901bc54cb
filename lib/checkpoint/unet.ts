/**
 * The denoising UNet of Stable Diffusion (diffusers' `UNet2DConditionModel`), from its config:
 * SD 1.x, 2.x, SDXL and distilled ones with an asymmetric decoder.
 *
 * @module
 */
import { latentSide, type UNetConfig } from "./config.ts";
import { attentionChunks, type Graph, GraphBuilder, spatial, type Value } from "./graph.ts";

/** A self-attention layer whose queries and keys the graph gives. */
export interface SelfAttention {
  /** Module name in the checkpoint, up to and with `attn1`. */
  readonly name: string;
  readonly part: "down" | "mid" | "up";
  /** Halvings of the latent: its grid has `side >> level` tokens a side. */
  readonly level: number;
  readonly heads: number;
  readonly channels: number;
}

/** A UNet's graph and what can be read from it. */
export interface UNetGraph extends Graph {
  /** In the order in which they run. */
  readonly layers: readonly SelfAttention[];
}

/** GroupNorm's ε in front of a transformer; fixed in diffusers. */
const TRANSFORMER_EPSILON = 1e-6;

/**
 * Builds the graph. Inputs: `sample` [1, C, H, W], `timestep` [1], `context` [1, tokens, D] and,
 * with added conditions, `text_embeds` [1, E] and `time_ids` [1, 6]. Outputs: `eps` like `sample`
 * and for each self-attention layer `NAME.to_q` and `NAME.to_k` [1, HW, C]; all float32.
 */
export function buildUNet(config: UNetConfig, type: "float16" | "float32"): UNetGraph {
  return new UNetBuilder(config, type).run();
}

class UNetBuilder {
  readonly #g: GraphBuilder;
  readonly #layers: SelfAttention[] = [];
  readonly #context: Value;
  readonly #time: Value;

  constructor(readonly config: UNetConfig, type: "float16" | "float32") {
    this.#g = new GraphBuilder(type);
    const timestep = this.#g.input("timestep", [1]);
    const width = config.crossAttentionDims.at(-1)!;
    this.#context = this.#g.cast(this.#g.input("context", [1, "context_tokens", width]), type);
    this.#time = this.#g.sigmoidUnit(this.#timeEmbedding(timestep));
  }

  run(): UNetGraph {
    const [g, { config }] = [this.#g, this];
    const sample = g.input("sample", [1, config.inChannels, ...spatial(0)]);
    const x = g.conv(g.cast(sample, g.type), "conv_in", config.blockChannels[0]!, {
      kernel: config.convInKernel,
    });
    const skips = [x];
    const inner = this.#mid(this.#down(x, skips));
    const last = this.#up(inner, skips);
    const normal = g.groupNorm(last, "conv_norm_out", config.groups, config.epsilon);
    const eps = g.conv(g.sigmoidUnit(normal), "conv_out", config.outChannels, {
      kernel: config.convOutKernel,
    });
    g.output("eps", eps);
    return { ...g.build(), layers: this.#layers };
  }

  #down(x: Value, skips: Value[]): Value {
    const { blockChannels, down } = this.config;
    down.forEach(({ attention, layers, heads, crossDim }, i) => {
      const prefix = `down_blocks.${i}`;
      layers.forEach((depth, j) => {
        x = this.#resnet(x, `${prefix}.resnets.${j}`, blockChannels[i]!);
        if (attention) {
          x = this.#transformer(x, `${prefix}.attentions.${j}`, "down", i, depth, heads, crossDim);
        }
        skips.push(x);
      });
      if (i < down.length - 1) {
        const pads = Array<number>(4).fill(this.config.downsamplePadding);
        x = this.#g.conv(x, `${prefix}.downsamplers.0.conv`, blockChannels[i]!, {
          stride: 2,
          pads,
          level: i + 1,
        });
        skips.push(x);
      }
    });
    return x;
  }

  #mid(x: Value): Value {
    const { mid, blockChannels } = this.config;
    if (mid === null) return x;
    const channels = blockChannels.at(-1)!;
    const level = blockChannels.length - 1;
    x = this.#resnet(x, "mid_block.resnets.0", channels);
    if (!mid.attention) return x;
    x = this.#transformer(x, "mid_block.attentions.0", "mid", level, mid.layers[0]!, mid.heads, mid.crossDim);
    return this.#resnet(x, "mid_block.resnets.1", channels);
  }

  #up(x: Value, skips: Value[]): Value {
    const { blockChannels, up } = this.config;
    up.forEach(({ attention, layers, heads, crossDim }, i) => {
      const prefix = `up_blocks.${i}`;
      const level = up.length - 1 - i;
      layers.forEach((depth, j) => {
        x = this.#g.concat([x, skips.pop()!], 1);
        x = this.#resnet(x, `${prefix}.resnets.${j}`, blockChannels[level]!);
        if (attention) {
          x = this.#transformer(x, `${prefix}.attentions.${j}`, "up", level, depth, heads, crossDim);
        }
      });
      if (level > 0) {
        x = this.#g.upsample(x, level - 1);
        x = this.#g.conv(x, `${prefix}.upsamplers.0.conv`, blockChannels[level]!);
      }
    });
    return x;
  }

  #resnet(x: Value, prefix: string, out: number): Value {
    const [g, { groups, epsilon }] = [this.#g, this.config];
    let h = g.conv(g.sigmoidUnit(g.groupNorm(x, `${prefix}.norm1`, groups, epsilon)), `${prefix}.conv1`, out);
    const time = g.linear(this.#time, `${prefix}.time_emb_proj`, out);
    h = g.add(h, g.reshape(time, [1, out, 1, 1], [1, out, 1, 1]));
    h = g.conv(g.sigmoidUnit(g.groupNorm(h, `${prefix}.norm2`, groups, epsilon)), `${prefix}.conv2`, out);
    const direct = x.dims[1] === out ? x : g.conv(x, `${prefix}.conv_shortcut`, out, { kernel: 1 });
    return g.add(h, direct);
  }

  #transformer(
    x: Value,
    prefix: string,
    part: SelfAttention["part"],
    level: number,
    depth: number,
    heads: number,
    crossDim: number,
  ): Value {
    const [g, { groups, linearProjection }] = [this.#g, this.config];
    const channels = x.dims[1] as number;
    const shape = linearProjection ? [channels, channels] : [channels, channels, 1, 1];
    const normal = g.groupNorm(x, `${prefix}.norm`, groups, TRANSFORMER_EPSILON);
    let h = g.linear(g.tokens(normal), `${prefix}.proj_in`, channels, { shape });
    for (let i = 0; i < depth; i++) {
      const block = `${prefix}.transformer_blocks.${i}`;
      this.#layers.push({ name: `${block}.attn1`, part, level, heads, channels });
      h = this.#block(h, block, level, heads, crossDim);
    }
    return g.add(g.picture(g.linear(h, `${prefix}.proj_out`, channels, { shape }), x), x);
  }

  #block(x: Value, prefix: string, level: number, heads: number, crossDim: number): Value {
    const g = this.#g;
    const tokens = (latentSide(this.config.sampleSize) >> level) ** 2;
    const chunks = attentionChunks(tokens, x.dims[2] as number / heads, g.type);
    const own = g.layerNorm(x, `${prefix}.norm1`);
    x = g.add(x, this.#attend(own, undefined, `${prefix}.attn1`, heads, chunks));
    if (crossDim !== this.#context.dims[2]) throw new Error("Every block shares one context");
    x = g.add(x, this.#attend(g.layerNorm(x, `${prefix}.norm2`), this.#context, `${prefix}.attn2`, heads));
    const channels = x.dims[2] as number;
    const normal = g.layerNorm(x, `${prefix}.norm3`);
    const [value, gate] = g.halves(g.linear(normal, `${prefix}.ff.net.0.proj`, 8 * channels));
    return g.add(x, g.linear(g.mul(value, g.gelu(gate)), `${prefix}.ff.net.2`, channels));
  }

  /** Attention to `context`, or to itself, in which case queries and keys become outputs. */
  #attend(x: Value, context: Value | undefined, prefix: string, heads: number, chunks = 1): Value {
    const g = this.#g;
    const channels = x.dims[2] as number;
    const q = g.linear(x, `${prefix}.to_q`, channels, { bias: false });
    const k = g.linear(context ?? x, `${prefix}.to_k`, channels, { bias: false });
    if (context === undefined) {
      g.output(`${prefix}.to_q`, q);
      g.output(`${prefix}.to_k`, k);
    }
    const v = g.linear(context ?? x, `${prefix}.to_v`, channels, { bias: false });
    const y = g.attention(q, k, v, heads, { upcast: this.config.upcastAttention, chunks });
    return g.linear(y, `${prefix}.to_out.0`, channels);
  }

  #timeEmbedding(timestep: Value): Value {
    const [g, { blockChannels, added }] = [this.#g, this.config];
    const width = 4 * blockChannels[0]!;
    const time = this.#mlp(this.#sinusoid(timestep, 1, blockChannels[0]!), "time_embedding", width);
    if (added === null) return time;
    const texts = g.cast(g.input("text_embeds", [1, added.textWidth]), g.type);
    const ids = this.#sinusoid(g.input("time_ids", [1, 6]), 6, added.timeWidth);
    return g.add(time, this.#mlp(g.concat([texts, ids], 1), "add_embedding", width));
  }

  #mlp(x: Value, prefix: string, width: number): Value {
    const g = this.#g;
    return g.linear(g.sigmoidUnit(g.linear(x, `${prefix}.linear_1`, width)), `${prefix}.linear_2`, width);
  }

  /** Sines and cosines of `count` numbers; in float32, because float16's are off by 3 %. */
  #sinusoid(numbers: Value, count: number, width: number): Value {
    const [g, { flipSinToCos, freqShift }] = [this.#g, this.config];
    const half = width / 2;
    const rates = Array.from({ length: half }, (_, i) => Math.exp(-Math.log(10000) * i / (half - freqShift)));
    const column = g.reshape(numbers, [count, 1], [count, 1]);
    const angles = g.op("Mul", [column, g.constant(rates, [1, half], "float32")], [count, half]);
    const [sin, cos] = [g.op("Sin", [angles], angles.dims), g.op("Cos", [angles], angles.dims)];
    const both = g.concat(flipSinToCos ? [cos, sin] : [sin, cos], 1);
    return g.cast(g.reshape(both, [1, count * width], [1, count * width]), g.type);
  }
}
