/**
 * Segmentations from MATLAB files of level 5, as BSDS500 comes: a cell array `groundTruth` with a structure an
 * annotator, whose field `Segmentation` is a label map.
 *
 * Only what leads there is read: cells, structures, real numeric arrays, compressed or not, little-endian.
 *
 * @module
 */
import { inflateSync } from "node:zlib";
import { UsageError } from "../errors.ts";
import type { LabelImage } from "./label_map.ts";

/** Types of data elements. */
const [INT8, UINT8, INT16, UINT16, INT32, UINT32, SINGLE, DOUBLE] = [1, 2, 3, 4, 5, 6, 7, 9];
const [MATRIX, COMPRESSED] = [14, 15];
/** Classes of arrays. */
const [CELL, STRUCTURE, FIRST_NUMERIC, LAST_NUMERIC] = [1, 2, 6, 15];
/** Where the elements begin, after text, version and byte order. */
const HEADER = 128;
/** Most bytes that a compressed element may hold. */
const MOST_BYTES = 2 ** 28;

const READERS: Readonly<Record<number, readonly [bytes: number, read: (v: DataView, at: number) => number]>> =
  {
    [INT8!]: [1, (v, at) => v.getInt8(at)],
    [UINT8!]: [1, (v, at) => v.getUint8(at)],
    [INT16!]: [2, (v, at) => v.getInt16(at, true)],
    [UINT16!]: [2, (v, at) => v.getUint16(at, true)],
    [INT32!]: [4, (v, at) => v.getInt32(at, true)],
    [UINT32!]: [4, (v, at) => v.getUint32(at, true)],
    [SINGLE!]: [4, (v, at) => v.getFloat32(at, true)],
    [DOUBLE!]: [8, (v, at) => v.getFloat64(at, true)],
  };

/** A data element: its type and its bytes. */
interface Element {
  readonly type: number;
  readonly data: Uint8Array;
}

/**
 * The label maps of all annotators.
 *
 * @param path names the file in errors.
 * @throws {UsageError} If it is no such file, or holds none.
 */
export function parseSegmentations(bytes: Uint8Array, path: string): LabelImage[] {
  const maps: LabelImage[] = [];
  try {
    if (bytes.length < HEADER || bytes[126] !== 0x49 || bytes[127] !== 0x4d) {
      throw new RangeError("no header");
    }
    for (const element of elements(bytes.subarray(HEADER))) collect(element, undefined, maps);
  } catch (cause) {
    if (!(cause instanceof RangeError || (cause as { code?: unknown })?.code !== undefined)) throw cause;
    throw new UsageError({ what: "A label map is no MATLAB file of level 5", found: path, cause });
  }
  if (maps.length === 0) {
    throw new UsageError({
      what: "A MATLAB file holds no segmentation",
      found: path,
      advice: "it needs groundTruth{k}.Segmentation, as BSDS500 has it",
    });
  }
  return maps;
}

/** Elements one after the other. */
function* elements(bytes: Uint8Array): Generator<Element> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length;) {
    const word = view.getUint32(at, true);
    // Four bytes at most may lie in the tag itself.
    const small = word >>> 16;
    const [type, size, start] = small > 0
      ? [word & 0xffff, small, at + 4]
      : [word, view.getUint32(at + 4, true), at + 8];
    if (start + size > bytes.length) throw new RangeError("an element is cut off");
    const data = bytes.subarray(start, start + size);
    if (type === COMPRESSED) yield* elements(inflateSync(data, { maxOutputLength: MOST_BYTES }));
    else yield { type, data };
    at = small > 0 ? at + 8 : type === COMPRESSED ? start + size : start + Math.ceil(size / 8) * 8;
  }
}

/** Goes through an array and those in it; adds it where its field is `Segmentation`. */
function collect({ type, data }: Element, field: string | undefined, maps: LabelImage[]): void {
  if (type !== MATRIX || data.length === 0) return;
  const parts = elements(data);
  const next = () => {
    const { value, done } = parts.next();
    if (done) throw new RangeError("an array is cut off");
    return value;
  };
  const kind = numbers(next())[0]! & 0xff;
  const size = numbers(next());
  next();
  if (kind === CELL) {
    for (const part of parts) collect(part, undefined, maps);
  } else if (kind === STRUCTURE) {
    const [length] = numbers(next());
    const text = new TextDecoder().decode(next().data);
    const names: string[] = [];
    for (let at = 0; at < text.length; at += length!) {
      names.push(text.slice(at, at + length!).replace(/\0.*$/s, ""));
    }
    let index = 0;
    for (const part of parts) collect(part, names[index++ % names.length], maps);
  } else if (field === "Segmentation" && kind >= FIRST_NUMERIC! && kind <= LAST_NUMERIC!) {
    maps.push(labelImage(size, numbers(next())));
  }
}

/** Columns of numbers as rows of labels. */
function labelImage([height, width, ...more]: readonly number[], values: readonly number[]): LabelImage {
  if (!height || !width || more.length > 0 || values.length !== height * width) {
    throw new RangeError("a segmentation is no matrix");
  }
  const labels = new Uint16Array(width * height);
  values.forEach((value, i) => labels[(i % height) * width + Math.floor(i / height)] = value);
  return { width, height, labels };
}

function numbers({ type, data }: Element): number[] {
  const reader = READERS[type];
  if (!reader) throw new RangeError(`unknown numbers of type ${type}`);
  const [bytes, read] = reader;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return Array.from({ length: Math.floor(data.length / bytes) }, (_, i) => read(view, i * bytes));
}
