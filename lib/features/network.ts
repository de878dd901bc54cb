/**
 * What a feature network gives the walk: queries and keys of self-attention
 * layers, never the attention itself.
 *
 * @module
 */
import type { Frame } from "../source/frame.ts";

/** Numbers that lie in main memory or in a buffer of the WebGPU device in use. */
export type TensorData = Float32Array<ArrayBuffer> | GPUBuffer;

/**
 * Queries and keys of one self-attention layer on an R×R grid of patches.
 *
 * The layer's attention is `softmax_j(scale · ⟨q_i, k_j⟩)` a head, of which the
 * mean over the heads is one row-stochastic R²×R² matrix (paper, section 3.1).
 */
export interface AttentionLayer {
  /** R: patches a side. */
  readonly resolution: number;
  /** Number of heads. */
  readonly heads: number;
  /** Channels a head. */
  readonly headDim: number;
  /** Factor of the logits; 1/√headDim in a transformer. */
  readonly scale: number;
  /** `[R², heads·headDim]`, row-major, f32. */
  readonly queries: TensorData;
  /** `[R², heads·headDim]`, row-major, f32. */
  readonly keys: TensorData;
}

/** What one evaluation of a network gives for one frame. */
export interface Features {
  readonly layers: readonly AttentionLayer[];
  /** Evaluations of the UNet that it took. */
  readonly unetEvals: number;
}

/** A network that turns a frame into queries and keys. */
export interface FeatureNetwork {
  /** Weight of each resolution in the aggregate, by R; they sum to 1. */
  readonly levelWeights: ReadonlyMap<number, number>;
  /** The power of P that suits this network (k in the paper, section 3.3). */
  readonly walkSteps: number;
  /** Least contrast of a boundary between segments that suits it, ΔE of CIE Lab; absent or 0: none is asked for. */
  readonly contour?: number;
  /** Runs the network. The result is valid until the next call. */
  evaluate(frame: Frame): Promise<Features>;
  /** Forgets what was kept of earlier frames; called where a scene or a key frame starts. */
  restart?(): void;
  /** Frees the sessions; no call may follow. */
  close(): Promise<void>;
}
