/**
 * Segments one frame after the other on the thread that calls it.
 *
 * @module
 */
import { openAnyModel } from "./checkpoint/open_model.ts";
import type { CutSettings, CutState } from "./cut/cut_frame.ts";
import { cutWalk } from "./cut/cut_walk.ts";
import { pamr } from "./cut/pamr.ts";
import { pamrOnDevice } from "./cut/webgpu/pamr.ts";
import { isPeer, segmentByPeer } from "./cut/peers/segment.ts";
import type { Segmentation } from "./cut/segmentation.ts";
import { labelPixels } from "./cut/upsample.ts";
import type { HeldTree } from "./cut/held_tree.ts";
import { UsageError } from "./errors.ts";
import type { AttentionLayer, FeatureNetwork } from "./features/network.ts";
import { nodeColours } from "./features/node_colours.ts";

import { writeDump } from "./sink/dump.ts";
import type { FrameStats, SegmentedFrame, SegmenterInfo, SegmenterOptions } from "./segmenter.ts";
import type { Frame } from "./source/frame.ts";
import { SceneCutDetector } from "./track/scene_cut.ts";
import { Tracker } from "./track/tracker.ts";
import { createCpuWalkDevice } from "./walk/cpu/walk_device.ts";
import { chooseGpu } from "./walk/choose_gpu.ts";
import type { Walk, WalkDevice } from "./walk/walk.ts";
import { createWebGpuWalkDevice, WebGpuWalkDevice } from "./walk/webgpu/walk_device.ts";

/** Distance above which a frame starts a scene, unless asked otherwise. */
export const DEFAULT_SCENE_CUT = 0.35;

/** What lies behind the segments of one frame. */
export interface FrameDetail {
  /** P of the frame; released when the frame is done. */
  readonly walk: Walk;
  readonly segmentation: Segmentation;
  /** The Fiedler vector of each node of the segmentation's tree, at the same positions. */
  readonly held: HeldTree;
  /** Id of each leaf. */
  readonly ids: readonly number[];
}

/** The whole chain from a frame to its labels, with what it carries from frame to frame. */
export class FrameSegmenter {
  readonly #scenes: SceneCutDetector;
  readonly #tracker = new Tracker();
  #state: CutState | undefined;
  #sinceKey = 0;

  private constructor(
    /** What it runs on and with. */
    readonly info: SegmenterInfo,
    private readonly device: WalkDevice,
    private readonly network: FeatureNetwork,
    private readonly settings: CutSettings,
    private readonly options: SegmenterOptions,
  ) {
    this.#scenes = new SceneCutDetector(options.sceneCut ?? DEFAULT_SCENE_CUT);
  }

  /**
   * Opens device and network.
   *
   * @param onNote told what a person should know beforehand, e.g. the memory that is needed.
   * @throws {DeviceError} `device: "webgpu"` where there is no adapter.
   * @throws {UsageError} settings of the cut where a peer takes its place.
   */
  static async create(
    options: SegmenterOptions,
    onNote: (line: string) => void = () => {},
  ): Promise<FrameSegmenter> {
    checkMethod(options);
    const gpu = await chooseGpu(options.device ?? "auto");
    const grid = options.grid ?? (gpu && !gpu.isFallback ? 64 : 32);
    const device = gpu ? await createWebGpuWalkDevice(gpu) : await createCpuWalkDevice();
    const where = gpu ? { device: "webgpu" as const, gpu: gpu.device } : { device: "cpu" as const };
    const network = await openAnyModel(options.model ?? "embedded", where, {
      grid,
      onNote,
      ...given(options, "levels", "inversionSteps", "timestep", "reuseNoise", "layers", "prompt"),
    });
    const settings = cutSettings(options, options.walkSteps ?? network.walkSteps, grid);
    const info = { device: device.kind, description: device.description, grid, walkSteps: settings.steps };
    return new FrameSegmenter(info, device, network, settings, options);
  }

  /**
   * Segments the next frame of the stream.
   *
   * @param look shown what lies behind the segments before the walk is released; not with a peer's
   *   method, which has no tree.
   */
  async segment(
    frame: Frame,
    look?: (detail: FrameDetail) => Promise<void>,
  ): Promise<SegmentedFrame> {
    const clock = new Stopwatch();
    const sceneCut = this.#scenes.startsScene(frame);
    this.#prepare(sceneCut);
    const { layers, unetEvals } = await this.network.evaluate(frame);
    clock.stop("features");
    const walk = await this.device.walk(layers, this.info.grid, this.network.levelWeights);
    try {
      clock.stop("walk");
      const { segmentation, state } = await this.#partition(layers, walk);
      this.#state = state;
      clock.stop("cut");
      const pixels = await this.#refine(
        frame,
        labelPixels(segmentation.scores, segmentation.segments, this.info.grid, frame),
      );
      clock.stop("upsample");
      const ids = this.#tracker.assign({
        labels: segmentation.labels,
        segments: segmentation.segments,
        colours: nodeColours(frame, this.info.grid),
      });
      if (state) await look?.({ walk, segmentation, held: state.tree, ids });
      if (this.options.dump !== undefined) await this.#dump(frame, walk, segmentation, ids);
      const stats = frameStats(segmentation, clock.times(), { unetEvals, sceneCut });
      return labelled(frame, pixels, segmentation, ids, stats);
    } finally {
      walk.release();
    }
  }

  /** Cuts the walk, or has a peer take the cut's place, which leaves nothing to start from. */
  async #partition(
    layers: readonly AttentionLayer[],
    walk: Walk,
  ): Promise<{ segmentation: Segmentation; state: CutState | undefined }> {
    const { method, threshold, maxSegments } = this.options;
    if (!isPeer(method)) return await cutWalk(walk, this.settings, this.#state);
    const segmentation = await segmentByPeer(method, layers, walk, this.device, {
      ...(threshold === undefined ? {} : { threshold }),
      ...(maxSegments ? { masks: maxSegments } : {}),
    });
    return { segmentation, state: undefined };
  }

  /** Carries out `refine`; its time counts with that of the upsampling. */
  async #refine(frame: Frame, pixels: Uint16Array<ArrayBuffer>): Promise<Uint16Array<ArrayBuffer>> {
    if (this.options.refine !== "pamr") return pixels;
    const { device } = this;
    return device instanceof WebGpuWalkDevice
      ? await pamrOnDevice(device.gpu, frame, pixels)
      : pamr(frame, pixels);
  }

  /** Frees network and device; no call may follow. */
  async close(): Promise<void> {
    await this.network.close();
    await this.device.close();
  }

  /** Decides what of the last frames this one may start from. */
  #prepare(sceneCut: boolean): void {
    const { warmStart = true, keyframe = 0 } = this.options;
    this.#sinceKey = sceneCut || (keyframe > 0 && this.#sinceKey + 1 >= keyframe) ? 0 : this.#sinceKey + 1;
    if (sceneCut) this.#tracker.newScene();
    if (!warmStart || this.#sinceKey === 0) {
      this.#state = undefined;
      this.network.restart?.();
    }
  }

  async #dump(frame: Frame, walk: Walk, segmentation: Segmentation, ids: readonly number[]): Promise<void> {
    await writeDump(this.options.dump!, {
      index: frame.index,
      walk: await walk.dense(),
      ...(this.#state ? { fiedler: this.#state.tree.nodes[0]!.vector } : {}),
      segmentation,
      ids,
    });
  }
}

/** Settings that only the cut has, and the words of their options. */
const OF_THE_CUT = {
  stop: "stop",
  adjacency: "adjacency",
  solver: "solver",
  power: "power",
  thresholds: "thresholds",
  walkSteps: "walk-steps",
  minArea: "min-area",
  maxSegments: "max-segments",
} as const;

/** @throws {UsageError} where a peer's method is asked for with a setting that it does not have. */
function checkMethod(options: SegmenterOptions): void {
  const { method, threshold } = options;
  if (!isPeer(method)) return;
  const names = Object.keys(OF_THE_CUT) as (keyof typeof OF_THE_CUT)[];
  const stray = names.find((name) => options[name] && !(name === "maxSegments" && method === "emerdiff"));
  const word = stray ? OF_THE_CUT[stray] : method === "emerdiff" && threshold !== undefined && "threshold";
  if (!word) return;
  throw new UsageError({
    what: `--${word} does not apply to --method ${method}`,
    advice: "leave one of them out",
  });
}

/** NCut threshold of `--stop ncut` where none is given: the middle of the paper's good values. */
const DEFAULT_THRESHOLD = 0.4;

/** The options of the given names that are set. */
function given<K extends keyof SegmenterOptions>(
  options: SegmenterOptions,
  ...names: K[]
): Pick<SegmenterOptions, K> {
  return Object.fromEntries(
    names.map((name) => [name, options[name]]).filter(([, value]) => value !== undefined),
  ) as Pick<SegmenterOptions, K>;
}

/** The cut's part of the options. */
function cutSettings(options: SegmenterOptions, steps: number, grid: number): CutSettings {
  const { stop = options.threshold === undefined ? "manc-ncut" : "ncut" } = options;
  return {
    steps,
    stop: stop === "ncut"
      ? { kind: stop, threshold: options.threshold ?? DEFAULT_THRESHOLD }
      : { kind: stop },
    maxSegments: options.maxSegments ?? 0,
    minPart: Math.max(1, Math.round((options.minArea ?? 0) * grid ** 2)),
    ...given(options, "adjacency", "solver", "power", "thresholds"),
  };
}

/** Renumbers leaves to ids and gathers what is known of each. */
function labelled(
  frame: Frame,
  pixels: Uint16Array<ArrayBuffer>,
  { tree, leaves }: Segmentation,
  ids: readonly number[],
  stats: FrameStats,
): SegmentedFrame {
  const areas = new Uint32Array(ids.length);
  for (let p = 0; p < pixels.length; p++) {
    const leaf = pixels[p]!;
    areas[leaf]!++;
    pixels[p] = ids[leaf]!;
  }
  const segments = ids.map((id, leaf) => ({ id, area: areas[leaf]!, ncut: tree[leaves[leaf]!]!.ncut }))
    .filter(({ area }) => area > 0)
    .sort((a, b) => a.id - b.id);
  return { frame, labels: pixels, segments, stats: { ...stats, segments: segments.length } };
}

function frameStats(
  { segments, stats }: Segmentation,
  ms: FrameStats["ms"],
  more: Pick<FrameStats, "unetEvals" | "sceneCut">,
): FrameStats {
  return { ms, segments, ...stats, ...more };
}

/** Milliseconds by stage. */
class Stopwatch {
  readonly #begin = performance.now();
  #last = this.#begin;
  readonly #times = { features: 0, walk: 0, cut: 0, upsample: 0 };

  stop(stage: "features" | "walk" | "cut" | "upsample"): void {
    const now = performance.now();
    this.#times[stage] = now - this.#last;
    this.#last = now;
  }

  times(): FrameStats["ms"] {
    return { ...this.#times, total: performance.now() - this.#begin };
  }
}
