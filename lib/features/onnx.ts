/**
 * Writes ONNX graphs: as much of the format as hand-derived networks need.
 *
 * @module
 */
import protobuf from "protobufjs/minimal";

/** Dimensions of a tensor. */
export type Dims = readonly number[];

/** A dimension of an input or output that is known only when the graph runs. */
export const ANY = -1;

/** An attribute of a node: integers are numbers that are safe integers wrapped in {@linkcode int}. */
export type Attribute =
  | { readonly kind: "int"; readonly value: number }
  | { readonly kind: "ints"; readonly value: readonly number[] }
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "string"; readonly value: string };

/** An integer attribute, or a list of them. */
export function int(value: number | readonly number[]): Attribute {
  return typeof value === "number" ? { kind: "int", value } : { kind: "ints", value };
}

/** A floating-point attribute. */
export function float(value: number): Attribute {
  return { kind: "float", value };
}

/** A string attribute. */
export function string(value: string): Attribute {
  return { kind: "string", value };
}

const FLOAT = 1;
const INT64 = 7;

/** Field numbers of the messages of onnx.proto that are written here. */
const Field = {
  model: { irVersion: 1, producerName: 2, graph: 7, opsetImport: 8 },
  opset: { version: 2 },
  graph: { node: 1, name: 2, initializer: 5, input: 11, output: 12 },
  node: { input: 1, output: 2, name: 3, opType: 4, attribute: 5 },
  attribute: { name: 1, f: 2, i: 3, s: 4, ints: 8, type: 20 },
  tensor: { dims: 1, dataType: 2, name: 8, rawData: 9 },
  valueInfo: { name: 1, type: 2 },
} as const;

/** Wire types of protocol buffers; a field's tag is `number << 3 | type`. */
export const [VARINT, LENGTH_DELIMITED, FIXED32] = [0, 2, 5];

/** Writes the fields of a message. */
export type Write = (writer: protobuf.Writer) => void;

/** Writes a message inside another. */
export function message(writer: protobuf.Writer, field: number, body: Write): void {
  writer.uint32(field << 3 | LENGTH_DELIMITED).fork();
  body(writer);
  writer.ldelim();
}

/** Writes a text field. */
export function text(writer: protobuf.Writer, field: number, value: string): void {
  writer.uint32(field << 3 | LENGTH_DELIMITED).string(value);
}

/** Writes an integer field. */
export function integer(writer: protobuf.Writer, field: number, value: number): void {
  writer.uint32(field << 3 | VARINT).int64(value);
}

/**
 * Builds one graph, node by node. Every method that adds something returns the name of its
 * output, to be passed to the next one. Names are numbered in order, so that equal calls give
 * equal bytes.
 */
export class GraphBuilder {
  #nodes: Write[] = [];
  #initializers: Write[] = [];
  #inputs: Write[] = [];
  #outputs: Write[] = [];
  #constants = new Map<string, string>();
  #count = 0;

  /** @param opset version of the default operator set. */
  constructor(readonly name: string, readonly opset = 17) {}

  /** Declares an input, f32. */
  input(name: string, dims: Dims): string {
    this.#inputs.push(valueInfo(name, dims));
    return name;
  }

  /** Declares that the value `from` leaves the graph as `name`, f32. */
  output(name: string, from: string, dims: Dims): void {
    this.#nodes.push(node("Identity", [from], [name], name, {}));
    this.#outputs.push(valueInfo(name, dims));
  }

  /** A constant f32 tensor; a number is a scalar. */
  constant(values: number | readonly number[] | Float32Array, dims: Dims = []): string {
    const data = Float32Array.from(typeof values === "number" ? [values] : values);
    return this.#initializer(FLOAT, data.length, new Uint8Array(data.buffer), dims);
  }

  /** A constant int64 tensor of one dimension: shapes, axes, indices. */
  indices(values: readonly number[]): string {
    const data = BigInt64Array.from(values.map(BigInt));
    return this.#initializer(INT64, data.length, new Uint8Array(data.buffer), [values.length]);
  }

  /** Adds a node with one output. */
  op(type: string, inputs: readonly string[], attributes: Record<string, Attribute> = {}): string {
    const output = `${type.toLowerCase()}_${this.#count++}`;
    this.#nodes.push(node(type, inputs, [output], output, attributes));
    return output;
  }

  /** The serialised model. */
  build(): Uint8Array<ArrayBuffer> {
    const writer = new protobuf.Writer();
    integer(writer, Field.model.irVersion, 8);
    text(writer, Field.model.producerName, "walkcut");
    message(writer, Field.model.graph, (w) => {
      for (const write of this.#nodes) message(w, Field.graph.node, write);
      text(w, Field.graph.name, this.name);
      for (const write of this.#initializers) message(w, Field.graph.initializer, write);
      for (const write of this.#inputs) message(w, Field.graph.input, write);
      for (const write of this.#outputs) message(w, Field.graph.output, write);
    });
    message(writer, Field.model.opsetImport, (w) => integer(w, Field.opset.version, this.opset));
    return Uint8Array.from(writer.finish());
  }

  #initializer(type: number, length: number, data: Uint8Array, dims: Dims): string {
    const expected = dims.reduce((a, b) => a * b, 1);
    if (length !== expected) {
      throw new RangeError(`Cannot add a constant of shape [${dims}]: it has ${length} values`);
    }
    const key = `${type}:${dims}:${data.join()}`;
    const known = this.#constants.get(key);
    if (known) return known;
    const name = `constant_${this.#constants.size}`;
    this.#constants.set(key, name);
    this.#initializers.push((w) => {
      for (const dim of dims) integer(w, Field.tensor.dims, dim);
      integer(w, Field.tensor.dataType, type);
      text(w, Field.tensor.name, name);
      w.uint32(Field.tensor.rawData << 3 | LENGTH_DELIMITED).bytes(data);
    });
    return name;
  }
}

function valueInfo(name: string, dims: Dims): Write {
  return (writer) => {
    text(writer, Field.valueInfo.name, name);
    // TypeProto.tensor_type = 1 { elem_type = 1, shape = 2 { dim = 1 { dim_value = 1 } } }
    message(writer, Field.valueInfo.type, (w) =>
      message(w, 1, (tensor) => {
        integer(tensor, 1, FLOAT);
        message(tensor, 2, (shape) => {
          for (const dim of dims) message(shape, 1, (d) => dim === ANY ? undefined : integer(d, 1, dim));
        });
      }));
  };
}

function node(
  type: string,
  inputs: readonly string[],
  outputs: readonly string[],
  name: string,
  attributes: Record<string, Attribute>,
): Write {
  return (writer) => {
    for (const input of inputs) text(writer, Field.node.input, input);
    for (const output of outputs) text(writer, Field.node.output, output);
    text(writer, Field.node.name, name);
    text(writer, Field.node.opType, type);
    for (const [key, value] of Object.entries(attributes)) {
      message(writer, Field.node.attribute, (w) => attribute(w, key, value));
    }
  };
}

/** AttributeProto.AttributeType of each kind. */
export const ATTRIBUTE_TYPE = { float: 1, int: 2, string: 3, ints: 7 } as const;

function attribute(writer: protobuf.Writer, name: string, { kind, value }: Attribute): void {
  text(writer, Field.attribute.name, name);
  switch (kind) {
    case "int":
      integer(writer, Field.attribute.i, value);
      break;
    case "ints":
      for (const item of value) integer(writer, Field.attribute.ints, item);
      break;
    case "float":
      writer.uint32(Field.attribute.f << 3 | FIXED32).float(value);
      break;
    case "string":
      text(writer, Field.attribute.s, value);
      break;
  }
  integer(writer, Field.attribute.type, ATTRIBUTE_TYPE[kind]);
}
