/**
 * Stable Diffusion's networks by definition: loops in float64 that take diffusers' configs as they
 * are. Slow, and written apart from the graphs, to hold them to.
 *
 * @module
 */
import { readFloat32, type TensorSource } from "../lib/checkpoint/safetensors.ts";

/** A matrix `[rows, columns]`; a picture has a row for each channel. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

type Weights = Map<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;

/** Reads all tensors of a file. */
export async function readWeights(source: TensorSource): Promise<Weights> {
  const weights: Weights = new Map();
  for (const [name, { shape }] of source.tensors) {
    weights.set(name, { shape, data: await readFloat32(source, name) });
  }
  return weights;
}

export function matrix(rows: number, columns: number, data?: ArrayLike<number>): Matrix {
  return { rows, columns, data: data ? Float64Array.from(data) : new Float64Array(rows * columns) };
}

const map = (x: Matrix, f: (value: number, i: number) => number): Matrix => ({ ...x, data: x.data.map(f) });
const add = (a: Matrix, b: Matrix): Matrix => map(a, (x, i) => x + b.data[i]!);
const silu = (x: number) => x / (1 + Math.exp(-x));

function transpose(x: Matrix): Matrix {
  const y = matrix(x.columns, x.rows);
  for (let r = 0; r < x.rows; r++) {
    for (let c = 0; c < x.columns; c++) y.data[c * x.rows + r] = x.data[r * x.columns + c]!;
  }
  return y;
}

/** erf by its series (|x| < 3) or continued fraction: 1e-12 and better. */
function erf(x: number): number {
  const z = Math.abs(x);
  if (z < 3) {
    let [term, sum] = [z, z];
    for (let n = 1; n < 80; n++) sum += (term *= -z * z / n) / (2 * n + 1);
    return Math.sign(x) * 2 / Math.sqrt(Math.PI) * sum;
  }
  let f = 0;
  for (let n = 60; n > 0; n--) f = n / 2 / (z + f);
  return Math.sign(x) * (1 - Math.exp(-z * z) / Math.sqrt(Math.PI) / (z + f));
}

const gelu = (x: number) => x * (1 + erf(x / Math.SQRT2)) / 2;

/** The layers of a network, by the names of its weights. */
class Layers {
  constructor(readonly weights: Weights) {}

  get(name: string) {
    const tensor = this.weights.get(name);
    if (!tensor) throw new Error(`The reference lacks ${name}`);
    return tensor;
  }

  has(name: string): boolean {
    return this.weights.has(name);
  }

  /** Tokens `[n, in]` → `[n, out]`. */
  linear(x: Matrix, name: string): Matrix {
    const { shape, data } = this.get(`${name}.weight`);
    const bias = this.weights.get(`${name}.bias`)?.data;
    const out = shape[0]!;
    const y = matrix(x.rows, out);
    for (let r = 0; r < x.rows; r++) {
      for (let o = 0; o < out; o++) {
        let sum = bias?.[o] ?? 0;
        for (let i = 0; i < x.columns; i++) sum += data[o * x.columns + i]! * x.data[r * x.columns + i]!;
        y.data[r * out + o] = sum;
      }
    }
    return y;
  }

  /** A convolution of a square picture, padded by `before` and `after` zeros. */
  conv(x: Matrix, name: string, stride = 1, before = 1, after = before): Matrix {
    const { shape, data } = this.get(`${name}.weight`);
    const bias = this.get(`${name}.bias`).data;
    const [out, kernel] = [shape[0]!, shape[2]!];
    if (kernel === 1) before = after = 0;
    const side = Math.sqrt(x.columns);
    const size = Math.floor((side + before + after - kernel) / stride) + 1;
    const y = matrix(out, size * size);
    for (let o = 0; o < out; o++) {
      for (let r = 0; r < size; r++) {
        for (let c = 0; c < size; c++) {
          let sum = bias[o]!;
          for (let i = 0; i < x.rows; i++) {
            for (let a = 0; a < kernel; a++) {
              for (let b = 0; b < kernel; b++) {
                const [sr, sc] = [r * stride + a - before, c * stride + b - before];
                if (sr < 0 || sc < 0 || sr >= side || sc >= side) continue;
                sum += data[((o * x.rows + i) * kernel + a) * kernel + b]! *
                  x.data[i * x.columns + sr * side + sc]!;
              }
            }
          }
          y.data[(o * size + r) * size + c] = sum;
        }
      }
    }
    return y;
  }

  /** Normalises `groups` groups of rows; with as many groups as rows of tokens it is a layer norm. */
  groupNorm(x: Matrix, name: string, groups: number, epsilon: number): Matrix {
    const [weight, bias] = [this.get(`${name}.weight`).data, this.get(`${name}.bias`).data];
    const size = x.data.length / groups;
    return map(normalise(x, size, epsilon), (v, i) => {
      const channel = Math.floor(i / x.columns);
      return v * weight[channel]! + bias[channel]!;
    });
  }

  layerNorm(x: Matrix, name: string, epsilon = 1e-5): Matrix {
    const [weight, bias] = [this.get(`${name}.weight`).data, this.get(`${name}.bias`).data];
    return map(normalise(x, x.columns, epsilon), (v, i) => v * weight[i % x.columns]! + bias[i % x.columns]!);
  }
}

function normalise(x: Matrix, size: number, epsilon: number): Matrix {
  const y = matrix(x.rows, x.columns);
  for (let start = 0; start < x.data.length; start += size) {
    const part = x.data.subarray(start, start + size);
    const mean = part.reduce((a, b) => a + b) / size;
    const variance = part.reduce((a, b) => a + (b - mean) ** 2, 0) / size;
    part.forEach((v, i) => y.data[start + i] = (v - mean) / Math.sqrt(variance + epsilon));
  }
  return y;
}

function attention(q: Matrix, k: Matrix, v: Matrix, heads: number, causal = false): Matrix {
  const d = q.columns / heads;
  const y = matrix(q.rows, q.columns);
  for (let h = 0; h < heads; h++) {
    for (let i = 0; i < q.rows; i++) {
      const count = causal ? i + 1 : k.rows;
      const scores = Array.from({ length: count }, (_, j) => {
        let sum = 0;
        for (let c = h * d; c < (h + 1) * d; c++) {
          sum += q.data[i * q.columns + c]! * k.data[j * k.columns + c]!;
        }
        return sum / Math.sqrt(d);
      });
      const top = Math.max(...scores);
      const weights = scores.map((s) => Math.exp(s - top));
      const total = weights.reduce((a, b) => a + b);
      for (let c = h * d; c < (h + 1) * d; c++) {
        let sum = 0;
        weights.forEach((w, j) => sum += w * v.data[j * v.columns + c]!);
        y.data[i * y.columns + c] = sum / total;
      }
    }
  }
  return y;
}

function upsample(x: Matrix): Matrix {
  const side = Math.sqrt(x.columns);
  const y = matrix(x.rows, 4 * x.columns);
  y.data.forEach((_, i) => {
    const [row, r, c] = [Math.floor(i / y.columns), Math.floor(i % y.columns / (2 * side)), i % (2 * side)];
    y.data[i] = x.data[row * x.columns + (r >> 1) * side + (c >> 1)]!;
  });
  return y;
}

function concat(a: Matrix, b: Matrix): Matrix {
  return matrix(a.rows + b.rows, a.columns, [...a.data, ...b.data]);
}

function sinusoid(value: number, width: number): number[] {
  const angles = Array.from({ length: width / 2 }, (_, i) => value / 10000 ** (i / (width / 2)));
  return [...angles.map(Math.cos), ...angles.map(Math.sin)];
}

// deno-lint-ignore no-explicit-any
type Json = any;

/** Inputs of the UNet. */
export interface UNetInputs {
  readonly sample: Matrix;
  readonly timestep: number;
  readonly context: Matrix;
  readonly textEmbeds?: ArrayLike<number>;
  readonly timeIds?: ArrayLike<number>;
}

/** Runs a UNet; gives `eps`, and each self-attention's queries and keys by module name. */
export function unetReference(weights: Weights, config: Json, inputs: UNetInputs): Map<string, Matrix> {
  const net = new Layers(weights);
  const outputs = new Map<string, Matrix>();
  const channels: number[] = config.block_out_channels;
  const groups = config.norm_num_groups;
  const perBlock = (value: Json, i: number) => Array.isArray(value) ? value[i] : value;
  const mlp = (x: Matrix, name: string) =>
    net.linear(map(net.linear(x, `${name}.linear_1`), silu), `${name}.linear_2`);
  let time = mlp(matrix(1, channels[0]!, sinusoid(inputs.timestep, channels[0]!)), "time_embedding");
  if (config.addition_embed_type === "text_time") {
    const ids = Array.from(inputs.timeIds!).flatMap((id) => sinusoid(id, config.addition_time_embed_dim));
    const row = [...Array.from(inputs.textEmbeds!), ...ids];
    time = add(time, mlp(matrix(1, row.length, row), "add_embedding"));
  }
  const resnet = (x: Matrix, name: string) => {
    let h = net.conv(map(net.groupNorm(x, `${name}.norm1`, groups, config.norm_eps), silu), `${name}.conv1`);
    const shift = net.linear(map(time, silu), `${name}.time_emb_proj`);
    h = map(h, (v, i) => v + shift.data[Math.floor(i / h.columns)]!);
    h = net.conv(map(net.groupNorm(h, `${name}.norm2`, groups, config.norm_eps), silu), `${name}.conv2`);
    return add(h, net.has(`${name}.conv_shortcut.weight`) ? net.conv(x, `${name}.conv_shortcut`) : x);
  };
  const attend = (x: Matrix, from: Matrix, name: string, heads: number, record: boolean) => {
    const [q, k, v] = ["to_q", "to_k", "to_v"].map((layer, i) =>
      net.linear(i === 0 ? x : from, `${name}.${layer}`)
    );
    if (record) outputs.set(`${name}.to_q`, q!).set(`${name}.to_k`, k!);
    return net.linear(attention(q!, k!, v!, heads), `${name}.to_out.0`);
  };
  const transformer = (x: Matrix, name: string, heads: number) => {
    let h = net.linear(transpose(net.groupNorm(x, `${name}.norm`, groups, 1e-6)), `${name}.proj_in`);
    for (let i = 0; net.has(`${name}.transformer_blocks.${i}.norm1.weight`); i++) {
      const block = `${name}.transformer_blocks.${i}`;
      const own = net.layerNorm(h, `${block}.norm1`);
      h = add(h, attend(own, own, `${block}.attn1`, heads, true));
      h = add(h, attend(net.layerNorm(h, `${block}.norm2`), inputs.context, `${block}.attn2`, heads, false));
      const wide = net.linear(net.layerNorm(h, `${block}.norm3`), `${block}.ff.net.0.proj`);
      const half = wide.columns / 2;
      const gated = matrix(h.rows, half);
      gated.data.forEach((_, i) => {
        const at = Math.floor(i / half) * wide.columns + i % half;
        gated.data[i] = wide.data[at]! * gelu(wide.data[at + half]!);
      });
      h = add(h, net.linear(gated, `${block}.ff.net.2`));
    }
    return add(x, transpose(net.linear(h, `${name}.proj_out`)));
  };
  const layer = (x: Matrix, block: string, j: number, heads: number) => {
    const y = resnet(x, `${block}.resnets.${j}`);
    return net.has(`${block}.attentions.${j}.norm.weight`)
      ? transformer(y, `${block}.attentions.${j}`, heads)
      : y;
  };
  let x = net.conv(inputs.sample, "conv_in");
  const skips = [x];
  channels.forEach((_, i) => {
    const block = `down_blocks.${i}`;
    for (let j = 0; net.has(`${block}.resnets.${j}.norm1.weight`); j++) {
      skips.push(x = layer(x, block, j, perBlock(config.attention_head_dim, i)));
    }
    if (i < channels.length - 1) skips.push(x = net.conv(x, `${block}.downsamplers.0.conv`, 2));
  });
  x = layer(x, "mid_block", 0, perBlock(config.attention_head_dim, channels.length - 1));
  if (net.has("mid_block.resnets.1.norm1.weight")) x = resnet(x, "mid_block.resnets.1");
  channels.forEach((_, i) => {
    const block = `up_blocks.${i}`;
    for (let j = 0; net.has(`${block}.resnets.${j}.norm1.weight`); j++) {
      x = layer(
        concat(x, skips.pop()!),
        block,
        j,
        perBlock(config.attention_head_dim, channels.length - 1 - i),
      );
    }
    if (i < channels.length - 1) x = net.conv(upsample(x), `${block}.upsamplers.0.conv`);
  });
  const last = map(net.groupNorm(x, "conv_norm_out", groups, config.norm_eps), silu);
  return outputs.set("eps", net.conv(last, "conv_out"));
}

/** Runs CLIP's text encoder: the input of each layer, the normalised output last, and the pooled one. */
export function textReference(weights: Weights, config: Json, ids: readonly number[], end: number) {
  const net = new Layers(weights);
  const width = config.hidden_size;
  const [table, positions] = ["token", "position"].map((kind) =>
    net.get(`text_model.embeddings.${kind}_embedding.weight`).data
  );
  let x = matrix(ids.length, width);
  x = map(x, (_, i) => table![ids[Math.floor(i / width)]! * width + i % width]! + positions![i]!);
  const act = config.hidden_act === "gelu" ? gelu : (v: number) => v / (1 + Math.exp(-1.702 * v));
  const hidden: Matrix[] = [];
  for (let i = 0; i < config.num_hidden_layers; i++) {
    hidden.push(x);
    const layer = `text_model.encoder.layers.${i}`;
    const own = net.layerNorm(x, `${layer}.layer_norm1`);
    const [q, k, v] = ["q", "k", "v"].map((name) => net.linear(own, `${layer}.self_attn.${name}_proj`));
    const mixed = attention(q!, k!, v!, config.num_attention_heads, true);
    x = add(x, net.linear(mixed, `${layer}.self_attn.out_proj`));
    const inner = map(net.linear(net.layerNorm(x, `${layer}.layer_norm2`), `${layer}.mlp.fc1`), act);
    x = add(x, net.linear(inner, `${layer}.mlp.fc2`));
  }
  const last = net.layerNorm(x, "text_model.final_layer_norm");
  const pooled = net.has("text_projection.weight")
    ? net.linear(matrix(1, width, last.data.subarray(end * width, (end + 1) * width)), "text_projection")
    : undefined;
  return { hidden, last, pooled };
}
