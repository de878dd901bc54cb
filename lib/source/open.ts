/**
 * Opens anything that ffmpeg reads as a {@linkcode VideoSource}.
 *
 * @module
 */
import type { Rational, VideoSource } from "./frame.ts";
import type { Size } from "./numbers.ts";

/** What a stream holds, where it is not to be sniffed. */
export type InputFormat = "auto" | "y4m" | "nut" | "rgb24" | "rgba" | "gray8";

/** Settings of {@linkcode openVideo}. */
export interface SourceOptions {
  /** First frame at or after this time, in seconds from the start. Default 0. */
  readonly start?: number;
  /** Frames before this time, in seconds from the start of the file. Default: all. */
  readonly end?: number;
  /** Most frames to yield, ≥ 1. Default: all. */
  readonly frames?: number;
  /** Only each n-th frame, ≥ 1. Default 1. */
  readonly stride?: number;
  /** Only the `index`-th (from 1) of `count` equal parts of the frames. Default: all. */
  readonly shard?: { readonly index: number; readonly count: number };
  /** Default `"auto"`: by content. */
  readonly inputFormat?: InputFormat;
  /** Size of raw frames; needed by `rgb24`, `rgba` and `gray8`, not allowed elsewhere. */
  readonly size?: Size;
  /** Frame rate of raw frames and of picture sequences. Default 25. */
  readonly fps?: Rational;
  /** Path of ffmpeg; default: found as `locateFfmpeg` says. */
  readonly ffmpeg?: string;
  /** What `"-"` reads. Default: `Deno.stdin.readable`. */
  readonly stdin?: ReadableStream<Uint8Array<ArrayBuffer>>;
}

/**
 * Opens a video.
 *
 * @param input A file, a URL (`http://…`), a picture, a folder or glob of pictures, a `%06d.png` pattern,
 * or `"-"` for stdin. A name that exists as a file is that file, whatever it looks like.
 * @throws {UsageError} If there is nothing readable, or options do not fit (exit code 2).
 * @throws {FfmpegError} If ffmpeg is missing.
 */
export function openVideo(_input: string, _options: SourceOptions = {}): Promise<VideoSource> {
  throw new Error("Not written yet");
}
