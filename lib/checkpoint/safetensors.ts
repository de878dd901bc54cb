/**
 * Reads safetensors files, single and sharded, a tensor at a time.
 *
 * The format: eight bytes with the little-endian length of a JSON header, the header
 * (`name → {dtype, shape, data_offsets}`), the data. Nothing in it is trusted: lengths are
 * checked against the size of the file before memory is reserved.
 *
 * @module
 */
import { oneLine, UsageError } from "../errors.ts";
import { type DType, dtypeBytes, toFloat32 } from "./dtypes.ts";

/** Where a tensor lies, and what it is. */
export interface TensorInfo {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** First byte, counted from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

/** Tensors by name, read when they are asked for. */
export interface TensorSource {
  /** What the names in error messages belong to: the file or folder. */
  readonly label: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Names of the files, without their folder. */
  readonly files: readonly string[];
  /** The tensor's bytes as they lie in the file. Throws a `UsageError` where it is missing. */
  read(name: string): Promise<Uint8Array<ArrayBuffer>>;
  close(): void;
}

/** The longest header that the format's own reader accepts. */
const MAX_HEADER_BYTES = 100_000_000;

/** Opens one `.safetensors` file; throws a `UsageError` where it is not whole and consistent. */
export async function openSafetensors(path: string): Promise<TensorSource> {
  const file = await openFile(path);
  try {
    const size = (await file.stat()).size;
    const tensors = parseHeader(await readHeader(file, size, path), size, path);
    return {
      label: path,
      files: [path.slice(path.lastIndexOf("/") + 1)],
      tensors,
      read: (name) => readTensor(file, infoOf(tensors, name, path), path),
      close: () => file.close(),
    };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Opens the files that a `….safetensors.index.json` names, as one source. */
export async function openSharded(indexPath: string): Promise<TensorSource> {
  const folder = indexPath.slice(0, indexPath.lastIndexOf("/") + 1);
  const map = weightMap(await Deno.readTextFile(indexPath), indexPath);
  const shards = new Map<string, TensorSource>();
  const close = () => shards.forEach((shard) => shard.close());
  try {
    for (const name of new Set(map.values())) {
      shards.set(name, await openSafetensors(folder + name));
    }
    const tensors = new Map<string, TensorInfo>();
    for (const [name, shard] of map) {
      tensors.set(name, infoOf(shards.get(shard)!.tensors, name, folder + shard));
    }
    return {
      label: indexPath,
      files: [...shards.keys()],
      tensors,
      read: (name) => {
        infoOf(tensors, name, indexPath);
        return shards.get(map.get(name)!)!.read(name);
      },
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** Reads a tensor as float32, whatever floating type the file has. */
export async function readFloat32(source: TensorSource, name: string): Promise<Float32Array<ArrayBuffer>> {
  const bytes = await source.read(name);
  return toFloat32(bytes, source.tensors.get(name)!.dtype);
}

/** Throws where `name` is missing or has another shape than `shape`; both are named. */
export function requireTensor(source: TensorSource, name: string, shape: readonly number[]): TensorInfo {
  const info = infoOf(source.tensors, name, source.label);
  if (!sameShape(info.shape, shape)) {
    throw new UsageError({
      what: `Cannot use ${oneLine(source.label)}, tensor ${
        oneLine(name)
      } must have the shape [${shape}] that its config implies`,
      found: `[${info.shape}]`,
      advice: "check that config.json and the weights belong together",
    });
  }
  return info;
}

/** A 1×1 convolution and a linear layer hold the same numbers in the same order: both shapes are taken. */
function sameShape(a: readonly number[], b: readonly number[]): boolean {
  const [x, y] = [a, b].map((s) => s.length === 4 && s[2] === 1 && s[3] === 1 ? s.slice(0, 2) : s);
  return x!.length === y!.length && x!.every((n, i) => n === y![i]);
}

function infoOf(tensors: ReadonlyMap<string, TensorInfo>, name: string, label: string): TensorInfo {
  const info = tensors.get(name);
  if (info === undefined) {
    throw new UsageError({
      what: `Cannot use ${oneLine(label)}, a tensor is missing`,
      found: name,
      advice: "download the file again, or check that config.json belongs to it",
    });
  }
  return info;
}

async function openFile(path: string): Promise<Deno.FsFile> {
  try {
    return await Deno.open(path);
  } catch (cause) {
    throw new UsageError({ what: "Cannot open the weights", found: path, advice: "check the path", cause });
  }
}

async function readHeader(file: Deno.FsFile, size: number, path: string): Promise<Uint8Array<ArrayBuffer>> {
  if (size < 8) {
    throw damaged(path, "the file is shorter than the 8 bytes that give its header's length", size);
  }
  const prefix = new Uint8Array(8);
  await readFully(file, prefix, 0, path);
  const length = new DataView(prefix.buffer).getBigUint64(0, true);
  if (length > BigInt(size - 8)) {
    throw damaged(path, `the header ends behind the file of ${size} bytes`, length);
  }
  if (length > BigInt(MAX_HEADER_BYTES)) throw damaged(path, "the header is too long", length);
  const header = new Uint8Array(Number(length));
  await readFully(file, header, 8, path);
  return header;
}

function parseHeader(header: Uint8Array, size: number, path: string): Map<string, TensorInfo> {
  const text = new TextDecoder().decode(header);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw damaged(path, "the header is not JSON", text.slice(0, 40), cause);
  }
  if (!isRecord(json)) throw damaged(path, "the header is not an object", text.slice(0, 40));
  const base = 8 + header.length;
  const tensors = new Map<string, TensorInfo>();
  for (const [name, entry] of Object.entries(json)) {
    if (name !== "__metadata__") tensors.set(name, parseEntry(name, entry, base, size, path));
  }
  requireDisjoint(tensors, path);
  return tensors;
}

function parseEntry(name: string, entry: unknown, base: number, size: number, path: string): TensorInfo {
  if (!isRecord(entry)) throw damaged(path, `the entry of ${oneLine(name)} is not an object`, String(entry));
  const { dtype, shape, data_offsets: offsets } = entry;
  const itemBytes = typeof dtype === "string" ? dtypeBytes(dtype) : undefined;
  if (itemBytes === undefined) throw damaged(path, `the type of ${oneLine(name)} is unknown`, String(dtype));
  if (!isCounts(shape)) {
    throw damaged(path, `the shape of ${oneLine(name)} is invalid`, JSON.stringify(shape));
  }
  if (!isCounts(offsets) || offsets.length !== 2) {
    throw damaged(path, `the offsets of ${oneLine(name)} are invalid`, JSON.stringify(offsets));
  }
  const [begin, end] = offsets as [number, number];
  const bytes = shape.reduce((a, b) => a * b, 1) * itemBytes;
  if (end - begin !== bytes) {
    throw damaged(path, `${oneLine(name)} needs ${bytes} bytes for its shape`, end - begin);
  }
  if (base + end > size) {
    throw damaged(
      path,
      `the file is truncated, ${oneLine(name)} ends at byte ${base + end}`,
      `${size} bytes`,
    );
  }
  return { dtype: dtype as DType, shape, offset: base + begin, bytes };
}

function requireDisjoint(tensors: ReadonlyMap<string, TensorInfo>, path: string): void {
  const sorted = [...tensors].filter(([, t]) => t.bytes > 0).sort(([, a], [, b]) => a.offset - b.offset);
  for (let i = 1; i < sorted.length; i++) {
    const [name, info] = sorted[i]!;
    const [before, earlier] = sorted[i - 1]!;
    if (earlier.offset + earlier.bytes > info.offset) {
      throw damaged(path, "two tensors lie on the same bytes", `${before} and ${name}`);
    }
  }
}

function weightMap(text: string, path: string): Map<string, string> {
  let map: unknown;
  try {
    map = JSON.parse(text)?.weight_map;
  } catch (cause) {
    throw damaged(path, "the index is not JSON", text.slice(0, 40), cause);
  }
  if (!isRecord(map)) throw damaged(path, "the index has no weight_map", text.slice(0, 40));
  const result = new Map<string, string>();
  for (const [name, shard] of Object.entries(map)) {
    // A shard lies beside its index; anything else could read files the user did not mean.
    if (typeof shard !== "string" || !/^[\w.-]+\.safetensors$/.test(shard)) {
      throw damaged(path, "the index names a shard that is not a .safetensors file beside it", String(shard));
    }
    result.set(name, shard);
  }
  return result;
}

async function readTensor(
  file: Deno.FsFile,
  info: TensorInfo,
  path: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(info.bytes);
  await readFully(file, bytes, info.offset, path);
  return bytes;
}

async function readFully(file: Deno.FsFile, into: Uint8Array, offset: number, path: string): Promise<void> {
  await file.seek(offset, Deno.SeekMode.Start);
  for (let done = 0; done < into.length;) {
    const n = await file.read(into.subarray(done));
    if (n === null) throw damaged(path, "the file ended while it was read", `${offset + done} bytes`);
    done += n;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

function damaged(path: string, what: string, found: string | number | bigint, cause?: unknown): UsageError {
  return new UsageError({
    what: `Cannot read ${oneLine(path)}, ${what}`,
    found: String(found),
    advice: "download it again",
    cause,
  });
}

/** Writes float32 tensors as a safetensors file. */
export async function writeSafetensors(
  path: string,
  tensors: Readonly<
    Record<string, { readonly shape: readonly number[]; readonly data: Float32Array<ArrayBuffer> }>
  >,
): Promise<void> {
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype: "F32", shape, data_offsets: [end, end += data.byteLength] };
  }
  // Spaces behind the header keep the data aligned.
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + length + end).fill(0x20, 8, 8 + length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text, 8);
  let offset = 8 + length;
  for (const { data } of Object.values(tensors)) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    offset += data.byteLength;
  }
  await Deno.writeFile(path, bytes);
}
