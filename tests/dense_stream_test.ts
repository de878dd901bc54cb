import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { WalkGram } from "../lib/cut/adjacency.ts";
import { COLD_RESIDUAL } from "../lib/cut/confirm.ts";
import { FrameSegmenter } from "../lib/frame_segmenter.ts";
import { gaussian, uniform } from "../lib/random.ts";
import type { Frame } from "../lib/source/frame.ts";
import type { Product } from "../lib/walk/walk.ts";
import { freshSeed, randomSegments, randomWalkMatrix } from "./reference/graphs.ts";
import { PlainWalk } from "./reference/plain_walk.ts";

const SIDE = 256;

/** Three bands of colour with sensor noise; from frame `arrival` on a square of another colour moves across. */
function picture(
  index: number,
  arrival: number,
  square: number,
  seed: number,
): Frame & { inside: Uint8Array } {
  const next = uniform(seed * 1000 + index);
  const colours = [[70, 90, 60], [150, 160, 190], [120, 100, 80]] as const;
  const data = new Uint8Array(SIDE * SIDE * 3);
  const inside = new Uint8Array(SIDE * SIDE);
  const left = 40 + (seed % 5) * 12 + 2 * (index - arrival);
  const top = 96 + (seed % 3) * 8;
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const at = y * SIDE + x;
      const own = index >= arrival && x >= left && x < left + square && y >= top && y < top + square;
      if (own) inside[at] = 1;
      const colour = own ? [215, 40, 45] as const : colours[Math.min(2, Math.floor(y * 3 / SIDE))]!;
      for (let c = 0; c < 3; c++) data[3 * at + c] = colour[c]! + Math.round(8 * (next() - 0.5));
    }
  }
  return { index, pts: index, width: SIDE, height: SIDE, data, inside };
}

/** Intersection over union of the best segment with a mask. */
function bestIou(labels: Uint16Array, mask: Uint8Array): number {
  const both = new Map<number, number>();
  const all = new Map<number, number>();
  let size = 0;
  labels.forEach((label, p) => {
    all.set(label, (all.get(label) ?? 0) + 1);
    if (!mask[p]) return;
    size++;
    both.set(label, (both.get(label) ?? 0) + 1);
  });
  return Math.max(0, ...[...both].map(([label, shared]) => shared / (size + all.get(label)! - shared)));
}

Deno.test("FrameSegmenter splits an object of 2 % of the area off within 5 frames of its coming", async () => {
  const seed = freshSeed() % 100_000;
  const arrival = 4;
  // 2.3 % of the picture.
  const square = 39;
  // The object alone must not pass for a new scene.
  const segmenter = await FrameSegmenter.create({ device: "cpu", grid: 32, sceneCut: 1 });
  try {
    let found = 0;
    let before = 0;
    for (let index = 0; index < arrival + 6; index++) {
      const { inside, ...frame } = picture(index, arrival, square, seed);
      const { labels, stats } = await segmenter.segment(frame);
      assertEquals(stats.warm, index > 0);
      if (index === 0) assertLessOrEqual(stats.residual, COLD_RESIDUAL, `seed ${seed}`);
      const iou = bestIou(labels, inside);
      if (index < arrival) before = Math.max(before, iou);
      else if (iou >= 0.6 && !found) found = index - arrival + 1;
    }
    assertEquals(before, 0);
    assert(found >= 1 && found <= 5, `seed ${seed}: found after ${found || "no"} frames`);
  } finally {
    await segmenter.close();
  }
});

/** Counts the bytes that a device would move for what it is asked. */
class MovedBytes extends PlainWalk {
  bytes = 0;

  override products(list: readonly Product[]) {
    for (const { columns, word } of list) {
      // Each letter reads the matrix once and a block, and writes a block.
      this.bytes += word.length * 4 * (this.n ** 2 + 2 * this.n * columns);
    }
    return super.products(list);
  }
}

Deno.test("WalkGram moves hardly more bytes for a level of 32 segments than for one of 1", async () => {
  const seed = freshSeed();
  const n = 256;
  const walk = new MovedBytes(randomWalkMatrix(n, seed, "noise"), n);
  const gram = WalkGram.withLoops(walk, 2, new Float32Array(n));
  const z = Float64Array.from(gaussian(n, seed));
  const moved = [];
  for (const count of [1, 32]) {
    const before = walk.bytes;
    await gram.apply(randomSegments(n, count, seed), z);
    moved.push(walk.bytes - before);
  }
  assertLessOrEqual(moved[1]! / moved[0]!, 1.3, `seed ${seed}: ${moved}`);
});
