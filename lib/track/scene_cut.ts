/**
 * Where a new scene begins.
 *
 * @module
 */
import type { Frame } from "../source/frame.ts";

/** Samples a side that a frame is judged by. */
const SAMPLES = 64;

/** Cells a side of the thumbnail. */
const CELLS = 16;

/** Levels a channel of the histogram. */
const LEVELS = 6;

/** Mean difference of thumbnails (0 … 255) that counts as entirely different. */
const ENTIRELY = 64;

/** What a frame looks like from afar. */
interface Glance {
  readonly histogram: Float32Array;
  readonly thumbnail: Float32Array;
}

/** A frame from afar, as plain data. */
export interface SceneSnapshot {
  readonly histogram: readonly number[];
  readonly thumbnail: readonly number[];
}

/** Compares each frame with the one before it. */
export class SceneCutDetector {
  #last: Glance | undefined;

  /** @param threshold distance, 0 … 1, above which a frame starts a scene; 1 never does. */
  constructor(private readonly threshold: number) {}

  /** What the last frame looked like, as plain data; undefined before the first. */
  snapshot(): SceneSnapshot | undefined {
    return this.#last && { histogram: [...this.#last.histogram], thumbnail: [...this.#last.thumbnail] };
  }

  /** Goes on from another detector's last frame. */
  restore({ histogram, thumbnail }: SceneSnapshot): void {
    this.#last = { histogram: Float32Array.from(histogram), thumbnail: Float32Array.from(thumbnail) };
  }

  /** Whether `frame` starts a scene; the first one does. */
  startsScene(frame: Frame): boolean {
    const glance = glanceAt(frame);
    const last = this.#last;
    this.#last = glance;
    return last === undefined || (this.threshold < 1 && distance(last, glance) > this.threshold);
  }
}

/** Half the colour histograms' difference and half the thumbnails': a cut changes both, motion and light change one. */
function distance(a: Glance, b: Glance): number {
  let histogram = 0;
  for (let i = 0; i < a.histogram.length; i++) histogram += Math.abs(a.histogram[i]! - b.histogram[i]!) / 2;
  let thumbnail = 0;
  for (let i = 0; i < a.thumbnail.length; i++) thumbnail += Math.abs(a.thumbnail[i]! - b.thumbnail[i]!);
  return (histogram + Math.min(1, thumbnail / a.thumbnail.length / ENTIRELY)) / 2;
}

function glanceAt({ width, height, data }: Frame): Glance {
  const histogram = new Float32Array(LEVELS ** 3);
  const thumbnail = new Float32Array(CELLS * CELLS * 3);
  const share = 1 / SAMPLES ** 2;
  for (let v = 0; v < SAMPLES; v++) {
    const row = Math.floor((v + 0.5) * height / SAMPLES) * width;
    const cellRow = Math.floor(v * CELLS / SAMPLES) * CELLS;
    for (let u = 0; u < SAMPLES; u++) {
      const at = 3 * (row + Math.floor((u + 0.5) * width / SAMPLES));
      const cell = 3 * (cellRow + Math.floor(u * CELLS / SAMPLES));
      for (let c = 0; c < 3; c++) thumbnail[cell + c]! += data[at + c]! * CELLS ** 2 * share;
      addColour(histogram, data[at]!, data[at + 1]!, data[at + 2]!, share);
    }
  }
  return { histogram, thumbnail };
}

/** Shares a colour among the eight levels around it, so that a small change of light moves little. */
function addColour(histogram: Float32Array, r: number, g: number, b: number, share: number): void {
  const at = [r, g, b].map((value) => value / 255 * (LEVELS - 1));
  for (let corner = 0; corner < 8; corner++) {
    let weight = share;
    let bin = 0;
    for (let c = 0; c < 3; c++) {
      const low = Math.min(LEVELS - 2, Math.floor(at[c]!));
      const high = corner >> c & 1;
      weight *= high ? at[c]! - low : 1 - at[c]! + low;
      bin = bin * LEVELS + low + high;
    }
    histogram[bin]! += weight;
  }
}
