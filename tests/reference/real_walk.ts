/**
 * Walks of real pictures: the embedded network's attention on the photographs of
 * `../shared/images`, as the CPU aggregates it.
 *
 * @module
 */
import { readPicture } from "../../lib/eval/picture.ts";
import { openModel } from "../../lib/features/open_model.ts";
import { createCpuWalkDevice } from "../../lib/walk/cpu/walk_device.ts";

/** A picture's P. */
export interface RealWalk {
  readonly name: string;
  readonly n: number;
  /** `[n, n]`, row-major, row-stochastic. */
  readonly matrix: Float32Array<ArrayBuffer>;
}

/** Where the photographs lie, if they do. */
export const PICTURES = new URL("../../../shared/images/bsds-tune100/images/", import.meta.url).pathname;

/**
 * The walks of some pictures, N = 1024.
 *
 * @param sharpness factor of the attention's logits; 4 halves the recipe's bandwidths.
 * @param pictures how many, taken evenly from the folder.
 * @returns nothing where the folder is missing; then it says so.
 */
export async function realWalks(sharpness: number, pictures: number, from = 0): Promise<RealWalk[]> {
  let names: string[];
  try {
    names = [...Deno.readDirSync(PICTURES)].map(({ name }) => name).sort();
  } catch {
    console.log("Skipping real pictures: ../shared/images is missing");
    return [];
  }
  const network = await openModel("embedded", { device: "cpu" }, { grid: 32 });
  const device = await createCpuWalkDevice();
  const walks: RealWalk[] = [];
  try {
    for (let i = 0; i < pictures; i++) {
      const name = names[(from + Math.floor(i * names.length / pictures)) % names.length]!;
      const { layers } = await network.evaluate(await readPicture(PICTURES + name));
      const sharp = layers.map((layer) => ({ ...layer, scale: layer.scale * sharpness }));
      const walk = await device.walk(sharp, 32, network.levelWeights);
      walks.push({ name, n: walk.n, matrix: (await walk.dense()).slice() });
      walk.release();
    }
  } finally {
    await network.close();
    await device.close();
  }
  return walks;
}

/** A walk on a coarser grid: means of the rows of `height`×`width` cells, sums of their columns. */
export function pooled({ name, n, matrix }: RealWalk, height: number, width: number): RealWalk {
  const grid = Math.round(Math.sqrt(n));
  const columns = grid / width;
  const cell = Array.from(
    { length: n },
    (_, i) => Math.floor(i / grid / height) * columns + Math.floor(i % grid / width),
  );
  const size = n / (height * width);
  const out = new Float32Array(size * size);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) out[cell[i]! * size + cell[j]!]! += matrix[i * n + j]! / (height * width);
  }
  return { name, n: size, matrix: out };
}
