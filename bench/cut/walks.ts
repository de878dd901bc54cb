/**
 * The walks that the bench cuts: real frames through the embedded network.
 *
 * @module
 */
import { readPicture } from "../../lib/eval/picture.ts";
import { openModel } from "../../lib/features/open_model.ts";
import { type Frame, openVideo } from "../../lib/source/mod.ts";
import { createCpuWalkDevice } from "../../lib/walk/cpu/walk_device.ts";

/** P of a frame and of the one before it, `[n, n]` each. */
export interface WalkPair {
  /** The file's name. */
  readonly source: string;
  readonly n: number;
  readonly before: Float32Array<ArrayBuffer>;
  readonly now: Float32Array<ArrayBuffer>;
}

/** Frames of a clip to skip: the first ones are often still. */
const SKIPPED = 20;

/** Pixels by which a still picture was elsewhere in the frame before. */
const SHIFT = 2;

/** Walks of one size: N = 256 gathers the network's 32×32 levels on a grid of 16. */
export async function walksOf(files: readonly string[], n: number): Promise<WalkPair[]> {
  const grid = Math.sqrt(n);
  const device = await createCpuWalkDevice();
  const network = await openModel("embedded", { device: "cpu" }, { grid: grid <= 32 ? 32 : 64 });
  const walkOf = async (frame: Frame) => {
    const { layers } = await network.evaluate(frame);
    const walk = await device.walk(layers, grid, network.levelWeights);
    const dense = await walk.dense();
    walk.release();
    return dense;
  };
  try {
    const pairs: WalkPair[] = [];
    for (const file of files) {
      const [first, second] = await framesOf(file);
      const before = await walkOf(first);
      pairs.push({ source: file.split("/").at(-1)!, n, before, now: await walkOf(second) });
    }
    return pairs;
  } finally {
    await network.close();
    await device.close();
  }
}

/** Two frames in a row; of a still picture, itself shifted and as it is. */
async function framesOf(file: string): Promise<[Frame, Frame]> {
  const source = await openVideo(file, { frames: SKIPPED + 2 });
  const last: Frame[] = [];
  try {
    for await (const frame of source.frames()) {
      last.push(frame);
      if (last.length > 2) last.shift();
    }
  } finally {
    await source.close();
  }
  if (last.length === 2) return [last[0]!, last[1]!];
  const frame = await readPicture(file);
  return [shifted(frame), frame];
}

function shifted(frame: Frame): Frame {
  const { width, height } = frame;
  const data = new Uint8Array(frame.data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = Math.max(0, y - SHIFT) * width + Math.max(0, x - SHIFT);
      data.set(frame.data.subarray(3 * from, 3 * from + 3), 3 * (y * width + x));
    }
  }
  return { ...frame, data };
}
