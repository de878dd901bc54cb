/**
 * Cuts from exact products with the adjacency, level by level.
 *
 * The second eigenvector of B = D^-1/2·A·D^-1/2 inside each segment by Rayleigh–Ritz on
 * a growing basis of residuals, with the known eigenvector D^1/2·1 deflated; one
 * product a level and iteration serves all segments (paper, section 3.4, equation 3).
 * LOBPCG is the case of a basis of three. Here vectors cost nothing beside products, and
 * three get stuck between two eigenvectors of nearly equal value; a full basis is reduced
 * to the pair (x, last direction) that LOBPCG would keep.
 *
 * @module
 */
import { gaussian } from "../random.ts";
import type { Walk } from "../walk/walk.ts";
import { type Adjacency, DenseGram, type SweepJob, WalkGram } from "./adjacency.ts";
import type { Power } from "./power.ts";
import { align, splitProposal, wholeProposal } from "./proposal.ts";
import { symmetricEigen } from "./small_eigen.ts";
import type { Proposal, SegmentNodes, Solver } from "./solver.ts";
import { allowedPositions, ascending } from "./sweep.ts";

/** How the exact solver works. */
export interface OperatorSettings {
  /** k of M = P^k. */
  readonly steps: number;
  readonly adjacency: "dot" | "cosine";
  /**
   * `form` writes M out and multiplies in main memory; `apply` leaves P on its device and
   * multiplies k times. Default `form`: T needs ‖M_i‖², and that costs what forming does.
   */
  readonly power?: Power;
  /** Largest ‖Bx − θx‖/θ of an eigenvector. Default 1e-5. */
  readonly tolerance?: number;
  /** Thresholds tried between an eigenvector's smallest and largest value; default all |S| − 1. */
  readonly thresholds?: number;
}

/**
 * Default relative residual: a tenth of what is promised, so that near neighbours are told apart, and places of a
 * cut that are nearly tied. A product or two more than at a third.
 */
const TOLERANCE = 1e-5;

/** θ below this counts as this in the relative residual: B's largest eigenvalue is 1, and no such segment is cut. */
export const LEAST_THETA = 1e-3;

/**
 * Largest ‖Bx − θx‖ as a share of λ = 1 − θ: of two weak cuts the weaker must be told from
 * the other. Where λ is smaller than the least one, both cut nothing.
 */
const SHARE_OF_LAMBDA = 0.003;
const LEAST_LAMBDA = 3e-4;

/** Iterations without progress after which a vector within the tolerance is as good as rounding lets it be. */
const PATIENCE = 6;

/** Directions to have in a basis before nothing new in the residual ends the iteration. */
const FEWEST = 8;

/** Most directions that go to the second Ritz vector once the first has converged. */
const MOST_RIVALS = 8;

/**
 * Directions up to which the second Ritz vector is iterated beside the first: a start that has hardly any part in
 * the eigenvector happens once in some hundred graphs, two of them hardly ever.
 */
const PAIRED = 12;

/** Iterations after which a segment's vector is taken as it is, with its residual. */
const MOST_ITERATIONS = 400;

/** Directions in a segment's basis before it is reduced to two. */
const DEEPEST_BASIS = 32;

/** Finds each segment's cut by exact products (see {@linkcode Adjacency}). */
export class OperatorSolver implements Solver {
  readonly name = "operator";
  private readonly tolerance: number;
  private readonly thresholds: number | undefined;

  constructor(
    readonly adjacency: Adjacency,
    { tolerance = TOLERANCE, thresholds }: Pick<OperatorSettings, "tolerance" | "thresholds"> = {},
  ) {
    this.tolerance = tolerance;
    this.thresholds = thresholds;
  }

  /** The solver of a frame's walk; forms P^k or not, as `settings.power` says. */
  static async create(walk: Walk, settings: OperatorSettings): Promise<OperatorSolver> {
    return new OperatorSolver(await adjacencyOf(walk, settings), settings);
  }

  get applications(): number {
    return this.adjacency.applications;
  }

  async propose(segments: readonly SegmentNodes[]): Promise<Proposal[]> {
    const { adjacency } = this;
    const z = new Float64Array(adjacency.n).fill(1);
    const degrees = await adjacency.apply(segments.map(({ nodes }) => nodes), z);
    const iterates = segments.map((segment) =>
      segment.nodes.length > 1
        ? new Iterate(segment, degrees, adjacency.loops, { tolerance: this.tolerance })
        : undefined
    );
    await this.converge(iterates.filter((it) => it !== undefined));
    const jobs: SweepJob[] = [];
    const vectors = iterates.map((it, s) => {
      if (!it) return undefined;
      const values = it.fiedlerVector();
      align(values, segments[s]!.start);
      const order = ascending(values);
      jobs.push({
        sorted: Uint32Array.from(order, (i) => it.nodes[i]!),
        degrees: Float64Array.from(order, (i) => degrees[it.nodes[i]!]!),
        ...(it.extraLoops ? { extraLoops: Float64Array.from(order, (i) => it.extraLoops![i]!) } : {}),
        allowed: allowedPositions(values, order, segments[s]!.minPart ?? 1, this.thresholds),
      });
      return { it, values, order };
    });
    const splits = await adjacency.sweep(jobs);
    return vectors.map((found, s) => {
      if (!found) return wholeProposal(segments[s]!.nodes);
      const { it, values, order } = found;
      const { position, ...split } = splits.shift()!;
      return splitProposal(it.nodes, values, order, position, {
        ...split,
        theta: it.theta,
        residual: it.residual,
        total: it.total,
        leastDegree: it.leastDegree,
      });
    });
  }

  /** Iterates all segments of a level together until each has converged. */
  private async converge(iterates: readonly Iterate[]): Promise<void> {
    const { adjacency } = this;
    let open = [...iterates];
    const z = new Float64Array(adjacency.n);
    for (let iteration = 0; open.length > 0 && iteration < MOST_ITERATIONS; iteration++) {
      for (const it of open) it.give(z);
      const az = await adjacency.apply(open.map(({ nodes }) => nodes), z);
      for (const it of open) it.take(az);
      open = open.filter((it) => !it.done);
    }
  }
}

/** The adjacency of a walk, formed or applied. */
async function adjacencyOf(
  walk: Walk,
  { steps, adjacency, power = "form" }: OperatorSettings,
): Promise<Adjacency> {
  if (power === "apply") return await WalkGram.create(walk, steps, adjacency);
  return new DenseGram(await denseWalk(walk, steps), walk.n, adjacency);
}

/** P^k written out, `[N, N]`. */
export async function denseWalk(walk: Walk, steps: number): Promise<Float32Array<ArrayBuffer>> {
  if (steps === 1) return await walk.dense();
  const formed = await walk.power(steps);
  try {
    return await formed.dense();
  } finally {
    formed.release();
  }
}

/** Whether a residual ‖Bx − θx‖/θ is small enough to trust the vector and its place among its neighbours. */
export function settled(residual: number, theta: number, tolerance: number): boolean {
  const error = residual * Math.max(theta, LEAST_THETA);
  return residual <= tolerance && error <= SHARE_OF_LAMBDA * Math.max(1 - theta, LEAST_LAMBDA);
}

/** When an iteration is done, and what it may take for granted. */
export interface Goal {
  /** Largest ‖Bx − θx‖/θ. */
  readonly tolerance: number;
  /**
   * `near` where the start is known to be near the eigenvector, so that no other is begun with; `placed` where its
   * place among its neighbours is known as well, so that the residual alone decides.
   */
  readonly start?: "near" | "placed";
}

/** The iteration on one segment; whoever runs it multiplies by A. */
export class Iterate {
  readonly nodes: Uint32Array<ArrayBuffer>;
  /** Loops given to nodes that nothing ties to their segment, so that they can be cut off. */
  readonly extraLoops: Float64Array | undefined;
  readonly total: number;
  readonly leastDegree: number;
  theta = 0;
  residual = Infinity;
  done = false;
  /** Smallest residual so far, and the iterations since it last fell. */
  private lowest = Infinity;
  private stalled = 0;
  /** Directions that were spent on rivals. */
  private rivals = 0;
  /** Inside the segment, with extra loops. */
  private readonly degrees: Float64Array;
  private readonly root: Float64Array;
  private readonly known: Float64Array;
  private x: Float64Array;
  /** Orthonormal directions, their products with B, and the products between the two. */
  private basis: Float64Array[] = [];
  private images: Float64Array[] = [];
  private inner: number[][] = [];
  /** The coefficients of x before the last direction came in. */
  private before: Float64Array = new Float64Array(0);
  /** Directions to be multiplied next; none once there is nothing new to try. */
  private readonly queue: Float64Array[] = [];

  /**
   * @param degrees A·1_S, `[N]`.
   * @param loops A_ii, `[N]`.
   */
  constructor(
    { nodes, start }: SegmentNodes,
    degrees: Float64Array,
    loops: Float64Array,
    private readonly goal: Goal,
  ) {
    const m = nodes.length;
    this.nodes = nodes;
    const d = Float64Array.from(nodes, (i) => degrees[i]!);
    let whole = 0;
    let inLoops = 0;
    let least = Infinity;
    nodes.forEach((node, i) => {
      whole += d[i]!;
      inLoops += loops[node]!;
      least = Math.min(least, d[i]! - loops[node]!);
    });
    this.total = Math.max(0, (whole - inLoops) / 2);
    this.leastDegree = Math.max(0, least);
    if (d.some((v) => !(v > 0))) {
      const loop = whole > 0 ? whole / m : 1;
      this.extraLoops = d.map((v) => v > 0 ? 0 : loop);
      for (let i = 0; i < m; i++) d[i]! += this.extraLoops[i]!;
    }
    this.degrees = d;
    this.root = d.map(Math.sqrt);
    this.known = unit(this.root)!;
    if (start) this.enqueue(Float64Array.from(start, (v, i) => v * this.root[i]!), this.queue);
    // Two directions to begin with: one alone may have hardly any part in the eigenvector.
    const wanted = goal.start ? 1 : 2;
    for (const seed of [m, 3 * m]) {
      if (this.queue.length < wanted) {
        this.enqueue(Float64Array.from(gaussian(m, seed + nodes[0]!)), this.queue);
      }
    }
    this.x = this.queue[0]!;
  }

  /** Directions that were multiplied since the basis was last reduced. */
  get directions(): number {
    return this.basis.length;
  }

  /** Puts the next direction into the level's vector. */
  give(z: Float64Array): void {
    const { nodes, root, queue: [w] } = this;
    for (let i = 0; i < nodes.length; i++) z[nodes[i]!] = w![i]! / root[i]!;
  }

  /** Takes A times that direction from the level's product and improves x. */
  take(az: Float64Array): void {
    const { nodes, root, extraLoops, degrees } = this;
    const w = this.queue.shift()!;
    const bw = Float64Array.from(
      nodes,
      (node, i) => az[node]! / root[i]! + (extraLoops ? extraLoops[i]! * w[i]! / degrees[i]! : 0),
    );
    this.basis.push(w);
    this.images.push(bw);
    this.inner.push(this.basis.map((v) => dot(v, bw)));
    const size = this.basis.length;
    const small = new Float64Array(size * size);
    this.inner.forEach((row, i) => row.forEach((v, j) => small[i * size + j] = small[j * size + i] = v));
    const { values, vectors } = symmetricEigen(small, size);
    const best = vectors.slice(0, size);
    this.x = combine(this.basis, best);
    const bx = combine(this.images, best);
    this.theta = dot(this.x, bx);
    const r = this.residualOf(this.x, bx, this.theta);
    this.residual = length(r) / Math.max(this.theta, LEAST_THETA);
    const { tolerance, start } = this.goal;
    if (start === "placed" && this.residual <= tolerance) {
      this.done = true;
      return;
    }
    const found = this.found();
    const paired = !start && size > 1 && size < PAIRED;
    // A rival that may still overtake is followed before x is believed.
    let rival: Float64Array | undefined;
    let r2: Float64Array | undefined;
    if (size > 1 && (paired || found && this.rivals < MOST_RIVALS)) {
      const second = vectors.slice(size, 2 * size);
      r2 = this.residualOf(combine(this.basis, second), combine(this.images, second), values[1]!);
      if (found && this.rivals < MOST_RIVALS && values[1]! + length(r2) > this.theta) rival = r2;
    }
    if (size === DEEPEST_BASIS) this.reduce(best, bx);
    this.before = size === DEEPEST_BASIS ? Float64Array.of(1) : best;
    if (rival) this.rivals++;
    if (this.queue.length > 0) return;
    // A small segment's whole space costs little, and no eigenvector hides outside of it.
    const { length: m } = this.nodes;
    const whole = m <= DEEPEST_BASIS ? m - 1 : 0;
    if (found && !rival && this.basis.length >= whole) {
      this.done = true;
      return;
    }
    this.enqueue(rival ?? r, this.basis);
    if (paired && !rival) this.enqueue(r2!, [...this.basis, ...this.queue]);
    // Where the residuals have nothing new to say, chance may.
    if (this.queue.length === 0 && this.basis.length < Math.min(m - 1, Math.max(FEWEST, whole))) {
      this.enqueue(Float64Array.from(gaussian(m, size)), this.basis);
    }
    this.done = this.queue.length === 0;
  }

  /** Whether x is good enough, or as good as rounding lets it be. */
  private found(): boolean {
    const { residual, theta, goal: { tolerance }, basis } = this;
    this.stalled = residual < 0.9 * this.lowest ? 0 : this.stalled + 1;
    this.lowest = Math.min(this.lowest, residual);
    if (basis.length < 2 && this.nodes.length > 2) return false;
    return settled(residual, theta, tolerance) || residual <= tolerance && this.stalled >= PATIENCE;
  }

  private residualOf(x: Float64Array, bx: Float64Array, theta: number): Float64Array {
    const r = combine([bx, x], [1, -theta]);
    removePart(r, this.known);
    return r;
  }

  /** y = D^-1/2·x, yᵀDy = 1. */
  fiedlerVector(): Float32Array<ArrayBuffer> {
    return Float32Array.from(this.x, (v, i) => v / this.root[i]!);
  }

  /** Keeps x and the direction in which it moved last, made orthogonal to it. */
  private reduce(best: Float64Array, bx: Float64Array): void {
    const moved = best.map((v, i) => v - (this.before[i] ?? 0));
    const along = dot(moved, best);
    const step = unit(moved.map((v, i) => v - along * best[i]!));
    const directions = step ? [this.x, combine(this.basis, step)] : [this.x];
    const images = step ? [bx, combine(this.images, step)] : [bx];
    this.basis = directions;
    this.images = images;
    this.inner = directions.map((v, i) => images.slice(0, i + 1).map((image) => dot(v, image)));
  }

  /** Queues a direction, orthogonal to `others` and the known eigenvector, if there is anything new in it. */
  private enqueue(r: Float64Array, others: readonly Float64Array[]): void {
    const size = Math.sqrt(dot(r, r));
    // Twice, for the digits that the first pass loses.
    for (let pass = 0; pass < 2; pass++) {
      removePart(r, this.known);
      for (const other of others) removePart(r, other);
    }
    const w = Math.sqrt(dot(r, r)) > 1e-9 * size ? unit(r) : undefined;
    if (w) this.queue.push(w);
  }
}

function removePart(x: Float64Array, along: Float64Array): void {
  const part = dot(x, along);
  for (let i = 0; i < x.length; i++) x[i]! -= part * along[i]!;
}

function combine(vectors: readonly Float64Array[], weights: ArrayLike<number>): Float64Array {
  const out = new Float64Array(vectors[0]!.length);
  vectors.forEach((v, j) => {
    const weight = weights[j]!;
    for (let i = 0; i < out.length; i++) out[i]! += weight * v[i]!;
  });
  return out;
}

function unit(x: Float64Array): Float64Array | undefined {
  const size = Math.sqrt(dot(x, x));
  return size > 1e-13 ? x.map((v) => v / size) : undefined;
}

function length(x: Float64Array): number {
  return Math.sqrt(dot(x, x));
}

function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! * y[i]!;
  return sum;
}
