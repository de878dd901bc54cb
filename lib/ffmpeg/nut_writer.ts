/**
 * Writes raw video as NUT.
 *
 * @module
 */
import { isFrameSize } from "../source/numbers.ts";
import {
  CHECKSUM,
  CODED_PTS,
  FILE_ID,
  INVALID,
  isClock,
  KEY,
  MAX_HEADER,
  nutCrc,
  nutFrameBytes,
  type NutStream,
  PIXEL_FORMATS,
  SIZE_MSB,
  START,
  START_INFO,
} from "./nut_format.ts";

/** Writes one stream of raw video as NUT; every method returns bytes to be written in order. */
export class NutWriter {
  readonly #stream: NutStream;
  readonly #frameBytes: number;
  #position = 0;
  #lastSync: number | undefined;

  /** @throws {RangeError} If the size or the clock cannot be. */
  constructor(stream: NutStream) {
    const { width, height, timeBase } = stream;
    if (!isFrameSize(width, height)) throw new RangeError(`Cannot write a frame of ${width}x${height}`);
    if (!isClock(timeBase)) throw new RangeError(`Cannot write a clock of ${timeBase.num}/${timeBase.den}`);
    this.#stream = stream;
    this.#frameBytes = nutFrameBytes(stream);
  }

  /** The file id and the headers. */
  header(): Uint8Array<ArrayBuffer> {
    const out = new ByteWriter();
    out.text(FILE_ID);
    out.packet(START.main, (main) => {
      const { num, den } = this.#stream.timeBase;
      [3, 1, MAX_HEADER, 1, num, den].forEach((value) => main.v(value));
      // Frame code 1 is a frame; all others are invalid. The code "N" takes no part in the counts.
      codeRow(main, INVALID, 1);
      codeRow(main, KEY | CODED_PTS | SIZE_MSB | CHECKSUM, 1);
      codeRow(main, INVALID, 253);
      main.v(0);
    });
    const { width, height, pixelFormat, sampleAspect } = this.#stream;
    out.packet(START.stream, (head) => {
      head.v(0); // stream id
      head.v(0); // class: video
      head.v(4);
      head.text(PIXEL_FORMATS[pixelFormat].tag);
      // Time base 0, no low bits of times, distance, delay, flags, no codec data.
      [0, 0, 128, 0, 0, 0].forEach((value) => head.v(value));
      [width, height, sampleAspect?.num ?? 0, sampleAspect?.den ?? 0, 0].forEach((value) => head.v(value));
    });
    const rate = this.#stream.frameRate;
    if (rate) {
      out.packet(START_INFO, (info) => {
        [1, 0, 0, 0, 1].forEach((value) => info.v(value)); // of stream 0, one entry
        info.string("r_frame_rate");
        info.v(2); // -1: UTF-8 follows
        info.string(`${rate.num}/${rate.den}`);
      });
    }
    return this.#count(out.bytes());
  }

  /**
   * What goes before a frame's bytes.
   *
   * @param pts Time in ticks, ≥ 0.
   */
  frameHeader(pts: number): Uint8Array<ArrayBuffer> {
    if (!Number.isSafeInteger(pts) || pts < 0) throw new RangeError(`Cannot write a frame at time ${pts}`);
    const out = new ByteWriter();
    const back = this.#lastSync === undefined ? 0 : Math.floor((this.#position - this.#lastSync) / 16);
    this.#lastSync = this.#position;
    out.packet(START.sync, (sync) => {
      sync.v(pts);
      sync.v(back);
    });
    const head = new ByteWriter();
    head.byte(1);
    head.v(pts + 1);
    head.v(this.#frameBytes);
    const bytes = head.bytes();
    out.raw(bytes);
    out.u32(nutCrc(bytes));
    const framed = this.#count(out.bytes());
    this.#position += this.#frameBytes;
    return framed;
  }

  #count(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    this.#position += bytes.length;
    return bytes;
  }
}

/** A row of the frame code table: no delta of time, size times 1, stream 0, size 0, nothing reserved. */
function codeRow(out: ByteWriter, flags: number, count: number): void {
  [flags, 6, 0, 1, 0, 0, 0, count].forEach((value) => out.v(value));
}

/** Collects bytes. */
class ByteWriter {
  readonly #bytes: number[] = [];

  bytes(): Uint8Array<ArrayBuffer> {
    return Uint8Array.from(this.#bytes);
  }

  byte(value: number): void {
    this.#bytes.push(value);
  }

  raw(bytes: Uint8Array): void {
    this.#bytes.push(...bytes);
  }

  u32(value: number): void {
    this.#bytes.push(value >>> 24, value >>> 16 & 255, value >>> 8 & 255, value & 255);
  }

  v(value: number): void {
    const digits = [value % 128];
    for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) {
      digits.push(rest % 128 + 128);
    }
    this.#bytes.push(...digits.reverse());
  }

  text(text: string): void {
    for (let i = 0; i < text.length; i++) this.#bytes.push(text.charCodeAt(i));
  }

  string(text: string): void {
    this.v(text.length);
    this.text(text);
  }

  /** Startcode, length, contents, checksum. */
  packet(code: bigint, fill: (contents: ByteWriter) => void): void {
    const contents = new ByteWriter();
    fill(contents);
    const bytes = contents.bytes();
    for (let shift = 56n; shift >= 0n; shift -= 8n) this.byte(Number(code >> shift & 255n));
    this.v(bytes.length + 4);
    this.raw(bytes);
    this.u32(nutCrc(bytes));
  }
}
