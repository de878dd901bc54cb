/**
 * Reads raw video out of NUT; headers are checked before memory is reserved for what they claim.
 *
 * @module
 */
import { isFrameSize, reduce } from "../source/numbers.ts";
import { spareBuffer } from "../source/spare.ts";
import type { Rational } from "../source/frame.ts";
import { ByteReader } from "./byte_reader.ts";
import {
  CHECKSUM,
  CODED,
  CODED_PTS,
  END_OF_RELEVANCE,
  FILE_ID,
  HEADER_IDX,
  INVALID,
  isClock,
  MATCH_TIME,
  MAX_HEADER,
  nutCrc,
  NutError,
  type NutFrame,
  nutFrameBytes,
  type NutPixelFormat,
  type NutStream,
  PIXEL_FORMATS,
  RESERVED,
  SIZE_MSB,
  START,
  START_INDEX,
  START_INFO,
  STREAM_ID,
} from "./nut_format.ts";

/** Bytes of any packet that is skipped. */
const MAX_PACKET = 2 ** 40;

/** One row of the main header's table: what a frame code stands for. */
interface FrameCode {
  flags: number;
  stream: number;
  sizeMul: number;
  sizeLsb: number;
  ptsDelta: number;
  reserved: number;
  headerIdx: number;
}

/** Reads one stream of raw video out of NUT. */
export class NutReader {
  /** What the headers say. */
  readonly stream: NutStream;
  readonly #reader: ByteReader;
  readonly #codes: readonly FrameCode[];
  readonly #elisions: readonly Uint8Array[];
  readonly #timeBases: readonly Rational[];
  readonly #msbPtsShift: number;
  readonly #frameBytes: number;
  #lastPts = 0;
  #pending: number | undefined;

  /**
   * Reads the headers.
   *
   * @returns undefined where the stream is empty.
   * @throws {NutError} If it is not NUT with one stream of raw video in a known pixel format.
   */
  static async open(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<NutReader | undefined> {
    const reader = new ByteReader(stream);
    const id = await reader.take(FILE_ID.length);
    if (id.length === 0) return undefined;
    if (id.length < FILE_ID.length) throw new NutError("it ends in its first bytes", { truncated: true });
    if (String.fromCharCode(...id) !== FILE_ID) throw new NutError("it does not begin as NUT does");
    let main: MainHeader | undefined;
    let head: StreamHeader | undefined;
    let rate: Rational | undefined;
    for (;;) {
      const first = await reader.byte();
      if (first === -1) {
        if (main && head) return new NutReader(reader, main, head, rate);
        throw new NutError("it ends in its headers", { truncated: true });
      }
      if (first !== 0x4e || (main && head && await startsSync(reader))) {
        if (!main || !head) throw new NutError("frames come before the headers");
        const opened = new NutReader(reader, main, head, rate);
        opened.#pending = first;
        return opened;
      }
      const packet = await readPacket(reader);
      switch (packet.code) {
        case START.main:
          main = parseMain(packet.payload);
          break;
        case START.stream:
          if (!main) throw new NutError("a stream's header comes before the main header");
          head = parseStream(packet.payload, main);
          break;
        case START_INFO:
          rate = frameRateOf(packet.payload) ?? rate;
          break;
      }
    }
  }

  private constructor(reader: ByteReader, main: MainHeader, head: StreamHeader, rate: Rational | undefined) {
    this.#reader = reader;
    this.#codes = main.codes;
    this.#elisions = main.elisions;
    this.#timeBases = main.timeBases;
    this.#msbPtsShift = head.msbPtsShift;
    this.stream = { ...head.stream, ...(rate ? { frameRate: rate } : {}) };
    this.#frameBytes = nutFrameBytes(this.stream);
  }

  /**
   * Reads the next frame.
   *
   * @returns undefined at the end of the stream.
   * @throws {NutError} If the data is damaged or ends inside a frame.
   */
  async read(): Promise<NutFrame | undefined> {
    for (;;) {
      const code = this.#pending ?? await this.#reader.byte();
      this.#pending = undefined;
      if (code === -1) return undefined;
      if (code === 0x4e) {
        const packet = await readPacket(this.#reader);
        if (packet.code === START.sync) this.#resync(packet.payload);
        continue;
      }
      const frame = await this.#readFrame(code);
      if (frame) return frame;
    }
  }

  /** Stops reading. */
  cancel(): Promise<void> {
    return this.#reader.cancel();
  }

  /** A syncpoint states the time in some stream's clock; ours continues from there. */
  #resync(payload: Uint8Array): void {
    const cursor = new Cursor(payload);
    const coded = cursor.v();
    const base = this.#timeBases[coded % this.#timeBases.length]!;
    const ticks = BigInt(Math.floor(coded / this.#timeBases.length));
    const { num, den } = this.stream.timeBase;
    this.#lastPts = Number(ticks * BigInt(base.num) * BigInt(den) / (BigInt(base.den) * BigInt(num)));
  }

  async #readFrame(code: number): Promise<NutFrame | undefined> {
    const row = this.#codes[code]!;
    const header = new FrameHeader(this.#reader, code);
    let flags = row.flags;
    if (flags & CODED) flags ^= await header.v();
    if (flags & INVALID) throw new NutError("it has an invalid frame code", { found: code });
    const stream = flags & STREAM_ID ? await header.v() : row.stream;
    const coded = flags & CODED_PTS ? await header.v() : undefined;
    const msb = flags & SIZE_MSB ? await header.v() : 0;
    if (flags & MATCH_TIME) await header.v();
    let headerIdx = flags & HEADER_IDX ? await header.v() : row.headerIdx;
    let reserved = flags & RESERVED ? await header.v() : row.reserved;
    if (reserved > 256) throw new NutError("a frame has too many reserved fields", { found: reserved });
    while (reserved-- > 0) await header.v();
    if (flags & CHECKSUM) await header.check();

    if (stream !== 0) throw new NutError("a frame belongs to no stream", { found: stream });
    const pts = coded === undefined ? this.#lastPts + row.ptsDelta : this.#fullPts(coded);
    if (!Number.isSafeInteger(pts)) throw new NutError("a frame's time is out of range", { found: pts });
    const size = row.sizeMul * msb + row.sizeLsb;
    this.#lastPts = pts;
    if (flags & END_OF_RELEVANCE && size === 0) return undefined;
    if (size !== this.#frameBytes) {
      throw new NutError(`a frame should have ${this.#frameBytes} bytes`, { found: size });
    }
    if (size > 4096) headerIdx = 0;
    const elided = this.#elisions[headerIdx];
    if (!elided || elided.length > size) {
      throw new NutError("a frame has an unknown elision header", { found: headerIdx });
    }
    const rest = size - elided.length;
    let data = await this.#reader.take(rest, spareBuffer(rest));
    if (data.length < rest) throw new NutError("it ends inside a frame", { truncated: true });
    if (elided.length > 0) {
      const whole = new Uint8Array(size);
      whole.set(elided);
      whole.set(data, elided.length);
      data = whole;
    }
    return { pts, data };
  }

  /** A coded time is either whole or the last one's low bits. */
  #fullPts(coded: number): number {
    const range = 2 ** this.#msbPtsShift;
    if (coded >= range) return coded - range;
    const delta = this.#lastPts - Math.floor((range - 1) / 2);
    return ((coded - delta) % range + range) % range + delta;
  }
}

interface MainHeader {
  timeBases: Rational[];
  codes: FrameCode[];
  elisions: Uint8Array[];
}

interface StreamHeader {
  stream: NutStream;
  msbPtsShift: number;
}

interface Packet {
  code: bigint;
  payload: Uint8Array<ArrayBuffer>;
}

/** True where the startcode whose first byte was taken is a syncpoint's. */
async function startsSync(reader: ByteReader): Promise<boolean> {
  const rest = await reader.peek(7);
  return rest.length >= 7 && [0x4b, 0xe4, 0xad, 0xee, 0xca, 0x45, 0x69].every((byte, i) => rest[i] === byte);
}

/** Reads the packet whose startcode's first byte was taken; info and index that are too long are skipped. */
async function readPacket(reader: ByteReader): Promise<Packet> {
  const header = new FrameHeader(reader, 0x4e);
  let code = 0x4en;
  for (let i = 1; i < 8; i++) code = code << 8n | BigInt(await header.byte());
  const known: readonly bigint[] = [START.main, START.stream, START.sync, START_INDEX, START_INFO];
  if (!known.includes(code)) throw new NutError("it has an unknown startcode", { found: code.toString(16) });
  const length = await header.v();
  if (length < 4 || length > MAX_PACKET) {
    throw new NutError("a packet's length is out of range", { found: length });
  }
  if (length > 4096) await header.check();
  if (length > MAX_HEADER) {
    if (code !== START_INFO && code !== START_INDEX) {
      throw new NutError("a header is too long", { found: length });
    }
    if (!await reader.skip(length)) throw new NutError("it ends inside a packet", { truncated: true });
    return { code: START_INDEX, payload: new Uint8Array(0) };
  }
  const packet = await reader.take(length);
  if (packet.length < length) throw new NutError("it ends inside a packet", { truncated: true });
  if (nutCrc(packet) !== 0) throw new NutError("a packet's checksum is wrong");
  return { code, payload: packet.subarray(0, length - 4) };
}

function parseMain(payload: Uint8Array): MainHeader {
  const cursor = new Cursor(payload);
  const version = cursor.v();
  if (version < 2 || version > 4) throw new NutError("its version is unknown", { found: version });
  if (version > 3) cursor.v();
  const streams = cursor.v();
  if (streams !== 1) throw new NutError("it should have one stream", { found: streams });
  cursor.v(); // largest distance of syncpoints
  const count = cursor.v();
  if (count < 1 || count > 64) throw new NutError("its number of clocks is out of range", { found: count });
  const timeBases = Array.from({ length: count }, () => {
    const timeBase = { num: cursor.v(), den: cursor.v() };
    if (!isClock(timeBase)) {
      throw new NutError("its clock is out of range", { found: `${timeBase.num}/${timeBase.den}` });
    }
    return timeBase;
  });
  return { timeBases, codes: parseCodes(cursor), elisions: parseElisions(cursor) };
}

/** The table of frame codes, as runs of rows that differ in their size alone. */
function parseCodes(cursor: Cursor): FrameCode[] {
  const codes: FrameCode[] = [];
  const invalid = {
    flags: INVALID,
    stream: 0,
    sizeMul: 0,
    sizeLsb: 0,
    ptsDelta: 0,
    reserved: 0,
    headerIdx: 0,
  };
  let [ptsDelta, sizeMul, stream, headerIdx] = [0, 1, 0, 0];
  while (codes.length < 256) {
    const flags = cursor.v();
    const fields = cursor.v();
    if (fields > 0) ptsDelta = cursor.s();
    if (fields > 1) sizeMul = cursor.v();
    if (fields > 2) stream = cursor.v();
    const size = fields > 3 ? cursor.v() : 0;
    const reserved = fields > 4 ? cursor.v() : 0;
    const count = fields > 5 ? cursor.v() : sizeMul - size;
    if (fields > 6) cursor.s();
    if (fields > 7) headerIdx = cursor.v();
    for (let i = 8; i < fields; i++) cursor.v();
    if (count <= 0 || count > 256) throw new NutError("its table of frame codes is wrong", { found: count });
    for (let i = 0; i < count && codes.length < 256; i++) {
      if (codes.length === 0x4e) codes.push(invalid);
      codes.push({ flags, stream, sizeMul, sizeLsb: size + i, ptsDelta, reserved, headerIdx });
    }
    if (codes.length === 0x4e) codes.push(invalid);
  }
  return codes;
}

/** Beginnings that frames may leave out. */
function parseElisions(cursor: Cursor): Uint8Array[] {
  const elisions: Uint8Array[] = [new Uint8Array(0)];
  if (cursor.done) return elisions;
  const count = cursor.v();
  if (count > 127) throw new NutError("it has too many elision headers", { found: count });
  for (let i = 0; i < count; i++) elisions.push(cursor.bytes(cursor.v()));
  return elisions;
}

function parseStream(payload: Uint8Array, main: MainHeader): StreamHeader {
  const cursor = new Cursor(payload);
  cursor.v(); // id
  const kind = cursor.v();
  if (kind !== 0) throw new NutError("its stream is not video", { found: kind });
  const tag = String.fromCharCode(...cursor.bytes(cursor.v()));
  const pixelFormat = (Object.keys(PIXEL_FORMATS) as NutPixelFormat[])
    .find((name) => PIXEL_FORMATS[name].tag === tag);
  if (!pixelFormat) throw new NutError("its pixel format is not one of ours", { found: tag });
  const timeBase = main.timeBases[cursor.v()];
  if (!timeBase) throw new NutError("its stream names an unknown clock");
  const msbPtsShift = cursor.v();
  if (msbPtsShift > 16) throw new NutError("its times are coded wrongly", { found: msbPtsShift });
  for (let i = 0; i < 3; i++) cursor.v(); // largest distance of times, decode delay, flags
  cursor.bytes(cursor.v());
  const [width, height] = [cursor.v(), cursor.v()];
  if (!isFrameSize(width, height)) {
    throw new NutError("its frame size is out of range", { found: `${width}x${height}` });
  }
  const aspect = reduce(cursor.v(), cursor.v());
  const square = aspect.num === aspect.den || aspect.num === 0 || aspect.den === 0;
  return {
    msbPtsShift,
    stream: { width, height, pixelFormat, timeBase, ...(square ? {} : { sampleAspect: aspect }) },
  };
}

/** The entry `r_frame_rate` of an info packet. */
function frameRateOf(payload: Uint8Array): Rational | undefined {
  try {
    const cursor = new Cursor(payload);
    for (let i = 0; i < 4; i++) cursor.v();
    for (let left = cursor.v(); left > 0; left--) {
      const name = cursor.string();
      const type = cursor.s();
      if (type === -1) {
        const match = name === "r_frame_rate" && /^(\d+)\/(\d+)$/.exec(cursor.string());
        if (match && Number(match[1]) > 0 && Number(match[2]) > 0) {
          return reduce(Number(match[1]), Number(match[2]));
        }
        if (name !== "r_frame_rate") cursor.string();
      } else if (type === -2) {
        cursor.string();
        cursor.string();
      } else if (type === -3) cursor.s();
      else if (type === -4) cursor.v();
      else if (type < -4) cursor.s();
    }
  } catch (error) {
    if (!(error instanceof NutError)) throw error;
    // Only information: a stream without it is as good.
  }
  return undefined;
}

/** Reads fields of a frame's or packet's header off the stream, and remembers them for the checksum. */
class FrameHeader {
  readonly #reader: ByteReader;
  readonly #seen: number[];

  constructor(reader: ByteReader, first: number) {
    this.#reader = reader;
    this.#seen = [first];
  }

  async byte(): Promise<number> {
    const byte = await this.#reader.byte();
    if (byte === -1) throw new NutError("it ends inside a header", { truncated: true });
    this.#seen.push(byte);
    return byte;
  }

  /** A number of variable length: seven bits a byte, the highest bit says that more follow. */
  async v(): Promise<number> {
    let value = 0;
    for (;;) {
      const byte = await this.byte();
      value = value * 128 + (byte & 0x7f);
      if (!Number.isSafeInteger(value)) throw new NutError("a number is out of range");
      if (byte < 0x80) return value;
    }
  }

  /** Reads the checksum of what was read so far. */
  async check(): Promise<void> {
    for (let i = 0; i < 4; i++) await this.byte();
    if (nutCrc(Uint8Array.from(this.#seen)) !== 0) throw new NutError("a header's checksum is wrong");
  }
}

/** Reads the fields of a packet in memory. */
class Cursor {
  readonly #data: Uint8Array;
  #at = 0;

  constructor(data: Uint8Array) {
    this.#data = data;
  }

  get done(): boolean {
    return this.#at >= this.#data.length;
  }

  v(): number {
    let value = 0;
    for (;;) {
      const byte = this.#data[this.#at++];
      if (byte === undefined) throw new NutError("a header is too short");
      value = value * 128 + (byte & 0x7f);
      if (!Number.isSafeInteger(value)) throw new NutError("a number is out of range");
      if (byte < 0x80) return value;
    }
  }

  s(): number {
    const value = this.v() + 1;
    return value % 2 ? -((value - 1) / 2) : value / 2;
  }

  bytes(length: number): Uint8Array {
    if (length > this.#data.length - this.#at) throw new NutError("a header is too short");
    return this.#data.subarray(this.#at, this.#at += length);
  }

  string(): string {
    return new TextDecoder().decode(this.bytes(this.v()));
  }
}
