/**
 * Sizes, rates and times, checked where they enter.
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import type { Rational, VideoInfo } from "./frame.ts";

/** Longest side of a frame, in pixels. */
const MAX_SIDE = 16384;
/** Most pixels of a frame. */
const MAX_PIXELS = 1 << 26;

/** A frame's size in pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** True where a size can be a frame's: positive integers within {@linkcode MAX_SIDE} and {@linkcode MAX_PIXELS}. */
export function isFrameSize(width: number, height: number): boolean {
  return Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0 &&
    width <= MAX_SIDE && height <= MAX_SIDE && width * height <= MAX_PIXELS;
}

/**
 * Reads `WIDTHxHEIGHT`.
 *
 * @throws {UsageError} If it is not two positive integers, or larger than a frame may be.
 */
export function parseSize(text: string): Size {
  const match = /^(\d{1,9})[xX](\d{1,9})$/.exec(text);
  const size = { width: Number(match?.[1]), height: Number(match?.[2]) };
  if (!match || !isFrameSize(size.width, size.height)) {
    throw new UsageError({
      what: "Not a frame size",
      found: text,
      advice: `give WIDTHxHEIGHT in pixels, each side from 1 to ${MAX_SIDE}, such as 640x360`,
    });
  }
  return size;
}

/**
 * Reads a frame rate: `25`, `29.97` or `30000/1001`.
 *
 * @throws {UsageError} If it is not a positive number up to 100,000.
 */
export function parseRate(text: string): Rational {
  const ratio = /^(\d{1,9})[/:](\d{1,9})$/.exec(text);
  const decimal = /^\d{1,6}(\.\d{1,6})?$/.test(text);
  const rate = ratio
    ? reduce(Number(ratio[1]), Number(ratio[2]))
    : decimal
    ? reduce(Math.round(Number(text) * 1e6), 1e6)
    : { num: 0, den: 0 };
  if (!(rate.num > 0 && rate.den > 0 && rate.num / rate.den <= 1e5)) {
    throw new UsageError({
      what: "Not a frame rate",
      found: text,
      advice: "give frames a second, such as 25, 29.97 or 30000/1001",
    });
  }
  return rate;
}

/** A fraction in lowest terms; `0/0` stays what it is. */
export function reduce(num: number, den: number): Rational {
  let [a, b] = [num, den];
  while (b) [a, b] = [b, a % b];
  return a ? { num: num / a, den: den / a } : { num, den };
}

/** A frame's time in seconds. */
export function ptsSeconds(info: Pick<VideoInfo, "timeBase">, pts: number): number {
  return pts * info.timeBase.num / info.timeBase.den;
}
