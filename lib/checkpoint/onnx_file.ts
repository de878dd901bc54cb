/**
 * Writes a section of a graph as an ONNX model whose weights lie in another file.
 *
 * @module
 */
import protobuf from "protobufjs/minimal";
import { ATTRIBUTE_TYPE, FIXED32, integer, LENGTH_DELIMITED, message, text } from "../features/onnx.ts";
import type { Attribute, Constant, ElementType, Node, Parameter, Value } from "./graph.ts";
import { elements, storedShape } from "./graph.ts";
import type { Section } from "./sections.ts";

/** Where a parameter lies in the file of weights, in elements. */
export type Layout = ReadonlyMap<string, number>;

/** TensorProto.DataType. */
const TYPE_CODE: Record<ElementType, number> = { float32: 1, int64: 7, float16: 10 };

const OPSET = 17;
const IR_VERSION = 8;

/**
 * The model's bytes. A parameter's external data is at its place in `layout` less `base`, in a
 * file called `location`, in elements of `type`.
 */
export function writeModel(
  section: Section,
  type: "float16" | "float32",
  layout: Layout,
  base: number,
  location: string,
): Uint8Array<ArrayBuffer> {
  const w = protobuf.Writer.create();
  integer(w, 1, IR_VERSION);
  text(w, 2, "walkcut");
  message(w, 7, (graph) => {
    for (const node of section.nodes) message(graph, 1, (m) => writeNode(m, node));
    text(graph, 2, "section");
    for (const constant of section.constants) message(graph, 5, (m) => writeConstant(m, constant));
    for (const parameter of section.parameters) {
      const offset = layout.get(parameter.name)! - base;
      message(graph, 5, (m) => writeParameter(m, parameter, type, offset, location));
    }
    for (const value of section.inputs) message(graph, 11, (m) => writeValue(m, value));
    for (const value of section.outputs) message(graph, 12, (m) => writeValue(m, value));
  });
  message(w, 8, (opset) => integer(opset, 2, OPSET));
  message(w, 8, (opset) => {
    text(opset, 1, "com.microsoft");
    integer(opset, 2, 1);
  });
  return new Uint8Array(w.finish());
}

function writeNode(w: protobuf.Writer, { op, domain, inputs, output, attributes }: Node): void {
  for (const input of inputs) text(w, 1, input);
  for (const value of output) text(w, 2, value.name);
  text(w, 3, output[0]!.name);
  text(w, 4, op);
  for (const [name, attribute] of Object.entries(attributes)) {
    message(w, 5, (m) => writeAttribute(m, name, attribute));
  }
  if (domain !== "") text(w, 7, domain);
}

function writeAttribute(w: protobuf.Writer, name: string, attribute: Attribute): void {
  text(w, 1, name);
  if ("float" in attribute) {
    w.uint32(2 << 3 | FIXED32).float(attribute.float);
    integer(w, 20, ATTRIBUTE_TYPE.float);
  } else if ("int" in attribute) {
    integer(w, 3, attribute.int);
    integer(w, 20, ATTRIBUTE_TYPE.int);
  } else if ("string" in attribute) {
    text(w, 4, attribute.string);
    integer(w, 20, ATTRIBUTE_TYPE.string);
  } else {
    for (const value of attribute.ints) integer(w, 8, value);
    integer(w, 20, ATTRIBUTE_TYPE.ints);
  }
}

function writeConstant(w: protobuf.Writer, { name, dims, type, data }: Constant): void {
  for (const dim of dims) integer(w, 1, dim);
  integer(w, 2, TYPE_CODE[type]);
  text(w, 8, name);
  const array = type === "int64"
    ? BigInt64Array.from(data.map(BigInt))
    : type === "float16"
    ? Float16Array.from(data)
    : Float32Array.from(data);
  w.uint32(9 << 3 | LENGTH_DELIMITED).bytes(new Uint8Array(array.buffer));
}

function writeParameter(
  w: protobuf.Writer,
  parameter: Parameter,
  type: "float16" | "float32",
  offset: number,
  location: string,
): void {
  const itemBytes = type === "float16" ? 2 : 4;
  for (const dim of storedShape(parameter)) integer(w, 1, dim);
  integer(w, 2, TYPE_CODE[type]);
  text(w, 8, parameter.name);
  const entries = {
    location,
    offset: String(offset * itemBytes),
    length: String(elements(parameter.shape) * itemBytes),
  };
  for (const [key, value] of Object.entries(entries)) {
    message(w, 13, (m) => {
      text(m, 1, key);
      text(m, 2, value);
    });
  }
  integer(w, 14, 1); // data_location: EXTERNAL
}

function writeValue(w: protobuf.Writer, { name, dims, type }: Value): void {
  text(w, 1, name);
  message(w, 2, (typeProto) =>
    message(typeProto, 1, (tensor) => {
      integer(tensor, 1, TYPE_CODE[type]);
      message(tensor, 2, (shape) => {
        for (const dim of dims) {
          message(shape, 1, (m) => typeof dim === "number" ? integer(m, 1, dim) : text(m, 2, dim));
        }
      });
    }));
}
