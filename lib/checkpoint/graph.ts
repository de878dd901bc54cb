/**
 * A network as a list of operators, built from a config without any weights.
 *
 * The builder knows each parameter's name and shape in the checkpoint, so that the same
 * description gives the parameter table, the ONNX files and the list of what to read.
 *
 * @module
 */

/** Element type of a value in a graph. */
export type ElementType = "float16" | "float32" | "int64";

/** A number, or the name of a dimension that the session fixes. */
export type Dim = number | string;

/** What an operator takes or gives. */
export interface Value {
  readonly name: string;
  readonly dims: readonly Dim[];
  readonly type: ElementType;
}

/** An attribute of an operator. */
export type Attribute = { int: number } | { float: number } | { string: string } | {
  ints: readonly number[];
};

/** One ONNX operator. */
export interface Node {
  readonly op: string;
  /** `""` for ONNX's own operators, `com.microsoft` for ONNX Runtime's. */
  readonly domain: "" | "com.microsoft";
  readonly inputs: readonly string[];
  readonly output: readonly Value[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** A tensor of the checkpoint. */
export interface Parameter {
  /** Name in the checkpoint. */
  readonly name: string;
  /** Names that other versions of the same checkpoint use. */
  readonly aliases: readonly string[];
  /** Shape in the checkpoint. */
  readonly shape: readonly number[];
  /** True where the graph takes the matrix transposed: `[in, out]` instead of `[out, in]`. */
  readonly transposed: boolean;
}

/** A small tensor that belongs to the graph itself. */
export interface Constant extends Value {
  readonly dims: readonly number[];
  readonly data: readonly number[];
}

/** What names of values start with that are no inputs, outputs or parameters. */
const INNER = "%";

/** True for a value that only passes from operator to operator. */
export function isInner(name: string): boolean {
  return name.startsWith(INNER);
}

/** A whole network. */
export interface Graph {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** In an order in which they can run. */
  readonly nodes: readonly Node[];
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly constants: ReadonlyMap<string, Constant>;
  /** The type in which it computes, and in which its parameters are. */
  readonly type: "float16" | "float32";
}

/** Number of weights in a table of parameters. */
export function countParameters(parameters: Iterable<Parameter>): number {
  let count = 0;
  for (const { shape } of parameters) count += elements(shape);
  return count;
}

/** Number of elements of a shape. */
export function elements(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

/** The dimensions of a stored parameter, as the graph takes it. */
export function storedShape({ shape, transposed }: Parameter): readonly number[] {
  return transposed ? [shape[1]!, shape[0]!] : shape;
}

/** Names of the dimensions of a picture at `level` (0: full size), `[height, width]`. */
export function spatial(level: number): [string, string] {
  return [`height_${level}`, `width_${level}`];
}

/** Values of all named dimensions for a picture of `height × width`, to `levels` halvings. */
export function dimensionValues(height: number, width: number, levels: number): Record<string, number> {
  const values: Record<string, number> = {};
  for (let level = 0; level < levels; level++) {
    const [h, w] = [height >> level, width >> level];
    Object.assign(values, { [`height_${level}`]: h, [`width_${level}`]: w, [`tokens_${level}`]: h * w });
  }
  return values;
}

/**
 * Parts into which the queries of self-attention over `tokens` tokens are cut in float32 graphs.
 *
 * ONNX Runtime's CPU kernel counts 2·queries·keys·headDim operations in a signed 32-bit number
 * where pointers have 32 bits, and fails with "Integer overflow" at 2³¹ (seen with 1.30.0: 4096
 * tokens of 64 channels). Can go when WebAssembly builds have 64 bits.
 */
export function attentionChunks(tokens: number, headDim: number, type: "float16" | "float32"): number {
  let chunks = 1;
  if (type === "float32") { while (2 * (tokens / chunks) * tokens * headDim >= 2 ** 31) chunks *= 2; }
  return chunks;
}

/** Sizes of a graph's activations, in elements. */
export interface ActivationSizes {
  /** Most that are alive at a time when the operators run in order. */
  readonly peak: number;
  /** The largest single tensor, parameters among them. */
  readonly largest: number;
}

/** Sizes of the activations for given values of the named dimensions. */
export function activationSizes(
  graph: Graph,
  dimensions: Readonly<Record<string, number>>,
): ActivationSizes {
  const lastUse = new Map<string, number>();
  graph.nodes.forEach(({ inputs }, i) => inputs.forEach((name) => lastUse.set(name, i)));
  const sizes = new Map<string, number>();
  let [alive, peak] = [0, 0];
  graph.nodes.forEach(({ inputs, output }, i) => {
    for (const { name, dims } of output) {
      const size = elements(dims.map((dim) => dimensionSize(dim, dimensions)));
      sizes.set(name, size);
      alive += size;
    }
    peak = Math.max(peak, alive);
    for (const name of new Set(inputs)) if (lastUse.get(name) === i) alive -= sizes.get(name) ?? 0;
  });
  const parameters = [...graph.parameters.values()].map(({ shape }) => elements(shape));
  return { peak, largest: [...sizes.values(), ...parameters].reduce((a, b) => Math.max(a, b), 0) };
}

/** A dimension's size; `name/4` is a quarter of `name`. */
function dimensionSize(dim: Dim, dimensions: Readonly<Record<string, number>>): number {
  if (typeof dim === "number") return dim;
  const [name, parts = "1"] = dim.split("/");
  return dimensions[name!]! / Number(parts);
}

/** Collects a {@linkcode Graph}; batch size is 1 throughout, pictures are `[1, C, H, W]`. */
export class GraphBuilder {
  readonly #nodes: Node[] = [];
  readonly #parameters = new Map<string, Parameter>();
  readonly #constants = new Map<string, Constant>();
  readonly #inputs: Value[] = [];
  readonly #outputs: Value[] = [];
  #count = 0;

  constructor(readonly type: "float16" | "float32") {}

  /** The graph as collected so far. */
  build(): Graph {
    return {
      inputs: this.#inputs,
      outputs: this.#outputs,
      nodes: this.#nodes,
      parameters: this.#parameters,
      constants: this.#constants,
      type: this.type,
    };
  }

  /** Declares an input; float ones arrive as float32 whatever the graph computes in. */
  input(name: string, dims: readonly Dim[], type: ElementType = "float32"): Value {
    const value = { name, dims, type };
    this.#inputs.push(value);
    return value;
  }

  /** Declares `value` an output called `name`, as float32. */
  output(name: string, value: Value): void {
    const op = value.type === "float32" ? "Identity" : "Cast";
    const attributes: Record<string, Attribute> = op === "Cast" ? { to: { int: 1 } } : {};
    const output: Value = { name, dims: value.dims, type: "float32" };
    this.#nodes.push({ op, domain: "", inputs: [value.name], output: [output], attributes });
    this.#outputs.push(output);
  }

  /** Declares a parameter; asking for the same name twice gives the same tensor. */
  parameter(
    name: string,
    shape: readonly number[],
    { transposed = false, aliases = [] as string[] } = {},
  ): Value {
    const parameter = { name, shape, transposed, aliases };
    this.#parameters.set(name, parameter);
    return { name, dims: storedShape(parameter), type: this.type };
  }

  /** A constant of the graph. */
  constant(data: readonly number[], dims: readonly number[], type: ElementType = this.type): Value {
    const constant: Constant = { name: this.#name("constant"), dims, type, data };
    this.#constants.set(constant.name, constant);
    return constant;
  }

  /** Appends an operator with one output. */
  op(
    op: string,
    inputs: readonly Value[],
    dims: readonly Dim[],
    { attributes = {}, domain = "", type = inputs[0]!.type }: {
      attributes?: Record<string, Attribute>;
      domain?: "" | "com.microsoft";
      type?: ElementType;
    } = {},
  ): Value {
    const output = { name: this.#name(op), dims, type };
    this.#nodes.push({ op, domain, inputs: inputs.map(({ name }) => name), output: [output], attributes });
    return output;
  }

  cast(x: Value, type: ElementType): Value {
    if (x.type === type) return x;
    const to = { float32: 1, int64: 7, float16: 10 }[type];
    return this.op("Cast", [x], x.dims, { attributes: { to: { int: to } }, type });
  }

  add(a: Value, b: Value): Value {
    return this.op("Add", [a, b], a.dims);
  }

  mul(a: Value, b: Value): Value {
    return this.op("Mul", [a, b], a.dims);
  }

  reshape(x: Value, shape: readonly number[], dims: readonly Dim[]): Value {
    return this.op("Reshape", [x, this.constant(shape, [shape.length], "int64")], dims);
  }

  /** `x` with the shape of `like`. */
  reshapeLike(x: Value, like: Value): Value {
    const shape = this.op("Shape", [like], [like.dims.length], { type: "int64" });
    return this.op("Reshape", [x, shape], like.dims);
  }

  transpose(x: Value, order: readonly number[]): Value {
    return this.op("Transpose", [x], order.map((i) => x.dims[i]!), { attributes: { perm: { ints: order } } });
  }

  concat(values: readonly Value[], axis: number): Value {
    const sizes = values.map(({ dims }) => dims[axis] as number);
    const dims = values[0]!.dims.with(axis, sizes.reduce((a, b) => a + b));
    return this.op("Concat", values, dims, { attributes: { axis: { int: axis } } });
  }

  /** The two halves of the last axis. */
  halves(x: Value): [Value, Value] {
    const half = (x.dims.at(-1) as number) / 2;
    const dims = [...x.dims.slice(0, -1), half];
    const output: [Value, Value] = [
      { name: this.#name("Split"), dims, type: x.type },
      { name: this.#name("Split"), dims, type: x.type },
    ];
    const sizes = this.constant([half, half], [2], "int64");
    const attributes = { axis: { int: -1 } };
    this.#nodes.push({ op: "Split", domain: "", inputs: [x.name, sizes.name], output, attributes });
    return output;
  }

  /** `x · σ(alpha·x)`; alpha 1 is SiLU, 1.702 CLIP's approximation of GELU. */
  sigmoidUnit(x: Value, alpha = 1): Value {
    return this.op("QuickGelu", [x], x.dims, {
      domain: "com.microsoft",
      attributes: { alpha: { float: alpha } },
    });
  }

  /** `x · Φ(x)`, exact. */
  gelu(x: Value): Value {
    return this.op("Gelu", [x], x.dims, { domain: "com.microsoft" });
  }

  /** A linear layer over the last axis, from a matrix `[out, in]`. */
  linear(
    x: Value,
    prefix: string,
    out: number,
    { bias = true, shape = undefined as number[] | undefined, aliases = [] as string[] } = {},
  ): Value {
    const inner = x.dims.at(-1) as number;
    const named = (suffix: string) => aliases.map((alias) => `${alias}.${suffix}`);
    const weight = this.parameter(`${prefix}.weight`, shape ?? [out, inner], {
      transposed: true,
      aliases: named("weight"),
    });
    const y = this.op("MatMul", [x, weight], [...x.dims.slice(0, -1), out]);
    return bias ? this.add(y, this.parameter(`${prefix}.bias`, [out], { aliases: named("bias") })) : y;
  }

  /** A convolution; `level` is that of its output. */
  conv(
    x: Value,
    prefix: string,
    out: number,
    {
      kernel = 3,
      stride = 1,
      pads = Array<number>(4).fill((kernel - 1) >> 1),
      level = undefined as number | undefined,
    } = {},
  ): Value {
    const weight = this.parameter(`${prefix}.weight`, [out, x.dims[1] as number, kernel, kernel]);
    const bias = this.parameter(`${prefix}.bias`, [out]);
    const size = level === undefined ? x.dims.slice(2) : spatial(level);
    return this.op("Conv", [x, weight, bias], [1, out, ...size], {
      attributes: {
        kernel_shape: { ints: [kernel, kernel] },
        strides: { ints: [stride, stride] },
        pads: { ints: pads },
      },
    });
  }

  /**
   * Group normalisation of a picture, as reshape, instance normalisation and scale: ONNX Runtime's
   * WebGPU provider has no kernel for GroupNormalization-21 or com.microsoft's GroupNorm.
   */
  groupNorm(x: Value, prefix: string, groups: number, epsilon: number, aliases: string[] = []): Value {
    const channels = x.dims[1] as number;
    const shape = [1, groups, channels / groups, ...x.dims.slice(2)];
    const grouped = this.reshape(x, [1, groups, -1], shape);
    const ones = this.constant(Array(groups).fill(1), [groups]);
    const zeros = this.constant(Array(groups).fill(0), [groups]);
    const normal = this.op("InstanceNormalization", [grouped, ones, zeros], grouped.dims, {
      attributes: { epsilon: { float: epsilon } },
    });
    const affine = (suffix: string) => {
      const names = aliases.map((alias) => `${alias}.${suffix}`);
      const vector = this.parameter(`${prefix}.${suffix}`, [channels], { aliases: names });
      return this.reshape(vector, [1, channels, 1, 1], [1, channels, 1, 1]);
    };
    return this.add(this.mul(this.reshapeLike(normal, x), affine("weight")), affine("bias"));
  }

  layerNorm(x: Value, prefix: string, epsilon = 1e-5): Value {
    const channels = x.dims.at(-1) as number;
    const weight = this.parameter(`${prefix}.weight`, [channels]);
    const bias = this.parameter(`${prefix}.bias`, [channels]);
    return this.op("LayerNormalization", [x, weight, bias], x.dims, {
      attributes: { axis: { int: -1 }, epsilon: { float: epsilon } },
    });
  }

  /**
   * softmax(QKᵀ/√d)·V over `heads` heads of the last axis, by the fused kernel, which holds no
   * matrix of scores. `upcast` computes it in float32; with `causal` a token sees none behind it;
   * `chunks` parts of the queries are worked off one after the other (see `attentionChunks()`).
   */
  attention(
    q: Value,
    k: Value,
    v: Value,
    heads: number,
    { upcast = false, causal = false, chunks = 1 } = {},
  ): Value {
    const [qf, kf, vf] = upcast ? [q, k, v].map((x) => this.cast(x, "float32")) : [q, k, v];
    const attributes = { num_heads: { int: heads }, ...(causal ? { unidirectional: { int: 1 } } : {}) };
    const attend = (part: Value) =>
      this.op("MultiHeadAttention", [part, kf!, vf!], part.dims, { domain: "com.microsoft", attributes });
    const y = chunks === 1 ? attend(qf!) : this.op(
      "Concat",
      this.#chunks(qf!, chunks).map(attend),
      q.dims,
      { attributes: { axis: { int: 1 } } },
    );
    return this.cast(y, q.type);
  }

  /** Tokens in equal parts; their number must divide the tokens. */
  #chunks(x: Value, count: number): readonly Value[] {
    const dims = x.dims.with(1, `${x.dims[1]}/${count}`);
    const output = Array.from(
      { length: count },
      () => ({ name: this.#name("Split"), dims, type: x.type }),
    );
    const attributes = { axis: { int: 1 } };
    this.#nodes.push({ op: "Split", domain: "", inputs: [x.name], output, attributes });
    return output;
  }

  /** A picture `[1, C, H, W]` as tokens `[1, HW, C]`. */
  tokens(x: Value): Value {
    const channels = x.dims[1] as number;
    const count = String(x.dims[2]).replace("height", "tokens");
    return this.transpose(this.reshape(x, [1, channels, -1], [1, channels, count]), [0, 2, 1]);
  }

  /** Tokens `[1, HW, C]` as a picture with the size of `like`. */
  picture(tokens: Value, like: Value): Value {
    return this.reshapeLike(this.transpose(tokens, [0, 2, 1]), like);
  }

  /** Doubles a picture's sides by repeating pixels; `level` is that of the result. */
  upsample(x: Value, level: number): Value {
    const empty: Value = { name: "", dims: [], type: "float32" };
    const scales = this.constant([1, 1, 2, 2], [4], "float32");
    return this.op("Resize", [x, empty, scales], [1, x.dims[1]!, ...spatial(level)], {
      attributes: {
        mode: { string: "nearest" },
        coordinate_transformation_mode: { string: "asymmetric" },
        nearest_mode: { string: "floor" },
      },
    });
  }

  #name(op: string): string {
    return `${INNER}${op}_${this.#count++}`;
  }
}
