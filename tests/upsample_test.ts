import { assert, assertEquals } from "@std/assert";
import { labelPixels } from "../lib/cut/upsample.ts";
import { uniform } from "../lib/random.ts";
import type { Frame } from "../lib/source/frame.ts";

type Region = (u: number, v: number) => number;

interface Scene {
  readonly frame: Frame;
  readonly truth: Uint16Array;
  readonly scores: Float32Array;
  readonly segments: number;
}

/** A picture with a known region at every place, and what a grid would say of it. */
function scene(
  { width, height, grid, region, colours, noise, next }: {
    width: number;
    height: number;
    grid: number;
    region: Region;
    colours: readonly (readonly number[])[];
    noise: number;
    next: () => number;
  },
): Scene {
  const data = new Uint8Array(width * height * 3);
  const truth = new Uint16Array(width * height);
  for (let y = 0, p = 0; y < height; y++) {
    for (let x = 0; x < width; x++, p++) {
      const k = truth[p] = region((x + 0.5) / width, (y + 0.5) / height);
      const gauss = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
      for (let c = 0; c < 3; c++) {
        data[p * 3 + c] = Math.max(0, Math.min(255, Math.round(colours[k]![c]! + noise * gauss)));
      }
    }
  }
  const segments = colours.length;
  const scores = new Float32Array(grid * grid * segments).fill(0.2);
  for (let i = 0; i < grid * grid; i++) {
    // Which region covers most of the cell, at the scale of the grid.
    const share = new Float64Array(segments);
    for (let s = 0; s < 16; s++) {
      share[
        region((i % grid + (s % 4 + 0.5) / 4) / grid, (Math.floor(i / grid) + (s >> 2) / 4 + 0.125) / grid)
      ]!++;
    }
    const gain = 0.3 + next();
    for (let k = 0; k < segments; k++) scores[i * segments + k] = gain * (0.2 + 0.75 * share[k]! / 16);
  }
  return { frame: { index: 0, pts: 0, width, height, data }, truth, scores, segments };
}

/** Identity 8: argmax of bilinearly upsampled scores, half-pixel centres, node by node equal in weight. */
function bilinear(scores: Float32Array, segments: number, grid: number, width: number, height: number) {
  const out = new Uint16Array(width * height);
  const clamp = (i: number) => Math.min(grid - 1, Math.max(0, i));
  const node = (y: number, x: number, k: number) => {
    const at = (clamp(y) * grid + clamp(x)) * segments;
    return scores[at + k]! / Math.max(...scores.subarray(at, at + segments));
  };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [py, px] = [(y + 0.5) * grid / height - 0.5, (x + 0.5) * grid / width - 0.5];
      const [iy, ix] = [Math.floor(py), Math.floor(px)];
      const [ty, tx] = [py - iy, px - ix];
      let most = -Infinity;
      for (let k = 0; k < segments; k++) {
        const value = (1 - ty) * ((1 - tx) * node(iy, ix, k) + tx * node(iy, ix + 1, k)) +
          ty * ((1 - tx) * node(iy + 1, ix, k) + tx * node(iy + 1, ix + 1, k));
        if (value > most) [most, out[y * width + x]] = [value, k];
      }
    }
  }
  return out;
}

/** Pixels that differ. */
function wrong(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let count = 0;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) count++;
  return count;
}

/** Pixels with another region to the right or below: the boundary's length. */
function perimeter(labels: ArrayLike<number>, width: number, height: number): number {
  let count = 0;
  for (let y = 0; y + 1 < height; y++) {
    for (let x = 0; x + 1 < width; x++) {
      const p = y * width + x;
      if (labels[p] !== labels[p + 1] || labels[p] !== labels[p + width]) count++;
    }
  }
  return count;
}

const COLOURS = [[60, 90, 140], [200, 170, 90], [90, 160, 60], [30, 30, 40]] as const;

function discs(next: () => number): Region {
  const centres = COLOURS.slice(1).map(() => [0.2 + 0.6 * next(), 0.2 + 0.6 * next(), 0.12 + 0.1 * next()]);
  return (u, v) => centres.findLastIndex(([x, y, r]) => Math.hypot(u - x!, v - y!) < r!) + 1;
}

for (const [width, height, grid] of [[320, 180, 32], [321, 241, 32], [640, 360, 64]] as const) {
  Deno.test(`labelPixels() places edges of ${width}x${height} within a pixel at grid ${grid}`, () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const next = uniform(seed);
    const { frame, truth, scores, segments } = scene({
      width,
      height,
      grid,
      region: discs(next),
      colours: COLOURS,
      noise: 4,
      next,
    });
    const labels = labelPixels(scores, segments, grid, frame);
    const length = perimeter(truth, width, height);
    const error = wrong(labels, truth) / length;
    const naive = wrong(bilinear(scores, segments, grid, width, height), truth) / length;
    assert(error < 1, `seed ${seed}: ${error} pixels off per boundary pixel`);
    assert(error < naive, `seed ${seed}: no better than without the picture: ${error} against ${naive}`);
  });
}

Deno.test("labelPixels() equals the argmax of upsampled scores away from boundaries", () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const next = uniform(seed);
  const [width, height, grid] = [200, 140, 32];
  const { frame, scores, segments } = scene({
    width,
    height,
    grid,
    region: discs(next),
    colours: COLOURS,
    noise: 4,
    next,
  });
  // The colours say nothing here, so that only the scores can.
  for (let i = 0; i < frame.data.length; i++) frame.data[i] = Math.floor(256 * next());
  const labels = labelPixels(scores, segments, grid, frame);
  const naive = bilinear(scores, segments, grid, width, height);
  const reach = Math.ceil(3.5 * width / grid);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const own = naive[y * width + x];
      let inside = true;
      for (let j = Math.max(0, y - reach); inside && j <= Math.min(height - 1, y + reach); j++) {
        for (let i = Math.max(0, x - reach); i <= Math.min(width - 1, x + reach); i++) {
          if (naive[j * width + i] !== own) {
            inside = false;
            break;
          }
        }
      }
      if (inside) assertEquals(labels[y * width + x], own, `seed ${seed}, pixel ${x}, ${y}`);
    }
  }
});

Deno.test("labelPixels() stays calm under noise", () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const next = uniform(seed);
  const region = discs(next);
  const [width, height, grid] = [320, 180, 32];
  const shot = () => scene({ width, height, grid, region, colours: COLOURS, noise: 4, next });
  const first = shot();
  const a = labelPixels(first.scores, first.segments, grid, first.frame);
  const b = labelPixels(first.scores, first.segments, grid, shot().frame);
  const flicker = wrong(a, b) / perimeter(first.truth, width, height);
  assert(flicker < 0.25, `seed ${seed}: ${flicker} pixels change per boundary pixel`);
});

Deno.test("labelPixels() takes frames smaller than the grid, single segments and many", () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const next = uniform(seed);
  for (const [width, height] of [[1, 1], [3, 50], [40, 30]] as const) {
    const data = Uint8Array.from({ length: width * height * 3 }, () => Math.floor(256 * next()));
    const frame = { index: 0, pts: 0, width, height, data };
    assertEquals(
      labelPixels(new Float32Array(32 * 32).fill(1), 1, 32, frame),
      new Uint16Array(width * height),
    );
    const scores = Float32Array.from({ length: 32 * 32 * 300 }, next);
    const labels = labelPixels(scores, 300, 32, frame);
    assertEquals(labels.length, width * height);
    assert(labels.every((label) => label < 300), `seed ${seed}`);
  }
});

Deno.test("labelPixels() does not depend on a node's factor or on the segments' numbers", () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const next = uniform(seed);
  const [width, height, grid] = [160, 120, 32];
  const made = scene({ width, height, grid, region: discs(next), colours: COLOURS, noise: 6, next });
  const { frame, scores, segments } = made;
  const labels = labelPixels(scores, segments, grid, frame);
  const scaled = scores.slice();
  const swapped = scores.slice();
  for (let i = 0; i < grid * grid; i++) {
    // A power of two changes no digit.
    const gain = 2 ** Math.floor(4 * next() - 2);
    for (let k = 0; k < segments; k++) {
      scaled[i * segments + k] = gain * scores[i * segments + k]!;
      swapped[i * segments + k] = scores[i * segments + segments - 1 - k]!;
    }
  }
  assertEquals(labelPixels(scaled, segments, grid, frame), labels, `seed ${seed}`);
  const back = labelPixels(swapped, segments, grid, frame).map((k) => segments - 1 - k);
  assert(wrong(back, labels) <= labels.length * 1e-4, `seed ${seed}: ${wrong(back, labels)}`);
});
