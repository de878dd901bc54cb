/**
 * Cuts from the low-rank factor, with each Fiedler vector improved by exact products before it is swept.
 *
 * A factor that was carried on holds 96 to 98 % of the trace, and its vectors are some percent off. What
 * it misses lies at the far end of the spectrum, where a few products take most of it away. They come out
 * certified: the residual is known from the products, and the degrees inside every segment of the tree
 * say what every cut weighs.
 *
 * @module
 */
import type { WalkGram } from "./adjacency.ts";
import type { Certificates } from "./certify.ts";
import type { Factor } from "./factor.ts";
import { FactorSolver, sweepRows } from "./factor_solver.ts";
import { type Branch, cutsOf, type GrowSettings, leavesOf } from "./grow.ts";
import { Iterate } from "./operator.ts";
import type { Proposal, SegmentNodes, Solver } from "./solver.ts";
import { thresholdOf } from "./stop.ts";

/** Largest ‖Bx − θx‖/θ of a vector that is left as the factor has it. */
export const REFINED_RESIDUAL = 2e-3;

/** Products with A that a vector may take, the first of which tells its residual. */
export const MOST_REFINEMENTS = 4;

/** Nodes of a walk up to which vectors are refined: of a larger one a pass costs more than they are worth. */
const MOST_NODES = 2048;

/** Segments whose NCut is above so many times the threshold stay whole, whatever their vector's error. */
export const OUT_OF_REACH = 1.3;

/**
 * Whether the vectors of a carried factor are refined. Where P is applied k times A is near to low rank, and the
 * factor has them as they are.
 */
export function isRefined(n: number, steps: number): boolean {
  return steps === 1 && n <= MOST_NODES;
}

/** Finds each segment's cut from the factor and a few exact products. */
export class RefinedSolver implements Solver {
  readonly name = "factor";
  private readonly factored: FactorSolver;
  /** A·1_S on the nodes of each segment so far, in their order. */
  private readonly degrees = new Map<Uint32Array, Float64Array>();
  /** The segment that each part was cut from. */
  private readonly wholes = new Map<Uint32Array, Uint32Array>();

  constructor(
    private readonly factor: Factor,
    private readonly adjacency: WalkGram,
    private readonly settings: GrowSettings & { readonly thresholds?: number },
  ) {
    // What the factor's own vectors are nearer to its eigenvectors than to those of A helps nothing.
    this.factored = new FactorSolver(factor, settings.thresholds, REFINED_RESIDUAL / 2);
  }

  get applications(): number {
    return this.adjacency.applications;
  }

  async propose(segments: readonly SegmentNodes[]): Promise<Proposal[]> {
    const proposals = await this.factored.propose(segments);
    const refined = await this.refine(proposals, segments.map(({ nodes }) => nodes));
    // What the factor takes for lighter than it is, by the exact T.
    const exact = proposals.map((own) => refined.get(own) ?? { ...own, total: this.totalOf(own.nodes) });
    const missed = await this.refine(exact.filter((_, i) => !refined.has(proposals[i]!)), []);
    return exact.map((own) => {
      const found = missed.get(own) ?? own;
      const { nodes, left, right } = found;
      if (right.length > 0) { for (const part of [left, right]) this.wholes.set(part, nodes); }
      return found;
    });
  }

  /** What the products say of a tree that this solver proposed. */
  certificates(root: Branch): Certificates {
    return {
      cuts: cutsOf(root).map(({ branch: { proposal: { nodes, left, total, residual } } }) => {
        const inside = sumOf(this.degreesOf(left));
        const all = this.degreesOf(nodes);
        const reach = sumOf(valuesAt(nodes, all, left));
        const cut = Math.max(0, reach - inside);
        return { ncut: cut / reach + cut / (sumOf(all) - reach), total, residual };
      }),
      totals: leavesOf(root).map(({ proposal }) => proposal.total),
    };
  }

  /**
   * One block of products: the degrees inside segments, for the smaller of two parts as the other has the rest; and
   * the images A·y of vectors, which are returned.
   */
  private async measure(
    segments: readonly Uint32Array[],
    vectors: readonly Proposal[],
  ): Promise<Float64Array[]> {
    const asked = segments.filter((nodes) => !this.isRest(nodes, segments));
    const columns = asked.length + vectors.length;
    if (columns === 0) return [];
    const places = new Int32Array(this.adjacency.n);
    const products = await this.adjacency.multiply([
      ...asked.map((nodes) => ({ nodes, value: () => 1 })),
      ...vectors.map(({ nodes, vector }) => {
        nodes.forEach((node, i) => places[node] = i);
        return { nodes, value: (node: number) => vector[places[node]!]! };
      }),
    ]);
    const column = (nodes: Uint32Array, c: number) =>
      Float64Array.from(nodes, (node) => products[node * columns + c]!);
    asked.forEach((nodes, c) => {
      this.degrees.set(nodes, column(nodes, c));
      const other = this.siblingOf(nodes, segments);
      if (!other) return;
      const whole = this.wholes.get(nodes)!;
      const taken = column(other, c);
      const rest = valuesAt(whole, this.degreesOf(whole), other).map((d, i) => Math.max(0, d - taken[i]!));
      this.degrees.set(other, rest);
    });
    return vectors.map(({ nodes }, c) => column(nodes, asked.length + c));
  }

  /** Whether a segment's degrees are what those of its sibling leave. */
  private isRest(nodes: Uint32Array, segments: readonly Uint32Array[]): boolean {
    const other = this.siblingOf(nodes, segments);
    if (!other) return false;
    return other.length < nodes.length || other.length === nodes.length && other[0]! < nodes[0]!;
  }

  /** The other part of what a segment was cut from. */
  private siblingOf(nodes: Uint32Array, segments: readonly Uint32Array[]): Uint32Array | undefined {
    const whole = this.wholes.get(nodes);
    return whole && segments.find((own) => own !== nodes && this.wholes.get(own) === whole);
  }

  /**
   * Improves the vectors of what may be cut, all in one block a round, and sweeps anew what has changed.
   *
   * @param segments whose degrees are not known yet.
   * @returns what was refined, by what was proposed.
   */
  private async refine(
    proposals: readonly Proposal[],
    segments: readonly Uint32Array[],
  ): Promise<Map<Proposal, Proposal>> {
    const { adjacency, factor, settings } = this;
    const wanted = proposals.filter((own) => own.ncut < OUT_OF_REACH * thresholdOf(settings.stop, own));
    const images = await this.measure(segments, wanted);
    const begun = wanted.map((own, c) => this.begin(own, images[c]!));
    const z = new Float64Array(adjacency.n);
    for (let product = 1; product < MOST_REFINEMENTS; product++) {
      const open = begun.map(({ iterate }) => iterate).filter(({ done }) => !done);
      if (open.length === 0) break;
      for (const it of open) it.give(z);
      const image = await adjacency.apply(open.map(({ nodes }) => nodes), z);
      for (const it of open) it.take(image);
    }
    return new Map(wanted.map((own, c) => {
      const { start, iterate } = begun[c]!;
      const { theta, residual, directions } = iterate;
      const cut = directions === 1
        ? start
        : sweepRows(factor, own.nodes, iterate.fiedlerVector(), own.vector, settings);
      return [own, { ...own, ...cut, total: this.totalOf(own.nodes), theta, residual }];
    }));
  }

  /** An iteration from what the vector has off the constant one, yᵀDy = 1, whose first product is there. */
  private begin(own: Proposal, image: Float64Array): { start: Proposal; iterate: Iterate } {
    const { adjacency: { n, loops } } = this;
    const { nodes, vector } = own;
    const inside = this.degreesOf(nodes);
    const degrees = new Float64Array(n);
    nodes.forEach((node, i) => degrees[node] = inside[i]!);
    const along = inside.reduce((sum, d, i) => sum + d * vector[i]!, 0) / sumOf(inside);
    const size = Math.sqrt(inside.reduce((sum, d, i) => sum + d * (vector[i]! - along) ** 2, 0));
    // As f32 holds it, so that the split value stays that of a node.
    const scaled = (v: number) => Math.fround((v - along) / size);
    const start = { ...own, vector: vector.map(scaled), splitValue: scaled(own.splitValue) };
    const goal = { tolerance: REFINED_RESIDUAL, start: "placed" } as const;
    const iterate = new Iterate({ nodes, start: start.vector }, degrees, loops, goal);
    // Nodes that nothing ties to the segment have loops that the image lacks.
    if (iterate.extraLoops) return { start, iterate };
    const first = new Float64Array(n);
    nodes.forEach((node, i) => first[node] = (image[i]! - along * inside[i]!) / size);
    iterate.take(first);
    return { start, iterate };
  }

  private degreesOf(nodes: Uint32Array): Float64Array {
    return this.degrees.get(nodes)!;
  }

  /** T: each edge once, without loops. */
  private totalOf(nodes: Uint32Array): number {
    let loops = 0;
    for (const node of nodes) loops += this.adjacency.loops[node]!;
    return Math.max(0, (sumOf(this.degreesOf(nodes)) - loops) / 2);
  }
}

/** The values of some of the nodes; both lists ascend. */
function valuesAt(nodes: Uint32Array, values: Float64Array, some: Uint32Array): Float64Array {
  let k = 0;
  return Float64Array.from(some, (node) => {
    while (nodes[k] !== node) k++;
    return values[k]!;
  });
}

function sumOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}
