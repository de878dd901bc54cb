/**
 * JSON lines out: segments as COCO's run lengths, statistics.
 *
 * @module
 */
import type { CutStats } from "../cut/segmentation.ts";
import type { SegmentedFrame } from "../segmenter.ts";
import type { VideoInfo } from "../source/frame.ts";
import { ptsSeconds } from "../source/numbers.ts";
import type { ClaimOptions } from "./claim.ts";
import { GrowingFile } from "./files.ts";
import { encodeSegments } from "./rle.ts";
import type { Sink } from "./sink.ts";

/** Settings of {@linkcode openRleSink} and {@linkcode openStatsSink}. */
export interface LineSinkOptions extends ClaimOptions {
  /** The source: its clock. */
  readonly info: VideoInfo;
}

/** What a cut tells of itself, as JSON spells it. */
export function spelledStats(stats: CutStats) {
  return {
    operator_applications: stats.operatorApplications,
    residual: stats.residual,
    warm: stats.warm,
    solver: stats.solver,
    rank: stats.rank,
    trace_share: stats.traceShare,
    recertified: stats.recertified,
    ahead: stats.ahead,
    power: stats.power,
    matrix_products: stats.matrixProducts,
  };
}

/**
 * Opens a file of segments: `{frame, pts, width, height, segments: [{id, area, bbox, rle}]}` a line.
 *
 * `pts` is in seconds, `bbox` is `[x, y, width, height]`, `rle` is what pycocotools' `decode` takes:
 * `{size: [height, width], counts}`.
 *
 * @throws {UsageError} If it cannot be written, before anything is.
 */
export async function openRleSink(output: string, options: LineSinkOptions): Promise<Sink<SegmentedFrame>> {
  return new Lines(
    output,
    await GrowingFile.claim(output, options),
    ({ frame, labels }) => ({
      frame: frame.index,
      pts: ptsSeconds(options.info, frame.pts),
      width: frame.width,
      height: frame.height,
      segments: encodeSegments(labels, frame.width, frame.height),
    }),
  );
}

/**
 * Opens a file of statistics, one line a frame.
 *
 * @throws {UsageError} If it cannot be written, before anything is.
 */
export async function openStatsSink(output: string, options: LineSinkOptions): Promise<Sink<SegmentedFrame>> {
  return new Lines(
    output,
    await GrowingFile.claim(output, options),
    ({ frame, stats, segments }) => ({
      frame: frame.index,
      pts: ptsSeconds(options.info, frame.pts),
      ms: stats.ms,
      segments: stats.segments,
      unet_evals: stats.unetEvals,
      ...spelledStats(stats),
      scene_cut: stats.sceneCut,
      // NaN, where a segment has no split, becomes null.
      ncut: Object.fromEntries(segments.map(({ id, ncut }) => [id, ncut])),
    }),
  );
}

class Lines implements Sink<SegmentedFrame> {
  readonly output: string;
  readonly #file: GrowingFile;
  readonly #lineOf: (item: SegmentedFrame) => unknown;

  constructor(output: string, file: GrowingFile, lineOf: (item: SegmentedFrame) => unknown) {
    this.output = output;
    this.#file = file;
    this.#lineOf = lineOf;
  }

  get partial(): string {
    return this.#file.partial;
  }

  async write(item: SegmentedFrame): Promise<void> {
    await this.#file.append(new TextEncoder().encode(JSON.stringify(this.#lineOf(item)) + "\n"));
  }

  async close(): Promise<void> {
    await this.#file.commit();
  }

  // deno-lint-ignore require-await -- the contract is asynchronous
  async abort(): Promise<void> {
    this.#file.end();
  }
}
