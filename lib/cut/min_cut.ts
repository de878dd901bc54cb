/**
 * The exact global minimum cut of a segment, and the stop that compares it scaled
 * (paper, section 3.5, adjustment 2): a segment is cut while
 * min-cut(G)/T < T/(n − 1).
 *
 * @module
 */
import type { Proposal } from "./solver.ts";

/** A global minimum cut. */
export interface MinCut {
  /** Weight between the two sides. */
  readonly value: number;
  /** The smaller index set of one side, as positions in the graph, ascending. */
  readonly side: Uint32Array<ArrayBuffer>;
}

/**
 * The exact global minimum cut of a dense weighted graph.
 *
 * Starts from the best cut of one node. Each pass visits all nodes in the order of
 * maximum adjacency (Nagamochi, Ono and Ibaraki): a node's weight to the visited ones is
 * a lower bound on its connectivity with the last of them, so an edge whose bound
 * reaches the best cut so far can be contracted, and every prefix of the order is a cut
 * to be tried. Before a pass, edges that weigh as much as the best cut, or half of an
 * end's degree, are contracted (Padberg and Rinaldi). O(n²) a pass, few passes; at
 * least one contraction each.
 *
 * @param weights `[n, n]` row-major, symmetric, non-negative; the diagonal is not read. Not changed.
 * @param n number of nodes, at least 2.
 */
export function globalMinCut(weights: Float64Array | Float32Array, n: number): MinCut {
  if (n < 2) throw new RangeError(`Cannot cut a graph of fewer than 2 nodes: ${n}`);
  // The nodes of the graph that each node of the contracted one stands for.
  let groups: number[][] = Array.from({ length: n }, (_, i) => [i]);
  let graph = weights;
  let size = n;
  let best = Infinity;
  let side: number[] = [];
  while (size > 1) {
    const { degrees, least, heaviest } = degreesOf(graph, size);
    if (degrees[least]! < best) {
      best = degrees[least]!;
      side = [...groups[least]!];
    }
    if (size === 2) break;
    const sets = new DisjointSets(size);
    contractHeavy(graph, size, degrees, heaviest, best, sets);
    const scan = maximumAdjacency(graph, size, degrees, best, sets);
    if (scan.value < best) {
      best = scan.value;
      side = scan.prefix.flatMap((i) => groups[i]!);
    }
    const merged = mergedGroups(groups, sets);
    const from = graph;
    // The caller's graph stays as it is; every other is contracted in place.
    const own = from === weights ? new Float64Array(merged.groups.length * n) : from as Float64Array;
    contract(from, size, merged.place, merged.groups.length, own);
    [graph, groups, size] = [own, merged.groups, merged.groups.length];
  }
  return { value: best, side: smallerSide(side, n) };
}

/** The weight that ties each node to the others, which is tied the least, and each one's heaviest edge. */
function degreesOf(
  graph: Float64Array | Float32Array,
  n: number,
): { degrees: Float64Array; least: number; heaviest: Float64Array } {
  const degrees = new Float64Array(n);
  const heaviest = new Float64Array(n);
  let least = 0;
  for (let i = 0; i < n; i++) {
    const row = i * n;
    degrees[i] = sumOf(graph, row, row + i) + sumOf(graph, row + i + 1, row + n);
    heaviest[i] = Math.max(largestOf(graph, row, row + i), largestOf(graph, row + i + 1, row + n));
    if (degrees[i]! < degrees[least]!) least = i;
  }
  return { degrees, least, heaviest };
}

/** Two sums, as each addition waits for the one before. */
function sumOf(values: Float64Array | Float32Array, from: number, to: number): number {
  let even = 0;
  let odd = 0;
  let j = from;
  for (; j + 1 < to; j += 2) {
    even += values[j]!;
    odd += values[j + 1]!;
  }
  return j < to ? even + odd + values[j]! : even + odd;
}

function largestOf(values: Float64Array | Float32Array, from: number, to: number): number {
  let largest = 0;
  for (let j = from; j < to; j++) if (values[j]! > largest) largest = values[j]!;
  return largest;
}

/**
 * Unites the ends of edges that no better cut than the best one crosses: w ≥ best, or
 * w ≥ d/2 for an end of degree d, whose crossing could be moved to the other side. The
 * second holds for one edge at a time, so a node united by it is not used again.
 */
function contractHeavy(
  graph: Float64Array | Float32Array,
  n: number,
  degrees: Float64Array,
  heaviest: Float64Array,
  best: number,
  sets: DisjointSets,
): void {
  const used = new Uint8Array(n);
  for (let i = 0; i < n; i++) {
    const row = i * n;
    const least = Math.min(best, degrees[i]! / 2);
    if (heaviest[i]! < least) continue;
    for (let j = 0; j < n; j++) {
      const w = graph[row + j]!;
      if (w < least || i === j) continue;
      if (w >= best) sets.unite(i, j);
      else if (!used[i] && !used[j]) {
        sets.unite(i, j);
        used[i] = used[j] = 1;
      }
    }
  }
}

/** One visit in the order of maximum adjacency; the best prefix cut it passed. */
function maximumAdjacency(
  graph: Float64Array | Float32Array,
  n: number,
  degrees: Float64Array,
  best: number,
  sets: DisjointSets,
): { value: number; prefix: number[] } {
  // What ties each node to the visited ones; -Infinity for those themselves.
  const reach = new Float64Array(n);
  const order: number[] = [];
  let next = 0;
  let cut = 0;
  let value = Infinity;
  let length = 0;
  let bound = best;
  for (let left = n - 1; left >= 0; left--) {
    const v = next;
    cut += degrees[v]! - 2 * reach[v]!;
    order.push(v);
    reach[v] = -Infinity;
    if (left === 0) break;
    if (cut < value) {
      value = cut;
      length = order.length;
      bound = Math.min(bound, cut);
    }
    next = addRow(graph, v * n, reach);
    if (reach[next]! >= bound) {
      for (let u = 0; u < n; u++) if (reach[u]! >= bound && graph[v * n + u]! > 0) sets.unite(u, v);
    }
    // The last node's connectivity with the one before it is its degree, whatever ties them.
    if (left === 1) sets.unite(next, v);
  }
  // Rounding of the running cut must not beat a true cut: it is summed again.
  const prefix = order.slice(0, length);
  return value < best ? { value: cutOf(graph, n, prefix), prefix } : { value: Infinity, prefix };
}

/** reach += a row; returns where it is largest. */
function addRow(graph: Float64Array | Float32Array, row: number, reach: Float64Array): number {
  let most = -1;
  let next = 0;
  for (let u = 0; u < reach.length; u++) {
    const r = reach[u]! + graph[row + u]!;
    reach[u] = r;
    if (r > most) {
      most = r;
      next = u;
    }
  }
  return next;
}

function cutOf(graph: Float64Array | Float32Array, n: number, nodes: readonly number[]): number {
  const inside = new Uint8Array(n);
  for (const i of nodes) inside[i] = 1;
  let sum = 0;
  for (const i of nodes) {
    for (let j = 0, row = i * n; j < n; j++) if (!inside[j]) sum += graph[row + j]!;
  }
  return sum;
}

/** The nodes after the contraction: which one each has become, and what each stands for. */
function mergedGroups(
  groups: readonly number[][],
  sets: DisjointSets,
): { place: Int32Array; groups: number[][] } {
  const place = new Int32Array(groups.length).fill(-1);
  const merged: number[][] = [];
  groups.forEach((group, i) => {
    const root = sets.find(i);
    if (place[root]! < 0) {
      place[root] = merged.length;
      merged.push([]);
    }
    place[i] = place[root]!;
    merged[place[i]!]!.push(...group);
  });
  return { place, groups: merged };
}

/**
 * Adds up the rows and columns that become one.
 *
 * @param place the node that each one becomes; those of new nodes ascend, so `out` may be `graph` itself:
 * a row is written where rows that have been read were.
 * @param out receives `[size, size]`.
 */
function contract(
  graph: Float64Array | Float32Array,
  n: number,
  place: Int32Array,
  size: number,
  out: Float64Array,
): void {
  const sum = new Float64Array(size);
  for (let i = 0, begun = 0; i < n; i++) {
    sum.fill(0);
    for (let j = 0, row = i * n; j < n; j++) sum[place[j]!]! += graph[row + j]!;
    const to = place[i]! * size;
    if (place[i] === begun) {
      begun++;
      out.set(sum, to);
    } else for (let j = 0; j < size; j++) out[to + j]! += sum[j]!;
  }
  for (let i = 0; i < size; i++) out[i * size + i] = 0;
}

function smallerSide(side: readonly number[], n: number): Uint32Array<ArrayBuffer> {
  const inside = new Uint8Array(n);
  for (const i of side) inside[i] = 1;
  const want = side.length * 2 <= n ? 1 : 0;
  return Uint32Array.from(Array.from({ length: n }, (_, i) => i).filter((i) => inside[i] === want));
}

/** Sets of nodes that are to become one. */
class DisjointSets {
  private readonly parent: Int32Array;

  constructor(n: number) {
    this.parent = Int32Array.from({ length: n }, (_, i) => i);
  }

  find(i: number): number {
    const { parent } = this;
    while (parent[i] !== i) {
      parent[i] = parent[parent[i]!]!;
      i = parent[i]!;
    }
    return i;
  }

  unite(i: number, j: number): void {
    const [a, b] = [this.find(i), this.find(j)];
    if (a !== b) this.parent[Math.max(a, b)] = Math.min(a, b);
  }
}

/** Writes the adjacency of one segment out, `[m, m]`. */
export type SegmentWeights = (nodes: Uint32Array) => Promise<Float64Array>;

/**
 * What the stop `manc-mincut` holds against T/(n − 1): the exact global minimum cut over T.
 *
 * A single node's degree is a cut, so a least degree under the threshold proves "split" in
 * O(1), and is what is returned then; only where it does not is the minimum cut computed.
 * @param proposal one with `leastDegree`, as exact products give it.
 * @returns the scaled cut, or an upper bound of it that is under `threshold`; NaN for one node.
 */
export async function minCutCost(
  { nodes, total, leastDegree }: Pick<Proposal, "nodes" | "total" | "leastDegree">,
  threshold: number,
  weights: SegmentWeights,
): Promise<number> {
  if (nodes.length < 2) return NaN;
  // Nothing ties the nodes to each other: each is a segment of its own.
  if (!(total > 0)) return -Infinity;
  if (leastDegree !== undefined && leastDegree / total < threshold) return leastDegree / total;
  return globalMinCut(await weights(nodes), nodes.length).value / total;
}

/** What `manc-mincut=bipartition` holds against T/(n − 1): the weight that the proposed cut severs, over T. */
export function bipartitionCost({ nodes, total, cut }: Pick<Proposal, "nodes" | "total" | "cut">): number {
  if (nodes.length < 2 || cut === undefined) return NaN;
  return total > 0 ? cut / total : -Infinity;
}
