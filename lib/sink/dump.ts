/**
 * The numbers behind a frame's segments, for people who study the method.
 *
 * @module
 */
import { join } from "node:path";
import type { Segmentation } from "../cut/segmentation.ts";
import { writeNpy } from "../npy.ts";

/** What is written of one frame. */
export interface FrameDump {
  readonly index: number;
  /** P, `[N, N]` row-major. */
  readonly walk: Float32Array<ArrayBuffer>;
  /** The root's Fiedler vector, `[N]`, where the method has one. */
  readonly fiedler?: Float32Array<ArrayBuffer>;
  readonly segmentation: Segmentation;
  /** Id of each node, `[N]`. */
  readonly labels: Uint16Array<ArrayBuffer>;
  /** The segments, and the leaf of the tree that each is of; several may be of one. */
  readonly segments: readonly { readonly id: number; readonly node: number }[];
}

/**
 * Writes `P.npy`, `fiedler.npy`, `labels.npy` (ids on the grid) and `tree.json`
 * into the folder `DIR/000000` of the frame's index.
 */
export async function writeDump(
  dir: string,
  { index, walk, fiedler, segmentation, labels, segments }: FrameDump,
): Promise<void> {
  const folder = join(dir, String(index).padStart(6, "0"));
  await Deno.mkdir(folder, { recursive: true });
  const n = labels.length;
  const grid = Math.round(Math.sqrt(n));
  const { tree, stats } = segmentation;
  await writeNpy(join(folder, "P.npy"), walk, [n, n]);
  if (fiedler) await writeNpy(join(folder, "fiedler.npy"), fiedler, [n]);
  await writeNpy(join(folder, "labels.npy"), labels, [grid, grid]);
  const described = {
    frame: index,
    grid,
    leaves: segments,
    tree,
    stats,
  };
  await Deno.writeTextFile(join(folder, "tree.json"), `${JSON.stringify(described, null, 1)}\n`);
}
