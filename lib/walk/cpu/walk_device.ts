/**
 * The walk on the CPU.
 *
 * Attention is a graph of ONNX Runtime's. Products with P are not: its copy of P into
 * WebAssembly's memory, anew for each product, costs as much as a narrow product does.
 * Here P stays there, and the kernels are ours.
 *
 * @module
 */
import type * as Ort from "onnxruntime-web";
import type { AttentionLayer } from "../../features/network.ts";
import { loadRuntime } from "../../features/runtime.ts";
import { checkMatrix, checkProduct } from "../block.ts";
import { aggregateWalk, levelsOf } from "../reference.ts";
import type { Product, Walk, WalkDevice } from "../walk.ts";
import { attentionGraph, fitsGraph, keysName, queriesName } from "./attention_graph.ts";
import { type TileMatrix, TileMemory } from "./tiles.ts";

/** Opens the CPU as a device. */
export async function createCpuWalkDevice(): Promise<WalkDevice> {
  return new CpuWalkDevice(await loadRuntime("cpu"));
}

/** Threads that share a product: with more of them it waits for memory. */
const MOST_THREADS = 8;

/** Graphs of one runtime, each opened once, and the memory that walks lie in. */
class CpuWalkDevice implements WalkDevice {
  readonly kind = "cpu";
  readonly description = "CPU";
  readonly #sessions = new Map<string, Promise<Ort.InferenceSession>>();
  readonly #memory = new TileMemory(Math.min(navigator.hardwareConcurrency, MOST_THREADS) - 1);

  constructor(private readonly ort: typeof Ort) {}

  async walk(
    layers: readonly AttentionLayer[],
    grid: number,
    weights: ReadonlyMap<number, number>,
  ): Promise<Walk> {
    const n = grid ** 2;
    const levels = levelsOf(layers, weights);
    if (!fitsGraph(levels, grid)) return this.#hold(aggregateWalk(layers, grid, weights), n);
    const key = JSON.stringify([
      grid,
      levels.map((level) => [
        level.resolution,
        level.weight,
        level.layers.map(({ heads, headDim, scale }) => [heads, headDim, scale]),
      ]),
    ]);
    const session = await this.#session(key, () => attentionGraph(levels, grid));
    const feeds: Record<string, Ort.Tensor> = {};
    levels.flatMap((level) => level.layers).forEach((layer, i) => {
      const dims = [layer.resolution ** 2, layer.heads * layer.headDim];
      feeds[queriesName(i)] = this.#tensor(layer.queries as Float32Array, dims);
      feeds[keysName(i)] = this.#tensor(layer.keys as Float32Array, dims);
    });
    const { p } = await session.run(feeds);
    return this.#hold(p!.data as Float32Array<ArrayBuffer>, n);
  }

  // deno-lint-ignore require-await -- a matrix of the wrong size rejects, as on the GPU
  async fromDense(matrix: Float32Array<ArrayBuffer>, n: number): Promise<Walk> {
    checkMatrix(matrix, n);
    return this.#hold(matrix, n);
  }

  async close(): Promise<void> {
    for (const session of this.#sessions.values()) await (await session).release();
    this.#sessions.clear();
    this.#memory.close();
  }

  #hold(matrix: Float32Array<ArrayBuffer>, n: number): Walk {
    return new CpuWalk(this.#memory, this.#memory.matrix(matrix, n, n));
  }

  #session(key: string, build: () => Uint8Array<ArrayBuffer>): Promise<Ort.InferenceSession> {
    let session = this.#sessions.get(key);
    if (!session) {
      session = this.ort.InferenceSession.create(build(), {
        executionProviders: ["wasm"],
        logSeverityLevel: 3,
      });
      this.#sessions.set(key, session);
    }
    return session;
  }

  #tensor(data: Float32Array, dims: readonly number[]): Ort.Tensor {
    return new this.ort.Tensor("float32", data, dims);
  }
}

/** P in WebAssembly's memory. */
class CpuWalk implements Walk {
  #matrix: TileMatrix | undefined;
  readonly n: number;

  constructor(private readonly memory: TileMemory, matrix: TileMatrix) {
    this.#matrix = matrix;
    this.n = matrix.rows;
  }

  /** Blocks of equal words are multiplied together, so that P is read once for them. */
  // deno-lint-ignore require-await -- what is wrong with a product rejects, as on the GPU
  async products(list: readonly Product[]): Promise<Float32Array<ArrayBuffer>[]> {
    for (const product of list) checkProduct(product, this.n);
    const results = new Array<Float32Array<ArrayBuffer>>(list.length);
    const words = new Map<string, number[]>();
    list.forEach(({ word }, i) => words.set(word, [...words.get(word) ?? [], i]));
    for (const [word, members] of words) {
      const products = this.#apply(members.map((i) => list[i]!), word);
      members.forEach((i, k) => results[i] = products[k]!);
    }
    return results;
  }

  dense(): Promise<Float32Array<ArrayBuffer>> {
    return Promise.resolve(this.memory.values(this.#held()));
  }

  rowSquares(): Float32Array<ArrayBuffer> {
    const { at, stride, columns } = this.#held();
    const { numbers } = this.memory;
    return Float32Array.from({ length: this.n }, (_, i) => {
      const row = at + i * stride;
      let sum = 0;
      for (let j = row; j < row + columns; j++) sum += numbers[j]! * numbers[j]!;
      return sum;
    });
  }

  power(k: number): Promise<Walk> {
    let square = this.#held();
    let result: TileMatrix | undefined;
    const made: TileMatrix[] = [];
    const times = (a: TileMatrix, b: TileMatrix): TileMatrix => {
      const product = this.memory.product(a, b);
      made.push(product);
      return product;
    };
    for (let rest = k;; rest >>= 1) {
      if (rest & 1) result = result ? times(result, square) : square;
      if (rest <= 1) break;
      square = times(square, square);
    }
    // A walk owns its matrix, so the first power is a copy.
    const own = made.includes(result!) ? result! : this.memory.copy(result!);
    for (const matrix of made) if (matrix !== own) this.memory.free(matrix);
    return Promise.resolve(new CpuWalk(this.memory, own));
  }

  release(): void {
    if (this.#matrix) this.memory.free(this.#matrix);
    this.#matrix = undefined;
  }

  /** Applies a word to blocks: `[n, columns]` each. */
  #apply(blocks: readonly Product[], word: string): Float32Array<ArrayBuffer>[] {
    if (word === "") return blocks.map(({ block }) => Float32Array.from(block));
    const { memory } = this;
    const matrix = this.#held();
    let panels = memory.joined(blocks, this.n);
    for (const letter of word) {
      const next = memory.multiply(matrix, letter === "t", panels);
      memory.free(panels);
      panels = next;
    }
    let from = 0;
    const products = blocks.map(({ columns }) => {
      from += columns;
      return memory.read(panels, from - columns, columns);
    });
    memory.free(panels);
    return products;
  }

  #held(): TileMatrix {
    if (!this.#matrix) throw new TypeError("Cannot multiply: the walk was released");
    return this.#matrix;
  }
}
