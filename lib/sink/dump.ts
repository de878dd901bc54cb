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
  /** Id of each leaf. */
  readonly ids: readonly number[];
}

/**
 * Writes `P.npy`, `fiedler.npy`, `labels.npy` (ids on the grid) and `tree.json`
 * into the folder `DIR/000000` of the frame's index.
 */
export async function writeDump(
  dir: string,
  { index, walk, fiedler, segmentation, ids }: FrameDump,
): Promise<void> {
  const folder = join(dir, String(index).padStart(6, "0"));
  await Deno.mkdir(folder, { recursive: true });
  const n = segmentation.labels.length;
  const grid = Math.round(Math.sqrt(n));
  const { labels, tree, leaves, stats } = segmentation;
  await writeNpy(join(folder, "P.npy"), walk, [n, n]);
  if (fiedler) await writeNpy(join(folder, "fiedler.npy"), fiedler, [n]);
  await writeNpy(join(folder, "labels.npy"), labels.map((leaf) => ids[leaf]!), [grid, grid]);
  const described = {
    frame: index,
    grid,
    leaves: leaves.map((node, i) => ({ id: ids[i]!, node })),
    tree,
    stats,
  };
  await Deno.writeTextFile(join(folder, "tree.json"), `${JSON.stringify(described, null, 1)}\n`);
}
