/**
 * Cuts from the low-rank factor: no product with P at all.
 *
 * @module
 */
import { gaussian } from "../random.ts";
import type { Factor } from "./factor.ts";
import { scaledGram } from "./blocks.ts";
import { dot, lanczos, multiplySquare } from "./lanczos.ts";
import { align, splitProposal, wholeProposal } from "./proposal.ts";
import type { Proposal, SegmentNodes, Solver } from "./solver.ts";
import { allowedPositions, ascending, type Split, sweepFactor } from "./sweep.ts";

/** Relative residual at which an eigenvector counts as found where nothing improves it. */
const TOLERANCE = 1e-5;

/** Eigenvalues this close, relatively, may belong to vectors that have mixed since the last frame. */
const CLUSTER = 0.1;

/** A held cut may be this much worse than the best one before it is given up. */
const HOLD = 1.05;

/** Degrees below this share of the mean are the factor's error, not the graph's. */
const LEAST_DEGREE = 1e-4;

/** A candidate vector and its sweep. */
interface Candidate extends Split {
  /** In the column space of F, `[r]`. */
  readonly z: Float64Array;
  readonly values: Float32Array<ArrayBuffer>;
  readonly order: Uint32Array<ArrayBuffer>;
}

/** Finds each segment's cut from its rows of F (see {@linkcode Factor}). */
export class FactorSolver implements Solver {
  readonly name = "factor";
  /** None: the products were spent on the factor. */
  readonly applications = 0;

  /**
   * @param thresholds evenly spaced ones to be tried; default all.
   * @param tolerance relative residual at which an eigenvector of the factor counts as found.
   */
  constructor(
    private readonly factor: Factor,
    private readonly thresholds?: number,
    private readonly tolerance = TOLERANCE,
  ) {}

  /** One proposal a segment; the residual is that of the factor's own eigenproblem. */
  propose(segments: readonly SegmentNodes[]): Promise<Proposal[]> {
    return Promise.resolve(
      segments.map((segment) => proposeFromFactor(this.factor, segment, this.thresholds, this.tolerance)),
    );
  }
}

/**
 * With G = D^-1/2·F_S, the second eigenvector of B = G·Gᵀ is G·z for the second eigenvector z of
 * K = Gᵀ·G, which is `[r, r]`: F_S is gone through for K, for G·z and for the sweep, however many
 * iterations there are.
 */
function proposeFromFactor(
  factor: Factor,
  { nodes, start, hold, minPart = 1 }: SegmentNodes,
  thresholds: number | undefined,
  tolerance: number,
): Proposal {
  const { rank: r, rows } = factor;
  const m = nodes.length;
  const sum = new Float64Array(r);
  // F_Sᵀ·y = Gᵀ·x for y = D^-1/2·x.
  const begin = new Float64Array(r);
  addRows(factor, nodes, start ?? gaussian(m, m), sum, begin);
  const total = totalWeight(factor, nodes, sum);
  if (m < 2) return wholeProposal(nodes);

  const degrees = degreesOf(factor, nodes, sum);
  const k = scaledGram(rows, r, nodes, degrees.map((d) => 1 / Math.sqrt(d)));
  const pairs = lanczos(k, r, m, sum, begin, tolerance, hold ? CLUSTER : 0);
  const candidate = (z: Float64Array): Candidate => {
    const values = fiedlerVector(factor, nodes, z, degrees);
    align(values, start);
    const order = ascending(values);
    const allowed = allowedPositions(values, order, minPart, thresholds);
    return { z, values, order, ...sweepFactor(rows, r, nodes, degrees, order, allowed) };
  };
  let chosen = candidate(pairs.leading);
  if (hold && pairs.held && pairs.held !== pairs.leading) {
    const held = candidate(pairs.held);
    if (held.ncut <= chosen.ncut * HOLD || Number.isNaN(chosen.ncut)) chosen = held;
  }
  const { z, values, order, position, ncut } = chosen;
  return splitProposal(nodes, values, order, position, {
    ncut,
    total,
    theta: pairs.theta,
    residual: residualOf(k, r, z),
  });
}

/**
 * The cut that a segment's rows of F offer along a given vector; T, θ and the residual are the caller's.
 *
 * @param values the vector, `[m]`; turned in place the way `start` points.
 */
export function sweepRows(
  factor: Factor,
  nodes: Uint32Array<ArrayBuffer>,
  values: Float32Array<ArrayBuffer>,
  start: Float32Array<ArrayBuffer>,
  { minPart, thresholds }: { readonly minPart: number; readonly thresholds?: number },
): Pick<Proposal, "nodes" | "vector" | "ncut" | "splitValue" | "left" | "right"> {
  const sum = new Float64Array(factor.rank);
  addRows(factor, nodes, values, sum, new Float64Array(factor.rank));
  const degrees = degreesOf(factor, nodes, sum);
  align(values, start);
  const order = ascending(values);
  const allowed = allowedPositions(values, order, minPart, thresholds);
  const { position, ncut } = sweepFactor(factor.rows, factor.rank, nodes, degrees, order, allowed);
  return splitProposal(nodes, values, order, position, { ncut, theta: 0, residual: 0, total: 0 });
}

/** sum += F_Sᵀ·1 and weighted += F_Sᵀ·y, in one pass. */
function addRows(
  { rank: r, rows }: Factor,
  nodes: Uint32Array,
  y: Float32Array,
  sum: Float64Array,
  weighted: Float64Array,
): void {
  for (let i = 0; i < nodes.length; i++) {
    const row = nodes[i]! * r;
    const weight = y[i]!;
    for (let a = 0; a < r; a++) {
      const value = rows[row + a]!;
      sum[a]! += value;
      weighted[a]! += value * weight;
    }
  }
}

/** F_S·z. */
function multiplyRows({ rank: r, rows }: Factor, nodes: Uint32Array, z: Float64Array): Float64Array {
  const out = new Float64Array(nodes.length);
  for (let i = 0; i < nodes.length; i++) {
    const row = nodes[i]! * r;
    // Two sums, as each addition waits for the one before.
    let even = 0;
    let odd = 0;
    let a = 0;
    for (; a + 1 < r; a += 2) {
      even += rows[row + a]! * z[a]!;
      odd += rows[row + a + 1]! * z[a + 1]!;
    }
    if (a < r) even += rows[row + a]! * z[a]!;
    out[i] = even + odd;
  }
  return out;
}

/** d_S = F_S·(F_Sᵀ·1), kept positive. */
function degreesOf(factor: Factor, nodes: Uint32Array, sum: Float64Array): Float64Array {
  const degrees = multiplyRows(factor, nodes, sum);
  const m = degrees.length;
  let mean = 0;
  for (let i = 0; i < m; i++) mean += degrees[i]! / m;
  const least = Math.max(mean * LEAST_DEGREE, Number.MIN_VALUE);
  for (let i = 0; i < m; i++) if (!(degrees[i]! > least)) degrees[i] = least;
  return degrees;
}

/** T = (1ᵀA1 − tr A)/2 inside the segment: each edge once, without loops. */
function totalWeight(factor: Factor, nodes: Uint32Array, sum: Float64Array): number {
  let all = 0;
  for (const s of sum) all += s * s;
  let loops = 0;
  for (const node of nodes) loops += factor.diagonal[node]!;
  return Math.max(0, (all - loops) / 2);
}

/** y = D^-1/2·G·z = D^-1·F_S·z, scaled so that yᵀDy = 1. */
function fiedlerVector(
  factor: Factor,
  nodes: Uint32Array,
  z: Float64Array,
  degrees: Float64Array,
): Float32Array<ArrayBuffer> {
  const product = multiplyRows(factor, nodes, z);
  let size = 0;
  for (let i = 0; i < product.length; i++) size += product[i]! ** 2 / degrees[i]!;
  const scale = size > 0 ? 1 / Math.sqrt(size) : 0;
  const values = new Float32Array(product.length);
  for (let i = 0; i < product.length; i++) values[i] = product[i]! * scale / degrees[i]!;
  return values;
}

/** ‖Bx − θx‖/(θ·‖x‖) of x = G·z with its Rayleigh quotient θ: ‖G·(Kz − θz)‖/(θ·‖Gz‖). */
function residualOf(k: Float64Array, r: number, z: Float64Array): number {
  const kz = multiplySquare(k, r, z);
  const size = dot(z, kz);
  if (!(size > 0)) return 0;
  const theta = dot(kz, kz) / size;
  const error = kz.map((v, a) => v - theta * z[a]!);
  return Math.sqrt(Math.max(0, dot(error, multiplySquare(k, r, error))) / size) / theta;
}
