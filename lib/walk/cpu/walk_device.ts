/**
 * The walk on the CPU.
 *
 * Dense products are ONNX Runtime's: its wasm kernels reach tens of GFLOP/s
 * where loops in TypeScript reach one.
 *
 * @module
 */
import type * as Ort from "onnxruntime-web";
import type { AttentionLayer } from "../../features/network.ts";
import { ANY, GraphBuilder, int } from "../../features/onnx.ts";
import { loadRuntime } from "../../features/runtime.ts";
import { joinBlocks, takeColumns } from "../block.ts";
import { aggregateWalk, levelsOf } from "../reference.ts";
import type { Product, Walk, WalkDevice } from "../walk.ts";
import { attentionGraph, fitsGraph, keysName, queriesName } from "./attention_graph.ts";

/** Opens the CPU as a device. */
export async function createCpuWalkDevice(): Promise<WalkDevice> {
  return new CpuWalkDevice(await loadRuntime("cpu"));
}

/** Graphs of one runtime, each opened once. */
class CpuWalkDevice implements WalkDevice {
  readonly kind = "cpu";
  readonly description = "CPU";
  readonly #sessions = new Map<string, Promise<Ort.InferenceSession>>();

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

  fromDense(matrix: Float32Array<ArrayBuffer>, n: number): Promise<Walk> {
    return Promise.resolve(this.#hold(matrix, n));
  }

  async close(): Promise<void> {
    for (const session of this.#sessions.values()) await (await session).release();
    this.#sessions.clear();
  }

  /** Applies a word to a block: `[n, columns]`. */
  async apply(
    matrix: Float32Array,
    n: number,
    block: Float32Array,
    columns: number,
    word: string,
  ): Promise<Float32Array<ArrayBuffer>> {
    if (columns === 0 || word === "") return Float32Array.from(block);
    const session = await this.#session(word, () => wordGraph(word));
    const { y } = await session.run({
      p: this.#tensor(matrix, [n, n]),
      x: this.#tensor(block, [n, columns]),
    });
    return y!.data as Float32Array<ArrayBuffer>;
  }

  #hold(matrix: Float32Array<ArrayBuffer>, n: number): Walk {
    return new CpuWalk(this, matrix, n);
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

/** P in main memory. */
class CpuWalk implements Walk {
  constructor(
    private readonly device: CpuWalkDevice,
    private matrix: Float32Array<ArrayBuffer>,
    readonly n: number,
  ) {}

  /** Blocks of equal words are multiplied together, so that P is read once for them. */
  async products(list: readonly Product[]): Promise<Float32Array<ArrayBuffer>[]> {
    const results = new Array<Float32Array<ArrayBuffer>>(list.length);
    const words = new Map<string, number[]>();
    list.forEach(({ word }, i) => words.set(word, [...words.get(word) ?? [], i]));
    for (const [word, members] of words) {
      const widths = members.map((i) => list[i]!.columns);
      const columns = widths.reduce((a, b) => a + b, 0);
      const joined = members.length === 1
        ? list[members[0]!]!.block
        : joinBlocks(members.map((i) => list[i]!.block), widths, this.n);
      const product = await this.device.apply(this.matrix, this.n, joined, columns, word);
      let at = 0;
      for (const [k, i] of members.entries()) {
        results[i] = members.length === 1 ? product : takeColumns(product, this.n, columns, at, widths[k]!);
        at += widths[k]!;
      }
    }
    return results;
  }

  dense(): Promise<Float32Array<ArrayBuffer>> {
    return Promise.resolve(this.matrix);
  }

  async power(k: number): Promise<Walk> {
    let square = this.matrix;
    let result: Float32Array<ArrayBuffer> | undefined;
    for (let rest = k; rest > 0; rest >>= 1) {
      if (rest & 1) result = result ? await this.device.apply(result, this.n, square, this.n, "n") : square;
      if (rest > 1) square = await this.device.apply(square, this.n, square, this.n, "n");
    }
    return new CpuWalk(this.device, result!, this.n);
  }

  release(): void {
    this.matrix = new Float32Array(0);
  }
}

/** The graph of a word: `y` = the word's operators applied to `x`. */
function wordGraph(word: string): Uint8Array<ArrayBuffer> {
  const g = new GraphBuilder(word);
  const p = g.input("p", [ANY, ANY]);
  let y = g.input("x", [ANY, ANY]);
  for (const letter of word) {
    y = letter === "t" ? g.op("Gemm", [p, y], { transA: int(1) }) : g.op("MatMul", [p, y]);
  }
  g.output("y", y, [ANY, ANY]);
  return g.build();
}
