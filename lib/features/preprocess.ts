/**
 * Scales a frame to what a network takes: a square of planar RGB.
 *
 * @module
 */
import type { Frame } from "../source/frame.ts";

/** Weights with which the samples of an axis are averaged; window `o` starts at `first[o]`. */
interface Windows {
  readonly first: Int32Array;
  /** `[size, taps]`, row-major; each row sums to 1. */
  readonly weights: Float32Array;
  readonly taps: number;
}

/**
 * Box windows of an axis: each of `to` output samples averages the inputs that it covers, at
 * least one sample wide, so that enlarging interpolates.
 */
function boxWindows(from: number, to: number): Windows {
  const ratio = from / to;
  const width = Math.max(1, ratio);
  const taps = Math.ceil(width) + 1;
  const first = new Int32Array(to);
  const weights = new Float32Array(to * taps);
  for (let o = 0; o < to; o++) {
    const low = Math.max(0, (o + 0.5) * ratio - width / 2);
    const high = Math.min(from, (o + 0.5) * ratio + width / 2);
    // The window may reach past the last sample with weight 0 only: shift it inside.
    const start = Math.max(0, Math.min(Math.floor(low), from - taps));
    first[o] = start;
    for (let t = 0; t < Math.min(taps, from); t++) {
      const share = Math.min(high, start + t + 1) - Math.max(low, start + t);
      weights[o * taps + t] = Math.max(0, share) / (high - low);
    }
  }
  return { first, weights, taps: Math.min(taps, from) };
}

/**
 * Scales frames to squares by area averaging. Keeps its windows and buffers from frame to frame,
 * so one object serves one stream.
 */
export class SquareScaler {
  #width = 0;
  #height = 0;
  #columns: Windows | undefined;
  #rows: Windows | undefined;
  #row = new Float32Array(0);

  /**
   * @param size side of the square, in pixels.
   * @param low value of a black pixel. Default 0.
   * @param high value of a full one. Default 1.
   */
  constructor(readonly size: number, readonly low = 0, readonly high = 1) {}

  /**
   * Scales one frame; the aspect ratio is not kept.
   * @returns `[3, size, size]` planar RGB, row-major, a new array.
   */
  scale(frame: Frame): Float32Array<ArrayBuffer> {
    const { width, height, data } = frame;
    const { size, low } = this;
    if (width !== this.#width || height !== this.#height || !this.#columns || !this.#rows) {
      this.#columns = boxWindows(width, size);
      this.#rows = boxWindows(height, size);
      this.#row = new Float32Array(width * 3);
      this.#width = width;
      this.#height = height;
    }
    const gain = (this.high - low) / 255;
    const out = new Float32Array(3 * size * size);
    for (let y = 0; y < size; y++) {
      this.#averageRows(data, y);
      this.#averageColumns(out, y, gain, low);
    }
    return out;
  }

  #averageRows(data: Uint8Array, y: number): void {
    const { first, weights, taps } = this.#rows as Windows;
    const row = this.#row;
    const stride = row.length;
    const pitch = weights.length / this.size;
    let started = false;
    for (let t = 0; t < taps; t++) {
      const weight = weights[y * pitch + t] as number;
      if (weight === 0) continue;
      const offset = ((first[y] as number) + t) * stride;
      if (started) { for (let i = 0; i < stride; i++) row[i] = row[i]! + weight * data[offset + i]!; }
      else for (let i = 0; i < stride; i++) row[i] = weight * data[offset + i]!;
      started = true;
    }
  }

  #averageColumns(out: Float32Array, y: number, gain: number, low: number): void {
    const { first, weights, taps } = this.#columns as Windows;
    const { size } = this;
    const row = this.#row;
    const plane = size * size;
    const pitch = weights.length / size;
    for (let x = 0, o = y * size; x < size; x++, o++) {
      let r = 0, g = 0, b = 0;
      let i = first[x]! * 3;
      for (let t = x * pitch, end = t + taps; t < end; t++, i += 3) {
        const weight = weights[t]!;
        r += weight * row[i]!;
        g += weight * row[i + 1]!;
        b += weight * row[i + 2]!;
      }
      out[o] = low + gain * r;
      out[o + plane] = low + gain * g;
      out[o + 2 * plane] = low + gain * b;
    }
  }
}
