/**
 * The walk on a WebGPU device (paper, sections 3.1 to 3.3).
 *
 * @module
 */
import { DeviceError, WalkcutError } from "../../errors.ts";
import type { AttentionLayer, TensorData } from "../../features/network.ts";
import { axisShares, type Level, levelsOf } from "../reference.ts";
import { checkMatrix, checkProduct } from "../block.ts";
import type { Product, Walk, WalkDevice } from "../walk.ts";
import type { Counters, Gpu } from "./device.ts";
import {
  accumulateSource,
  aggregateSource,
  BLOCK_ALIGNMENT,
  NARROW,
  type Precision,
  roundUp,
  rowStatsSource,
} from "./kernels.ts";
import { type Block, GpuMatrix } from "./matrix.ts";
import { Recorder } from "./recorder.ts";

/** Settings of the device; the defaults are right for use. */
export interface WebGpuWalkOptions {
  /**
   * How P is stored. Default f16 on hardware that has `shader-f16`, else f32. f16
   * needs the matrix to fit one binding as f32; larger ones are stored as f32.
   */
  readonly precision?: Precision;
  /** Largest buffer a matrix is split into, in bytes. Default: what the device can bind. */
  readonly maxBand?: number;
}

/** Stored f16 numbers reach at most 2^14, which leaves headroom below 65504 for rounding and row sums. */
const F16_TOP = 2 ** 14;

/** Opens the walk's side of a GPU; it owns the GPU from here on and closes it. */
export function createWebGpuWalkDevice(gpu: Gpu, options: WebGpuWalkOptions = {}): Promise<WebGpuWalkDevice> {
  const precision = options.precision ?? (gpu.hasF16 && !gpu.isFallback ? "f16" : "f32");
  if (precision === "f16" && !gpu.hasF16) {
    return Promise.reject(
      new DeviceError({ what: "The WebGPU device cannot store f16", advice: "store the walk as f32" }),
    );
  }
  return Promise.resolve(new WebGpuWalkDevice(gpu, precision, options.maxBand ?? gpu.maxBinding));
}

/** A {@linkcode WalkDevice} whose matrices never leave the GPU unless asked for. */
export class WebGpuWalkDevice implements WalkDevice {
  readonly kind = "webgpu";
  readonly description: string;
  readonly gpu: Gpu;
  readonly #precision: Precision;
  readonly #maxBand: number;

  /** Use {@linkcode createWebGpuWalkDevice}. */
  constructor(gpu: Gpu, precision: Precision, maxBand: number) {
    this.gpu = gpu;
    this.description = gpu.description;
    this.#precision = precision;
    this.#maxBand = Math.min(maxBand, gpu.maxBinding);
  }

  /** What the GPU was asked to do so far. */
  get counters(): Readonly<Counters> {
    return this.gpu.counters;
  }

  /**
   * The aggregated walk, computed in one submission and not read back.
   * @throws {WalkcutError} no layers, or a resolution without a weight.
   * @throws {DeviceError} attention too large to bind, or a failed device.
   */
  async walk(
    layers: readonly AttentionLayer[],
    grid: number,
    weights: ReadonlyMap<number, number>,
  ): Promise<WebGpuWalk> {
    const levels = levelsOf(layers, weights);
    const n = grid ** 2;
    const sum = this.#matrix(n, "f32", 1, "walk");
    const recorder = new Recorder(this.gpu, "walk");
    if (sum.size !== n) sum.recordClear(recorder);
    levels.forEach((level, i) => this.#recordLevel(recorder, level, grid, sum, i > 0));
    const matrix = this.#stored(recorder, sum, 1);
    await recorder.finish();
    return new WebGpuWalk(this.gpu, matrix);
  }

  /** A walk from a dense matrix. In f16, entries are scaled by what the largest allows. */
  async fromDense(matrix: Float32Array<ArrayBuffer>, n: number): Promise<WebGpuWalk> {
    checkMatrix(matrix, n);
    const dense = this.#matrix(n, "f32", 1, "walk");
    const recorder = new Recorder(this.gpu, "upload of the walk");
    for (const band of dense.bands) {
      const rows = Math.max(0, Math.min(band.rows, n - band.row));
      const whole = dense.size === n ? matrix.subarray(band.row * n, (band.row + rows) * n) : undefined;
      recorder.upload(band.buffer, whole ?? paddedRows(matrix, n, band.row, band.rows, dense.size));
    }
    const stored = this.#stored(recorder, dense, largestOf(matrix));
    await recorder.finish();
    return new WebGpuWalk(this.gpu, stored);
  }

  /** Destroys the GPU device and all walks on it. */
  close(): Promise<void> {
    this.gpu.close();
    return Promise.resolve();
  }

  #matrix(n: number, precision: Precision, scale: number, label: string): GpuMatrix {
    return new GpuMatrix(this.gpu, { n, precision, scale, maxBand: this.#maxBand }, label);
  }

  /** The f32 matrix as it will be stored; frees it where that is not itself. */
  #stored(recorder: Recorder, dense: GpuMatrix, largest: number): GpuMatrix {
    if (this.#precision === "f32" || dense.bands.length > 1) return dense;
    const scale = largest > 0 ? 2 ** Math.floor(Math.log2(F16_TOP / largest)) : 1;
    const stored = this.#matrix(dense.n, "f16", scale, "walk in f16");
    stored.recordStore(recorder, dense);
    for (const band of dense.bands) recorder.releaseLater(band.buffer);
    return stored;
  }

  #recordLevel(recorder: Recorder, level: Level, grid: number, walk: GpuMatrix, add: boolean): void {
    const { gpu } = this;
    const r = level.resolution;
    const cells = r * r;
    if (cells * cells * 4 > gpu.maxBinding) {
      throw new DeviceError({
        what: `The attention at ${r}×${r} is larger than the device can bind`,
        found: `${cells * cells * 4} bytes`,
        advice: "leave this resolution out with --levels, or run with --device cpu",
      });
    }
    const attention = recorder.temporary(cells * cells * 4, `attention ${r}`);
    const groups = Math.ceil(cells / 32);
    level.layers.forEach((layer, i) => {
      const { heads, headDim, scale } = layer;
      const length = cells * heads * headDim;
      const queries = this.#resident(recorder, layer.queries, length, `queries ${r}`);
      const keys = this.#resident(recorder, layer.keys, length, `keys ${r}`);
      const stats = recorder.temporary(heads * cells * 8, `row stats ${r}`);
      const share = 1 / (heads * level.layers.length);
      const uniform = recorder.uniform([cells, heads, headDim, Number(i > 0), { f32: scale }, {
        f32: share,
      }]);
      recorder.dispatch(
        gpu.pipeline(rowStatsSource),
        { 0: uniform, 1: queries, 2: keys, 3: stats },
        [groups, heads],
      );
      recorder.dispatch(
        gpu.pipeline(accumulateSource),
        { 0: uniform, 1: queries, 2: keys, 3: stats, 4: attention },
        [groups, groups],
      );
    });
    const shares = recorder.temporary(r * 4, `key shares ${r}`);
    recorder.upload(shares, axisShares(r, grid));
    for (const band of walk.bands) {
      const rows = Math.max(0, Math.min(band.rows, walk.n - band.row));
      if (rows === 0) continue;
      const uniform = recorder.uniform([r, grid, walk.size, band.row, Number(add), { f32: level.weight }]);
      recorder.dispatch(
        gpu.pipeline(aggregateSource),
        { 0: uniform, 1: attention, 2: shares, 3: band.buffer },
        [rows],
      );
    }
  }

  #resident(recorder: Recorder, data: TensorData, length: number, label: string): GPUBuffer {
    const bytes = length * 4;
    const found = data instanceof GPUBuffer ? data.size : data.byteLength;
    if (found < bytes) {
      throw new WalkcutError({ what: `The ${label} need ${bytes} bytes`, found });
    }
    if (data instanceof GPUBuffer) return data;
    const buffer = recorder.temporary(bytes, label);
    recorder.upload(buffer, data.subarray(0, length));
    return buffer;
  }
}

/** P, or a power of it, resident on the GPU. */
export class WebGpuWalk implements Walk {
  readonly n: number;
  readonly gpu: Gpu;
  /** The matrix itself, for kernels that go on with it. */
  readonly matrix: GpuMatrix;
  #released = false;

  /** @param exponent k where the matrix is P^k. */
  constructor(gpu: Gpu, matrix: GpuMatrix, readonly exponent = 1) {
    this.gpu = gpu;
    this.matrix = matrix;
    this.n = matrix.n;
  }

  /** @throws {DeviceError} the device failed since the last call. */
  async products(list: readonly Product[]): Promise<Float32Array<ArrayBuffer>[]> {
    if (list.length === 0) return [];
    for (const product of list) checkProduct(product, this.n);
    const recorder = new Recorder(this.gpu, "products");
    const widths = list.map((product) => {
      const block = this.#upload(recorder, product);
      const result = this.recordWord(recorder, product.word, block);
      recorder.read(result.buffer, 0, this.n * result.width * 4);
      return result.width;
    });
    const { data } = await recorder.finish();
    return data.map((bytes, i) => unpadded(new Float32Array(bytes), this.n, widths[i]!, list[i]!.columns));
  }

  /**
   * Records op(word)·block.
   *
   * @param groups as in {@linkcode GpuMatrix.recordProduct}.
   * @param target where the result goes, where the word is not empty; else a block that lives
   *   until the submission is done.
   */
  recordWord(recorder: Recorder, word: string, block: Block, groups?: GPUBuffer, target?: Block): Block {
    let current = block;
    [...word].forEach((letter, i) => {
      const last = i === word.length - 1 ? target : undefined;
      const next = last ?? this.newBlock(recorder, block.width, "product");
      this.matrix.recordProduct(recorder, letter as "n" | "t", current, next, groups);
      current = next;
    });
    return current;
  }

  /** A block of at least so many columns that lives until the submission is done. */
  newBlock(recorder: Recorder, columns: number, label: string): Block {
    const width = columns <= NARROW ? NARROW : roundUp(columns, BLOCK_ALIGNMENT);
    return { buffer: recorder.temporary(this.matrix.size * width * 4, label), width };
  }

  async dense(): Promise<Float32Array<ArrayBuffer>> {
    const { matrix, n } = this;
    const recorder = new Recorder(this.gpu, "download of the walk");
    let source = matrix;
    if (matrix.precision === "f16") {
      source = new GpuMatrix(
        this.gpu,
        { n, precision: "f32", scale: 1, maxBand: this.gpu.maxBinding },
        "walk in f32",
      );
      matrix.recordLoad(recorder, source);
      for (const band of source.bands) recorder.releaseLater(band.buffer);
    }
    const bands = source.bands.filter((band) => band.row < n);
    for (const band of bands) {
      recorder.read(band.buffer, 0, Math.min(band.rows, n - band.row) * source.size * 4);
    }
    const { data } = await recorder.finish();
    const out = new Float32Array(n * n);
    bands.forEach((band, i) => {
      const rows = Math.min(band.rows, n - band.row);
      out.set(unpadded(new Float32Array(data[i]!), rows, source.size, n), band.row * n);
    });
    return out;
  }

  /** ‖P_i‖² of every row by one pass over P, `[N]`, read back. */
  async rowSquares(): Promise<Float32Array<ArrayBuffer>> {
    const recorder = new Recorder(this.gpu, "row squares");
    const squares = recorder.temporary(this.matrix.size * 4, "row squares");
    this.matrix.recordRowSquares(recorder, squares);
    recorder.read(squares, 0, this.n * 4);
    const { data } = await recorder.finish();
    return new Float32Array(data[0]!);
  }

  /**
   * P^k by repeated squaring, ⌊log2 k⌋ + popcount(k) − 1 products of 2·n³ operations.
   * For k = 1 a copy, so that each walk owns its buffers.
   */
  async power(k: number): Promise<WebGpuWalk> {
    if (!Number.isInteger(k) || k < 1) {
      throw new RangeError(`Cannot form a power: k must be a whole number >= 1: current value is ${k}`);
    }
    const recorder = new Recorder(this.gpu, `walk to the power ${k}`);
    const power = this.recordPower(recorder, k);
    await recorder.finish();
    return power;
  }

  /**
   * Records {@linkcode WebGpuWalk.power}; whoever asks releases it, once the submission is given.
   *
   * @param groups as in {@linkcode GpuMatrix.recordSquare}.
   */
  recordPower(recorder: Recorder, k: number, groups?: GPUBuffer): WebGpuWalk {
    const scratch: GpuMatrix[] = [];
    const times = (a: GpuMatrix, b: GpuMatrix): GpuMatrix => {
      const product = a.like(`walk to the power ${k}`);
      a.recordSquare(recorder, b, product, groups);
      scratch.push(product);
      return product;
    };
    let square = this.matrix;
    let result: GpuMatrix | undefined;
    for (let rest = k;; rest >>= 1) {
      if (rest & 1) result = result ? times(result, square) : square;
      if (rest === 1) break;
      square = times(square, square);
    }
    if (!result || result === this.matrix) result = this.#copy(recorder);
    for (const matrix of scratch) {
      if (matrix === result) continue;
      for (const band of matrix.bands) recorder.releaseLater(band.buffer);
    }
    return new WebGpuWalk(this.gpu, result, k * this.exponent);
  }

  /** Gives the matrix back; a second call does nothing. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.matrix.release();
  }

  #copy(recorder: Recorder): GpuMatrix {
    const copy = this.matrix.like("copy of the walk");
    this.matrix.bands.forEach((band, i) => {
      recorder.copy(band.buffer, 0, copy.bands[i]!.buffer, 0, band.rows * this.matrix.rowBytes);
    });
    return copy;
  }

  #upload(recorder: Recorder, { block, columns }: Product): Block {
    const target = this.newBlock(recorder, columns, "factor of a product");
    const { size } = this.matrix;
    const exact = target.width === columns && size === this.n;
    recorder.upload(target.buffer, exact ? block : padded(block, this.n, columns, size, target.width));
    return target;
  }
}

/** Rows [row, row + rows) of a dense n×n matrix with zeros beyond it. */
function paddedRows(matrix: Float32Array, n: number, row: number, rows: number, width: number) {
  const there = Math.max(0, Math.min(rows, n - row));
  return padded(matrix.subarray(row * n, (row + there) * n), there, n, rows, width);
}

function padded(
  block: Float32Array,
  rows: number,
  columns: number,
  size: number,
  width: number,
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(size * width);
  for (let i = 0; i < rows; i++) out.set(block.subarray(i * columns, (i + 1) * columns), i * width);
  return out;
}

function unpadded(
  block: Float32Array<ArrayBuffer>,
  rows: number,
  width: number,
  columns: number,
): Float32Array<ArrayBuffer> {
  if (width === columns) return block;
  const out = new Float32Array(rows * columns);
  for (let i = 0; i < rows; i++) out.set(block.subarray(i * width, i * width + columns), i * columns);
  return out;
}

function largestOf(matrix: Float32Array): number {
  let largest = 0;
  for (const value of matrix) largest = Math.max(largest, Math.abs(value));
  return largest;
}
