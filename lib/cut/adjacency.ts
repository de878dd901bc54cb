/**
 * Exact products with the adjacency A, restricted to the segments of a level.
 *
 * A = M·Mᵀ for `dot`; for `cosine` the rows of M are scaled to length 1 first
 * (paper, section 3.3). The segments of a level are disjoint, so one vector of
 * length N holds the vectors of all of them and one product serves the level,
 * however many segments it has.
 *
 * @module
 */
import { backward, forward } from "../walk/tally.ts";
import type { Walk } from "../walk/walk.ts";
import { rowGram } from "./blocks.ts";
import type { Split } from "./sweep.ts";

/** A segment's sweep: the nodes in the order of its eigenvector, and where it may be cut. */
export interface SweepJob {
  /** Nodes of the segment by ascending value of the eigenvector. */
  readonly sorted: Uint32Array;
  /** Degree inside the segment of each, in that order. */
  readonly degrees: Float64Array;
  /** Weight that counts with each node's part and is never cut, in that order; none where absent. */
  readonly extraLoops?: Float64Array;
  /** `allowed[p]` is 1 where the first p nodes may be one part; `[m + 1]`. */
  readonly allowed: Uint8Array;
}

/** The best position of a sweep, and the weight that it cuts. */
export interface ExactSplit extends Split {
  readonly cut: number;
}

/** A symmetric non-negative adjacency that is applied, not formed. */
export interface Adjacency {
  /** Number of nodes. */
  readonly n: number;
  /** A_ii, `[N]`. */
  readonly loops: Float64Array;
  /** Products of an N×N by an N×1 so far; a product with half the rows counts one half. */
  readonly applications: number;
  /**
   * out[i] = Σ_{j in i's segment} A_ij·z[j], for all segments at once.
   *
   * @param segments disjoint sets of nodes.
   * @param z `[N]`; what lies outside the segments is not read.
   * @returns `[N]`, 0 outside the segments.
   */
  apply(segments: readonly Uint32Array[], z: Float64Array): Promise<Float64Array>;
  /** The smallest NCut over all allowed positions of each job. */
  sweep(jobs: readonly SweepJob[]): Promise<ExactSplit[]>;
  /** A of one segment written out, `[m, m]`, for segments small enough. */
  weights(nodes: Uint32Array): Promise<Float64Array>;
}

/** A = R·M·Mᵀ·R with M in main memory: two passes over the rows of the level's segments a product. */
export class DenseGram implements Adjacency {
  readonly loops: Float64Array;
  private spent = 0;
  /** R: 1/‖M_i‖ for cosine; absent for dot. */
  private readonly scale: Float64Array | undefined;

  /** @param matrix M, `[n, n]` row-major. */
  constructor(readonly matrix: Float32Array<ArrayBuffer>, readonly n: number, kind: "dot" | "cosine") {
    this.loops = new Float64Array(n);
    for (let i = 0; i < n; i++) this.loops[i] = dotRow(matrix, i * n, matrix, i * n, n);
    this.spent++;
    if (kind === "cosine") {
      this.scale = this.loops.map((v) => v > 0 ? 1 / Math.sqrt(v) : 0);
      this.loops = this.loops.map((v) => v > 0 ? 1 : 0);
    }
  }

  get applications(): number {
    return Math.ceil(this.spent);
  }

  apply(segments: readonly Uint32Array[], z: Float64Array): Promise<Float64Array> {
    const { matrix, n, scale } = this;
    const out = new Float64Array(n);
    const y = new Float64Array(n);
    for (const nodes of segments) {
      this.spent += 2 * nodes.length / n;
      y.fill(0);
      addRows(matrix, n, nodes, scale ? z.map((v, i) => v * scale[i]!) : z, y);
      dotRows(matrix, n, nodes, y, out);
      if (scale) { for (const i of nodes) out[i]! *= scale[i]!; }
    }
    return Promise.resolve(out);
  }

  /** From running sums c of the sorted rows: the weight inside a prefix is ‖c‖². */
  sweep(jobs: readonly SweepJob[]): Promise<ExactSplit[]> {
    const { matrix, n, scale } = this;
    const sum = new Float64Array(n);
    return Promise.resolve(jobs.map((job) => {
      this.spent += 2 * job.sorted.length / n;
      sum.fill(0);
      const inside = new Float64Array(job.sorted.length + 1);
      for (let p = 0; p < job.sorted.length; p++) {
        const i = job.sorted[p]!;
        const s = scale ? scale[i]! : 1;
        inside[p + 1] = inside[p]! + 2 * s * addAndDot(matrix, i * n, s, sum, n) + this.loops[i]!;
      }
      return bestSplit(job, inside);
    }));
  }

  weights(nodes: Uint32Array): Promise<Float64Array> {
    const { matrix, n, scale } = this;
    const m = nodes.length;
    this.spent += m * m / n;
    const rows = new Float32Array(m * n);
    nodes.forEach((node, i) => rows.set(matrix.subarray(node * n, (node + 1) * n), i * n));
    const out = rowGram(rows, m, n);
    if (scale) {
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < m; j++) out[i * m + j]! *= scale[nodes[i]!]! * scale[nodes[j]!]!;
      }
    }
    return Promise.resolve(out);
  }
}

/** A itself in main memory: any symmetric non-negative matrix. */
export class DenseAdjacency implements Adjacency {
  readonly loops: Float64Array;
  private spent = 0;

  /** @param matrix A, `[n, n]` row-major. */
  constructor(private readonly matrix: Float32Array, readonly n: number) {
    this.loops = Float64Array.from({ length: n }, (_, i) => matrix[i * n + i]!);
  }

  get applications(): number {
    return Math.ceil(this.spent);
  }

  apply(segments: readonly Uint32Array[], z: Float64Array): Promise<Float64Array> {
    const { matrix, n } = this;
    const out = new Float64Array(n);
    for (const nodes of segments) {
      this.spent += (nodes.length / n) ** 2;
      const values = Float64Array.from(nodes, (j) => z[j]!);
      for (const i of nodes) {
        const row = i * n;
        let sum = 0;
        for (let j = 0; j < nodes.length; j++) sum += matrix[row + nodes[j]!]! * values[j]!;
        out[i] = sum;
      }
    }
    return Promise.resolve(out);
  }

  sweep(jobs: readonly SweepJob[]): Promise<ExactSplit[]> {
    const { matrix, n } = this;
    return Promise.resolve(jobs.map((job) => {
      const m = job.sorted.length;
      this.spent += (m / n) ** 2 / 2;
      const inside = new Float64Array(m + 1);
      for (let p = 0; p < m; p++) {
        const row = job.sorted[p]! * n;
        let sum = 0;
        for (let q = 0; q < p; q++) sum += matrix[row + job.sorted[q]!]!;
        inside[p + 1] = inside[p]! + 2 * sum + this.loops[job.sorted[p]!]!;
      }
      return bestSplit(job, inside);
    }));
  }

  weights(nodes: Uint32Array): Promise<Float64Array> {
    const m = nodes.length;
    const out = new Float64Array(m * m);
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < m; j++) out[i * m + j] = this.matrix[nodes[i]! * this.n + nodes[j]!]!;
    }
    return Promise.resolve(out);
  }
}

/** Thresholds that a round of {@linkcode WalkGram.sweep} tries in a segment as large as the graph. */
const PROBES = 48;

/** Columns of a block of unit vectors. */
const UNITS = 256;

/** Relative error of float32 sums that a bound must be better by. */
const SLACK = 2e-6;

/**
 * A = R·P^k·(Pᵀ)^k·R through products with P on its device, P^k not formed; or a
 * symmetric A itself that lies there.
 *
 * A level is one call of {@linkcode Walk.products} with a column a segment.
 */
export class WalkGram implements Adjacency {
  private spent = 0;

  private constructor(
    private readonly walk: Walk,
    /** What multiplies by A. */
    private readonly word: string,
    readonly loops: Float64Array,
    private readonly scale: Float64Array | undefined,
    spent: number,
  ) {
    this.spent = spent;
  }

  /**
   * Prepares the products.
   *
   * The loops A_ii = ‖M_i‖², which T leaves out and `cosine` divides by, are exact: for
   * k > 1 they take k·N products, as many as forming P^k would.
   */
  static async create(walk: Walk, steps: number, kind: "dot" | "cosine"): Promise<WalkGram> {
    const { n } = walk;
    const loops = await ofEachRow(walk, backward(steps), (row) => row.reduce((sum, v) => sum + v * v, 0));
    const spent = steps * n;
    const word = backward(steps) + forward(steps);
    if (kind === "dot") return new WalkGram(walk, word, loops, undefined, spent);
    const scale = loops.map((v) => v > 0 ? 1 / Math.sqrt(v) : 0);
    return new WalkGram(walk, word, loops.map((v) => v > 0 ? 1 : 0), scale, spent);
  }

  /** M·Mᵀ where A_ii is known already: nothing has to be prepared. */
  static withLoops(walk: Walk, steps: number, loops: ArrayLike<number>): WalkGram {
    return new WalkGram(walk, backward(steps) + forward(steps), Float64Array.from(loops), undefined, 0);
  }

  /** `a` is the adjacency itself, symmetric, its diagonal `loops`. */
  static ofAdjacency(a: Walk, loops: ArrayLike<number>): WalkGram {
    return new WalkGram(a, forward(1), Float64Array.from(loops), undefined, 0);
  }

  get applications(): number {
    return Math.ceil(this.spent);
  }

  async apply(segments: readonly Uint32Array[], z: Float64Array): Promise<Float64Array> {
    const out = new Float64Array(this.n);
    if (segments.length === 0) return out;
    const columns = segments.map((nodes) => ({ nodes, value: (i: number) => z[i]! }));
    const product = await this.multiply(columns);
    segments.forEach((nodes, s) => {
      for (const i of nodes) out[i] = product[i * segments.length + s]!;
    });
    return out;
  }

  get n(): number {
    return this.walk.n;
  }

  /**
   * Exact without the rows of M: a product with the indicator of a prefix p gives its
   * weight W(p) and g_p = A·1_p, and between two such prefixes p < q < r
   *
   *     W(q) ≤ W(p) + Σ_{i in (p, q]} (g_p + g_r)(i),
   *
   * with equality at q = r. That bounds every NCut in between from below; only
   * positions whose bound is under the best NCut found are looked at again.
   */
  async sweep(jobs: readonly SweepJob[]): Promise<ExactSplit[]> {
    const searches = jobs.map((job) => new PrefixSearch(job, this.n));
    for (;;) {
      const asked = searches.flatMap((search) => search.next().map((p) => ({ search, p })));
      if (asked.length === 0) return searches.map(({ best }) => best);
      const product = await this.multiply(
        asked.map(({ search, p }) => ({ nodes: search.job.sorted.subarray(0, p), value: () => 1 })),
      );
      asked.forEach(({ search, p }, c) => {
        search.take(p, Float64Array.from(search.job.sorted, (i) => product[i * asked.length + c]!));
      });
    }
  }

  async weights(nodes: Uint32Array): Promise<Float64Array> {
    const m = nodes.length;
    const out = new Float64Array(m * m);
    for (let from = 0; from < m; from += UNITS) {
      const part = nodes.subarray(from, Math.min(m, from + UNITS));
      const product = await this.multiply(
        Array.from(part, (_, c) => ({ nodes: part.subarray(c, c + 1), value: () => 1 })),
      );
      for (let i = 0; i < m; i++) {
        for (let c = 0; c < part.length; c++) {
          out[i * m + from + c] = product[nodes[i]! * part.length + c]!;
        }
      }
    }
    return out;
  }

  /** A times one column each, `[N, columns]`; a column is 0 outside its nodes. */
  async multiply(
    list: readonly { nodes: Uint32Array; value: (node: number) => number }[],
  ): Promise<Float32Array> {
    const columns = list.length;
    const { scale, word, n } = this;
    const block = new Float32Array(n * columns);
    list.forEach(({ nodes, value }, c) => {
      for (const i of nodes) block[i * columns + c] = value(i) * (scale ? scale[i]! : 1);
    });
    this.spent += word.length * columns;
    const [product] = await this.walk.products([{ block, columns, word }]);
    if (scale) {
      for (let i = 0; i < n; i++) {
        for (let c = 0; c < columns; c++) product![i * columns + c]! *= scale[i]!;
      }
    }
    return product!;
  }
}

/**
 * A number of each row of M, from unit vectors.
 *
 * @param word what makes of a unit vector e_i the row M_i, or a column where `of` reads but the i-th entry.
 * @param of the number, of that vector and i.
 */
export async function ofEachRow(
  walk: Walk,
  word: string,
  of: (row: Float32Array, own: number) => number,
): Promise<Float64Array> {
  const { n } = walk;
  const numbers = new Float64Array(n);
  const row = new Float32Array(n);
  for (let from = 0; from < n; from += UNITS) {
    const columns = Math.min(UNITS, n - from);
    const block = new Float32Array(n * columns);
    for (let c = 0; c < columns; c++) block[(from + c) * columns + c] = 1;
    const [rows] = await walk.products([{ block, columns, word }]);
    for (let c = 0; c < columns; c++) {
      for (let i = 0; i < n; i++) row[i] = rows![i * columns + c]!;
      numbers[from + c] = of(row, from + c);
    }
  }
  return numbers;
}

/** Looks for the best prefix of one segment by bounds (see {@linkcode WalkGram.sweep}). */
export class PrefixSearch {
  best: ExactSplit = { ncut: NaN, position: 0, cut: NaN };
  private readonly left: Float64Array;
  private readonly part: Float64Array;
  /** Prefixes whose weight is known: W and g = A·1_p in the sorted order. */
  private readonly known = new Map<number, { inside: number; reach: Float64Array }>();
  private readonly probes: number;

  constructor(readonly job: SweepJob, n: number) {
    const m = job.sorted.length;
    this.left = prefixSums(job.degrees);
    this.part = partSums(job);
    this.probes = Math.max(4, Math.ceil(PROBES * m / n));
    this.known.set(0, { inside: 0, reach: new Float64Array(m) });
    this.known.set(m, { inside: this.left[m]!, reach: job.degrees });
  }

  /** Positions to be tried next; none once the best is proven. */
  next(): number[] {
    const m = this.job.sorted.length;
    const { allowed } = this.job;
    const marks = [...this.known.keys()].sort((a, b) => a - b);
    const open: number[] = [];
    const bounds: number[] = [];
    for (let k = 0; k + 1 < marks.length; k++) {
      const [p, r] = [marks[k]!, marks[k + 1]!];
      const [low, high] = [this.known.get(p)!, this.known.get(r)!];
      let most = low.inside;
      for (let q = p + 1; q < r; q++) {
        most += low.reach[q - 1]! + high.reach[q - 1]!;
        if (!allowed[q]) continue;
        const bound = ncutOf(this.left[q]! - most, this.part[q]!, this.part[m]!);
        if (bound >= this.best.ncut * (1 - SLACK)) continue;
        open.push(q);
        bounds.push(bound);
      }
    }
    if (open.length <= this.probes) return open;
    // Evenly over what is open, and the most promising one for certain.
    const chosen = new Set<number>([open[bounds.indexOf(bounds.reduce((a, b) => Math.min(a, b)))]!]);
    for (let t = 0; t < this.probes; t++) {
      chosen.add(open[Math.floor((t + 0.5) * open.length / this.probes)]!);
    }
    return [...chosen].sort((a, b) => a - b);
  }

  take(p: number, reach: Float64Array): void {
    let inside = 0;
    for (let q = 0; q < p; q++) inside += reach[q]!;
    this.known.set(p, { inside, reach });
    // Its own sum: as a difference of two large ones a small cut would keep few digits.
    let cut = 0;
    for (let q = p; q < reach.length; q++) cut += Math.max(0, reach[q]!);
    const ncut = ncutOf(cut, this.part[p]!, this.part[this.job.sorted.length]!);
    if (!(ncut >= this.best.ncut)) this.best = { ncut, position: p, cut };
  }
}

/** The allowed prefix with the smallest NCut, from the weight inside each. */
export function bestSplit(job: SweepJob, inside: Float64Array): ExactSplit {
  const m = job.sorted.length;
  const left = prefixSums(job.degrees);
  const part = partSums(job);
  let best: ExactSplit = { ncut: NaN, position: 0, cut: NaN };
  for (let p = 1; p < m; p++) {
    if (!job.allowed[p]) continue;
    const cut = Math.max(0, left[p]! - inside[p]!);
    const ncut = ncutOf(cut, part[p]!, part[m]!);
    if (!(ncut >= best.ncut)) best = { ncut, position: p, cut };
  }
  return best;
}

/** NCut from the cut, assoc of one part and that of the whole segment (paper, equation 2). */
function ncutOf(cut: number, part: number, whole: number): number {
  return cut / part + cut / (whole - part);
}

/** assoc(first p nodes, segment) for each p. */
function partSums({ degrees, extraLoops }: SweepJob): Float64Array {
  return prefixSums(extraLoops ? degrees.map((d, i) => d + extraLoops[i]!) : degrees);
}

function prefixSums(x: Float64Array): Float64Array {
  const sums = new Float64Array(x.length + 1);
  for (let i = 0; i < x.length; i++) sums[i + 1] = sums[i]! + x[i]!;
  return sums;
}

/** y += Σ z_i·M_i over `nodes`; four rows at a time, so that y is read a quarter as often. */
function addRows(m: Float32Array, n: number, nodes: Uint32Array, z: Float64Array, y: Float64Array): void {
  let at = 0;
  for (; at + 4 <= nodes.length; at += 4) {
    const [i, j, k, l] = [nodes[at]!, nodes[at + 1]!, nodes[at + 2]!, nodes[at + 3]!];
    const [zi, zj, zk, zl] = [z[i]!, z[j]!, z[k]!, z[l]!];
    const [ri, rj, rk, rl] = [i * n, j * n, k * n, l * n];
    for (let c = 0; c < n; c++) {
      y[c]! += zi * m[ri + c]! + zj * m[rj + c]! + zk * m[rk + c]! + zl * m[rl + c]!;
    }
  }
  for (; at < nodes.length; at++) {
    const i = nodes[at]!;
    const zi = z[i]!;
    for (let c = 0, row = i * n; c < n; c++) y[c]! += zi * m[row + c]!;
  }
}

/** out_i = M_i·y for `nodes`, four rows at a time. */
function dotRows(m: Float32Array, n: number, nodes: Uint32Array, y: Float64Array, out: Float64Array): void {
  let at = 0;
  for (; at + 4 <= nodes.length; at += 4) {
    const [i, j, k, l] = [nodes[at]!, nodes[at + 1]!, nodes[at + 2]!, nodes[at + 3]!];
    const [ri, rj, rk, rl] = [i * n, j * n, k * n, l * n];
    let si = 0;
    let sj = 0;
    let sk = 0;
    let sl = 0;
    for (let c = 0; c < n; c++) {
      const v = y[c]!;
      si += m[ri + c]! * v;
      sj += m[rj + c]! * v;
      sk += m[rk + c]! * v;
      sl += m[rl + c]! * v;
    }
    out[i] = si;
    out[j] = sj;
    out[k] = sk;
    out[l] = sl;
  }
  for (; at < nodes.length; at++) {
    const i = nodes[at]!;
    let sum = 0;
    for (let c = 0, row = i * n; c < n; c++) sum += m[row + c]! * y[c]!;
    out[i] = sum;
  }
}

function dotRow(a: Float32Array, from: number, b: Float32Array, at: number, n: number): number {
  let even = 0;
  let odd = 0;
  let c = 0;
  for (; c + 1 < n; c += 2) {
    even += a[from + c]! * b[at + c]!;
    odd += a[from + c + 1]! * b[at + c + 1]!;
  }
  if (c < n) even += a[from + c]! * b[at + c]!;
  return even + odd;
}

/** Returns M_i·sum, then adds s·M_i to sum, in one pass. */
function addAndDot(m: Float32Array, row: number, s: number, sum: Float64Array, n: number): number {
  let even = 0;
  let odd = 0;
  let c = 0;
  for (; c + 1 < n; c += 2) {
    const [v, w] = [m[row + c]!, m[row + c + 1]!];
    const [a, b] = [sum[c]!, sum[c + 1]!];
    even += v * a;
    odd += w * b;
    sum[c] = a + s * v;
    sum[c + 1] = b + s * w;
  }
  if (c < n) {
    even += m[row + c]! * sum[c]!;
    sum[c]! += s * m[row + c]!;
  }
  return even + odd;
}
