/**
 * What the cut gives: leaves, and the tree of cuts they come from.
 *
 * @module
 */
import type { Power } from "./power.ts";

/** One node of the recursion: a segment, and the cut proposed for it. */
export interface CutNode {
  /** Position in {@linkcode Segmentation.tree}; the root is 0. */
  readonly id: number;
  /** Position of the node it was cut from, −1 for the root. */
  readonly parent: number;
  /** Positions of the two parts, absent for a leaf. */
  readonly children?: readonly [number, number];
  /** Number of nodes of the graph in it. */
  readonly size: number;
  /** NCut of the best proposed bipartition (paper, equation 2); NaN where none exists. */
  readonly ncut: number;
  /** What the NCut was held against; for MAN-C, T/(n−1). */
  readonly threshold: number;
  /** Second-smallest eigenvalue of the normalised Laplacian, 1 − θ. */
  readonly lambda2: number;
  /** Relative residual ‖Bx − θx‖ / θ of the Fiedler vector. */
  readonly residual: number;
  /**
   * The cut that the stop looks at, as a weight: the exact global minimum cut under `manc-mincut`
   * for every leaf, that of the proposed bipartition under `manc-mincut=bipartition`.
   */
  readonly minCut?: number;
  /** Value of the eigenvector at which the segment is (or would be) split. */
  readonly splitValue: number;
}

/** A partition of the N nodes of one frame. */
export interface Segmentation {
  /** Leaf of each node, 0 … segments − 1, `[N]`. */
  readonly labels: Uint16Array<ArrayBuffer>;
  /** Number of leaves, K. */
  readonly segments: number;
  /** Position in the tree of each leaf, `[K]`. */
  readonly leaves: readonly number[];
  readonly tree: readonly CutNode[];
  /**
   * Cosine similarity of each node's row of M with each leaf's mean row, `[N, K]`
   * row-major, up to a factor a node (paper, section 3.6).
   */
  readonly scores: Float32Array<ArrayBuffer>;
  readonly stats: CutStats;
}

/** What a frame's cut cost, and how far it can be trusted. */
export interface CutStats {
  readonly solver: "factor" | "operator";
  /** True where the cut started from the last frame's tree. */
  readonly warm: boolean;
  /** Columns of the factor; 0 for the operator solver. */
  readonly rank: number;
  /** Share of tr A that the factor holds. */
  readonly traceShare: number;
  /** Products of an N×N by an N×1, counted. */
  readonly operatorApplications: number;
  /** Largest relative residual among the accepted cuts. */
  readonly residual: number;
  /** Segments whose cut a certificate sent to exact products. */
  readonly recertified: number;
  /**
   * Whether the cut was given to the device before the last frame's was known, and whether that could
   * stay; absent where it was not. The products of one that was discarded are not counted.
   */
  readonly ahead?: "kept" | "discarded";
  /** Whether P^k was formed or P applied k times; absent where a peer's method took the cut's place. */
  readonly power?: Power;
  /**
   * Products of two N×N matrices that forming took, also where only the exact products that a certificate called
   * for had P^k formed; they are not among `operatorApplications`.
   */
  readonly matrixProducts?: number;
}
