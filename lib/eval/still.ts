/**
 * Pictures one by one through any of the methods on the same network.
 *
 * @module
 */
import { diffCut } from "../cut/peers/diffcut.ts";
import { diffSeg } from "../cut/peers/diffseg.ts";
import type { PeerMethod } from "../cut/peers/flat.ts";
import { pamr } from "../cut/pamr.ts";
import { labelPixels } from "../cut/upsample.ts";
import { DeviceError } from "../errors.ts";
import { openModel } from "../features/open_model.ts";
import { FrameSegmenter } from "../frame_segmenter.ts";
import type { SegmenterOptions } from "../segmenter.ts";
import type { Frame } from "../source/frame.ts";
import { createCpuWalkDevice } from "../walk/cpu/walk_device.ts";
import { openGpu } from "../walk/webgpu/device.ts";
import { createWebGpuWalkDevice } from "../walk/webgpu/walk_device.ts";

/** What segments a picture. */
export interface StillOptions {
  /** Default `"walkcut"`. */
  readonly method?: "walkcut" | PeerMethod;
  /** Default `"none"`. */
  readonly refine?: "none" | "pamr";
  /** Network, device, grid, and for `walkcut` the cut. */
  readonly segmenter?: Omit<SegmenterOptions, "dump" | "warmStart" | "keyframe" | "sceneCut">;
  /** Distance of DiffSeg, all passes, or τ of DiffCut; default: theirs. */
  readonly peerThreshold?: number;
}

/** A picture's segments. */
export interface StillResult {
  /** `[height, width]`, row-major. */
  readonly labels: Uint16Array<ArrayBuffer>;
  readonly segments: number;
  /** Milliseconds from the picture to its labels. */
  readonly ms: number;
}

/** Segments pictures, each on its own. */
export interface StillSegmenter {
  segment(frame: Frame): Promise<StillResult>;
  close(): Promise<void>;
}

/** Opens network and device for a method. */
export async function openStill(options: StillOptions = {}): Promise<StillSegmenter> {
  const { method = "walkcut", refine = "none", segmenter = {} } = options;
  const inner = method === "walkcut"
    ? new WalkcutStill(segmenter)
    : await openPeer(method, segmenter, options.peerThreshold);
  if (refine === "none") return inner;
  return {
    async segment(frame) {
      // The segmenter takes the frame's memory.
      const copy = { ...frame, data: frame.data.slice() };
      const { labels, ms } = await inner.segment(frame);
      const begin = performance.now();
      const refined = pamr(copy, labels);
      return { labels: refined, segments: new Set(refined).size, ms: ms + performance.now() - begin };
    },
    close: () => inner.close(),
  };
}

/** Pictures after which a segmenter is opened anew: its ids are 16 bits and never given twice. */
const PICTURES = 500;

/**
 * The segmenter of videos, with nothing kept from one picture to the next. On this
 * thread: a Worker that begins after the peers have loaded the runtime here fails.
 */
class WalkcutStill implements StillSegmenter {
  #segmenter: FrameSegmenter | undefined;
  #pictures = 0;

  constructor(private readonly options: SegmenterOptions) {}

  async segment(frame: Frame): Promise<StillResult> {
    if (this.#pictures++ % PICTURES === 0) {
      await this.close();
      this.#segmenter = await FrameSegmenter.create({ ...this.options, warmStart: false, sceneCut: 1 });
    }
    const { labels, segments, stats } = await this.#segmenter!.segment(frame);
    return { labels, segments: segments.length, ms: stats.ms.total };
  }

  async close(): Promise<void> {
    await this.#segmenter?.close();
    this.#segmenter = undefined;
  }
}

async function openPeer(
  method: PeerMethod,
  options: SegmenterOptions,
  threshold: number | undefined,
): Promise<StillSegmenter> {
  const wanted = options.device ?? "auto";
  let gpu = wanted === "cpu" ? undefined : await openGpu();
  if (wanted === "webgpu" && !gpu) {
    throw new DeviceError({ what: "Cannot use WebGPU: there is no adapter", advice: "use --device cpu" });
  }
  if (wanted === "auto" && gpu?.isFallback) {
    gpu.close();
    gpu = undefined;
  }
  const grid = options.grid ?? (gpu && !gpu.isFallback ? 64 : 32);
  const device = gpu ? await createWebGpuWalkDevice(gpu) : await createCpuWalkDevice();
  const network = await openModel(
    options.model ?? "embedded",
    gpu ? { device: "webgpu", gpu: gpu.device } : { device: "cpu" },
    { grid, ...(options.levels ? { levels: options.levels } : {}) },
  );
  return {
    async segment(frame) {
      const begin = performance.now();
      const { layers } = await network.evaluate(frame);
      const walk = await device.walk(layers, grid, network.levelWeights);
      try {
        const { scores, segments } = method === "diffseg"
          ? await diffSeg(
            walk,
            device,
            threshold === undefined ? {} : { thresholds: Array(3).fill(threshold) },
          )
          : await diffCut(walk, threshold === undefined ? {} : { tau: threshold });
        const labels = labelPixels(scores, segments, grid, frame);
        return { labels, segments, ms: performance.now() - begin };
      } finally {
        walk.release();
      }
    },
    async close() {
      await network.close();
      await device.close();
    },
  };
}
