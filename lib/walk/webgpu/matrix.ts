/**
 * A square matrix on the device: bands of rows, padded with zeros, f32 or f16.
 *
 * @module
 */
import { DeviceError } from "../../errors.ts";
import type { Gpu } from "./device.ts";
import {
  BLOCK_ALIGNMENT,
  convertSource,
  MATRIX_ALIGNMENT,
  multiplyNarrowSource,
  multiplySource,
  NARROW,
  type Precision,
  roundUp,
  rowSquaresSource,
} from "./kernels.ts";
import type { Recorder } from "./recorder.ts";

/** Consecutive rows of a matrix in one buffer. */
export interface Band {
  readonly buffer: GPUBuffer;
  /** First row. */
  readonly row: number;
  /** Number of rows, a multiple of 64. */
  readonly rows: number;
}

/** A block of vectors on the device, `[padded n, width]` f32 row-major; `width` is 4 or a multiple of 32. */
export interface Block {
  readonly buffer: GPUBuffer;
  readonly width: number;
}

/** Where a matrix's numbers lie and how. */
export interface MatrixLayout {
  readonly n: number;
  readonly precision: Precision;
  /** What is stored is this times the matrix, a power of two; 1 for f32. */
  readonly scale: number;
  /** Largest band in bytes. */
  readonly maxBand: number;
}

/** A matrix resident on the device. It owns its buffers until released. */
export class GpuMatrix {
  readonly n: number;
  /** n rounded up to a multiple of 64: rows, columns and row length. */
  readonly size: number;
  readonly precision: Precision;
  readonly scale: number;
  readonly bands: readonly Band[];
  readonly #gpu: Gpu;
  readonly #layout: MatrixLayout;

  constructor(gpu: Gpu, layout: MatrixLayout, label: string) {
    this.#gpu = gpu;
    this.#layout = layout;
    this.n = layout.n;
    this.precision = layout.precision;
    this.scale = layout.scale;
    this.size = roundUp(layout.n, MATRIX_ALIGNMENT);
    const most = Math.floor(layout.maxBand / (this.rowBytes * MATRIX_ALIGNMENT)) * MATRIX_ALIGNMENT;
    if (most < MATRIX_ALIGNMENT) {
      throw new DeviceError({
        what: "A band of the matrix is larger than the device can bind",
        found: `${this.rowBytes * MATRIX_ALIGNMENT} bytes`,
        advice: "run with --device cpu",
      });
    }
    const bands: Band[] = [];
    for (let row = 0; row < this.size; row += most) {
      const rows = Math.min(most, this.size - row);
      const buffer = gpu.pool.acquire(
        "matrix",
        rows * this.rowBytes,
        `${label} rows ${row} to ${row + rows}`,
      );
      bands.push({ buffer, row, rows });
    }
    this.bands = bands;
  }

  /** Bytes of a row. */
  get rowBytes(): number {
    return this.size * (this.precision === "f16" ? 2 : 4);
  }

  /** A new matrix of the same layout. */
  like(label: string): GpuMatrix {
    return new GpuMatrix(this.#gpu, this.#layout, label);
  }

  /** Zeroes everything, the padding included. */
  recordClear(recorder: Recorder): void {
    for (const band of this.bands) recorder.clear(band.buffer);
  }

  /**
   * result = op(this) · block, op by `letter`: `n` plain, `t` transposed.
   *
   * @param groups workgroups (columns/32, rows/64, 1) of a wide product, where the device
   *   decides how many columns are in use; heeded where the matrix is one band.
   */
  recordProduct(
    recorder: Recorder,
    letter: "n" | "t",
    block: Block,
    result: Block,
    groups?: GPUBuffer,
  ): void {
    const transposed = letter === "t";
    const narrow = block.width <= NARROW;
    const pipeline = this.#gpu.pipeline(
      narrow
        ? multiplyNarrowSource(this.precision, transposed)
        : multiplySource({ left: this.precision, right: "f32", result: "f32" }, transposed),
    );
    const scale = { f32: 1 / this.scale };
    for (const band of this.bands) {
      const inner = transposed ? band.rows : this.size;
      const rightRow = transposed ? band.row : 0;
      const resultRow = transposed ? 0 : band.row;
      const accumulate = Number(transposed && band.row > 0);
      const rows = transposed ? this.size : band.rows;
      const stride = block.width / 4;
      const uniform = recorder.uniform([
        inner,
        this.size / 4,
        0,
        stride,
        rightRow,
        resultRow,
        accumulate,
        scale,
      ]);
      const bindings = { 0: uniform, 1: band.buffer, 2: block.buffer, 3: result.buffer };
      if (groups && !narrow && this.bands.length === 1) {
        recorder.dispatchIndirect(pipeline, bindings, groups, 0);
        continue;
      }
      recorder.dispatch(
        pipeline,
        bindings,
        narrow ? [rows / (transposed ? 32 : 4)] : [block.width / 32, rows / 64],
      );
    }
  }

  /** Workgroups of {@linkcode GpuMatrix.recordSquare}. */
  get squareGroups(): readonly [number, number, number] {
    return [this.size / BLOCK_ALIGNMENT, this.size / MATRIX_ALIGNMENT, 1];
  }

  /**
   * result = this · other; all three of one layout.
   *
   * @param groups `squareGroups` where the device decides whether it is needed; heeded where the matrix is one band.
   */
  recordSquare(recorder: Recorder, other: GpuMatrix, result: GpuMatrix, groups?: GPUBuffer): void {
    const types = { left: this.precision, right: this.precision, result: this.precision };
    const pipeline = this.#gpu.pipeline(multiplySource(types, false));
    for (const target of result.bands) {
      for (const source of other.bands) {
        // Bands of one layout cover the same rows, so the left band is the target's.
        const left = this.bands.find((band) => band.row === target.row)!;
        const uniform = recorder.uniform([
          source.rows,
          this.size / 4,
          source.row,
          this.size / 4,
          0,
          0,
          Number(source.row > 0),
          { f32: 1 / this.scale },
        ]);
        const bindings = { 0: uniform, 1: left.buffer, 2: source.buffer, 3: target.buffer };
        const shape = [this.size / BLOCK_ALIGNMENT, target.rows / MATRIX_ALIGNMENT] as const;
        if (groups && this.bands.length === 1) recorder.dispatchIndirect(pipeline, bindings, groups, 0);
        else recorder.dispatch(pipeline, bindings, shape);
      }
    }
  }

  /** squares[i] = ‖row i‖², `[size]`. */
  recordRowSquares(recorder: Recorder, squares: GPUBuffer): void {
    const pipeline = this.#gpu.pipeline(rowSquaresSource(this.precision));
    for (const band of this.bands) {
      const uniform = recorder.uniform([this.size / 4, band.row, { f32: 1 / this.scale }]);
      recorder.dispatch(pipeline, { 0: uniform, 1: band.buffer, 2: squares }, [band.rows]);
    }
  }

  /** Fills this from an f32 matrix of the same size and bands, times this matrix's scale. */
  recordStore(recorder: Recorder, from: GpuMatrix): void {
    convertBands(this.#gpu, recorder, from, this, this.scale);
  }

  /** Fills an f32 matrix from this one, the scale taken back. */
  recordLoad(recorder: Recorder, to: GpuMatrix): void {
    convertBands(this.#gpu, recorder, this, to, 1 / this.scale);
  }

  /** Gives the buffers back. */
  release(): void {
    for (const band of this.bands) this.#gpu.pool.release(band.buffer);
  }
}

function convertBands(gpu: Gpu, recorder: Recorder, from: GpuMatrix, to: GpuMatrix, scale: number): void {
  const pipeline = gpu.pipeline(convertSource(from.precision, to.precision));
  from.bands.forEach((band, i) => {
    const count = band.rows * from.size / 4;
    const groups = Math.min(Math.ceil(count / 256), 8192);
    const uniform = recorder.uniform([count, groups * 256, { f32: scale }]);
    recorder.dispatch(pipeline, { 0: uniform, 1: band.buffer, 2: to.bands[i]!.buffer }, [groups]);
  });
}
