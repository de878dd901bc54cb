/**
 * JSON lines out: segments as COCO's run lengths, statistics.
 *
 * @module
 */
import type { SegmentedFrame } from "../segmenter.ts";
import type { VideoInfo } from "../source/frame.ts";
import type { ClaimOptions } from "./claim.ts";
import type { Sink } from "./sink.ts";

/** Settings of {@linkcode openRleSink} and {@linkcode openStatsSink}. */
export interface LineSinkOptions extends ClaimOptions {
  /** The source: its clock. */
  readonly info: VideoInfo;
}

/** Opens a file of segments: `{frame, pts, width, height, segments: [{id, area, bbox, rle}]}` a line. */
export function openRleSink(_output: string, _options: LineSinkOptions): Promise<Sink<SegmentedFrame>> {
  throw new Error("Not written yet");
}

/** Opens a file of statistics, one line a frame, as `--stats` says. */
export function openStatsSink(_output: string, _options: LineSinkOptions): Promise<Sink<SegmentedFrame>> {
  throw new Error("Not written yet");
}
