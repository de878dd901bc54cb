/**
 * One interface for the two ways of finding a segment's best cut.
 *
 * A is the symmetric non-negative adjacency that the whole method cuts: M·Mᵀ for
 * `dot`, its row-normalised form for `cosine` (paper, section 3.3). It is never
 * formed. d_S = A·1_S restricted to S are the degrees inside a segment S.
 *
 * @module
 */

/** A segment of the recursion: the nodes in it, and where its solver may start. */
export interface SegmentNodes {
  /** Indices into the graph, ascending. */
  readonly nodes: Uint32Array<ArrayBuffer>;
  /** A guess at the Fiedler vector, one value a node of the segment. */
  readonly start?: Float32Array<ArrayBuffer>;
  /**
   * Prefer the cut that continues `start` (the last frame's) over a new one that is hardly better,
   * so that two eigenvectors of nearly equal value do not take turns from frame to frame.
   */
  readonly hold?: boolean;
  /** Fewest nodes that either part may have. Default 1. */
  readonly minPart?: number;
}

/** The best bipartition that the Fiedler vector of a segment offers. */
export interface Proposal {
  readonly nodes: Uint32Array<ArrayBuffer>;
  /** y of (D − A)y = λDy inside the segment, one value a node of it, yᵀDy = 1. */
  readonly vector: Float32Array<ArrayBuffer>;
  /** Second-largest eigenvalue of D^-1/2·A·D^-1/2 inside the segment: 1 − λ₂. */
  readonly theta: number;
  /** ‖Bx − θx‖ / θ with x = D^1/2·y. */
  readonly residual: number;
  /** Smallest NCut over the thresholds tried; NaN for a segment of one node. */
  readonly ncut: number;
  /** Nodes with a value up to this go left. */
  readonly splitValue: number;
  /** The two parts, indices into the graph, ascending. */
  readonly left: Uint32Array<ArrayBuffer>;
  readonly right: Uint32Array<ArrayBuffer>;
  /** T: total weight inside the segment, each edge once, without loops. */
  readonly total: number;
  /** Weight between the two parts, where the solver knows it exactly. */
  readonly cut?: number;
  /** Smallest weight that ties one node to the rest of the segment, loops left out, where known exactly. */
  readonly leastDegree?: number;
}

/** Finds cuts for all segments of a level of the recursion at once. */
export interface Solver {
  readonly name: "factor" | "operator";
  /** One proposal a segment, in order. Segments are disjoint. */
  propose(segments: readonly SegmentNodes[]): Promise<Proposal[]>;
  /** Products of an N×N by an N×1 so far. */
  readonly applications: number;
}
