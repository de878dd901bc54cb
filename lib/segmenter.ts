/**
 * The segmenter: frames in, labelled frames out.
 *
 * @module
 */
import type { Frame } from "./source/frame.ts";

/** One segment of one frame. */
export interface Segment {
  /** Stays with the segment from frame to frame; ≥ 1. */
  readonly id: number;
  /** Pixels of the frame that carry the id. */
  readonly area: number;
  /** NCut of the best split of this segment, which was not taken; NaN where none exists. */
  readonly ncut: number;
}

/** What one frame took, in milliseconds by stage and in counts. */
export interface FrameStats {
  readonly ms: Readonly<Record<"features" | "walk" | "cut" | "upsample" | "total", number>>;
  readonly segments: number;
  readonly unetEvals: number;
  readonly operatorApplications: number;
  readonly residual: number;
  readonly warm: boolean;
  readonly solver: "factor" | "operator";
  readonly rank: number;
  readonly traceShare: number;
  readonly recertified: number;
  /** True where the frame was taken for the first of a new scene. */
  readonly sceneCut: boolean;
}

/** A frame and its segments. */
export interface SegmentedFrame {
  readonly frame: Frame;
  /** Segment id of every pixel, `[height, width]` row-major; never 0. */
  readonly labels: Uint16Array<ArrayBuffer>;
  /** The segments that the frame shows, by id. */
  readonly segments: readonly Segment[];
  readonly stats: FrameStats;
}

/** Settings of a {@linkcode Segmenter}. */
export interface SegmenterOptions {
  /** `"embedded"`, or the name or folder of an imported network. Default `"embedded"`. */
  readonly model?: string;
  /** Default `"auto"`: a hardware adapter, else the CPU. */
  readonly device?: "auto" | "webgpu" | "cpu";
  /** Nodes a side, 64 or 32. Default 64 on a hardware GPU, 32 elsewhere. */
  readonly grid?: 64 | 32;
  /** Resolutions to aggregate. Default: the model's own. */
  readonly levels?: readonly number[];
  /** The power k of P, 1 … 8. Default: the model's own. */
  readonly walkSteps?: number;
  /** Default `"manc-ncut"`. */
  readonly stop?: "manc-ncut" | "manc-mincut" | "manc-mincut=bipartition" | "ncut";
  /** NCut above which a segment is left whole, 0 … 2; for `stop: "ncut"`. */
  readonly threshold?: number;
  /** Default `"dot"`. */
  readonly adjacency?: "dot" | "cosine" | "walk";
  /** Default `"auto"`. */
  readonly solver?: "auto" | "factor" | "operator";
  /** Most segments a frame; 0 for no bound. Default 0. */
  readonly maxSegments?: number;
  /** Smallest segment, as a share of the frame, 0 … 1. Default 0. */
  readonly minArea?: number;
  /** Start each frame from the last one's basis, eigenvectors and tree. Default true. */
  readonly warmStart?: boolean;
  /** Frames between cold starts; 0 for none. Default 0. */
  readonly keyframe?: number;
  /** Histogram distance, 0 … 1, above which a frame starts a scene. Default 0.5; 1 turns it off. */
  readonly sceneCut?: number;
  /** Folder to which P, eigenvectors, labels and tree of each frame are written. */
  readonly dump?: string;
}
