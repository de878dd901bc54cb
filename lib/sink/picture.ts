/**
 * Rendered pictures out: encoded video, picture files, streams on stdout.
 *
 * @module
 */
import type { VideoInfo } from "../source/frame.ts";
import type { ClaimOptions } from "./claim.ts";
import type { LabelMap, Picture, Sink } from "./sink.ts";

/** What stdout can carry: pictures, or (gray) the label maps. */
export type StdoutFormat = "y4m" | "nut" | "rgb24" | "gray8" | "gray16le";

/** Settings of {@linkcode openPictureSink}. */
export interface PictureSinkOptions extends ClaimOptions {
  /** The source: its clock, rate, colours, and where sound is copied from. */
  readonly info: VideoInfo;
  /** Size of the pictures where it is not the source's, such as side by side. */
  readonly size?: { readonly width: number; readonly height: number };
  /** 4 where the pictures have alpha. Default 3. */
  readonly channels?: 3 | 4;
  /** Copy sound, subtitles, chapters and metadata from the source. Default true. */
  readonly audio?: boolean;
  /** ffmpeg's name of the encoder. Default: what suits the container. */
  readonly codec?: string;
  /** Constant rate factor. Default: 18 for H.264 and what matches it elsewhere. */
  readonly crf?: number;
  /** The encoder's preset. Default: the encoder's own, `medium` for H.264. */
  readonly preset?: string;
  /** ffmpeg's name of the pixel format. Default: what suits the codec. */
  readonly pixFmt?: string;
  /** More arguments for ffmpeg's output, in its own words. */
  readonly ffmpegArgs?: readonly string[];
  /** Path of ffmpeg; default: found as `locateFfmpeg` says. */
  readonly ffmpeg?: string;
  /** Takes one-line warnings: a stream that was dropped or transcoded. */
  readonly warn?: (line: string) => void;
}

/** Opens the picture output that `output` names by its extension. */
export function openPictureSink(_output: string, _options: PictureSinkOptions): Promise<Sink<Picture>> {
  throw new Error("Not written yet");
}

/** Opens a stream of pictures (`y4m`, `nut`, `rgb24`) or of label maps (`gray8`, `gray16le`) on stdout. */
export function openStdoutSink(
  format: "y4m" | "nut" | "rgb24",
  options: PictureSinkOptions,
): Promise<Sink<Picture>>;
export function openStdoutSink(
  format: "gray8" | "gray16le",
  options: PictureSinkOptions,
): Promise<Sink<LabelMap>>;
export function openStdoutSink(
  _format: StdoutFormat,
  _options: PictureSinkOptions,
): Promise<Sink<Picture> | Sink<LabelMap>> {
  throw new Error("Not written yet");
}
