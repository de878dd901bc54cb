/**
 * What a frame leaves to the next: its tree of cuts, with each node's vector.
 *
 * @module
 */

/** A node of the last frame's tree. */
export interface HeldNode {
  /** Leaves under it, as positions in the labels. */
  readonly leaves: readonly number[];
  /** Number of graph nodes in it. */
  readonly size: number;
  /** Whether it was split. */
  readonly split: boolean;
  /** Its Fiedler vector, spread over the whole graph, `[N]`, 0 outside. */
  readonly vector: Float32Array<ArrayBuffer>;
}

/** The last frame's tree. */
export interface HeldTree {
  /** Leaf of each graph node, `[N]`. */
  readonly labels: Uint16Array<ArrayBuffer>;
  readonly nodes: readonly HeldNode[];
}

/** A segment takes up the history of the held node that it overlaps by this IoU at least. */
const LEAST_IOU = 0.5;

/** The held node whose place a segment has taken: largest intersection over union, at least one half. */
export function heirOf(tree: HeldTree | undefined, nodes: Uint32Array): HeldNode | undefined {
  if (!tree) return undefined;
  const shared = new Uint32Array(nodes.length === 0 ? 0 : tree.nodes[0]!.leaves.length);
  for (const node of nodes) shared[tree.labels[node]!]!++;
  let best: HeldNode | undefined;
  let bestIou = LEAST_IOU;
  for (const held of tree.nodes) {
    let inside = 0;
    for (const leaf of held.leaves) inside += shared[leaf]!;
    const iou = inside / (held.size + nodes.length - inside);
    if (iou >= bestIou) {
      best = held;
      bestIou = iou;
    }
  }
  return best;
}
