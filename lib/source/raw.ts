/**
 * Raw frames from a pipe, without ffmpeg.
 *
 * @module
 */
import { ByteReader } from "../ffmpeg/byte_reader.ts";
import { UsageError, WalkcutError } from "../errors.ts";
import { frameClock } from "./input.ts";
import type { Size } from "./numbers.ts";
import type { Frame, Rational, VideoInfo, VideoSource } from "./frame.ts";

/** Settings of {@linkcode openRaw}. */
export interface RawOptions {
  readonly format: "rgb24" | "rgba" | "gray8";
  readonly size: Size;
  readonly fps: Rational;
  /** Index of the first frame to yield. */
  readonly first: number;
  /** Index of the first frame after the last. */
  readonly last: number;
  readonly stride: number;
}

/**
 * Reads packed frames, row-major, without any header. Alpha is dropped, grey becomes RGB.
 *
 * @throws {UsageError} If the stream holds no whole frame.
 */
export async function openRaw(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  options: RawOptions,
): Promise<VideoSource> {
  const { width, height } = options.size;
  const bytes = width * height * { rgb24: 3, rgba: 4, gray8: 1 }[options.format];
  const reader = new ByteReader(stream);
  for (let skipped = 0; skipped < options.first; skipped++) {
    if (!await reader.skip(bytes)) {
      throw new UsageError({ what: "The stream ends before --start", found: `${skipped} frames` });
    }
  }
  const first = await reader.take(bytes);
  if (first.length < bytes) {
    await reader.cancel();
    throw new UsageError({
      what: `The stream holds no whole ${options.format} frame of ${width}x${height}`,
      found: `${first.length} of ${bytes} bytes`,
      advice: "see --size",
    });
  }
  const info: VideoInfo = {
    width,
    height,
    timeBase: frameClock(options.fps),
    frameRate: { num: options.fps.num, den: options.fps.den * options.stride },
    still: false,
    audioStreams: 0,
    subtitleStreams: 0,
    color: { matrix: "bt709", primaries: "bt709", transfer: "bt709" },
  };
  let closed = false;
  return {
    info,
    async *frames() {
      let data = first;
      let index = 0;
      try {
        for (let at = options.first; !closed; at++) {
          if ((at - options.first) % options.stride === 0) {
            yield frameOf(data, options, index++, at - options.first);
          }
          if (at + 1 >= options.last) return;
          data = await reader.take(bytes);
          if (data.length === 0) return;
          if (data.length < bytes) {
            throw new WalkcutError({
              what: "The raw stream ends inside a frame",
              found: `frame ${at + 1} has ${data.length} of ${bytes} bytes`,
            });
          }
        }
      } finally {
        await reader.cancel();
      }
    },
    async close() {
      closed = true;
      await reader.cancel();
    },
  };
}

function frameOf(raw: Uint8Array<ArrayBuffer>, options: RawOptions, index: number, pts: number): Frame {
  const { width, height } = options.size;
  return { index, pts, width, height, data: toRgb(raw, options.format, width * height) };
}

function toRgb(
  raw: Uint8Array<ArrayBuffer>,
  format: RawOptions["format"],
  pixels: number,
): Uint8Array<ArrayBuffer> {
  if (format === "rgb24") return raw;
  const rgb = new Uint8Array(pixels * 3);
  const step = format === "rgba" ? 4 : 1;
  const [g, b] = format === "rgba" ? [1, 2] : [0, 0];
  for (let i = 0, from = 0, to = 0; i < pixels; i++, from += step, to += 3) {
    rgb[to] = raw[from]!;
    rgb[to + 1] = raw[from + g]!;
    rgb[to + 2] = raw[from + b]!;
  }
  return rgb;
}
