/**
 * Segments one frame after the other on the thread that calls it.
 *
 * @module
 */
import { openAnyModel } from "./checkpoint/open_model.ts";
import type { CutSettings, CutState } from "./cut/cut_frame.ts";
import { cutWalk } from "./cut/cut_walk.ts";
import { CutTurn } from "./cut/webgpu/cut_turn.ts";
import { pamr } from "./cut/pamr.ts";
import { pamrOnDevice } from "./cut/webgpu/pamr.ts";
import { isPeer, segmentByPeer } from "./cut/peers/segment.ts";
import type { CutNode, Segmentation } from "./cut/segmentation.ts";
import {
  findRegions,
  type LastRegions,
  namedRegions,
  type Regions,
  type RegionSettings,
  regionsOfNodes,
} from "./cut/regions.ts";
import { labelPixels } from "./cut/upsample.ts";
import type { HeldTree } from "./cut/held_tree.ts";
import { UsageError } from "./errors.ts";
import type { AttentionLayer, FeatureNetwork } from "./features/network.ts";
import { nodeColours } from "./features/node_colours.ts";
import { Flight } from "./flight.ts";
import { writeDump } from "./sink/dump.ts";
import type { FrameStats, SegmentedFrame, SegmenterInfo, SegmenterOptions } from "./segmenter.ts";
import type { Frame } from "./source/frame.ts";
import { LabelHold } from "./track/label_hold.ts";
import { SceneCutDetector, type SceneSnapshot } from "./track/scene_cut.ts";
import { Tracker, type TrackerSnapshot } from "./track/tracker.ts";
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
  /** Id of each part that is shown: of each leaf where no contour is asked for, else of each region. */
  readonly ids: readonly number[];
  /** The leaf that each of these parts is of. */
  readonly leafOf: readonly number[];
}

/** What ids need in order to go on after a frame, as plain data. */
export interface SegmenterSnapshot {
  readonly tracker: TrackerSnapshot;
  readonly scene: SceneSnapshot | undefined;
  /** Frames since the last cold start that `keyframe` asked for. */
  readonly sinceKey: number;
}

/** The whole chain from a frame to its labels, with what it carries from frame to frame. */
export class FrameSegmenter {
  readonly #scenes: SceneCutDetector;
  #tracker = new Tracker();
  #state: CutState | undefined;
  #lastRegions: LastRegions | undefined;
  readonly #hold = new LabelHold();
  #sinceKey = 0;
  /** What of the snapshot the first part of a frame knows, for the last frame that is done. */
  #mark: Mark;
  /** The last frame that was taken up. */
  #latest: Flight | undefined;

  private constructor(
    /** What it runs on and with. */
    readonly info: SegmenterInfo,
    private readonly device: WalkDevice,
    private readonly network: FeatureNetwork,
    private readonly settings: CutSettings,
    private readonly regions: RegionSettings,
    private readonly options: SegmenterOptions,
  ) {
    this.#scenes = new SceneCutDetector(options.sceneCut ?? DEFAULT_SCENE_CUT);
    if (options.from) {
      this.#tracker = Tracker.restore(options.from.tracker);
      this.#sinceKey = options.from.sinceKey;
      if (options.from.scene) this.#scenes.restore(options.from.scene);
    }
    this.#mark = { scene: this.#scenes.snapshot(), sinceKey: this.#sinceKey };
  }

  /** What ids need in order to go on after the last frame that is done. */
  snapshot(): SegmenterSnapshot {
    return { tracker: this.#tracker.snapshot(), ...this.#mark };
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
      ...given(options, "levels", "inversionSteps", "timestep", "reuseNoise", "layers", "prompt", "models"),
    });
    const settings = cutSettings(options, options.walkSteps ?? network.walkSteps, grid);
    const info = { device: device.kind, description: device.description, grid, walkSteps: settings.steps };
    const regions = {
      contour: options.contour ?? (isPeer(options.method) ? 0 : network.contour ?? 0),
      minArea: options.minArea ?? 0,
      maxSegments: options.maxSegments ?? 0,
    };
    return new FrameSegmenter(info, device, network, settings, regions, options);
  }

  /**
   * Segments the next frame of the stream.
   *
   * A call need not wait for the last one's result: on a GPU two frames are then on their way at
   * once (see {@linkcode Flight}). The results are the same.
   *
   * @param look shown what lies behind the segments before the walk is released; not with a peer's
   *   method, which has no tree.
   */
  async segment(
    frame: Frame,
    look?: (detail: FrameDetail) => Promise<void>,
  ): Promise<SegmentedFrame> {
    const flight = this.#latest = new Flight(this.#latest, this.#overlaps);
    try {
      await flight.mayBegin();
      const begun = await this.#begin(frame, flight);
      flight.begun();
      return await this.#finish(begun, flight, look);
    } finally {
      flight.done();
    }
  }

  /** Whether a frame may be taken up before the last one is done: a peer reads the network's results late. */
  get #overlaps(): boolean {
    return this.device.kind === "webgpu" && !isPeer(this.options.method);
  }

  /** The first part: network and walk, and the cut where it can follow the last frame's. */
  async #begin(frame: Frame, flight: Flight): Promise<BegunFrame> {
    const clock = new Stopwatch();
    const sceneCut = this.#scenes.startsScene(frame);
    const fresh = this.#startsAfresh(sceneCut);
    if (fresh) this.network.restart?.();
    const mark = { scene: this.#scenes.snapshot(), sinceKey: this.#sinceKey };
    const { layers, unetEvals } = await this.network.evaluate(frame);
    flight.fed();
    clock.stop("features");
    const walk = await this.device.walk(layers, this.info.grid, this.network.levelWeights);
    try {
      if (this.#overlaps) {
        flight.turn = await CutTurn.begin(walk, this.settings, fresh ? undefined : flight.turnBefore);
      }
    } catch (error) {
      walk.release();
      throw error;
    }
    clock.stop("walk");
    return { frame, clock, walk, layers, unetEvals, sceneCut, fresh, mark };
  }

  /** The second part: from the cut to labels and ids. */
  async #finish(
    begun: BegunFrame,
    flight: Flight,
    look?: (detail: FrameDetail) => Promise<void>,
  ): Promise<SegmentedFrame> {
    const { frame, clock, walk, layers, unetEvals, sceneCut, fresh, mark } = begun;
    const { turn } = flight;
    try {
      await clock.without(() => flight.mayFinish());
      if (sceneCut) this.#tracker.newScene();
      if (fresh) {
        this.#state = this.#lastRegions = undefined;
        this.#hold.restart();
      }
      const { segmentation, state } = await this.#partition(layers, walk, turn);
      this.#state = state;
      clock.stop("cut");
      const parts = this.#parts(
        frame,
        segmentation,
        labelPixels(segmentation.scores, segmentation.segments, this.info.grid, frame),
      );
      const pixels = await this.#refine(frame, parts.pixels);
      clock.stop("upsample");
      const ids = this.#tracker.assign({
        labels: parts.tracked,
        segments: parts.leaves.length,
        colours: nodeColours(frame, Math.sqrt(parts.tracked.length)),
      });
      this.#lastRegions = parts.cells && namedRegions(parts.cells, ids, this.#lastRegions);
      if (state) await look?.({ walk, segmentation, held: state.tree, ids, leafOf: parts.leaves });
      if (this.options.dump !== undefined) await this.#dump(frame, walk, segmentation, parts, ids);
      this.#nameAndHold(frame, pixels, ids);
      const stats = frameStats(segmentation, clock.times(), { unetEvals, sceneCut });
      this.#mark = mark;
      return labelled(frame, pixels, parts.leaves.map((leaf) => nodeOf(segmentation, leaf)), ids, stats);
    } finally {
      turn?.end();
      walk.release();
    }
  }

  /** Cuts the walk, or has a peer take the cut's place, which leaves nothing to start from. */
  async #partition(
    layers: readonly AttentionLayer[],
    walk: Walk,
    turn: CutTurn | undefined,
  ): Promise<{ segmentation: Segmentation; state: CutState | undefined }> {
    const { method, threshold, maxSegments } = this.options;
    if (turn) return await turn.cut(this.#state);
    if (!isPeer(method)) return await cutWalk(walk, this.settings, this.#state);
    const segmentation = await segmentByPeer(method, layers, walk, this.device, {
      ...(threshold === undefined ? {} : { threshold }),
      ...(maxSegments ? { masks: maxSegments } : {}),
    });
    return { segmentation, state: undefined };
  }

  /** What is shown as one segment each: the leaves, or the regions that contours make of them. */
  #parts(frame: Frame, segmentation: Segmentation, pixels: Uint16Array<ArrayBuffer>): Parts {
    const { labels, segments } = segmentation;
    if (this.regions.contour === 0) {
      return { pixels, leaves: Array.from({ length: segments }, (_, leaf) => leaf), tracked: labels };
    }
    // After more than one step neighbours are alike nearly everywhere: their likeness tells nothing.
    const telling = this.settings.steps === 1 && !isPeer(this.options.method);
    const regions = findRegions(pixels, frame, this.regions, {
      ...(telling ? { walk: segmentation } : {}),
      last: this.#lastRegions,
    });
    return { ...regions, tracked: regionsOfNodes(regions.cells, regions.count, TRACKED) };
  }

  /** Renumbers parts to ids; where frames start from the last one, pixels at rest keep theirs. */
  #nameAndHold(frame: Frame, pixels: Uint16Array, ids: readonly number[]): void {
    for (let p = 0; p < pixels.length; p++) pixels[p] = ids[pixels[p]!]!;
    const { warmStart = true, method } = this.options;
    if (warmStart && !isPeer(method)) this.#hold.settle(frame, pixels);
  }

  /** Carries out `refine`; its time counts with that of the upsampling. */
  async #refine(frame: Frame, pixels: Uint16Array<ArrayBuffer>): Promise<Uint16Array<ArrayBuffer>> {
    if (this.options.refine !== "pamr") return pixels;
    const { device } = this;
    return device instanceof WebGpuWalkDevice
      ? await pamrOnDevice(device.gpu, frame, pixels)
      : pamr(frame, pixels);
  }

  /** Frees network and device once the frames on their way have left; no call may follow. */
  async close(): Promise<void> {
    if (this.#latest) await this.#latest.left;
    await this.network.close();
    await this.device.close();
  }

  /** Whether this frame may start from nothing of the last ones. */
  #startsAfresh(sceneCut: boolean): boolean {
    const { warmStart = true, keyframe = 0 } = this.options;
    this.#sinceKey = sceneCut || (keyframe > 0 && this.#sinceKey + 1 >= keyframe) ? 0 : this.#sinceKey + 1;
    return !warmStart || this.#sinceKey === 0;
  }

  async #dump(
    frame: Frame,
    walk: Walk,
    segmentation: Segmentation,
    { leaves, cells }: Parts,
    ids: readonly number[],
  ): Promise<void> {
    await writeDump(this.options.dump!, {
      index: frame.index,
      walk: await walk.dense(),
      ...(this.#state ? { fiedler: this.#state.tree.nodes[0]!.vector } : {}),
      segmentation,
      labels: (cells ? regionsOfNodes(cells, ids.length, this.info.grid) : segmentation.labels)
        .map((part) => ids[part]!),
      segments: ids.map((id, part) => ({ id, node: segmentation.leaves[leaves[part]!]! })),
    });
  }
}

/** A frame's part of a {@linkcode SegmenterSnapshot} that is known when it is taken up. */
type Mark = Omit<SegmenterSnapshot, "tracker">;

/** A frame that network and walk are done with. */
interface BegunFrame {
  readonly frame: Frame;
  readonly clock: Stopwatch;
  readonly walk: Walk;
  readonly layers: readonly AttentionLayer[];
  readonly unetEvals: number;
  readonly sceneCut: boolean;
  /** Whether it starts from nothing of the last frames. */
  readonly fresh: boolean;
  readonly mark: Mark;
}

/** What is shown as one segment each. */
interface Parts {
  /** Part of every pixel. */
  readonly pixels: Uint16Array<ArrayBuffer>;
  /** The leaf that each part is of. */
  readonly leaves: readonly number[];
  /** Part of each node of the grid on which ids are matched. */
  readonly tracked: Uint16Array;
  /** Part of each cell of {@linkcode Regions}, where contours made them. */
  readonly cells?: Regions["cells"];
}

/** Nodes a side of the grid on which the ids of regions are matched: a region may be thinner than a patch. */
const TRACKED = 64;

function nodeOf({ tree, leaves }: Segmentation, leaf: number): CutNode {
  return tree[leaves[leaf]!]!;
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
  // A threshold asks for the stop that takes one.
  const stop = options.threshold === undefined ? options.stop ?? "manc-ncut" : "ncut";
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

/** Gathers what is known of each id that the frame shows. */
function labelled(
  frame: Frame,
  labels: Uint16Array<ArrayBuffer>,
  nodes: readonly CutNode[],
  ids: readonly number[],
  stats: FrameStats,
): SegmentedFrame {
  const areas = new Uint32Array(Math.max(0, ...ids) + 1);
  for (const id of labels) areas[id]!++;
  const segments = ids.map((id, part) => ({ id, area: areas[id]!, ncut: nodes[part]!.ncut }))
    .filter(({ area }) => area > 0)
    .sort((a, b) => a.id - b.id);
  return { frame, labels, segments, stats: { ...stats, segments: segments.length } };
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
  #begin = performance.now();
  #last = this.#begin;
  readonly #times = { features: 0, walk: 0, cut: 0, upsample: 0 };

  stop(stage: "features" | "walk" | "cut" | "upsample"): void {
    const now = performance.now();
    this.#times[stage] = now - this.#last;
    this.#last = now;
  }

  /** Waits for other frames, which counts with no stage. */
  async without(wait: () => Promise<void>): Promise<void> {
    const from = performance.now();
    await wait();
    const waited = performance.now() - from;
    this.#begin += waited;
    this.#last += waited;
  }

  times(): FrameStats["ms"] {
    return { ...this.#times, total: performance.now() - this.#begin };
  }
}
