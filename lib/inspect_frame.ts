/**
 * What the method sees in one frame: attention of a point, powers of the walk, eigenvectors, hierarchy.
 *
 * @module
 */
import type { CutNode } from "./cut/segmentation.ts";
import type { FrameDetail, FrameSegmenter } from "./frame_segmenter.ts";
import type { SegmentedFrame } from "./segmenter.ts";
import type { Frame } from "./source/frame.ts";
import type { Walk } from "./walk/walk.ts";

/** A row of P^k on the grid. */
export interface WalkRow {
  readonly k: number;
  /** Probabilities to be at each node after k steps, `[N]`; they sum to 1. */
  readonly row: Float32Array<ArrayBuffer>;
}

/** The Fiedler vector of one segment of the tree. */
export interface TreeVector {
  readonly node: CutNode;
  /** Cuts from the whole frame to it. */
  readonly depth: number;
  /** `[N]`; only what belongs to the segment means anything. */
  readonly vector: Float32Array<ArrayBuffer>;
  /** 1 for the nodes of the segment, `[N]`. */
  readonly inside: Uint8Array<ArrayBuffer>;
}

/** The segments after so many levels of cuts. */
export interface TreeLevel {
  readonly depth: number;
  /** Segments of the tree on this level that something of the frame is shown of. */
  readonly segments: number;
  /** For each final id the id that its segment has on this level: that of its largest leaf. */
  readonly idOf: ReadonlyMap<number, number>;
}

/** What was found in one frame. */
export interface Inspection {
  readonly segmented: SegmentedFrame;
  readonly grid: number;
  /** The node under the point. */
  readonly node: number;
  readonly rows: readonly WalkRow[];
  /** The segments of the tree in the order in which they were cut, the whole frame first. */
  readonly vectors: readonly TreeVector[];
  /** From the first cut to the last. */
  readonly levels: readonly TreeLevel[];
}

/**
 * Segments a frame and keeps what lies behind its segments.
 *
 * @param point column and row of a pixel of the frame.
 * @param powers the k of P^k whose rows are wanted.
 */
export async function inspectFrame(
  segmenter: FrameSegmenter,
  frame: Frame,
  point: readonly [x: number, y: number],
  powers: readonly number[],
): Promise<Inspection> {
  const { grid } = segmenter.info;
  const node = nodeAt(frame, point, grid);
  let found: Pick<Inspection, "rows" | "vectors" | "levels"> | undefined;
  const segmented = await segmenter.segment(frame, async (detail) => {
    found = {
      rows: await walkRows(detail.walk, node, powers),
      vectors: treeVectors(detail),
      levels: treeLevels(detail),
    };
  });
  return { segmented, grid, node, ...found! };
}

/** The node of the grid under a pixel. */
export function nodeAt(
  { width, height }: Pick<Frame, "width" | "height">,
  [x, y]: readonly [number, number],
  grid: number,
): number {
  return Math.floor(y * grid / height) * grid + Math.floor(x * grid / width);
}

/** Rows of P^k: (Pᵀ)^k applied to the node's unit vector. */
async function walkRows(walk: Walk, node: number, powers: readonly number[]): Promise<WalkRow[]> {
  const unit = new Float32Array(walk.n);
  unit[node] = 1;
  const rows = await walk.products(powers.map((k) => ({ block: unit, columns: 1, word: "t".repeat(k) })));
  return rows.map((row, i) => ({ k: powers[i]!, row }));
}

function depthsOf(tree: readonly CutNode[]): number[] {
  const depths: number[] = [];
  // Every node comes before its parts.
  for (const { parent } of tree) depths.push(parent < 0 ? 0 : depths[parent]! + 1);
  return depths;
}

function treeVectors({ segmentation: { tree }, held }: FrameDetail): TreeVector[] {
  const depths = depthsOf(tree);
  return tree.map((node, i) => {
    const { leaves, vector } = held.nodes[i]!;
    const inside = Uint8Array.from(held.labels, (leaf) => leaves.includes(leaf) ? 1 : 0);
    return { node, depth: depths[i]!, vector, inside };
  });
}

function treeLevels({ segmentation: { tree, leaves }, ids, leafOf }: FrameDetail): TreeLevel[] {
  const depths = depthsOf(tree);
  const nodes = leafOf.map((leaf) => leaves[leaf]!);
  const largest = largestParts(tree, nodes);
  return Array.from({ length: Math.max(...depths) }, (_, i) => {
    const depth = i + 1;
    const above = nodes.map((node) => {
      let at = node;
      while (depths[at]! > depth) at = tree[at]!.parent;
      return at;
    });
    return {
      depth,
      segments: new Set(above).size,
      idOf: new Map(ids.map((id, part) => [id, ids[largest[above[part]!]!]!])),
    };
  });
}

/** For each node of the tree the part of its largest leaf, as a position in `nodes`, the parts' leaves. */
function largestParts(tree: readonly CutNode[], nodes: readonly number[]): number[] {
  const best: number[] = [];
  nodes.forEach((node, part) => {
    for (let at = node; at >= 0; at = tree[at]!.parent) {
      const known = best[at];
      if (known === undefined || tree[nodes[known]!]!.size < tree[node]!.size) best[at] = part;
    }
  });
  return best;
}
