/**
 * NumPy's `.npy` files in C order: matrices of floats, and whole numbers where labels are meant.
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
  /** NumPy's word for the type of the values. */
  readonly type: string;
  /** Bytes before the first value. */
  readonly offset: number;
}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59] as const;

/** Headers of real arrays have about 120 bytes; a longer claim is no array. */
const LONGEST_HEADER = 65_536;

/** Bytes read at a time. */
const PIECE = 8 << 20;

/** Arrays of values of the types that can be read, by NumPy's words. */
const FLOATS = { "<f4": Float32Array, "<f8": Float64Array } as const;
const NUMBERS = {
  ...FLOATS,
  ...{ "|b1": Uint8Array, "|u1": Uint8Array, "|i1": Int8Array, "<u2": Uint16Array, "<i2": Int16Array },
  ...{ "<u4": Uint32Array, "<i4": Int32Array, "<u8": BigUint64Array, "<i8": BigInt64Array },
} as const;

/** Types that may be read, and how an error says what others are not. */
interface Types {
  readonly types: Readonly<Record<string, typeof NUMBERS[keyof typeof NUMBERS]>>;
  readonly not: string;
}

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
 * Reads an array of floats of any shape.
 *
 * @param check called with the header before memory is reserved; may throw.
 * @throws {UsageError} If the file is missing, no `.npy`, truncated, or of another type or order.
 */
export async function readNpy(path: string, check?: (header: NpyHeader) => void): Promise<NpyArray> {
  return await readArray(path, { types: FLOATS, not: "neither float32 nor float64" }, Float32Array, check);
}

/**
 * Reads an array of any shape and of any type of numbers, such as labels; as float64, which holds all whole
 * numbers up to 2⁵³.
 *
 * @throws {UsageError} As {@linkcode readNpy}.
 */
export async function readNpyNumbers(
  path: string,
): Promise<{ readonly shape: readonly number[]; readonly data: Float64Array<ArrayBuffer> }> {
  return await readArray(path, { types: NUMBERS, not: "neither integers nor floats" }, Float64Array);
}

async function readArray<T extends Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>>(
  path: string,
  known: Types,
  result: new (length: number) => T,
  check?: (header: NpyHeader) => void,
): Promise<{ shape: readonly number[]; data: T }> {
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
  const header = parseNpyHeader(head, known, problem);
  check?.(header);
  const values = known.types[header.type]!;
  const count = header.shape.reduce((product, length) => product * length, 1);
  const claimed = count * values.BYTES_PER_ELEMENT;
  const present = size - header.offset;
  if (!Number.isSafeInteger(claimed) || present < claimed) {
    throw problem("it is truncated", `${present} bytes of ${claimed}`, "write it again");
  }
  if (present > claimed) {
    throw problem("it is longer than its header says", `${present} bytes for ${claimed}`, "write it again");
  }
  await file.seek(header.offset, Deno.SeekMode.Start);
  let data: T;
  try {
    data = new result(count);
  } catch {
    throw problem("there is not memory for it", `${count} values`, "give a smaller array");
  }
  const done = await readValues(file, data, new values(Math.min(count, PIECE / values.BYTES_PER_ELEMENT)));
  if (done < count) {
    throw problem("it became shorter while it was read", `${done} values of ${count}`, "write it again");
  }
  return { shape: header.shape, data };
}

type Problem = (what: string, found: string | number, advice: string) => UsageError;

/** Reads the header at the start of `bytes`. */
function parseNpyHeader(bytes: Uint8Array, { types, not }: Types, problem: Problem): NpyHeader {
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
  if (!Object.hasOwn(types, descr)) throw problem(`its values are ${not}, little-endian`, descr, RESAVE);
  const shape = dimensions.split(",").map((s) => s.trim().replace(/L$/, "")).filter(Boolean).map(Number);
  // An array of at most one dimension that is longer than 1 is the same in both orders.
  if (order === "True" && shape.filter((length) => length > 1).length > 1) {
    throw problem("it is in Fortran order", "fortran_order True", RESAVE);
  }
  return { shape, type: descr, offset };
}

/** Reads values to the end of `data`, a piece of their own type at a time; returns how many there were. */
async function readValues(
  file: Deno.FsFile,
  data: Float32Array | Float64Array,
  piece: InstanceType<typeof NUMBERS[keyof typeof NUMBERS]>,
): Promise<number> {
  for (let at = 0; at < data.length; at += piece.length) {
    const part = piece.subarray(0, Math.min(piece.length, data.length - at));
    const bytes = new Uint8Array(part.buffer, 0, part.byteLength);
    if (await readFully(file, bytes) < bytes.length) return at;
    if (part instanceof BigInt64Array || part instanceof BigUint64Array) {
      part.forEach((value, i) => data[at + i] = Number(value));
    } else data.set(part, at);
  }
  return data.length;
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
