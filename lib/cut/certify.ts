/**
 * Exact products that confirm, or refute, what the factor proposed.
 *
 * @module
 */
import { backward, forward, type Tally } from "../walk/tally.ts";
import type { Branch } from "./grow.ts";

/** What exact products say of one cut. */
export interface Certificate {
  /** NCut of the cut that was made. */
  readonly ncut: number;
  /** T of its segment without loops, the loops as the factor's probes estimate them. */
  readonly total: number;
  /** ‖Bx − θx‖/θ of its Fiedler vector x, θ its Rayleigh quotient. */
  readonly residual: number;
}

/** What exact products say of a whole tree. */
export interface Certificates {
  /** One a cut, in order. */
  readonly cuts: readonly Certificate[];
  /** T of each leaf, as {@linkcode Certificate.total}. */
  readonly totals: readonly number[];
}

/** A branch that was cut, and the positions of its leaves by part. */
export interface CutLeaves {
  readonly branch: Branch;
  readonly left: readonly number[];
  readonly right: readonly number[];
}

/**
 * Certificates of all cuts of a tree from two blocks: Mᵀ·H of the leaves'
 * indicators, whose Gram matrix holds the exact weight between any two leaves, and
 * A·Y of the Fiedler vectors.
 *
 * @param cuts the branches that were cut, each with its leaves' positions by part.
 * @param labels leaf of each node, `[N]`.
 * @param diagonal A_ii, `[N]`.
 */
export async function certify(
  tally: Tally,
  steps: number,
  cuts: readonly CutLeaves[],
  labels: Uint16Array,
  leaves: number,
  diagonal: Float32Array,
): Promise<Certificates> {
  const n = tally.walk.n;
  const indicators = new Float32Array(n * leaves);
  for (let i = 0; i < n; i++) indicators[i * leaves + labels[i]!] = 1;
  const vectors = new Float32Array(n * cuts.length);
  cuts.forEach(({ branch: { proposal } }, c) => {
    proposal.nodes.forEach((node, i) => vectors[node * cuts.length + c] = proposal.vector[i]!);
  });
  const adjacency = backward(steps) + forward(steps);
  const [toLeaves, onVectors = vectors] = await tally.products([
    { block: indicators, columns: leaves, word: adjacency },
    ...(cuts.length > 0 ? [{ block: vectors, columns: cuts.length, word: adjacency }] : []),
  ]);
  return judge(cuts, labels, leaves, diagonal, toLeaves!, onVectors);
}

/**
 * The certificates once the products are there.
 *
 * @param toLeaves A·H of the leaves' indicators, `[N, leaves]`.
 * @param onVectors A·Y of the cuts' Fiedler vectors, `[N, cuts]`.
 */
export function judge(
  cuts: readonly CutLeaves[],
  labels: Uint16Array,
  leaves: number,
  diagonal: Float32Array,
  toLeaves: Float32Array,
  onVectors: Float32Array,
): Certificates {
  const loops = new Float64Array(leaves);
  labels.forEach((leaf, i) => loops[leaf]! += diagonal[i]!);
  const between = leafWeights(toLeaves, labels, leaves);
  const weight = (a: readonly number[], b: readonly number[]) =>
    a.reduce((sum, i) => b.reduce((part, j) => part + between[i * leaves + j]!, sum), 0);
  const totals = Array.from(loops, (own, leaf) => Math.max(0, weight([leaf], [leaf]) - own) / 2);
  const certificates = cuts.map(({ branch, left, right }, c) => {
    const cut = weight(left, right);
    const inner = [...left, ...right];
    const total = (weight(inner, inner) - inner.reduce((sum, leaf) => sum + loops[leaf]!, 0)) / 2;
    return {
      ncut: cut / (weight(left, left) + cut) + cut / (weight(right, right) + cut),
      total,
      residual: residual(branch, inner, toLeaves, leaves, onVectors, cuts.length, c),
    };
  });
  return { cuts: certificates, totals };
}

/** HᵀAH, `[K, K]`. */
function leafWeights(toLeaves: Float32Array, labels: Uint16Array, leaves: number): Float64Array {
  const between = new Float64Array(leaves * leaves);
  for (let i = 0; i < labels.length; i++) {
    for (let b = 0; b < leaves; b++) between[labels[i]! * leaves + b]! += toLeaves[i * leaves + b]!;
  }
  return between;
}

function residual(
  { proposal: { nodes, vector } }: Branch,
  inner: readonly number[],
  toLeaves: Float32Array,
  leaves: number,
  onVectors: Float32Array,
  columns: number,
  column: number,
): number {
  const degrees = Float64Array.from(nodes, (node) => {
    let d = 0;
    for (const leaf of inner) d += toLeaves[node * leaves + leaf]!;
    return d;
  });
  let dyy = 0;
  let yay = 0;
  nodes.forEach((node, i) => {
    dyy += degrees[i]! * vector[i]! ** 2;
    yay += vector[i]! * onVectors[node * columns + column]!;
  });
  if (!(yay > 0)) return 0;
  const theta = yay / dyy;
  let error = 0;
  nodes.forEach((node, i) => {
    const d = degrees[i]!;
    if (d > 0) error += (onVectors[node * columns + column]! - theta * d * vector[i]!) ** 2 / d;
  });
  return Math.sqrt(error / dyy) / theta;
}
