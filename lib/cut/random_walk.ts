/**
 * Cuts of the random walk itself (paper, section 3.2): no adjacency is built, the
 * eigenvectors are those of the transition matrix.
 *
 * The paper leaves open what becomes of the walk inside a segment S and which NCut its
 * cuts have. Taken here:
 *
 * - The walk in S is the one that stays inside: P̃ = D^-1·M_S, d_i = Σ_{j in S} M_ij.
 *   1 is its known right eigenvector, its left Perron vector π (π·P̃ = π) is what deflates it.
 * - The values that are thresholded are its second right eigenvector. Power iteration with
 *   one deflation finds it; the iterates are kept and combined (Arnoldi), which needs the
 *   square root of the products. The second is that of largest |1 + μ|; where it is one of a complex
 *   pair, which turns in a plane, the values are the real part of z in the phase that makes it longest, z
 *   without its mean: the longer axis of the ellipses that the walk turns on.
 * - NCut is that of Meila and Shi, P(A→B | A) + P(B→A | B) in the stationary state: the NCut
 *   of the flow W_ij = w_i·M_ij, w = π/d, symmetrised. W's rows weigh as M's own on average:
 *   Σw = |S|. So T/(n − 1) means what it does for M's rows, and shrinks with what leaves S.
 *
 * @module
 */
import { gaussian } from "../random.ts";
import { slowestModeOf, turned } from "./hessenberg.ts";
import { LEAST_THETA, settled } from "./operator.ts";
import { align, splitProposal, wholeProposal } from "./proposal.ts";
import type { SegmentWalk, WalkSource } from "./segment_walk.ts";
import type { Proposal, SegmentNodes, Solver } from "./solver.ts";
import { allowedPositions, ascending } from "./sweep.ts";

/** Largest ‖P̃x − θx‖/θ of an eigenvector, and of the left Perron vector. */
const TOLERANCE = 3e-5;
const PERRON_TOLERANCE = 1e-9;

/** Iterates that are combined before the iteration starts again from the best combination. */
const DEPTH = 64;

/** Products before which no vector is taken: a first small residual may be another mode's. */
const FEWEST = 12;

/** Products for which a vector must stay the best one: a slower mode may have had hardly any part in the basis. */
const STEADY = 4;

/** Products after which a vector is taken as it is, with its residual. */
const MOST_PRODUCTS = 800;

/** Parts of a walk whose weights are told apart at most: one too many does no harm but costs a product. */
const MOST_PARTS = 6;

/**
 * Share of each step that jumps anywhere in the segment: it gives a walk that is not
 * connected one stationary state, and nodes that are never returned to some weight.
 */
const JUMP = 1e-9;

/** Finds each segment's cut from the walk that stays inside it. */
export class RandomWalkSolver implements Solver {
  readonly name = "operator";
  private readonly tolerance: number;
  private readonly thresholds: number | undefined;
  /** w of segments that were proposed, for {@linkcode weights}. */
  private readonly nodeWeights = new WeakMap<Uint32Array, Float64Array>();

  /** @param source M = P^k, row-stochastic. */
  constructor(
    private readonly source: WalkSource,
    { tolerance = TOLERANCE, thresholds }: { tolerance?: number; thresholds?: number } = {},
  ) {
    this.tolerance = tolerance;
    this.thresholds = thresholds;
  }

  get applications(): number {
    return this.source.applications;
  }

  async propose(segments: readonly SegmentNodes[]): Promise<Proposal[]> {
    const walks = this.source.restrict(segments.map(({ nodes }) => nodes));
    return await Promise.all(
      segments.map((segment, s) => working(walks[s]!, () => this.proposeOne(segment, walks[s]!))),
    );
  }

  /**
   * W of a segment written out, `[m, m]`, scaled as {@linkcode Proposal.total} is: what the
   * minimum cut needs.
   */
  async weights(nodes: Uint32Array): Promise<Float64Array> {
    const [inside] = this.source.restrict([nodes]);
    return await working(inside!, async () => {
      const m = nodes.length;
      const w = this.nodeWeights.get(nodes) ??
        (m > 1 ? (await this.modesOf({ nodes }, inside!)).w : new Float64Array(1));
      const rows = await inside!.entries();
      // The flow (w_i·M_ij + w_j·M_ji)/2.
      const out = new Float64Array(m * m);
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < m; j++) {
          out[i * m + j] = (w[i]! * rows[i * m + j]! + w[j]! * rows[j * m + i]!) / 2;
        }
      }
      return out;
    });
  }

  private async proposeOne(segment: SegmentNodes, inside: SegmentWalk): Promise<Proposal> {
    const { nodes, start, minPart = 1 } = segment;
    if (nodes.length < 2) return wholeProposal(nodes);
    const { walk, second, w } = await this.modesOf(segment, inside);
    this.nodeWeights.set(nodes, w);
    const flow = await walk.flow(w);
    let norm = 0;
    second.vector.forEach((v, i) => norm += flow.degrees[i]! * v ** 2);
    const values = Float32Array.from(second.vector, (v) => v / Math.sqrt(norm || 1));
    align(values, start);
    const order = ascending(values);
    const { position, ncut, cut } = await inside.sweep({
      sorted: order,
      degrees: Float64Array.from(order, (i) => flow.degrees[i]!),
      allowed: allowedPositions(values, order, minPart, this.thresholds),
    }, w);
    return splitProposal(nodes, values, order, position, {
      ncut,
      cut,
      theta: second.theta,
      residual: second.residual,
      total: flow.total,
      leastDegree: flow.leastDegree,
    });
  }

  /** The second right eigenvector of the walk inside a segment, and w. */
  private async modesOf(
    { nodes, start }: { readonly nodes: Uint32Array; readonly start?: SegmentNodes["start"] },
    inside: SegmentWalk,
  ): Promise<{ walk: InnerWalk; second: EigenPair; w: Float64Array }> {
    const m = nodes.length;
    const walk = await InnerWalk.of(inside);
    const pi = await leftPerron(walk);
    const noise = gaussian(m, m + nodes[0]!);
    const begin = Float64Array.from(start ?? noise);
    if (start) {
      const size = Math.sqrt(dot(begin, begin)) || 1;
      for (let i = 0; i < m; i++) begin[i] = begin[i]! / size + 0.1 * noise[i]! / Math.sqrt(m);
    }
    const second = await slowestMode({
      apply: (x) => walk.forward(x),
      deflate: (x) => {
        // 1·πᵀ projects on the known pair; taking it away leaves the second eigenvalue first.
        const part = dot(x, pi);
        for (let i = 0; i < m; i++) x[i]! -= part;
      },
      begin,
      tolerance: this.tolerance,
      rounding: inside.rounding,
    });

    return { walk, second, w: walk.nodeWeights(await balanced(walk, pi, second.vector)) };
  }
}

/** Lets a computation work with a segment's walk, and closes that. */
async function working<T>(walk: SegmentWalk, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    walk.close();
  }
}

/** π of the walk inside, positive, sum 1. */
async function leftPerron(walk: InnerWalk): Promise<Float64Array> {
  const { m } = walk;
  const { vector } = await slowestMode({
    apply: (x) => walk.backward(x),
    deflate: () => {},
    begin: await walk.backward(new Float64Array(m).fill(1 / m)),
    tolerance: PERRON_TOLERANCE,
    rounding: walk.rounding,
  });
  let sum = 0;
  for (const v of vector) sum += v;
  const sign = sum < 0 ? -1 : 1;
  // What rounding left negative has next to no weight.
  const pi = vector.map((v) => Math.max(sign * v, JUMP / m * Math.abs(sum)));
  let whole = 0;
  for (const v of pi) whole += v;
  return pi.map((v) => v / whole);
}

/**
 * π with the right share for each part: where parts hardly exchange anything, or one is hardly ever visited,
 * rounding moves weight from one to another that no product brings back. The probability of crossing is a sum of
 * small terms alone, so it has all its digits, and with it the stationary state of the walk from part to part
 * (one step of aggregation and disaggregation, after Koury, McAllister and Stewart).
 *
 * @param second the second right eigenvector, next to constant on each part.
 */
async function balanced(walk: InnerWalk, pi: Float64Array, second: Float64Array): Promise<Float64Array> {
  const { parts, part } = partsOf(second);
  const shares = new Float64Array(parts);
  part.forEach((own, i) => shares[own]! += pi[i]!);
  const flow = new Float64Array(parts * parts);
  for (let to = 0; to < parts; to++) {
    const arrives = await walk.forward(Float64Array.from(part, (own) => Number(own === to)));
    part.forEach((own, i) => flow[own * parts + to]! += arrives[i]! * pi[i]! / shares[own]!);
  }
  const stationary = stationaryState(flow, parts);
  return pi.map((v, i) => v * stationary[part[i]!]! / shares[part[i]!]!);
}

/** Parts between the widest gaps of some values; two at least where they differ. */
function partsOf(values: Float64Array): { parts: number; part: Uint8Array } {
  const sorted = values.slice().sort();
  const gaps = Array.from(sorted.subarray(1), (v, i) => ({ from: v, width: v - sorted[i]! }))
    .sort((a, b) => b.width - a.width)
    .slice(0, MOST_PARTS - 1)
    .filter(({ width }) => width > 0);
  const part = Uint8Array.from(values, (v) => gaps.filter(({ from }) => v >= from).length);
  return { parts: gaps.length + 1, part };
}

/**
 * The stationary state of a small chain, without a subtraction (Grassmann, Taksar and Heyman).
 *
 * @param transitions `[n, n]`; what stays where it is does not matter.
 */
function stationaryState(transitions: Float64Array, n: number): Float64Array {
  const p = transitions.slice();
  for (let last = n - 1; last > 0; last--) {
    let leaves = 0;
    for (let j = 0; j < last; j++) leaves += p[last * n + j]!;
    for (let i = 0; i < last; i++) {
      p[i * n + last]! /= leaves;
      for (let j = 0; j < last; j++) p[i * n + j]! += p[i * n + last]! * p[last * n + j]!;
    }
  }
  const state = new Float64Array(n);
  state[0] = 1;
  for (let j = 1; j < n; j++) for (let i = 0; i < j; i++) state[j]! += state[i]! * p[i * n + j]!;
  const sum = state.reduce((all, v) => all + v, 0);
  return state.map((v) => v / sum);
}

/** The walk that stays inside a segment, P̃ with its rare jump. A row of which nothing stays inside stays where it is. */
class InnerWalk {
  private constructor(
    private readonly inside: SegmentWalk,
    /** d: the share of each row that stays inside. */
    private readonly stay: Float64Array,
  ) {}

  static async of(inside: SegmentWalk): Promise<InnerWalk> {
    return new InnerWalk(inside, await inside.forward(new Float64Array(inside.m).fill(1)));
  }

  get m(): number {
    return this.inside.m;
  }

  get rounding(): number {
    return this.inside.rounding;
  }

  /** P̃·x. */
  async forward(x: Float64Array): Promise<Float64Array> {
    const { stay } = this;
    const product = await this.inside.forward(x);
    const jump = JUMP * meanOf(x);
    return x.map((own, i) => (1 - JUMP) * (stay[i]! > 0 ? product[i]! / stay[i]! : own) + jump);
  }

  /** P̃ᵀ·x. */
  async backward(x: Float64Array): Promise<Float64Array> {
    const { stay } = this;
    const product = await this.inside.backward(x.map((v, i) => stay[i]! > 0 ? v / stay[i]! : 0));
    const jump = JUMP * meanOf(x);
    return product.map((v, i) => (1 - JUMP) * (stay[i]! > 0 ? v : v + x[i]!) + jump);
  }

  /** w = π/d, scaled to the sum m. */
  nodeWeights(pi: Float64Array): Float64Array {
    const w = pi.map((v, i) => this.stay[i]! > 0 ? v / this.stay[i]! : v);
    let sum = 0;
    for (const v of w) sum += v;
    return w.map((v) => v * this.m / sum);
  }

  /** Degrees and T of the symmetrised flow, without writing it out. */
  async flow(w: Float64Array): Promise<Flow> {
    const { stay, inside: { loops } } = this;
    const came = await this.inside.backward(w);
    const degrees = came.map((v, i) => (w[i]! * stay[i]! + v) / 2);
    let whole = 0;
    let inLoops = 0;
    let leastDegree = Infinity;
    for (let i = 0; i < this.m; i++) {
      const loop = w[i]! * loops[i]!;
      whole += degrees[i]!;
      inLoops += loop;
      leastDegree = Math.min(leastDegree, degrees[i]! - loop);
      // A node that nothing comes to or leaves from can be cut off at no cost.
      if (!(degrees[i]! > 0)) degrees[i] = JUMP;
    }
    const total = Math.max(0, (whole - inLoops) / 2);
    return { degrees, total, leastDegree: Math.max(0, leastDegree) };
  }
}

interface Flow {
  readonly degrees: Float64Array;
  readonly total: number;
  readonly leastDegree: number;
}

function meanOf(x: Float64Array): number {
  let sum = 0;
  for (const v of x) sum += v / x.length;
  return sum;
}

interface EigenPair {
  /** Re μ. */
  readonly theta: number;
  readonly vector: Float64Array;
  /** ‖Bz − μz‖/(θ‖z‖). */
  readonly residual: number;
}

interface Iteration {
  readonly apply: (x: Float64Array) => Promise<Float64Array>;
  /** Removes the known part of a vector, in place. */
  readonly deflate: (x: Float64Array) => void;
  readonly begin: Float64Array;
  readonly tolerance: number;
  /** Relative residual below which there is nothing but rounding. */
  readonly rounding: number;
}

/**
 * The slowest mode that is left after deflation, by Rayleigh–Ritz on a growing basis of residuals
 * (Arnoldi from two directions: one alone may have hardly any part in it). A full basis is
 * reduced to its best vector.
 */
async function slowestMode(
  { apply, deflate, begin, tolerance, rounding }: Iteration,
): Promise<EigenPair> {
  const m = begin.length;
  let best: Pick<RitzMode, "theta" | "parts" | "residual"> = { theta: 0, parts: [begin], residual: Infinity };
  let basis: Float64Array[] = [];
  let images: Float64Array[] = [];
  let steady = 0;
  const fresh = (x: Float64Array): Float64Array | undefined => {
    const before = Math.sqrt(dot(x, x));
    for (let pass = 0; pass < 2; pass++) {
      deflate(x);
      for (const v of basis) addTo(x, v, -dot(x, v));
    }
    return Math.sqrt(dot(x, x)) > 1e-11 * before && normalise(x) ? x : undefined;
  };
  const other = Float64Array.from(gaussian(m, 3 * m));
  const first = fresh(begin.slice()) ?? fresh(other);
  let next = first;
  for (let products = 0; next && products < MOST_PRODUCTS; products++) {
    const image: Float64Array = await apply(next);
    deflate(image);
    basis.push(next);
    images.push(image);
    const found = ritzMode(basis, images);
    const { theta, residual } = found;
    if (residual < best.residual || basis.length === 2) best = found;
    steady = residual <= rounding || settled(residual, theta, tolerance) ? steady + 1 : 0;
    if (products >= Math.min(m - 2, FEWEST) && steady > STEADY) break;
    if (basis.length === DEPTH) [basis, images] = alone(found);
    next = (products === 0 ? fresh(other) : undefined) ?? fresh(found.rest);
  }
  const vector = valuesOf(best.parts);
  deflate(vector);
  // A mode has no sign; the first direction, which the start gave, lends it one.
  const sign = dot(vector, first ?? begin) < 0 ? -1 : 1;
  return { theta: best.theta, residual: best.residual, vector: vector.map((v) => sign * v) };
}

/** A mode of B as a basis has it. */
interface RitzMode {
  /** Re μ. */
  readonly theta: number;
  /** Re z and, of a pair, Im z, orthogonal; ‖z‖ = 1. */
  readonly parts: readonly Float64Array[];
  /** Their images. */
  readonly images: readonly Float64Array[];
  /** ‖Bz − μz‖/θ. */
  readonly residual: number;
  /** The longer part of Bz − μz. */
  readonly rest: Float64Array;
}

/**
 * @param basis `[j][m]`, orthonormal.
 * @param images `[j][m]`: B of each.
 */
function ritzMode(basis: readonly Float64Array[], images: readonly Float64Array[]): RitzMode {
  const size = basis.length;
  const projected = Float64Array.from(
    { length: size * size },
    (_, at) => dot(basis[Math.floor(at / size)]!, images[at % size]!),
  );
  const { value: { re, im }, parts: weights } = slowestModeOf(projected, size);
  const parts = weights.map((own) => combine(basis, own));
  const moved = weights.map((own) => combine(images, own));
  // B(x + i·y) = (re + i·im)·(x + i·y).
  const rests = moved.map((own, p) => {
    const rest = own.slice();
    addTo(rest, parts[p]!, -re);
    if (parts[1 - p]) addTo(rest, parts[1 - p]!, p === 0 ? im : -im);
    return rest;
  });
  const squares = rests.map((rest) => dot(rest, rest));
  const error = Math.sqrt(squares.reduce((sum, square) => sum + square));
  const longer = squares[1] !== undefined && squares[1] > squares[0]! ? 1 : 0;
  return {
    theta: re,
    parts,
    images: moved,
    residual: error / Math.max(Math.abs(re), LEAST_THETA),
    rest: rests[longer]!,
  };
}

/** A basis of nothing but one mode, and its images. */
function alone({ parts, images }: RitzMode): [basis: Float64Array[], images: Float64Array[]] {
  const sizes = parts.map((part) => Math.sqrt(dot(part, part)));
  // An imaginary part of next to no length would not be orthogonal any more.
  const kept = [...sizes.keys()].filter((p) => sizes[p]! > 1e-6);
  const scaled = (vectors: readonly Float64Array[]) => kept.map((p) => vectors[p]!.map((v) => v / sizes[p]!));
  return [scaled(parts), scaled(images)];
}

/** The vector of a mode, or of a pair the longest real part that its vector has without its mean. */
function valuesOf([re, im]: readonly Float64Array[]): Float64Array {
  if (!im) return re!;
  const [x, y] = [re!, im].map((part) => {
    const mean = meanOf(part);
    return part.map((v) => v - mean);
  });
  return turned(x!, y!)[0];
}

function combine(vectors: readonly Float64Array[], weights: Float64Array): Float64Array {
  const out = new Float64Array(vectors[0]!.length);
  weights.forEach((weight, j) => addTo(out, vectors[j]!, weight));
  return out;
}

function addTo(x: Float64Array, y: Float64Array, factor: number): void {
  for (let i = 0; i < x.length; i++) x[i]! += factor * y[i]!;
}

/** Scales to length 1 in place; false where there is nothing to scale. */
function normalise(x: Float64Array): boolean {
  const size = Math.sqrt(dot(x, x));
  if (!(size > 1e-13)) return false;
  for (let i = 0; i < x.length; i++) x[i]! /= size;
  return true;
}

function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! * y[i]!;
  return sum;
}
