/**
 * Cuts from the low-rank factor: no product with P at all.
 *
 * @module
 */
import { gaussian } from "../random.ts";
import type { Factor } from "./factor.ts";
import { lanczos } from "./lanczos.ts";
import { align, splitProposal, wholeProposal } from "./proposal.ts";
import type { Proposal, SegmentNodes, Solver } from "./solver.ts";
import { allowedPositions, ascending, type Split, sweepFactor } from "./sweep.ts";

/** Relative residual at which an eigenvector counts as found. */
const TOLERANCE = 1e-5;

/** Eigenvalues this close, relatively, may belong to vectors that have mixed since the last frame. */
const CLUSTER = 0.1;

/** A held cut may be this much worse than the best one before it is given up. */
const HOLD = 1.15;

/** Degrees below this share of the mean are the factor's error, not the graph's. */
const LEAST_DEGREE = 1e-4;

/** A candidate vector and its sweep. */
interface Candidate extends Split {
  readonly values: Float32Array<ArrayBuffer>;
  readonly order: Uint32Array<ArrayBuffer>;
}

/** Finds each segment's cut from its rows of F (see {@linkcode Factor}). */
export class FactorSolver implements Solver {
  readonly name = "factor";
  /** None: the products were spent on the factor. */
  readonly applications = 0;

  /** @param thresholds evenly spaced ones to be tried; default all. */
  constructor(private readonly factor: Factor, private readonly thresholds?: number) {}

  /** One proposal a segment; the residual is that of the factor's own eigenproblem. */
  propose(segments: readonly SegmentNodes[]): Promise<Proposal[]> {
    return Promise.resolve(
      segments.map((segment) => proposeFromFactor(this.factor, segment, this.thresholds)),
    );
  }
}

function proposeFromFactor(
  factor: Factor,
  { nodes, start, hold, minPart = 1 }: SegmentNodes,
  thresholds: number | undefined,
): Proposal {
  const r = factor.rank;
  const m = nodes.length;
  const { rows, sum, degrees } = segmentRows(factor, nodes);
  const total = totalWeight(factor, nodes, sum);
  if (m < 2) return wholeProposal(nodes);

  const scaled = new Float32Array(m * r);
  for (let i = 0; i < m; i++) {
    const scale = 1 / Math.sqrt(degrees[i]!);
    for (let a = 0; a < r; a++) scaled[i * r + a] = rows[i * r + a]! * scale;
  }
  const guess = start ?? gaussian(m, m);
  const begin = new Float64Array(r);
  for (let i = 0; i < m; i++) {
    const x = guess[i]! * Math.sqrt(degrees[i]!);
    for (let a = 0; a < r; a++) begin[a]! += scaled[i * r + a]! * x;
  }
  const pairs = lanczos(scaled, m, r, normalised(sum), begin, TOLERANCE, hold ? CLUSTER : 0);
  const candidate = (z: Float64Array): Candidate => {
    const values = fiedlerVector(scaled, m, r, z, degrees);
    align(values, start);
    const order = ascending(values);
    const allowed = allowedPositions(values, order, minPart, thresholds);
    return { values, order, ...sweepFactor(rows, r, degrees, order, allowed) };
  };
  let chosen = candidate(pairs.leading);
  if (hold && pairs.held) {
    const held = candidate(pairs.held);
    if (held.ncut <= chosen.ncut * HOLD || Number.isNaN(chosen.ncut)) chosen = held;
  }
  const { values, order, position, ncut } = chosen;
  return splitProposal(nodes, values, order, position, {
    ncut,
    total,
    theta: pairs.theta,
    residual: residualOf(scaled, m, r, degrees, values),
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
  const { rows, degrees } = segmentRows(factor, nodes);
  align(values, start);
  const order = ascending(values);
  const allowed = allowedPositions(values, order, minPart, thresholds);
  const { position, ncut } = sweepFactor(rows, factor.rank, degrees, order, allowed);
  return splitProposal(nodes, values, order, position, { ncut, theta: 0, residual: 0, total: 0 });
}

/** F_S, its sum and the degrees. */
function segmentRows(
  { rank: r, rows: all }: Factor,
  nodes: Uint32Array,
): { rows: Float32Array; sum: Float64Array; degrees: Float64Array } {
  const m = nodes.length;
  const rows = new Float32Array(m * r);
  const sum = new Float64Array(r);
  for (let i = 0; i < m; i++) {
    const from = nodes[i]! * r;
    for (let a = 0; a < r; a++) {
      const value = all[from + a]!;
      rows[i * r + a] = value;
      sum[a]! += value;
    }
  }
  return { rows, sum, degrees: degreesOf(rows, m, r, sum) };
}

/** d_S = F_S·(F_Sᵀ·1), kept positive. */
function degreesOf(rows: Float32Array, m: number, r: number, sum: Float64Array): Float64Array {
  const degrees = new Float64Array(m);
  let mean = 0;
  for (let i = 0; i < m; i++) {
    let d = 0;
    for (let a = 0; a < r; a++) d += rows[i * r + a]! * sum[a]!;
    degrees[i] = d;
    mean += d / m;
  }
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

/** y = D^-1/2·G·z, scaled so that yᵀDy = 1. */
function fiedlerVector(
  scaled: Float32Array,
  m: number,
  r: number,
  z: Float64Array,
  degrees: Float64Array,
): Float32Array<ArrayBuffer> {
  const x = new Float64Array(m);
  let size = 0;
  for (let i = 0; i < m; i++) {
    let value = 0;
    for (let a = 0; a < r; a++) value += scaled[i * r + a]! * z[a]!;
    x[i] = value;
    size += value * value;
  }
  const scale = size > 0 ? 1 / Math.sqrt(size) : 0;
  return Float32Array.from(x, (value, i) => value * scale / Math.sqrt(degrees[i]!));
}

/** ‖Bx − θx‖/θ of x = D^1/2·y with its Rayleigh quotient θ. */
function residualOf(
  scaled: Float32Array,
  m: number,
  r: number,
  degrees: Float64Array,
  y: Float32Array,
): number {
  const inner = new Float64Array(r);
  for (let i = 0; i < m; i++) {
    const x = y[i]! * Math.sqrt(degrees[i]!);
    for (let a = 0; a < r; a++) inner[a]! += scaled[i * r + a]! * x;
  }
  let theta = 0;
  for (const v of inner) theta += v * v;
  if (!(theta > 0)) return 0;
  let error = 0;
  for (let i = 0; i < m; i++) {
    let bx = 0;
    for (let a = 0; a < r; a++) bx += scaled[i * r + a]! * inner[a]!;
    error += (bx - theta * y[i]! * Math.sqrt(degrees[i]!)) ** 2;
  }
  return Math.sqrt(error) / theta;
}

function normalised(x: Float64Array): Float64Array {
  let size = 0;
  for (const v of x) size += v * v;
  const scale = size > 0 ? 1 / Math.sqrt(size) : 0;
  return x.map((v) => v * scale);
}
