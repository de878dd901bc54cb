/**
 * M = P^k restricted to segments, for the cuts of the random walk itself: from M written out, or
 * through products with P, which is applied k times then.
 *
 * @module
 */
import { backward, forward } from "../walk/tally.ts";
import type { Product, Walk } from "../walk/walk.ts";
import { bestSplit, type ExactSplit, ofEachRow, PrefixSearch, type SweepJob } from "./adjacency.ts";

/** M_S of one segment S of m nodes; vectors are `[m]`. Between two awaits there is one product at most. */
export interface SegmentWalk {
  readonly m: number;
  /** M_ii, `[m]`. */
  readonly loops: Float64Array;
  /** Relative error of a product. */
  readonly rounding: number;
  /** M_S·x. */
  forward(x: Float64Array): Promise<Float64Array>;
  /** M_Sᵀ·x. */
  backward(x: Float64Array): Promise<Float64Array>;
  /** The best prefix of an order by the flow (w_i·M_ij + w_j·M_ji)/2; the job's nodes are positions in S. */
  sweep(job: SweepJob, w: Float64Array): Promise<ExactSplit>;
  /** M_S written out, `[m, m]`. */
  entries(): Promise<Float32Array>;
  /** No product follows. */
  close(): void;
}

/** What restricts M to segments. */
export interface WalkSource {
  readonly n: number;
  /** Products of an N×N by an N×1 so far; a product with half the rows and columns counts a quarter. */
  readonly applications: number;
  /** M_S of disjoint segments that are worked on at the same time. */
  restrict(segments: readonly Uint32Array[]): SegmentWalk[];
}

/** M in main memory. */
export class FormedSource implements WalkSource {
  private spent = 0;

  /** @param matrix M, `[n, n]` row-major. */
  constructor(readonly matrix: Float32Array<ArrayBuffer>, readonly n: number) {}

  get applications(): number {
    return Math.ceil(this.spent);
  }

  restrict(segments: readonly Uint32Array[]): SegmentWalk[] {
    return segments.map((nodes) => {
      const share = (nodes.length / this.n) ** 2;
      return new FormedSegment(
        submatrix(this.matrix, this.n, nodes),
        nodes.length,
        () => this.spent += share,
      );
    });
  }
}

function submatrix(matrix: Float32Array, n: number, nodes: Uint32Array): Float32Array {
  const m = nodes.length;
  if (m === n) return matrix;
  const rows = new Float32Array(m * m);
  for (let i = 0; i < m; i++) {
    const from = nodes[i]! * n;
    for (let j = 0; j < m; j++) rows[i * m + j] = matrix[from + nodes[j]!]!;
  }
  return rows;
}

class FormedSegment implements SegmentWalk {
  readonly loops: Float64Array;
  /** Of sums in float64. */
  readonly rounding = 1e-15;

  constructor(
    private readonly rows: Float32Array,
    readonly m: number,
    private readonly spend: () => void,
  ) {
    this.loops = Float64Array.from({ length: m }, (_, i) => rows[i * m + i]!);
  }

  forward(x: Float64Array): Promise<Float64Array> {
    const { m, rows } = this;
    this.spend();
    const out = new Float64Array(m);
    for (let i = 0; i < m; i++) {
      let sum = 0;
      for (let j = 0, row = i * m; j < m; j++) sum += rows[row + j]! * x[j]!;
      out[i] = sum;
    }
    return Promise.resolve(out);
  }

  backward(x: Float64Array): Promise<Float64Array> {
    const { m, rows } = this;
    this.spend();
    const out = new Float64Array(m);
    for (let i = 0; i < m; i++) {
      const own = x[i]!;
      for (let j = 0, row = i * m; j < m; j++) out[j]! += own * rows[row + j]!;
    }
    return Promise.resolve(out);
  }

  /** What each node adds to the weight inside, from running sums over the rows chosen before it. */
  sweep(job: SweepJob, w: Float64Array): Promise<ExactSplit> {
    const { m, rows } = this;
    this.spend();
    const reach = new Float64Array(m);
    const chosen = new Float64Array(m);
    const inside = new Float64Array(m + 1);
    for (let p = 0; p < m; p++) {
      const i = job.sorted[p]!;
      const wi = w[i]!;
      let out = 0;
      for (let j = 0, row = i * m; j < m; j++) {
        const v = rows[row + j]!;
        out += v * chosen[j]!;
        reach[j]! += wi * v;
      }
      // `reach` holds what the chosen nodes send to i, with i's own loop.
      inside[p + 1] = inside[p]! + wi * out + reach[i]!;
      chosen[i] = 1;
    }
    return Promise.resolve(bestSplit(job, inside));
  }

  entries(): Promise<Float32Array> {
    return Promise.resolve(this.rows);
  }

  close(): void {}
}

/**
 * P on its device, applied k times a product. Segments that are worked on at the same time are
 * multiplied together, a column or more each.
 */
export class AppliedSource implements WalkSource {
  private constructor(
    private readonly walk: Walk,
    private readonly steps: number,
    private readonly loops: Float64Array,
    private spent: number,
  ) {}

  /** Prepares the products: M_ii of all nodes, which T leaves out, take k·N of them. */
  static async create(walk: Walk, steps: number): Promise<AppliedSource> {
    const loops = await ofEachRow(walk, forward(steps), (row, own) => row[own]!);
    return new AppliedSource(walk, steps, loops, steps * walk.n);
  }

  get n(): number {
    return this.walk.n;
  }

  get applications(): number {
    return this.spent;
  }

  restrict(segments: readonly Uint32Array[]): SegmentWalk[] {
    const batch = new Batch(segments.length, async (blocks) => {
      const products = blocks.map(({ vectors, transposed }): Product => ({
        block: columnsOf(vectors, this.n),
        columns: vectors.length,
        word: transposed ? backward(this.steps) : forward(this.steps),
      }));
      for (const { columns } of products) this.spent += columns * this.steps;
      return await this.walk.products(products);
    });
    return segments.map((nodes) => new AppliedSegment(nodes, this.loops, batch));
  }
}

/** Vectors over some nodes each, and whether Mᵀ multiplies them. */
interface Request {
  readonly vectors: readonly { readonly nodes: Uint32Array; readonly values: ArrayLike<number> }[];
  readonly transposed: boolean;
}

function columnsOf(vectors: Request["vectors"], n: number): Float32Array<ArrayBuffer> {
  const block = new Float32Array(n * vectors.length);
  vectors.forEach(({ nodes, values }, c) => {
    for (let i = 0; i < nodes.length; i++) block[nodes[i]! * vectors.length + c] = values[i]!;
  });
  return block;
}

/** Collects what several asynchronous computations ask for until all of them wait, and asks once. */
class Batch {
  private waiting: {
    readonly requests: readonly Request[];
    readonly resolve: (products: Promise<Float32Array[]>) => void;
  }[] = [];

  constructor(
    /** Computations that may still ask. */
    private active: number,
    private readonly multiply: (requests: Request[]) => Promise<Float32Array[]>,
  ) {}

  /** Products of one computation's requests, `[n, vectors]` each. */
  ask(requests: readonly Request[]): Promise<Float32Array[]> {
    return new Promise((resolve) => {
      this.waiting.push({ requests, resolve });
      this.flush();
    });
  }

  leave(): void {
    this.active--;
    this.flush();
  }

  private flush(): void {
    if (this.waiting.length === 0 || this.waiting.length < this.active) return;
    const group = this.waiting;
    this.waiting = [];
    const products = this.multiply(group.flatMap(({ requests }) => requests));
    let from = 0;
    for (const { requests, resolve } of group) {
      const own = from;
      from += requests.length;
      resolve(products.then((all) => all.slice(own, own + requests.length)));
    }
  }
}

/** Columns of a block of unit vectors. */
const UNITS = 256;

class AppliedSegment implements SegmentWalk {
  readonly m: number;
  readonly loops: Float64Array;
  /** Of k sums in float32, one after the other. */
  readonly rounding = 1e-6;

  constructor(private readonly nodes: Uint32Array, loops: Float64Array, private readonly batch: Batch) {
    this.m = nodes.length;
    this.loops = Float64Array.from(nodes, (node) => loops[node]!);
  }

  forward(x: Float64Array): Promise<Float64Array> {
    return this.multiply(x, false);
  }

  backward(x: Float64Array): Promise<Float64Array> {
    return this.multiply(x, true);
  }

  /** By bounds on the prefixes between those whose weight a product has told (see {@linkcode PrefixSearch}). */
  async sweep(job: SweepJob, w: Float64Array): Promise<ExactSplit> {
    const { nodes, m } = this;
    const { sorted } = job;
    const search = new PrefixSearch(job, m);
    for (let asked = search.next(); asked.length > 0; asked = search.next()) {
      const places = asked.map((p) => sorted.subarray(0, p));
      const members = places.map((prefix) => Uint32Array.from(prefix, (i) => nodes[i]!));
      const [out, back] = await this.batch.ask([
        {
          vectors: members.map((own) => ({ nodes: own, values: new Float32Array(own.length).fill(1) })),
          transposed: false,
        },
        {
          vectors: members.map((own, c) => ({
            nodes: own,
            values: Float32Array.from(places[c]!, (i) => w[i]!),
          })),
          transposed: true,
        },
      ]);
      asked.forEach((p, c) => {
        const reach = Float64Array.from(sorted, (i) => {
          const at = nodes[i]! * asked.length + c;
          return (w[i]! * out![at]! + back![at]!) / 2;
        });
        search.take(p, reach);
      });
    }
    return search.best;
  }

  async entries(): Promise<Float32Array> {
    const { nodes, m } = this;
    const out = new Float32Array(m * m);
    for (let from = 0; from < m; from += UNITS) {
      const part = nodes.subarray(from, Math.min(m, from + UNITS));
      const vectors = Array.from(part, (_, c) => ({ nodes: part.subarray(c, c + 1), values: [1] }));
      const [columns] = await this.batch.ask([{ vectors, transposed: false }]);
      for (let i = 0; i < m; i++) {
        for (let c = 0; c < part.length; c++) out[i * m + from + c] = columns![nodes[i]! * part.length + c]!;
      }
    }
    return out;
  }

  close(): void {
    this.batch.leave();
  }

  private async multiply(x: Float64Array, transposed: boolean): Promise<Float64Array> {
    const { nodes } = this;
    const [product] = await this.batch.ask([{ vectors: [{ nodes, values: x }], transposed }]);
    return Float64Array.from(nodes, (node) => product![node]!);
  }
}
