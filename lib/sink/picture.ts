/**
 * Rendered pictures out: encoded video, picture files, streams on stdout.
 *
 * @module
 */
import { type Ffmpeg, locateFfmpeg, passthroughArgs } from "../ffmpeg/locate.ts";
import { NutWriter } from "../ffmpeg/nut.ts";
import { FfmpegProcess } from "../ffmpeg/process.ts";
import { textOf, UsageError, WalkcutError } from "../errors.ts";
import { encodeFilters, untaggedMatrix } from "../source/color.ts";
import type { VideoInfo } from "../source/frame.ts";
import type { ClaimOptions } from "./claim.ts";
import type { EncoderSettings } from "./encoder.ts";
import { littleEndian, openPictureFiles, toBytes } from "./files.ts";
import { NutSink } from "./nut_sink.ts";
import { encodePng } from "./png.ts";
import { ClosedPipe, type LabelMap, type Picture, type Sink } from "./sink.ts";
import { nutInputArgs, openVideoSink } from "./video.ts";

/** What stdout can carry: pictures, or (gray) the label maps. */
export type StdoutFormat = "y4m" | "nut" | "rgb24" | "gray8" | "gray16le";

/** Settings of {@linkcode openPictureSink}. */
export interface PictureSinkOptions extends ClaimOptions, EncoderSettings {
  /** The source: its clock, rate, colours, and where sound is copied from. */
  readonly info: VideoInfo;
  /** Size of the pictures where it is not the source's, such as side by side. */
  readonly size?: { readonly width: number; readonly height: number };
  /** 4 where the pictures have alpha. Default 3. */
  readonly channels?: 3 | 4;
  /** True where pictures can be had as planes, if the output wants them so. Default false. */
  readonly planar?: boolean;
  /** Copy sound, subtitles, chapters and metadata from the source. Default true. */
  readonly audio?: boolean;
  /** More arguments for ffmpeg's output, in its own words. */
  readonly ffmpegArgs?: readonly string[];
  /** Path of ffmpeg; default: found as `locateFfmpeg` says. */
  readonly ffmpeg?: string;
  /** Takes one-line warnings: a stream that was dropped or transcoded. */
  readonly warn?: (line: string) => void;
}

/**
 * Opens the picture output that `output` names by its extension.
 *
 * @throws {UsageError} If it cannot be written, before anything is.
 */
export async function openPictureSink(output: string, options: PictureSinkOptions): Promise<Sink<Picture>> {
  const kind = /\.(png|jpe?g)$/i.exec(output)?.[1]?.toLowerCase();
  if (!kind) return await openVideoSink(output, options);
  const { info, channels = 3 } = options;
  if (kind === "png") {
    return await openPictureFiles(output, { ...options, encode: (picture: Picture) => encodePng(picture) });
  }
  if (channels === 4) {
    throw new UsageError({ what: "JPEG has no alpha", found: output, advice: "write .png" });
  }
  const ffmpeg = await locateFfmpeg(options.ffmpeg);
  return await openPictureFiles(output, {
    ...options,
    info,
    encode: (picture: Picture) => encodeJpeg(ffmpeg, picture, options.crf),
  });
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
export async function openStdoutSink(
  format: StdoutFormat,
  options: PictureSinkOptions,
): Promise<Sink<Picture> | Sink<LabelMap>> {
  const { info, channels = 3 } = options;
  const size = options.size ?? info;
  if (options.audio !== false && info.audioStreams > 0 && !info.origin && !info.aside) {
    options.warn?.("the sound of a piped input is not on stdout; give -o FILE too to keep it");
  }
  switch (format) {
    case "y4m":
      return await openY4m(options);
    case "nut": {
      const writer = new NutWriter({
        ...info,
        width: size.width,
        height: size.height,
        pixelFormat: channels === 4 ? "rgba" : "rgb24",
      });
      let header: Uint8Array<ArrayBuffer>[] = [writer.header()];
      return new StdoutSink<Picture>((picture) => {
        const parts = [...header, writer.frameHeader(picture.pts), picture.data];
        header = [];
        return parts;
      });
    }
    case "rgb24":
      return new StdoutSink<Picture>((
        picture,
      ) => [picture.channels === 3 ? picture.data : dropAlpha(picture.data)]);
    case "gray8":
      return new StdoutSink<LabelMap>((map) => [toBytes(map.labels)]);
    case "gray16le":
      return new StdoutSink<LabelMap>((map) => [littleEndian(map.labels)]);
  }
}

/** A stream whose frames become bytes here. */
class StdoutSink<T> implements Sink<T> {
  readonly output = "stdout";
  readonly #encode: (item: T) => readonly Uint8Array<ArrayBuffer>[];

  constructor(encode: (item: T) => readonly Uint8Array<ArrayBuffer>[]) {
    this.#encode = encode;
  }

  async write(item: T): Promise<void> {
    for (const part of this.#encode(item)) {
      for (let at = 0; at < part.length;) {
        try {
          at += await Deno.stdout.write(part.subarray(at));
        } catch (cause) {
          if (cause instanceof Deno.errors.BrokenPipe) throw new ClosedPipe();
          throw new WalkcutError({ what: "Cannot write to stdout", found: textOf(cause), cause });
        }
      }
    }
  }

  async close(): Promise<void> {}

  async abort(): Promise<void> {}
}

/** Y4M: ffmpeg makes YUV of the pictures and writes to this process's stdout itself. */
async function openY4m(options: PictureSinkOptions): Promise<Sink<Picture>> {
  const ffmpeg = await locateFfmpeg(options.ffmpeg);
  const { info } = options;
  const pixelFormat = options.pixFmt ?? "yuv420p";
  const size = options.size ?? info;
  // Y4M has no tags: its readers guess the matrix by the size, so that is the one to write.
  const color = { matrix: untaggedMatrix(size) };
  const args = [
    ...nutInputArgs(),
    "-vf",
    encodeFilters(color, pixelFormat).join(","),
    "-pix_fmt",
    pixelFormat,
    ...passthroughArgs(ffmpeg),
    "-strict",
    "-1",
    "-f",
    "yuv4mpegpipe",
    "pipe:1",
  ];
  const start = () =>
    FfmpegProcess.spawn(ffmpeg, args, { role: "Y4M writer", stdin: "piped", stdout: "inherit" });
  const frameRate = info.frameRate ?? { num: 25, den: 1 };
  const sink = new NutSink(start, {
    output: "stdout",
    info: { ...info, frameRate },
    size,
    channels: options.channels ?? 3,
    interrupt: false,
  });
  const even = evenTimes({ ...info, frameRate });
  let told = false;
  return {
    output: sink.output,
    write(picture) {
      if (!told && !even(picture.pts)) {
        told = true;
        options.warn?.("the frames' times are uneven and Y4M cannot say so; --output-format nut keeps them");
      }
      return sink.write(picture);
    },
    close: () => sink.close(),
    abort: () => sink.abort(),
  };
}

/** Tells of each time whether it is where the frame rate puts it, to a tick of the clock. */
function evenTimes(
  { timeBase, frameRate }: Pick<VideoInfo, "timeBase" | "frameRate">,
): (pts: number) => boolean {
  const step = (frameRate!.den / frameRate!.num) * (timeBase.den / timeBase.num);
  let [first, count] = [0, 0];
  return (pts) => {
    if (count === 0) first = pts;
    return Math.abs(pts - first - step * count++) <= 1.001;
  };
}

/** Encodes one JPEG. */
async function encodeJpeg(ffmpeg: Ffmpeg, picture: Picture, quality = 3): Promise<Uint8Array<ArrayBuffer>> {
  const size = `${picture.width}x${picture.height}`;
  const process = FfmpegProcess.spawn(ffmpeg, [
    ...["-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", size, "-i", "pipe:0"],
    ...["-vf", encodeFilters({ matrix: "bt470bg" }, "yuvj444p").slice(0, 2).join(",")],
    ...["-frames:v", "1", "-c:v", "mjpeg", "-q:v", String(quality), "-f", "image2pipe", "pipe:1"],
  ], { role: "JPEG encoder", stdin: "piped", stdout: "piped" });
  try {
    const [data] = await Promise.all([
      new Response(process.stdout).bytes(),
      process.write(picture.data).catch(() => {}).then(() => process.closeStdin()),
    ]);
    if (!(await process.ended).success || data.length === 0) throw process.failure("Cannot encode a JPEG");
    return data;
  } finally {
    await process.kill();
  }
}

function dropAlpha(rgba: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const rgb = new Uint8Array(rgba.length / 4 * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    rgb[to] = rgba[from]!;
    rgb[to + 1] = rgba[from + 1]!;
    rgb[to + 2] = rgba[from + 2]!;
  }
  return rgb;
}
