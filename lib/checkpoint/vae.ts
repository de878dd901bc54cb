/**
 * The autoencoder of Stable Diffusion (diffusers' `AutoencoderKL`), from its config.
 *
 * @module
 */
import type { VaeConfig } from "./config.ts";
import { attentionChunks, type Graph, GraphBuilder, type Parameter, spatial, type Value } from "./graph.ts";

/** GroupNorm's ε throughout the autoencoder; fixed in diffusers. */
const EPSILON = 1e-6;

/**
 * Builds the encoder: `image` [1, 3, H, W] in −1 … 1 → `mean` [1, C, h, w] of the latent, float32.
 * `tokens` is the usual number of the latent's pixels, for which the attention is laid out.
 */
export function buildVaeEncoder(config: VaeConfig, type: "float16" | "float32", tokens = 1): Graph {
  const g = new GraphBuilder(type);
  const image = g.input("image", [1, config.inChannels, ...spatial(0)]);
  const channels = config.blockChannels;
  let x = g.conv(g.cast(image, type), "encoder.conv_in", channels[0]!);
  channels.forEach((out, i) => {
    const prefix = `encoder.down_blocks.${i}`;
    for (let j = 0; j < config.layersPerBlock; j++) x = resnet(g, x, `${prefix}.resnets.${j}`, out, config);
    if (i < channels.length - 1) {
      // The picture is padded at its right and bottom only.
      const pads = [0, 0, 1, 1];
      x = g.conv(x, `${prefix}.downsamplers.0.conv`, out, { stride: 2, pads, level: i + 1 });
    }
  });
  x = mid(g, x, "encoder", config, tokens);
  x = g.sigmoidUnit(g.groupNorm(x, "encoder.conv_norm_out", config.groups, EPSILON));
  x = g.conv(x, "encoder.conv_out", 2 * config.latentChannels);
  if (config.quantConv) x = g.conv(x, "quant_conv", 2 * config.latentChannels, { kernel: 1 });
  const [begin, end, axis] = [[0], [config.latentChannels], [1]].map((n) => g.constant(n, [1], "int64"));
  g.output("mean", g.op("Slice", [x, begin!, end!, axis!], [1, config.latentChannels, ...x.dims.slice(2)]));
  return g.build();
}

/** The decoder's parameters. It is never run; a checkpoint's VAE is whole only with it. */
export function vaeDecoderParameters(config: VaeConfig): readonly Parameter[] {
  const g = new GraphBuilder("float32");
  const channels = [...config.blockChannels].reverse();
  const top = channels.length - 1;
  let x = g.input("latent", [1, config.latentChannels, ...spatial(top)]);
  if (config.postQuantConv) x = g.conv(x, "post_quant_conv", config.latentChannels, { kernel: 1 });
  x = mid(g, g.conv(x, "decoder.conv_in", channels[0]!), "decoder", config);
  channels.forEach((out, i) => {
    const prefix = `decoder.up_blocks.${i}`;
    for (let j = 0; j <= config.layersPerBlock; j++) x = resnet(g, x, `${prefix}.resnets.${j}`, out, config);
    if (i < top) x = g.conv(g.upsample(x, top - i - 1), `${prefix}.upsamplers.0.conv`, out);
  });
  x = g.sigmoidUnit(g.groupNorm(x, "decoder.conv_norm_out", config.groups, EPSILON));
  g.conv(x, "decoder.conv_out", config.outChannels);
  return [...g.build().parameters.values()];
}

function mid(g: GraphBuilder, x: Value, part: "encoder" | "decoder", config: VaeConfig, tokens = 1): Value {
  const prefix = `${part}.mid_block`;
  const channels = x.dims[1] as number;
  x = resnet(g, x, `${prefix}.resnets.0`, channels, config);
  if (config.midAttention) x = attention(g, x, `${prefix}.attentions.0`, config.groups, tokens);
  return resnet(g, x, `${prefix}.resnets.1`, channels, config);
}

function resnet(g: GraphBuilder, x: Value, prefix: string, out: number, { groups }: VaeConfig): Value {
  let h = g.conv(g.sigmoidUnit(g.groupNorm(x, `${prefix}.norm1`, groups, EPSILON)), `${prefix}.conv1`, out);
  h = g.conv(g.sigmoidUnit(g.groupNorm(h, `${prefix}.norm2`, groups, EPSILON)), `${prefix}.conv2`, out);
  return g.add(h, x.dims[1] === out ? x : g.conv(x, `${prefix}.conv_shortcut`, out, { kernel: 1 }));
}

/** One head over all channels; older files call the four layers query, key, value and proj_attn. */
function attention(g: GraphBuilder, x: Value, prefix: string, groups: number, count: number): Value {
  const channels = x.dims[1] as number;
  const tokens = g.tokens(g.groupNorm(x, `${prefix}.group_norm`, groups, EPSILON));
  const chunks = attentionChunks(count, channels, g.type);
  const linear = (of: Value, name: string, old: string) =>
    g.linear(of, `${prefix}.${name}`, channels, { aliases: [`${prefix}.${old}`] });
  const [q, k, v] = [
    linear(tokens, "to_q", "query"),
    linear(tokens, "to_k", "key"),
    linear(tokens, "to_v", "value"),
  ];
  return g.add(g.picture(linear(g.attention(q, k, v, 1, { chunks }), "to_out.0", "proj_attn"), x), x);
}
