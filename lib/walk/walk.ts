/**
 * The random walk of one frame, on either device.
 *
 * P is the aggregated self-attention, N×N and row-stochastic; M = P^k is the
 * k-step walk (paper, sections 3.2 and 3.3).
 *
 * @module
 */
import type { AttentionLayer } from "../features/network.ts";

/**
 * A block of vectors and the operators to apply to it, from left to right:
 * `n` multiplies by P, `t` by Pᵀ. `"ttnn"` is P·P·Pᵀ·Pᵀ·X, the adjacency A of
 * the two-step walk applied to X.
 */
export interface Product {
  /** `[N, columns]`, row-major. */
  readonly block: Float32Array<ArrayBuffer>;
  /** Number of vectors in the block. */
  readonly columns: number;
  /** Operators, applied from left to right. */
  readonly word: string;
}

/** P of one frame, resident on a device. */
export interface Walk {
  /** Number of nodes. */
  readonly n: number;
  /**
   * Applies P and Pᵀ to blocks of vectors.
   *
   * All products of a call are submitted together and read back together.
   * @returns one `[N, columns]` row-major block a product, in order.
   */
  products(list: readonly Product[]): Promise<Float32Array<ArrayBuffer>[]>;
  /** P itself, `[N, N]` row-major, read back. */
  dense(): Promise<Float32Array<ArrayBuffer>>;
  /** ‖P_i‖² of every row, `[N]`, where it costs less than products would. */
  rowSquares?(): Float32Array<ArrayBuffer> | Promise<Float32Array<ArrayBuffer>>;
  /** The k-step walk P^k as a walk of its own, formed by repeated squaring. `k ≥ 1`. */
  power(k: number): Promise<Walk>;
  /** Frees what the device holds for it. */
  release(): void;
}

/** Something that holds walks and multiplies with them. */
export interface WalkDevice {
  readonly kind: "cpu" | "webgpu";
  /** A person's name for it, e.g. the adapter's description. */
  readonly description: string;
  /**
   * The aggregated walk of one frame's attention layers.
   *
   * @param layers queries and keys; on `webgpu` GPU buffers of this device or arrays.
   * @param grid nodes a side of the result: N = grid².
   * @param weights weight of each resolution, by R; those of the layers in use are renormalised to sum 1.
   */
  walk(layers: readonly AttentionLayer[], grid: number, weights: ReadonlyMap<number, number>): Promise<Walk>;
  /** A walk from a dense row-stochastic (or any square) matrix, `[n, n]` row-major. */
  fromDense(matrix: Float32Array<ArrayBuffer>, n: number): Promise<Walk>;
  /** Frees the device; no call may follow. */
  close(): Promise<void>;
}
