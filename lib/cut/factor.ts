/**
 * The low-rank factor of the adjacency.
 *
 * With V an orthonormal basis of the leading right singular space of M,
 * A = M·Mᵀ ≈ F·Fᵀ where F = M·V is N×r. Nothing of size N² is touched once F is
 * there: degrees, Fiedler vectors and every threshold's NCut of every segment come
 * from its rows. How far F may be trusted is the share of tr A = ‖M‖² that it
 * holds; what it misses is measured each frame by random probes orthogonal to V.
 *
 * @module
 */
import { gaussian } from "../random.ts";
import { joinBlocks, takeColumns } from "../walk/block.ts";
import { backward, forward, type Tally } from "../walk/tally.ts";
import { combine, deflate, orthonormalise, roundedGram } from "./blocks.ts";
import { symmetricEigen } from "./small_eigen.ts";

/** A ≈ F·Fᵀ of one frame. */
export interface Factor {
  readonly n: number;
  /** r, the number of columns. */
  readonly rank: number;
  /** F, `[N, r]` row-major. */
  readonly rows: Float32Array<ArrayBuffer>;
  /** V, `[N, r]` row-major with orthonormal columns: where the next frame starts. */
  readonly basis: Float32Array<ArrayBuffer>;
  /** A_ii, `[N]`: ‖F_i‖² and the probes' estimate of the rest. */
  readonly diagonal: Float32Array<ArrayBuffer>;
  /** ‖F‖² / tr A. */
  readonly traceShare: number;
  /** How the frames of a picture that moves fast start; absent where it is calm. */
  readonly renewals?: Renewals;
}

/** What a factor leaves to the next frame's. */
export type HeldFactor = Pick<Factor, "basis" | "rows" | "renewals">;

/** Frames that start from the last F before the last basis is tried again. */
interface Renewals {
  /** Those to come. */
  readonly left: number;
  /** How many there were since the last try; twice as many follow one that fails. */
  readonly wait: number;
}

/** Share of the trace from which the factor's partition is the exact one's (measured: identity of F and A above it). */
export const ENOUGH_TRACE = 0.95;

/**
 * Share below which a basis that was carried on is renewed. More than a cut from nothing needs: what a basis
 * loses it loses along the directions that change, and two devices would take a cut near the bound differently.
 */
export const STALE_TRACE = 0.965;

/** Probes that estimate what the factor misses; their error is a fraction of the missing 5 %. */
export const PROBES = 8;

/** Columns that a sketch has beyond the rank it is meant for, so that the last directions that count are good ones. */
const OVERSAMPLING = 16;

/** A started factor keeps more than needed: from frame to frame noise alone costs 1 to 2 % of the trace. */
const HEADROOM = 0.03;

/** Fewest columns that a basis is cut down to: fewer save nothing, and the next frame would outgrow them. */
const LEAST_RANK = 32;

/** Share of the trace below which what a stale basis missed is too much for its probes to tell how much a renewed one holds. */
const TOLD_TRACE = 0.9;

/** Eigenvalues below this share of the largest are too near the noise of float32 for a direction of a basis. */
const SURE = 1e-4;

/** Most frames before a basis is tried again that was stale before. */
const MOST_WAIT = 16;

/** Columns to which a basis may grow while it is renewed. */
const MOST_COLUMNS = 256;

/** Ranks tried, in order: each of them costs what all before it do, so that few are tried in vain. */
const RANKS = [48, 96, 192] as const;

/**
 * The factor from nothing: a randomised sketch of M's row space, one power
 * iteration, truncated to the rank that holds {@linkcode ENOUGH_TRACE}.
 *
 * Costs 4·k·(r + 16) products for each rank tried up to `maxRank`.
 * @returns the factor; its `traceShare` is below {@linkcode ENOUGH_TRACE} where no rank tried reached it.
 */
export async function sketchFactor(
  tally: Tally,
  steps: number,
  { maxRank = 192, seed = 1 }: { maxRank?: number; seed?: number } = {},
): Promise<Factor> {
  const n = tally.walk.n;
  let best: Factor | undefined;
  for (const wanted of RANKS) {
    if (best && wanted > maxRank) break;
    const columns = Math.min(n, wanted + OVERSAMPLING);
    const omega = gaussian(n * columns, seed + wanted);
    const word = backward(steps) + forward(steps) + backward(steps);
    const [sketch] = await tally.products([{ block: omega, columns, word }]);
    const { basis, rank } = orthonormalise(sketch!, n, columns);
    const factor = await project(tally, steps, basis, rank, seed + wanted + 1);
    best = factor;
    if (factor.traceShare >= ENOUGH_TRACE + HEADROOM || columns === n) break;
    // The share grows slowly with the rank where P is peaked: give up early rather than try them all.
    if (best.traceShare < 0.6) break;
  }
  return truncate(best!);
}

/**
 * The factor from the last frame's: one pass over P with its basis, k·(r + 8) products.
 *
 * Where the basis has grown stale, A is projected on the columns that it gave, [F, M·probes], at
 * k·(r + 8) products more; the probes lie in what it missed, so a basis that is too small for its
 * picture grows. Where even that holds too little, the row space of what it holds is the basis of
 * another pass. After a frame that needed this the next ones start from the last F, V ← orth(Mᵀ·F),
 * without trying the old basis first: 2·k·r products in all. Each try that fails doubles the frames
 * until the next.
 */
export async function continueFactor(
  tally: Tally,
  steps: number,
  { basis, rows, renewals }: HeldFactor,
  seed: number,
): Promise<Factor> {
  const n = tally.walk.n;
  const rank = basis.length / n;
  const moving = renewals !== undefined && renewals.left > 0;
  const start = moving ? await rowBasis(tally, steps, rows, rank) : { basis, rank };
  const { block, columns, factor } = await projectWithProbes(tally, steps, start.basis, start.rank, seed);
  if (factor.traceShare >= STALE_TRACE) {
    if (!moving) return factor;
    // Once the picture is calm enough to leave room, its basis may serve again as it is.
    const calm = factor.traceShare >= ENOUGH_TRACE + HEADROOM;
    return { ...factor, renewals: { ...renewals, left: renewals.left - Number(calm) } };
  }
  const seen = await projectOnColumns(tally, steps, block, columns, factor.diagonal);
  const wait = Math.min(MOST_WAIT, renewals ? 2 * renewals.wait : 1);
  const next = { left: wait, wait };
  // Where even a renewed basis went stale at once, all columns are kept: the next frame needs the room.
  const keep = (values: Float64Array, total: number) => moving ? values.length : columnsFor(values, total);
  if (factor.traceShare >= TOLD_TRACE && seen.traceShare >= STALE_TRACE) {
    return { ...seen.reduced(keep(seen.values, seen.trace)), renewals: next };
  }
  const whole = seen.reduced(seen.values.length);
  const fresh = await project(tally, steps, whole.basis, whole.rank, seed + 1);
  return { ...(moving ? fresh : truncate(fresh)), renewals: next };
}

/** The factor with A_ii as it is, in place of what its probes estimate. */
export function withDiagonal(factor: Factor, diagonal: Float32Array<ArrayBuffer>): Factor {
  let held = 0;
  for (const value of factor.rows) held += value * value;
  return { ...factor, diagonal, traceShare: held / sumOf(diagonal) };
}

/** orth(Mᵀ·X), for X `[N, columns]` in the column space of M or of a walk like it. */
async function rowBasis(
  tally: Tally,
  steps: number,
  x: Float32Array<ArrayBuffer>,
  columns: number,
): Promise<{ basis: Float32Array<ArrayBuffer>; rank: number }> {
  const [rowSpace] = await tally.products([{ block: x, columns, word: backward(steps) }]);
  return orthonormalise(rowSpace!, tally.walk.n, columns, MOST_COLUMNS, true);
}

/** F = M·V. */
async function project(
  tally: Tally,
  steps: number,
  basis: Float32Array<ArrayBuffer>,
  rank: number,
  seed: number,
): Promise<Factor> {
  return (await projectWithProbes(tally, steps, basis, rank, seed)).factor;
}

/** M·[V, probes]: F, and beside it what measures what V misses. */
async function projectWithProbes(
  tally: Tally,
  steps: number,
  basis: Float32Array<ArrayBuffer>,
  rank: number,
  seed: number,
): Promise<{ block: Float32Array<ArrayBuffer>; columns: number; factor: Factor }> {
  const n = tally.walk.n;
  const probes = rank < n ? PROBES : 0;
  const random = gaussian(n * probes, seed);
  deflate(random, probes, basis, n, rank);
  const columns = rank + probes;
  const [block] = await tally.products([{
    block: joinBlocks([basis, random], [rank, probes], n),
    columns,
    word: forward(steps),
  }]);
  const rows = takeColumns(block!, n, columns, 0, rank);
  const diagonal = new Float32Array(n);
  let held = 0;
  let missed = 0;
  for (let i = 0; i < n; i++) {
    let inside = 0;
    let outside = 0;
    for (let a = i * columns; a < i * columns + rank; a++) inside += block![a]! * block![a]!;
    for (let a = i * columns + rank; a < (i + 1) * columns; a++) outside += block![a]! * block![a]! / probes;
    diagonal[i] = inside + outside;
    held += inside;
    missed += outside;
  }
  const factor = { n, rank, rows, basis, diagonal, traceShare: held / (held + missed) };
  return { block: block!, columns, factor };
}

/**
 * A projected on the span Q of a block's columns: Q·(QᵀAQ)·Qᵀ = F·Fᵀ with F = Q·U·Σ, where U·Σ²·Uᵀ = YᵀY,
 * Y = Mᵀ·Q. V = Y·U·Σ⁻¹ are the directions of M's rows that it sees.
 *
 * @param diagonal A_ii as it is known, `[N]`.
 * @returns the eigenvalues Σ² in descending order, the share of the trace, and the factor of the first so many of them.
 */
async function projectOnColumns(
  tally: Tally,
  steps: number,
  block: Float32Array<ArrayBuffer>,
  columns: number,
  diagonal: Float32Array<ArrayBuffer>,
): Promise<{ values: Float64Array; trace: number; traceShare: number; reduced: (rank: number) => Factor }> {
  const n = tally.walk.n;
  const { basis: q, rank: r } = orthonormalise(block, n, columns, MOST_COLUMNS, true);
  const [y] = await tally.products([{ block: q, columns: r, word: backward(steps) }]);
  const { values: all, vectors } = symmetricEigen(roundedGram(y!, n, r), r);
  const values = all.filter((value) => value > SURE * all[0]!);
  const trace = sumOf(diagonal);
  // U·Σ^power, of what is kept.
  const turned = (power: number, rank: number) =>
    Float64Array.from({ length: rank * r }, (_, at) => vectors[at]! * values[Math.floor(at / r)]! ** power);
  return {
    values,
    trace,
    traceShare: sumOf(values) / trace,
    reduced: (rank) => ({
      n,
      rank,
      rows: combine(q, n, r, turned(0.5, rank), rank),
      basis: combine(y!, n, r, turned(-0.5, rank), rank),
      diagonal,
      traceShare: sumOf(values.subarray(0, rank)) / trace,
    }),
  };
}

/** Turns F and V into their principal directions and keeps as few as hold enough of the trace. */
function truncate(factor: Factor): Factor {
  const { n, rank, rows, basis, diagonal, traceShare } = factor;
  const { values, vectors } = symmetricEigen(roundedGram(rows, n, rank), rank);
  const total = sumOf(values) / traceShare;
  const keep = columnsFor(values, total);
  return {
    n,
    rank: keep,
    rows: combine(rows, n, rank, vectors, keep),
    basis: combine(basis, n, rank, vectors, keep),
    diagonal,
    traceShare: sumOf(values.subarray(0, keep)) / total,
  };
}

/** Number of the leading eigenvalues that hold enough of the trace, all of them where they do not. */
export function columnsFor(values: Float64Array, trace: number): number {
  let keep = 0;
  let share = 0;
  while (keep < values.length && (keep < LEAST_RANK || share < ENOUGH_TRACE + HEADROOM)) {
    share += values[keep++]! / trace;
  }
  return keep;
}

function sumOf(values: Float32Array | Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
}
