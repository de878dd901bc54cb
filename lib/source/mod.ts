/**
 * Video in: files, URLs, pictures, picture sequences and pipes, decoded by ffmpeg into RGB frames.
 *
 * ```ts
 * import { openVideo } from "./mod.ts";
 *
 * // A file's name, a URL, a folder of pictures or a pipe: here two raw frames of 4×2 pixels.
 * const stdin = new Blob([new Uint8Array(2 * 4 * 2 * 3)]).stream();
 * const source = await openVideo("-", { stdin, inputFormat: "rgb24", size: { width: 4, height: 2 } });
 * for await (const frame of source.frames()) console.log(frame.index, frame.pts, frame.data.length);
 * await source.close();
 * ```
 *
 * | function | gives |
 * |---|---|
 * | {@linkcode openVideo}`(input, options)` | a {@linkcode VideoSource} of anything that ffmpeg reads; `"-"` is stdin |
 * | {@linkcode parseSize}`("640x360")` | a checked size, for `--size` |
 * | {@linkcode parseRate}`("30000/1001")` | a checked frame rate, for `--fps` |
 * | {@linkcode ptsSeconds}`(info, pts)` | a frame's time in seconds |
 *
 * Frames are read when they are asked for, at most two ahead. `frames()` ends by itself at the end of the
 * stream; breaking out of it, or `close()`, ends the decoder. A stream that ends too early gives all its
 * whole frames first, then throws. Times are relative to the start of the file, or to `start`.
 *
 * @module
 */
export type {
  Aside,
  Frame,
  FrameColor,
  Origin,
  OriginStream,
  Rational,
  VideoInfo,
  VideoSource,
} from "./frame.ts";
export { openVideo } from "./open.ts";
export type { InputFormat, SourceOptions } from "./open.ts";
export { parseRate, parseSize, ptsSeconds } from "./numbers.ts";
