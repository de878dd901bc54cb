/**
 * How P changes where a frame reuses the noise that an earlier frame's inversion found, by how far the
 * picture has moved since.
 *
 * @module
 */
import { DiffusionNetwork } from "../../lib/checkpoint/diffusion_network.ts";
import { openAnyModel } from "../../lib/checkpoint/open_model.ts";
import { uniform } from "../../lib/random.ts";
import type { Frame } from "../../lib/source/frame.ts";
import { createCpuWalkDevice } from "../../lib/walk/cpu/walk_device.ts";

const GRID = 32;
const [WIDTH, HEIGHT] = [96, 64];

/** Columns by which the picture has moved. */
const SHIFTS = [0, 1, 2, 4, 8, 16, 32];

/** Prints a table: the share of P's mass that reuse misplaces, beside what the motion itself changes. */
export async function motion(model: string, seeds: number): Promise<void> {
  const network = await openAnyModel(model, { device: "cpu" }, { grid: GRID });
  if (!(network instanceof DiffusionNetwork)) throw new Error(`${model} is no diffusion network`);
  const device = await createCpuWalkDevice();
  const walkOf = async (frame: Frame) => {
    const { layers } = await network.evaluate(frame);
    const walk = await device.walk(layers, GRID, network.levelWeights);
    const dense = await walk.dense();
    walk.release();
    return dense;
  };
  const rows = SHIFTS.map(() => ({ reuse: 0, motion: 0 }));
  for (let seed = 1; seed <= seeds; seed++) {
    for (const [i, shift] of SHIFTS.entries()) {
      network.restart();
      const first = await walkOf(texture(seed, 0));
      const reused = await walkOf(texture(seed, shift));
      network.restart();
      const inverted = await walkOf(texture(seed, shift));
      rows[i]!.reuse += difference(reused, inverted) / seeds;
      rows[i]!.motion += difference(first, inverted) / seeds;
    }
  }
  console.log(
    "| moved by, of the width | P by reuse from P by inversion | P of the frame from the key frame's |",
  );
  console.log("|---|---|---|");
  rows.forEach(({ reuse, motion }, i) =>
    console.log(`| ${percent(SHIFTS[i]! / WIDTH)} | ${percent(reuse)} | ${percent(motion)} |`)
  );
  await device.close();
  await network.close();
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** Mean over rows of half the absolute difference: 0 … 1. */
function difference(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, p, i) => sum + Math.abs(p - b[i]!), 0) / 2 / GRID ** 2;
}

/** Discs of random colours on a smooth ground, moved to the left by `shift` pixels. */
function texture(seed: number, shift: number): Frame {
  const random = uniform(seed);
  const discs = Array.from({ length: 14 }, () => ({
    x: 1.5 * WIDTH * random(),
    y: HEIGHT * random(),
    radius: 4 + 12 * random(),
    colour: [random(), random(), random()].map((c) => 255 * c),
  }));
  const data = new Uint8Array(3 * WIDTH * HEIGHT);
  for (let i = 0; i < WIDTH * HEIGHT; i++) {
    const [x, y] = [i % WIDTH + shift, Math.floor(i / WIDTH)];
    const disc = discs.find((d) => Math.hypot(d.x - x, d.y - y) < d.radius);
    data.set(disc?.colour ?? [90 + x / 2, 100 + y / 2, 120], 3 * i);
  }
  return { index: 0, pts: 0, width: WIDTH, height: HEIGHT, data };
}
