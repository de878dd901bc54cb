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
  /** Leaves under its left part, the first of its leaves; 0 where it was not split. */
  readonly leftLeaves: number;
  /** Its Fiedler vector, spread over the whole graph, `[N]`, 0 outside. */
  readonly vector: Float32Array<ArrayBuffer>;
}

/** The last frame's tree. */
export interface HeldTree {
  /** Leaf of each graph node, `[N]`. */
  readonly labels: Uint16Array<ArrayBuffer>;
  readonly nodes: readonly HeldNode[];
}

/** What was a segment, or a part of one, is the same that it overlaps by this IoU at least. */
const LEAST_IOU = 0.5;

/** The held node whose place a segment has taken: largest intersection over union, at least one half. */
export function heirOf(tree: HeldTree | undefined, nodes: Uint32Array): HeldNode | undefined {
  if (!tree) return undefined;
  const shared = leavesOf(tree, nodes);
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

/**
 * What the last frame did with a segment's place: false where it was left whole, true where it was cut into the
 * same two parts, each with an IoU of one half; undefined where it is new, or was cut otherwise.
 */
export function wasCut(
  tree: HeldTree | undefined,
  heir: HeldNode | undefined,
  { left, right }: { readonly left: Uint32Array; readonly right: Uint32Array },
): boolean | undefined {
  if (!tree || !heir) return undefined;
  if (heir.leftLeaves === 0) return false;
  const all = leavesOf(tree, tree.labels.keys());
  const last = [heir.leaves.slice(0, heir.leftLeaves), heir.leaves.slice(heir.leftLeaves)];
  const iou = (nodes: Uint32Array) => {
    const own = leavesOf(tree, nodes);
    return last.map((leaves) => {
      const inside = sumAt(own, leaves);
      return inside / (nodes.length + sumAt(all, leaves) - inside);
    });
  };
  const [a, b] = [iou(left), iou(right)];
  const same = Math.max(Math.min(a[0]!, b[1]!), Math.min(a[1]!, b[0]!));
  return same >= LEAST_IOU ? true : undefined;
}

/** How many of some nodes lie in each leaf. */
function leavesOf({ labels, nodes: [root] }: HeldTree, nodes: Iterable<number>): Uint32Array {
  const counts = new Uint32Array(root!.leaves.length);
  for (const node of nodes) counts[labels[node]!]!++;
  return counts;
}

function sumAt(counts: Uint32Array, places: readonly number[]): number {
  return places.reduce((sum, place) => sum + counts[place]!, 0);
}
