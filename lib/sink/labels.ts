/**
 * Label maps out, lossless.
 *
 * @module
 */
import { inputClockArgs, locateFfmpeg, passthroughArgs } from "../ffmpeg/locate.ts";
import { FfmpegProcess } from "../ffmpeg/process.ts";
import { UsageError, WalkcutError } from "../errors.ts";
import { npyHeader } from "../npy.ts";
import type { VideoInfo } from "../source/frame.ts";
import { type ClaimOptions, claimOutput } from "./claim.ts";
import { containerOf } from "./encoder.ts";
import { GrowingFile, littleEndian, openPictureFiles } from "./files.ts";
import { NutSink } from "./nut_sink.ts";
import { encodeLabelPng, encodePalettePng } from "./png.ts";
import type { LabelMap, Sink } from "./sink.ts";
import { finishPieces, MATROSKA_ARGS, NO_COPIES, nutInputArgs, startAt } from "./video.ts";

/** Settings of {@linkcode openLabelSink}. */
export interface LabelSinkOptions extends ClaimOptions {
  /** The source: its clock and size. */
  readonly info: VideoInfo;
  /** Write 8-bit indexed PNG with DAVIS' palette, ids above 255 being an error. Default false: 16-bit. */
  readonly palette?: boolean;
  /** Path of ffmpeg, for `.mkv`; default: found as `locateFfmpeg` says. */
  readonly ffmpeg?: string;
}

/**
 * Opens the label output that `output` names: `.mkv`, a `%06d.png` pattern, `.png` or `.npy`.
 *
 * @throws {UsageError} If it cannot be written, before anything is.
 */
export async function openLabelSink(output: string, options: LabelSinkOptions): Promise<Sink<LabelMap>> {
  const kind = /\.(mkv|png|npy)$/i.exec(output)?.[1]?.toLowerCase();
  if (options.palette && kind !== "png") {
    throw new UsageError({ what: "--palette is for PNG label maps", found: output });
  }
  switch (kind) {
    case "png":
      return await openPictureFiles(output, {
        ...options,
        encode: options.palette ? encodePalettePng : encodeLabelPng,
      });
    case "npy":
      return new NpyLabels(
        output,
        await GrowingFile.claim(output, options),
        options,
      );
    case "mkv":
      return await openFfv1(output, options);
    default:
      throw new UsageError({
        what: "Unknown kind of label output",
        found: output,
        advice: "give .mkv, %06d.png or .npy",
      });
  }
}

/** Lossless video of the ids. */
async function openFfv1(output: string, options: LabelSinkOptions): Promise<Sink<LabelMap>> {
  const claim = await claimOutput(output, options);
  const ffmpeg = await locateFfmpeg(options.ffmpeg);
  const { info } = options;
  const args = (first: number) => [
    "-y",
    ...nutInputArgs(),
    ...[
      "-map",
      "0:v:0",
      "-vf",
      startAt(first),
      "-c:v",
      "ffv1",
      "-level",
      "3",
      "-g",
      "1",
      "-slicecrc",
      "1",
      "-pix_fmt",
      "gray16le",
    ],
    ...passthroughArgs(ffmpeg),
    ...inputClockArgs(ffmpeg),
    ...[...MATROSKA_ARGS, "-f", "matroska", `file:${claim.partial}`],
  ];
  const start = (first: number) =>
    FfmpegProcess.spawn(ffmpeg, args(first), { role: "label encoder", stdin: "piped" });
  const { resume } = options;
  const sink = new NutSink(start, {
    ...{ output, claim, info, size: info, channels: 2, interrupt: false },
    ...(resume?.pieces
      ? {
        resumed: true,
        finish: finishPieces(ffmpeg, claim, containerOf("labels.mkv"), info, NO_COPIES, resume.pieces),
      }
      : {}),
  });
  return {
    output,
    partial: claim.partial,
    write: ({ width, height, pts, labels }) => sink.write({ width, height, pts, data: littleEndian(labels) }),
    finish: (early) => sink.finish(early),
    close: () => sink.close(),
    abort: () => sink.abort(),
  };
}

/** A NumPy array of uint16, `[frames, height, width]`; a still picture's is `[height, width]`. */
export class NpyLabels implements Sink<LabelMap> {
  readonly output: string;
  readonly #file: GrowingFile;
  readonly #info: VideoInfo;
  #count: number;
  #done = false;

  constructor(output: string, file: GrowingFile, { info, resume }: LabelSinkOptions) {
    this.output = output;
    this.#file = file;
    this.#info = info;
    this.#count = resume?.frames ?? 0;
  }

  get partial(): string {
    return this.#file.partial;
  }

  async write({ width, height, labels }: LabelMap): Promise<void> {
    if (width !== this.#info.width || height !== this.#info.height) {
      throw new WalkcutError({ what: "The label map's size changes", found: `${width}x${height}` });
    }
    // The number of frames is written when it is known.
    if (this.#count === 0) await this.#file.append(this.#header());
    await this.#file.append(littleEndian(labels));
    this.#count++;
  }

  async close(): Promise<void> {
    if (this.#done) return;
    await this.#file.append(new Uint8Array(0));
    await this.#file.rewriteStart(this.#header());
    this.#done = true;
    await this.#file.commit();
  }

  async abort(): Promise<void> {
    if (this.#done) return;
    this.#done = true;
    await this.#file.rewriteStart(this.#header()).catch(() => {});
    this.#file.end();
  }

  /** Bytes of an unfinished file that hold `frames` frames. */
  static bytesOf({ width, height }: VideoInfo, frames: number): number {
    return frames === 0 ? 0 : 128 + frames * width * height * 2;
  }

  /** Always 128 bytes long, whatever the number of frames. */
  #header(): Uint8Array<ArrayBuffer> {
    const { width, height, still } = this.#info;
    return npyHeader("<u2", still ? [height, width] : [this.#count, height, width]);
  }
}
