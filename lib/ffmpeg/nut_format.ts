/**
 * What NUT's reader and writer share: streams and frames, startcodes, flags, pixel formats, checksum.
 *
 * @module
 */
import { WalkcutError } from "../errors.ts";
import type { Rational } from "../source/frame.ts";

/** Raw pixel formats that NUT frames can have here, in ffmpeg's names. */
export type NutPixelFormat = "rgb24" | "rgba" | "gray" | "gray16le" | "rgb48le" | "yuv420p";

/** What a NUT stream's headers say. */
export interface NutStream {
  readonly width: number;
  readonly height: number;
  readonly pixelFormat: NutPixelFormat;
  /** Seconds a tick. */
  readonly timeBase: Rational;
  /** Frames a second, where known. */
  readonly frameRate?: Rational;
  /** Width over height of one pixel, where it is not square or unknown. */
  readonly sampleAspect?: Rational;
}

/** A raw frame and its time in ticks. */
export interface NutFrame {
  readonly pts: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

/** The data is not NUT, is damaged, or ends too early. */
export class NutError extends WalkcutError {
  override name = "NutError";
  /** True where the stream ended inside a packet. */
  readonly truncated: boolean;

  constructor(what: string, options: { truncated?: boolean; found?: string | number } = {}) {
    super({
      what: `NUT stream: ${what}`,
      ...(options.found === undefined ? {} : { found: options.found }),
    });
    this.truncated = options.truncated ?? false;
  }
}

export const FILE_ID = "nut/multimedia container\0";
export const START = {
  main: 0x4e4d7a561f5f04adn,
  stream: 0x4e5311405bf2f9dbn,
  sync: 0x4e4be4adeeca4569n,
} as const;
export const START_INDEX = 0x4e58dd672f23e64en;
export const START_INFO = 0x4e49ab68b596ba78n;

export const KEY = 1;
export const END_OF_RELEVANCE = 2;
export const CODED_PTS = 8;
export const STREAM_ID = 16;
export const SIZE_MSB = 32;
export const CHECKSUM = 64;
export const RESERVED = 128;
export const HEADER_IDX = 1024;
export const MATCH_TIME = 2048;
export const CODED = 4096;
export const INVALID = 8192;

/** Bytes of a header packet that are read into memory. */
export const MAX_HEADER = 1 << 16;

/** Tags, and bytes a pixel where they are packed. */
export const PIXEL_FORMATS: Readonly<Record<NutPixelFormat, { tag: string; bytes?: number }>> = {
  rgb24: { tag: "RGB\x18", bytes: 3 },
  rgba: { tag: "RGBA", bytes: 4 },
  gray: { tag: "Y800", bytes: 1 },
  gray16le: { tag: "Y1\0\x10", bytes: 2 },
  rgb48le: { tag: "RGB\x30", bytes: 6 },
  yuv420p: { tag: "I420" },
};

/** Bytes of one frame. */
export function nutFrameBytes(
  { width, height, pixelFormat }: Pick<NutStream, "width" | "height" | "pixelFormat">,
): number {
  const { bytes } = PIXEL_FORMATS[pixelFormat];
  if (bytes !== undefined) return width * height * bytes;
  return width * height + 2 * Math.ceil(width / 2) * Math.ceil(height / 2);
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, i) => {
  let crc = i << 24;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x80000000 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  return crc;
});

/** NUT's checksum: CRC-32 with generator 0x04C11DB7, first bit first, start 0. */
export function nutCrc(data: Uint8Array, crc = 0): number {
  for (const byte of data) crc = (crc << 8) ^ CRC_TABLE[(crc >>> 24) ^ byte]!;
  return crc >>> 0;
}

/** True where a clock can be one: a positive fraction of 31-bit numbers. */
export function isClock({ num, den }: Rational): boolean {
  return Number.isInteger(num) && Number.isInteger(den) && num > 0 && den > 0 && num < 2 ** 31 &&
    den < 2 ** 31;
}
