/**
 * Label maps from files: PNG and `.npy` for pictures, lossless grey video for clips.
 *
 * @module
 */
import { decode } from "fast-png";
import { UsageError } from "../errors.ts";
import { ByteReader } from "../ffmpeg/byte_reader.ts";
import { locateFfmpeg, passthroughArgs } from "../ffmpeg/locate.ts";
import { probeInput } from "../ffmpeg/probe.ts";
import { FfmpegProcess } from "../ffmpeg/process.ts";
import { readNpyNumbers } from "../npy.ts";
import { parseSegmentations } from "./mat.ts";

/** The label of each pixel of a picture. */
export interface LabelImage {
  readonly width: number;
  readonly height: number;
  /** `[height, width]`, row-major. */
  readonly labels: Uint16Array<ArrayBuffer>;
}

/** Most labels that 16 bits hold. */
const MOST = 65_536;

/**
 * Reads the label maps of a file: those of all annotators from `.mat`, else one.
 *
 * @throws {UsageError} If it is missing or broken.
 */
export async function readLabelMaps(path: string): Promise<LabelImage[]> {
  if (!/\.mat$/i.test(path)) return [await readLabelMap(path)];
  return parseSegmentations(await readBytes(path), path);
}

async function readBytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await Deno.readFile(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    throw new UsageError({ what: "Cannot read the label map", found: path, cause });
  }
}

/**
 * Reads a label map: a PNG with one channel (grey of 1 to 16 bits, or palette
 * indices), or a two-dimensional `.npy` of whole numbers of any type.
 *
 * @throws {UsageError} If it is missing, broken, has several channels or too many labels.
 */
export async function readLabelMap(path: string): Promise<LabelImage> {
  if (path.endsWith(".npy")) return await readLabelArray(path);
  const bytes = await readBytes(path);
  let png: ReturnType<typeof decode>;
  try {
    png = decode(bytes);
  } catch (cause) {
    throw new UsageError({ what: "A label map is no PNG", found: path, cause });
  }
  const { width, height, channels, depth } = png;
  if (channels !== 1) {
    throw new UsageError({
      what: `A label map has ${channels} channels`,
      found: path,
      advice: "give one channel: grey of 8 or 16 bits, or palette indices",
    });
  }
  const labels = depth >= 8 ? Uint16Array.from(png.data) : unpack(png.data, width, height, depth);
  return { width, height, labels };
}

/** Spreads values of less than 8 bits, whose rows begin at whole bytes, one a pixel. */
function unpack(data: ArrayLike<number>, width: number, height: number, depth: number) {
  const labels = new Uint16Array(width * height);
  const rowBytes = Math.ceil(width * depth / 8);
  const perByte = 8 / depth;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const byte = data[y * rowBytes + Math.floor(x / perByte)]!;
      labels[y * width + x] = byte >> (8 - depth * (x % perByte + 1)) & (2 ** depth - 1);
    }
  }
  return labels;
}

async function readLabelArray(path: string): Promise<LabelImage> {
  const { shape, data } = await readNpyNumbers(path);
  const [height, width] = shape;
  if (shape.length !== 2 || !width || !height) {
    throw new UsageError({
      what: "A label map is not two-dimensional",
      found: `${path}, shape [${shape.join(", ")}]`,
      advice: "save it as [height, width]",
    });
  }
  const values = new Set<number>();
  for (const value of data) values.add(value);
  const unfit = [...values].find((value) => !Number.isInteger(value) || value < 0);
  if (unfit !== undefined) {
    throw new UsageError({ what: `A label map holds no whole labels`, found: `${unfit} in ${path}` });
  }
  if (values.size > MOST) throw tooMany(path, values.size);
  // Labels only name regions, so large ones may be renumbered.
  const large = [...values].some((value) => value >= MOST);
  const place = large ? new Map([...values].sort((a, b) => a - b).map((v, i) => [v, i])) : undefined;
  return { width, height, labels: Uint16Array.from(data, (v) => place ? place.get(v)! : v) };
}

function tooMany(path: string, count: number): UsageError {
  return new UsageError({
    what: "A label map has more labels than 16 bits hold",
    found: `${count} in ${path}`,
    advice: `at most ${MOST} can be scored`,
  });
}

/** A clip of label maps, read one at a time. */
export interface LabelVideo {
  readonly width: number;
  readonly height: number;
  /** The maps in order; may be iterated once. */
  frames(): AsyncGenerator<Uint16Array<ArrayBuffer>, void, void>;
}

/**
 * Opens a lossless grey video of labels, as `--labels out.mkv` writes it.
 *
 * @throws {UsageError} If it is no video, or has colours.
 * @throws {FfmpegError} If ffmpeg is missing.
 */
export async function openLabelVideo(path: string, asked?: string): Promise<LabelVideo> {
  const ffmpeg = await locateFfmpeg(asked);
  const result = await probeInput(ffmpeg, ["-i", path]);
  const video = "probe" in result ? result.probe.video : undefined;
  if (!video) {
    throw new UsageError({
      what: "Cannot read the label video",
      found: path,
      advice: "reason" in result ? result.reason : "it has no video stream",
    });
  }
  const wide = /^gray16/.test(video.pixelFormat);
  const format = wide ? "gray16le" : /^gray(,|\(|$)/.test(video.pixelFormat) ? "gray" : undefined;
  if (!format) {
    throw new UsageError({
      what: "A label video has 3 channels",
      found: `${path} (${video.pixelFormat})`,
      advice: "give grey of 8 or 16 bits, as --labels PATH.mkv writes it",
    });
  }
  const { width, height } = video;
  return {
    width,
    height,
    async *frames() {
      const child = FfmpegProcess.spawn(ffmpeg, [
        ...["-i", path, "-map", "0:v:0", ...passthroughArgs(ffmpeg)],
        ...["-f", "rawvideo", "-pix_fmt", format, "pipe:1"],
      ], { role: "decoder of labels", stdout: "piped" });
      const bytes = (wide ? 2 : 1) * width * height;
      const reader = new ByteReader(child.stdout);
      let finished = false;
      try {
        while (true) {
          const raw = await reader.take(bytes);
          if (raw.length < bytes) {
            if (raw.length > 0) throw child.failure(`${path} ends inside a frame`);
            break;
          }
          yield wide
            ? Uint16Array.from({ length: width * height }, (_, i) => raw[2 * i]! | raw[2 * i + 1]! << 8)
            : Uint16Array.from(raw);
        }
        finished = true;
      } finally {
        if (!finished) await child.kill();
      }
      const { success } = await child.ended;
      if (!success) throw child.failure(`Cannot read ${path} to its end`);
    },
  };
}
