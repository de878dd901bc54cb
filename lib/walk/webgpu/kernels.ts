/**
 * The WGSL kernels of the walk and the numbers that their dispatches need.
 *
 * @module
 */
import aggregateCode from "../../../shaders/aggregate.wgsl" with { type: "text" };
import attentionCode from "../../../shaders/attention.wgsl" with { type: "text" };
import convertCode from "../../../shaders/convert.wgsl" with { type: "text" };
import multiplyCode from "../../../shaders/multiply.wgsl" with { type: "text" };
import multiplyNarrowCode from "../../../shaders/multiply_narrow.wgsl" with { type: "text" };
import multiplyTypesCode from "../../../shaders/multiply_types.wgsl" with { type: "text" };
import rowSquaresCode from "../../../shaders/row_squares.wgsl" with { type: "text" };
import type { PipelineSource } from "./device.ts";

/** How numbers are stored; they are always summed as f32. */
export type Precision = "f32" | "f16";

/** Rows and columns of matrices are padded to a multiple of this. */
export const MATRIX_ALIGNMENT = 64;

/** Columns of blocks wider than {@linkcode NARROW} are padded to a multiple of this. */
export const BLOCK_ALIGNMENT = 32;

/** Widest block that `multiply_narrow.wgsl` takes. */
export const NARROW = 4;

/** Puts type aliases before a kernel, with `enable f16` where one needs it. */
export function withTypes(code: string, types: Readonly<Record<string, Precision>>): string {
  const enable = Object.values(types).includes("f16") ? "enable f16;\n" : "";
  const aliases = Object.entries(types).map(([name, type]) => `alias ${name} = ${type};\n`);
  return enable + aliases.join("") + code;
}

/** What A, B and C of a product are stored as. */
export interface ProductTypes {
  readonly left: Precision;
  readonly right: Precision;
  readonly result: Precision;
}

/** C (+)= op(A)·B with wide blocks. */
export function multiplySource(types: ProductTypes, transposed: boolean): PipelineSource {
  return productSource("multiply", multiplyCode, types, transposed);
}

/** C (+)= op(A)·B with four columns. */
export function multiplyNarrowSource(left: Precision, transposed: boolean): PipelineSource {
  const types = { left, right: "f32", result: "f32" } as const;
  return productSource("multiply narrow", multiplyNarrowCode, types, transposed);
}

function productSource(
  name: string,
  code: string,
  { left, right, result }: ProductTypes,
  transposed: boolean,
): PipelineSource {
  return {
    label: `${name} ${left} ${right} ${result}`,
    code: withTypes(multiplyTypesCode + code, { Left: left, Right: right, Result: result }),
    entryPoint: "main",
    constants: { transposed: Number(transposed) },
  };
}

/** to = scale · from. */
export function convertSource(from: Precision, to: Precision): PipelineSource {
  return {
    label: `convert ${from} to ${to}`,
    code: withTypes(convertCode, { From: from, To: to }),
    entryPoint: "main",
  };
}

/** Squared lengths of a matrix's rows. */
export function rowSquaresSource(precision: Precision): PipelineSource {
  return {
    label: `row squares ${precision}`,
    code: withTypes(rowSquaresCode, { Left: precision }),
    entryPoint: "main",
  };
}

/** Row maxima and sums of a layer's heads. */
export const rowStatsSource: PipelineSource = {
  label: "attention",
  code: attentionCode,
  entryPoint: "row_stats",
};

/** A layer's mean attention added to its level. */
export const accumulateSource: PipelineSource = {
  label: "attention",
  code: attentionCode,
  entryPoint: "accumulate",
};

/** A level added to the walk. */
export const aggregateSource: PipelineSource = {
  label: "aggregate",
  code: aggregateCode,
  entryPoint: "main",
};

/** Every pipeline of the walk in one precision; tests compile them all. */
export function walkSources(precision: Precision): PipelineSource[] {
  const product = { left: precision, right: "f32", result: "f32" } as const;
  const power = { left: precision, right: precision, result: precision };
  return [
    multiplySource(product, false),
    multiplySource(product, true),
    multiplySource(power, false),
    multiplyNarrowSource(precision, false),
    multiplyNarrowSource(precision, true),
    convertSource("f32", precision),
    convertSource(precision, "f32"),
    rowSquaresSource(precision),
    rowStatsSource,
    accumulateSource,
    aggregateSource,
  ];
}

/** The smallest multiple of `step` that is at least `value`. */
export function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}
