/**
 * DiffSeg (Tian et al., "Diffuse, Attend, and Segment", CVPR 2024) on the walk P.
 *
 * The rows of P are maps of attention. A grid of anchors each gathers the mean of
 * all maps that lie within a symmetrised Kullback–Leibler distance; the gathered
 * maps are then merged greedily, in their order, by the same distance; each node
 * goes to the map that is highest there. Published parameters: 16×16 anchors, three
 * passes at 1.1 (COCO-Stuff, the default here) or 0.9 (Cityscapes).
 *
 * With Σ x·ln x taken out, the distance of all pairs is two matrix products.
 *
 * @module
 */
import type { Walk, WalkDevice } from "../../walk/walk.ts";
import type { Segmentation } from "../segmentation.ts";
import { flatSegmentation } from "./flat.ts";

/** Settings of {@linkcode diffSeg}. */
export interface DiffSegOptions {
  /** Anchors a side. Default 16. */
  readonly anchors?: number;
  /** Distance up to which maps merge, one a pass, the anchors' own first. Default 1.1 three times. */
  readonly thresholds?: readonly number[];
}

/** The smallest number of 16 bits, in which DiffSeg takes logarithms; P may hold exact zeros. */
const FLOOR = 2 ** -24;

/** Maps, one a row, with what distances need of them. */
interface Maps {
  /** `[count, n]`. */
  readonly rows: Float32Array<ArrayBuffer>;
  /** Natural logarithms, `[count, n]`. */
  readonly logs: Float32Array<ArrayBuffer>;
  /** Σ x·ln x, `[count]`. */
  readonly entropies: Float64Array<ArrayBuffer>;
}

/**
 * Segments a frame as DiffSeg does.
 *
 * @param device where `walk` lives; the products with logarithms run there too.
 */
export async function diffSeg(
  walk: Walk,
  device: WalkDevice,
  { anchors = 16, thresholds = [1.1, 1.1, 1.1] }: DiffSegOptions = {},
): Promise<Segmentation> {
  const { n } = walk;
  const all = mapsOf(await walk.dense(), n);
  const picked = anchorNodes(Math.round(Math.sqrt(n)), anchors);
  const close = await nearAnchors(walk, device, all, picked, thresholds[0]!);
  const [sums] = await walk.products([{ block: close, columns: picked.length, word: "t" }]);
  let maps = transpose(sums!, n, picked.length);
  for (let a = 0; a < picked.length; a++) {
    let members = 0;
    for (let i = 0; i < n; i++) members += close[i * picked.length + a]!;
    for (let i = 0; i < n; i++) maps[a * n + i]! /= members;
  }
  for (const threshold of thresholds.slice(1)) maps = merge(mapsOf(maps, n), n, threshold);
  const count = maps.length / n;
  const applications = 3 * picked.length;
  return flatSegmentation(transpose(maps, count, n), n, count, thresholds[0]!, applications);
}

/** Nodes of a grid of anchors, in the middle of the frame as DiffSeg lays it. */
export function anchorNodes(grid: number, anchors: number): number[] {
  const count = Math.min(anchors, grid);
  const step = count > 1 ? Math.max(1, Math.floor((grid - 1) / (count - 1))) : 1;
  const start = Math.floor((grid - 1 - step * (count - 1)) / 2);
  const nodes: number[] = [];
  for (let r = 0; r < count; r++) {
    for (let c = 0; c < count; c++) nodes.push((start + r * step) * grid + start + c * step);
  }
  return nodes;
}

function mapsOf(rows: Float32Array<ArrayBuffer>, n: number): Maps {
  const logs = new Float32Array(rows.length);
  const entropies = new Float64Array(rows.length / n);
  for (let i = 0; i < rows.length; i++) {
    logs[i] = Math.log(Math.max(FLOOR, rows[i]!));
    entropies[Math.floor(i / n)]! += rows[i]! * logs[i]!;
  }
  return { rows, logs, entropies };
}

/** 1 where a node's map is within the threshold of an anchor's, `[n, anchors]`. */
async function nearAnchors(
  walk: Walk,
  device: WalkDevice,
  { rows, logs, entropies }: Maps,
  picked: readonly number[],
  threshold: number,
): Promise<Float32Array<ArrayBuffer>> {
  const { n } = walk;
  const columns = picked.length;
  const [anchorLogs, anchorRows] = [new Float32Array(n * columns), new Float32Array(n * columns)];
  picked.forEach((node, a) => {
    for (let i = 0; i < n; i++) {
      anchorLogs[i * columns + a] = logs[node * n + i]!;
      anchorRows[i * columns + a] = rows[node * n + i]!;
    }
  });
  const [forward] = await walk.products([{ block: anchorLogs, columns, word: "n" }]);
  const logWalk = await device.fromDense(logs, n);
  try {
    const [backward] = await logWalk.products([{ block: anchorRows, columns, word: "n" }]);
    const close = new Float32Array(n * columns);
    for (let i = 0; i < n; i++) {
      for (let a = 0; a < columns; a++) {
        const at = i * columns + a;
        const node = picked[a]!;
        const distance = (entropies[i]! + entropies[node]! - forward![at]! - backward![at]!) / 2;
        // An anchor is its own neighbour whatever rounding says.
        close[at] = i === node || distance < threshold ? 1 : 0;
      }
    }
    return close;
  } finally {
    logWalk.release();
  }
}

/** One pass of greedy merging: each map that is still free takes the mean of all within the threshold. */
function merge({ rows, logs, entropies }: Maps, n: number, threshold: number): Float32Array<ArrayBuffer> {
  const count = entropies.length;
  const matched = new Uint8Array(count);
  const merged: Float32Array<ArrayBuffer>[] = [];
  for (let a = 0; a < count; a++) {
    if (matched[a]) continue;
    const sum = new Float32Array(n);
    let members = 0;
    for (let b = 0; b < count; b++) {
      if (a !== b && distanceOf(a, b) >= threshold) continue;
      matched[b] = 1;
      members++;
      for (let i = 0; i < n; i++) sum[i]! += rows[b * n + i]!;
    }
    merged.push(sum.map((v) => v / members));
  }
  const out = new Float32Array(merged.length * n);
  merged.forEach((map, k) => out.set(map, k * n));
  return out;

  function distanceOf(a: number, b: number): number {
    let cross = 0;
    for (let i = 0; i < n; i++) {
      cross += rows[a * n + i]! * logs[b * n + i]! + rows[b * n + i]! * logs[a * n + i]!;
    }
    return (entropies[a]! + entropies[b]! - cross) / 2;
  }
}

/** `[rows, columns]` to `[columns, rows]`. */
function transpose(
  matrix: Float32Array<ArrayBuffer>,
  rows: number,
  columns: number,
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(matrix.length);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) out[c * rows + r] = matrix[r * columns + c]!;
  }
  return out;
}
