/**
 * NumPy's `.npy` files: float32 and float64 arrays in C order.
 *
 * @module
 */
import { UsageError } from "./errors.ts";

/** An array of a `.npy` file, as float32. */
export interface NpyArray {
  readonly shape: readonly number[];
  /** Values in row-major order; float64 files are rounded. */
  readonly data: Float32Array<ArrayBuffer>;
}

/** What a `.npy` header says. */
export interface NpyHeader {
  readonly shape: readonly number[];
  /** Bytes a value: 4 or 8. */
  readonly itemSize: 4 | 8;
  /** Bytes before the first value. */
  readonly offset: number;
}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59] as const;

/** Headers of real arrays have about 120 bytes; a longer claim is no array. */
const LONGEST_HEADER = 65_536;

/** Bytes read at a time. */
const PIECE = 8 << 20;

const RESAVE = "save it as np.save(path, np.ascontiguousarray(a, dtype=np.float32))";

/**
 * Reads a square matrix.
 *
 * The header is checked against the file's size before memory is reserved.
 * @param most largest number of rows.
 * @throws {UsageError} If the file is missing, no `.npy`, truncated, of another type or order, or not square.
 */
export async function readSquareNpy(
  path: string,
  most: number,
): Promise<{ n: number; data: Float32Array<ArrayBuffer> }> {
  const { shape, data } = await readNpy(path, ({ shape }) => {
    const [rows, columns] = shape;
    if (shape.length !== 2 || rows !== columns || rows === 0) {
      throw new UsageError({
        what: `Cannot use ${path} as it is not a square matrix`,
        found: `shape (${shape.join(", ")})`,
        advice: "give an N×N matrix",
      });
    }
    if (rows! > most) {
      throw new UsageError({
        what: `Cannot use ${path} as it has too many nodes`,
        found: rows!,
        advice: `${most} are the most`,
      });
    }
  });
  return { n: shape[0]!, data };
}

/**
 * Reads an array of any shape.
 *
 * @param check called with the header before memory is reserved; may throw.
 * @throws {UsageError} If the file is missing, no `.npy`, truncated, or of another type or order.
 */
export async function readNpy(path: string, check?: (header: NpyHeader) => void): Promise<NpyArray> {
  const problem = (what: string, found: string | number, advice: string) =>
    new UsageError({ what: `Cannot read ${path} as ${what}`, found, advice });
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path);
  } catch (cause) {
    const missing = cause instanceof Deno.errors.NotFound;
    throw new UsageError({
      what: missing ? "No such file" : "Cannot open the file",
      found: path,
      advice: missing ? "check the path" : "check that it may be read",
      cause,
    });
  }
  using _ = file;
  const { isFile, size } = await file.stat();
  if (!isFile) throw problem("it is not a regular file", path, "give a .npy file");
  const head = new Uint8Array(Math.min(size, LONGEST_HEADER));
  await readFully(file, head);
  const header = parseNpyHeader(head, problem);
  check?.(header);
  const count = header.shape.reduce((product, length) => product * length, 1);
  const claimed = count * header.itemSize;
  const present = size - header.offset;
  if (!Number.isSafeInteger(claimed) || present < claimed) {
    throw problem("it is truncated", `${present} bytes of ${claimed}`, "write it again");
  }
  if (present > claimed) {
    throw problem("it is longer than its header says", `${present} bytes for ${claimed}`, "write it again");
  }
  await file.seek(header.offset, Deno.SeekMode.Start);
  return { shape: header.shape, data: await readValues(file, count, header.itemSize, problem) };
}

type Problem = (what: string, found: string | number, advice: string) => UsageError;

/** Reads the header at the start of `bytes`. */
function parseNpyHeader(bytes: Uint8Array, problem: Problem): NpyHeader {
  if (bytes.length < 10 || MAGIC.some((byte, i) => bytes[i] !== byte)) {
    throw problem("it is not a .npy file", `${bytes.length} bytes without its signature`, RESAVE);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const major = bytes[6]!;
  if (major < 1 || major > 3) throw problem("its version is unknown", `${major}.${bytes[7]}`, RESAVE);
  const start = major === 1 ? 10 : 12;
  if (bytes.length < start) throw problem("its header is cut off", `${bytes.length} bytes`, "write it again");
  const offset = start + (major === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (offset > LONGEST_HEADER) throw problem("its header is too long", `${offset} bytes`, RESAVE);
  if (offset > bytes.length) {
    throw problem("its header is cut off", `${bytes.length} bytes of ${offset}`, "write it again");
  }
  const text = new TextDecoder("latin1").decode(bytes.subarray(start, offset)).trim();
  const type = /['"]descr['"]\s*:\s*(?:['"]([^'"]*)['"]|(\[[^\]]*\]))/.exec(text);
  const order = /['"]fortran_order['"]\s*:\s*(True|False)/.exec(text)?.[1];
  const dimensions = /['"]shape['"]\s*:\s*\(([\d\s,L]*)\)/.exec(text)?.[1];
  if (!type || !order || dimensions === undefined) {
    throw problem("its header is not understood", text.slice(0, 120), RESAVE);
  }
  const descr = type[1] ?? type[2] ?? "";
  if (descr !== "<f4" && descr !== "<f8") {
    throw problem("its values are neither float32 nor float64, little-endian", descr, RESAVE);
  }
  const shape = dimensions.split(",").map((s) => s.trim().replace(/L$/, "")).filter(Boolean).map(Number);
  // An array of at most one dimension that is longer than 1 is the same in both orders.
  if (order === "True" && shape.filter((length) => length > 1).length > 1) {
    throw problem("it is in Fortran order", "fortran_order True", RESAVE);
  }
  return { shape, itemSize: descr === "<f4" ? 4 : 8, offset };
}

async function readValues(
  file: Deno.FsFile,
  count: number,
  itemSize: 4 | 8,
  problem: Problem,
): Promise<Float32Array<ArrayBuffer>> {
  let data: Float32Array<ArrayBuffer>;
  try {
    data = new Float32Array(count);
  } catch {
    throw problem("there is not memory for it", `${count} values`, "give a smaller array");
  }
  const short = (done: number) =>
    problem("it became shorter while it was read", `${done} values of ${count}`, "write it again");
  if (itemSize === 4) {
    for (let at = 0; at < count; at += PIECE / 4) {
      const piece = data.subarray(at, Math.min(count, at + PIECE / 4));
      const bytes = new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength);
      if (await readFully(file, bytes) < bytes.length) throw short(at);
    }
    return data;
  }
  const piece = new Float64Array(Math.min(count, PIECE / 8));
  for (let at = 0; at < count; at += piece.length) {
    const part = piece.subarray(0, Math.min(piece.length, count - at));
    const bytes = new Uint8Array(part.buffer, 0, part.byteLength);
    if (await readFully(file, bytes) < bytes.length) throw short(at);
    data.set(part, at);
  }
  return data;
}

/** Fills `bytes` from the file; returns how many there were. */
async function readFully(file: Deno.FsFile, bytes: Uint8Array): Promise<number> {
  let done = 0;
  while (done < bytes.length) {
    const read = await file.read(bytes.subarray(done));
    if (read === null) break;
    done += read;
  }
  return done;
}

/** A `.npy` file of version 1.0 with an array in row-major order. */
export function encodeNpy(
  data: Float32Array | Float64Array | Uint16Array | Int32Array,
  shape: readonly number[],
): Uint8Array<ArrayBuffer> {
  const header = headerOf(data, shape);
  const bytes = new Uint8Array(header.length + data.byteLength);
  bytes.set(header);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), header.length);
  return bytes;
}

/** Writes an array in row-major order as a `.npy` file, without a copy of it. */
export async function writeNpy(
  path: string,
  data: Float32Array | Float64Array | Uint16Array | Int32Array,
  shape: readonly number[],
): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  for (
    const part of [headerOf(data, shape), new Uint8Array(data.buffer, data.byteOffset, data.byteLength)]
  ) {
    for (let done = 0; done < part.length;) {
      done += await file.write(part.subarray(done, Math.min(part.length, done + PIECE)));
    }
  }
}

function headerOf(
  data: Float32Array | Float64Array | Uint16Array | Int32Array,
  shape: readonly number[],
): Uint8Array<ArrayBuffer> {
  const count = shape.reduce((product, length) => product * length, 1);
  if (count !== data.length) {
    throw new RangeError(`Cannot encode ${data.length} values as shape (${shape.join(", ")})`);
  }
  const type = data instanceof Float32Array
    ? "<f4"
    : data instanceof Float64Array
    ? "<f8"
    : data instanceof Uint16Array
    ? "<u2"
    : "<i4";
  return npyHeader(type, shape);
}

/** What stands before the values of an array in row-major order. */
export function npyHeader(
  type: "<f4" | "<f8" | "<u2" | "<i4",
  shape: readonly number[],
): Uint8Array<ArrayBuffer> {
  const list = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const text = `{'descr': '${type}', 'fortran_order': False, 'shape': (${list}), }`;
  // The values start at a multiple of 64 bytes and the header ends with a newline, as the format asks.
  const length = Math.ceil((10 + text.length + 1) / 64) * 64;
  const header = new Uint8Array(length).fill(0x20);
  header.set(MAGIC);
  header[6] = 1;
  header[7] = 0;
  new DataView(header.buffer).setUint16(8, length - 10, true);
  header.set(new TextEncoder().encode(text), 10);
  header[length - 1] = 0x0a;
  return header;
}
