/**
 * CLIP's text encoder (transformers' `CLIPTextModel`, with or without projection), from its config.
 *
 * @module
 */
import type { TextConfig } from "./config.ts";
import { type Graph, GraphBuilder, type Value } from "./graph.ts";

/**
 * Builds the graph: `ids` [1, tokens] → `hidden` [1, tokens, D]. With `penultimate` it is the input
 * of the last layer (as SDXL takes it), else the normalised output of the last. With a
 * projection there is also `pooled` [1, E], taken at the position `end` [1].
 */
export function buildTextEncoder(
  config: TextConfig,
  type: "float16" | "float32",
  penultimate: boolean,
): Graph {
  const g = new GraphBuilder(type);
  const ids = g.input("ids", [1, config.positions], "int64");
  const prefix = "text_model.embeddings";
  const table = g.parameter(`${prefix}.token_embedding.weight`, [config.vocabulary, config.width]);
  const positions = g.parameter(`${prefix}.position_embedding.weight`, [config.positions, config.width]);
  let x = g.op("Gather", [table, ids], [1, config.positions, config.width]);
  x = g.add(x, positions);
  for (let i = 0; i < config.layers; i++) {
    if (penultimate && i === config.layers - 1) g.output("hidden", x);
    x = layer(g, x, `text_model.encoder.layers.${i}`, config);
  }
  const last = g.layerNorm(x, "text_model.final_layer_norm", config.epsilon);
  if (!penultimate) g.output("hidden", last);
  if (config.projection !== null) {
    const end = g.input("end", [1], "int64");
    const token = g.op("Gather", [last, end], [1, 1, config.width], { attributes: { axis: { int: 1 } } });
    const pooled = g.linear(token, "text_projection", config.projection, { bias: false });
    g.output("pooled", g.reshape(pooled, [1, config.projection], [1, config.projection]));
  }
  return g.build();
}

function layer(g: GraphBuilder, x: Value, prefix: string, config: TextConfig): Value {
  const tokens = g.layerNorm(x, `${prefix}.layer_norm1`, config.epsilon);
  const [q, k, v] = ["q_proj", "k_proj", "v_proj"].map((name) =>
    g.linear(tokens, `${prefix}.self_attn.${name}`, config.width)
  );
  const mixed = g.attention(q!, k!, v!, config.heads, { causal: true });
  x = g.add(x, g.linear(mixed, `${prefix}.self_attn.out_proj`, config.width));
  const inner = g.linear(
    g.layerNorm(x, `${prefix}.layer_norm2`, config.epsilon),
    `${prefix}.mlp.fc1`,
    config.inner,
  );
  const active = config.activation === "quick_gelu" ? g.sigmoidUnit(inner, 1.702) : g.gelu(inner);
  return g.add(x, g.linear(active, `${prefix}.mlp.fc2`, config.width));
}
