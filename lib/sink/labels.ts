/**
 * Label maps out, lossless.
 *
 * @module
 */
import type { VideoInfo } from "../source/frame.ts";
import type { ClaimOptions } from "./claim.ts";
import type { LabelMap, Sink } from "./sink.ts";

/** Settings of {@linkcode openLabelSink}. */
export interface LabelSinkOptions extends ClaimOptions {
  /** The source: its clock and size. */
  readonly info: VideoInfo;
  /** Write 8-bit indexed PNG with DAVIS' palette, ids above 255 being an error. Default false: 16-bit. */
  readonly palette?: boolean;
  /** Path of ffmpeg, for `.mkv`; default: found as `locateFfmpeg` says. */
  readonly ffmpeg?: string;
}

/** Opens the label output that `output` names: `.mkv`, a `%06d.png` pattern, `.png` or `.npy`. */
export function openLabelSink(_output: string, _options: LabelSinkOptions): Promise<Sink<LabelMap>> {
  throw new Error("Not written yet");
}
