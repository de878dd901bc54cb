/**
 * The segmenter: frames in, labelled frames out.
 *
 * @module
 */
import type { PeerMethod } from "./cut/peers/segment.ts";
import type { CutStats } from "./cut/segmentation.ts";
import { WalkcutError } from "./errors.ts";
import type { SegmenterSnapshot } from "./frame_segmenter.ts";
import type { FromWorker, ToWorker } from "./segmenter_worker.ts";
import type { Frame } from "./source/frame.ts";
import { packFrame, unpackFrame, untouchedPlanes } from "./source/planes.ts";
import { crashOf, reviveError } from "./worker_errors.ts";

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
export interface FrameStats extends CutStats {
  readonly ms: Readonly<Record<"features" | "walk" | "cut" | "upsample" | "total", number>>;
  /** Segments that the frame shows. */
  readonly segments: number;
  /** Evaluations of the UNet. */
  readonly unetEvals: number;
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
  /** What a later segmenter needs in order to go on after this frame; see {@linkcode SegmenterOptions.snapshots}. */
  readonly snapshot?: SegmenterSnapshot;
}

/** Settings of a {@linkcode Segmenter}. */
export interface SegmenterOptions {
  /** `"embedded"`, or the name or folder of an imported network. Default `"embedded"`. */
  readonly model?: string;
  /** Folder of the imported networks. Default: `WALKCUT_MODELS`, else the platform's data folder. */
  readonly models?: string;
  /** Default `"auto"`: a hardware adapter, else the CPU. */
  readonly device?: "auto" | "webgpu" | "cpu";
  /** Nodes a side, 64 or 32. Default 64 on a hardware GPU, 32 elsewhere. */
  readonly grid?: 64 | 32;
  /** Resolutions to aggregate (paper, sections 3.1 and 3.2). Default: the model's own. */
  readonly levels?: readonly number[];
  /** The power k of P, 1 … 8 (paper, sections 3.2 and 4.4). Default: the model's own. */
  readonly walkSteps?: number;
  /** When a segment is left whole (paper, sections 3.4 and 3.5). Default `"manc-ncut"`. */
  readonly stop?: "manc-ncut" | "manc-mincut" | "manc-mincut=bipartition" | "ncut";
  /**
   * NCut above which a segment is left whole, 0 … 2; implies `stop: "ncut"`. With a peer's method the
   * distance of DiffSeg (default 1.1) or τ of DiffCut (default 0.5).
   */
  readonly threshold?: number;
  /** Default `"walkcut"`; else a peer that takes the cut's place. */
  readonly method?: "walkcut" | PeerMethod;
  /** What is done to the labels at last. Default `"none"`. */
  readonly refine?: "none" | "pamr";
  /** What is cut: M·Mᵀ, the cosine of M's rows, or the walk itself (paper, sections 3.2 and 3.3). Default `"dot"`. */
  readonly adjacency?: "dot" | "cosine" | "walk";
  /** Default `"auto"`. */
  readonly solver?: "auto" | "factor" | "operator";
  /** Whether P^k (paper, section 3.2) is formed or P applied k times. Default: the cheaper by counted cost. */
  readonly power?: "form" | "apply";
  /** Evenly spaced thresholds that are tried on an eigenvector (paper, section 3.4). Default: all that tell two nodes apart. */
  readonly thresholds?: number;
  /** Most segments a frame; 0 for no bound. Default 0. With `method: "emerdiff"` its K, default 30. */
  readonly maxSegments?: number;
  /** Smallest segment, as a share of the frame, 0 … 1. Default 0. */
  readonly minArea?: number;
  /**
   * Mean contrast of their boundary, as ΔE of CIE Lab, below which neighbours are joined: the more alike a walk
   * of one step finds them, the more of it they need to stay apart. What is not connected comes apart. 0 leaves
   * the segments as they are cut. Default: the model's own.
   */
  readonly contour?: number;
  /**
   * Start each frame from the last one's basis, eigenvectors and tree, and hold the labels of what is at rest.
   * Default true.
   */
  readonly warmStart?: boolean;
  /** Frames between cold starts; 0 for none. Default 0. */
  readonly keyframe?: number;
  /** Distance from the last frame, 0 … 1, above which a frame starts a scene. Default 0.35; 1 turns it off. */
  readonly sceneCut?: number;
  /** Diffusion models: steps of DDIM inversion, 0 … 50; 0 takes the clean latent. Default 10. */
  readonly inversionSteps?: number;
  /** Diffusion models: timestep at which attention is read, 0 … 999. Default: the last inverted one. */
  readonly timestep?: number;
  /** Diffusion models: keep the noise found on a key frame for those after it. Default true. */
  readonly reuseNoise?: boolean;
  /** Diffusion models: layers in use, those of the paper or all as in DiffSeg. Default `"mid+up"`. */
  readonly layers?: "mid+up" | "all";
  /** Diffusion models: text that conditions the network. Default: the one it was imported with, none as a rule. */
  readonly prompt?: string;
  /** Seconds between frames that carry a snapshot. Default: none does. */
  readonly snapshots?: number;
  /** Goes on after the frame that carried this snapshot: ids go on, the next frame starts cold. */
  readonly from?: SegmenterSnapshot;
  /** Folder to which P, eigenvectors, labels and tree of each frame are written. */
  readonly dump?: string;
}

/** What a segmenter runs on and with. */
export interface SegmenterInfo {
  readonly device: "cpu" | "webgpu";
  /** The device's name for people. */
  readonly description: string;
  /** Nodes a side. */
  readonly grid: number;
  /** k of P^k. */
  readonly walkSteps: number;
}

/** Frames that are worked on at once: one in the worker (on a GPU two), one on its way. */
const DEPTH = { cpu: 2, webgpu: 3 } as const;

/** A frame's promise as its two ends. */
type Pending = ReturnType<typeof Promise.withResolvers<SegmentedFrame>>;

/**
 * Segments a stream of frames in a Worker of its own.
 *
 * @example
 * ```ts
 * import { Segmenter } from "./segmenter.ts";
 *
 * const segmenter = await Segmenter.create({ device: "cpu" });
 * const data = new Uint8Array(64 * 48 * 3).map((_, i) => (i / 3) % 64 < 32 ? 40 : 200);
 * async function* frames() {
 *   yield { index: 0, pts: 0, width: 64, height: 48, data };
 * }
 * for await (const { labels, segments } of segmenter.stream(frames())) {
 *   console.log(labels.length, segments.length);
 * }
 * await segmenter.close();
 * ```
 */
export class Segmenter {
  readonly #worker: Worker;
  readonly #pending: Pending[] = [];
  #failure: Error | undefined;
  #closing: (() => void) | undefined;

  private constructor(worker: Worker, readonly info: SegmenterInfo) {
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#receive(data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#fail(crashOf(event.error ?? event.message));
    };
  }

  /**
   * Starts the worker, opens device and network.
   *
   * @param onNote told what a person should know beforehand, e.g. the memory that is needed.
   * @throws {UsageError} a model, grid or level that is not there.
   * @throws {DeviceError} `device: "webgpu"` without an adapter.
   */
  static async create(
    options: SegmenterOptions = {},
    onNote: (line: string) => void = () => {},
  ): Promise<Segmenter> {
    const worker = new Worker(new URL("./segmenter_worker.ts", import.meta.url), { type: "module" });
    try {
      const info = await new Promise<SegmenterInfo>((resolve, reject) => {
        worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
          if (data.kind === "ready") resolve(data.info);
          else if (data.kind === "note") onNote(data.line);
          else if (data.kind === "error") reject(reviveError(data.error));
        };
        worker.onerror = (event) => {
          event.preventDefault();
          reject(crashOf(event.error ?? event.message));
        };
        worker.postMessage({ kind: "open", options } satisfies ToWorker);
      });
      return new Segmenter(worker, info);
    } catch (error) {
      worker.terminate();
      throw error;
    }
  }

  /**
   * Labels each frame, in order. A frame's pixels are handed to the worker and come
   * back with its labels: the array that was passed in is empty meanwhile.
   *
   * Frames are taken only as fast as labels are. Where `frames` throws, what was
   * taken before is still delivered, then the error.
   */
  async *stream(frames: AsyncIterable<Frame>): AsyncGenerator<SegmentedFrame, void, void> {
    const waiting: Promise<SegmentedFrame>[] = [];
    let failure: { error: unknown } | undefined;
    try {
      for await (const frame of frames) {
        waiting.push(this.#submit(frame));
        if (waiting.length >= DEPTH[this.info.device]) yield await waiting.shift()!;
      }
    } catch (error) {
      if (this.#failure) throw error;
      failure = { error };
    }
    while (waiting.length > 0) yield await waiting.shift()!;
    if (failure) throw failure.error;
  }

  /** Ends the worker; frames under way are dropped. */
  async close(): Promise<void> {
    if (!this.#failure) {
      await new Promise<void>((resolve) => {
        this.#closing = resolve;
        this.#worker.postMessage({ kind: "close" } satisfies ToWorker);
      });
    }
    this.#worker.terminate();
    this.#fail(new WalkcutError({ what: "The segmenter is closed" }));
  }

  #submit(frame: Frame): Promise<SegmentedFrame> {
    const pending = Promise.withResolvers<SegmentedFrame>();
    // Whoever waits for it sees the error; until then it must not end the process.
    pending.promise.catch(() => {});
    if (this.#failure) {
      pending.reject(this.#failure);
      return pending.promise;
    }
    this.#pending.push(pending);
    const packed = packFrame(frame, untouchedPlanes(frame));
    this.#worker.postMessage({ kind: "frame", frame: packed } satisfies ToWorker, [packed.data.buffer]);
    return pending.promise;
  }

  #receive(message: FromWorker): void {
    if (message.kind === "labelled") {
      const { frame, ...rest } = message.result;
      this.#pending.shift()?.resolve({ frame: unpackFrame(frame), ...rest });
    } else if (message.kind === "closed") this.#closing?.();
    else if (message.kind === "error") this.#fail(reviveError(message.error));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const pending of this.#pending.splice(0)) pending.reject(error);
    this.#closing?.();
  }
}
