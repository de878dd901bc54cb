/**
 * The number types of checkpoints, and their conversion.
 *
 * @module
 */
import { UsageError } from "../errors.ts";

/** Bytes an element of each type that safetensors knows. */
const ITEM_BYTES = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
} as const;

/** A type as a safetensors header names it. */
export type DType = keyof typeof ITEM_BYTES;

/** The types in which a network's weights are stored after import. */
export type Precision = "fp16" | "fp32";

/** Bytes a weight. */
export function precisionBytes(precision: Precision): 2 | 4 {
  return precision === "fp16" ? 2 : 4;
}

/** Bytes an element, or undefined for a type that is not known. */
export function dtypeBytes(dtype: string): number | undefined {
  return Object.hasOwn(ITEM_BYTES, dtype) ? ITEM_BYTES[dtype as DType] : undefined;
}

/** Converts the little-endian bytes of a tensor to float32; throws for integers and 8-bit floats. */
export function toFloat32(bytes: Uint8Array<ArrayBuffer>, dtype: DType): Float32Array<ArrayBuffer> {
  const { buffer, byteOffset } = bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
  const count = bytes.byteLength / ITEM_BYTES[dtype];
  switch (dtype) {
    case "F32":
      return new Float32Array(buffer, byteOffset, count);
    case "F16":
      return new Float32Array(new Float16Array(buffer, byteOffset, count));
    case "F64":
      return new Float32Array(new Float64Array(buffer, byteOffset, count));
    case "BF16":
      return bfloat16ToFloat32(new Uint16Array(buffer, byteOffset, count));
    default:
      throw new UsageError({
        what: "Cannot use a weight of this type",
        found: dtype,
        advice: "use a checkpoint in F16, BF16 or F32",
      });
  }
}

/** The bytes of float32 weights in the asked-for precision. */
export function fromFloat32(
  values: Float32Array<ArrayBuffer>,
  precision: Precision,
): Uint8Array<ArrayBuffer> {
  const stored = precision === "fp16" ? new Float16Array(values) : values;
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}

/** A bfloat16 is the upper half of a float32. */
function bfloat16ToFloat32(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) words[i] = halves[i]! << 16;
  return new Float32Array(words.buffer);
}
