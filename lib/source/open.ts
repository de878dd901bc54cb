/**
 * Opens anything that ffmpeg reads as a {@linkcode VideoSource}.
 *
 * @module
 */
import { ByteReader } from "../ffmpeg/byte_reader.ts";
import {
  type Ffmpeg,
  inputClockArgs,
  listCapabilities,
  locateFfmpeg,
  passthroughArgs,
} from "../ffmpeg/locate.ts";
import { type Probe, type ProbedVideo, probeInput, type ProbeResult } from "../ffmpeg/probe.ts";
import { UsageError } from "../errors.ts";
import { type ColorPlan, planColor } from "./color.ts";
import { AsideFile, leadsIn } from "./aside.ts";
import { uprightFilters } from "./exif.ts";
import { Decoder } from "./decode.ts";
import type { Origin, OriginStream, Rational, VideoInfo, VideoSource } from "./frame.ts";
import { JpegGuard, Y4mGuard } from "./guard.ts";
import {
  classifyInput,
  concatenateFiles,
  type Content,
  frameClock,
  type Input,
  inputArgs,
  oriented,
  pipeArgs,
  sniff,
} from "./input.ts";
import { packetTimes } from "./packets.ts";
import type { Size } from "./numbers.ts";
import { openRaw } from "./raw.ts";

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
  /**
   * A file to put a pipe's sound, subtitles, chapters and tags aside in, for outputs that keep them; it is gone
   * after `close()`. Default: they are dropped.
   */
  readonly aside?: string;
}

/** Options with their defaults, checked. */
interface Window {
  readonly start: number;
  readonly end: number;
  readonly frames: number;
  readonly stride: number;
}

const DEFAULT_FPS: Rational = { num: 25, den: 1 };
/** Bytes of a picture on a pipe that are waited for, where its orientation comes last. */
const PICTURE_BYTES = 1 << 26;
/** Bytes of a pipe's head that ffmpeg is shown to describe it. */
const HEAD_BYTES = 1 << 16;

/**
 * Opens a video.
 *
 * @param input A file, a URL (`http://…`), a picture, a folder or glob of pictures, a `%06d.png` pattern,
 * or `"-"` for stdin. A name that exists as a file is that file, whatever it looks like.
 * @throws {UsageError} If there is nothing readable, or options do not fit (exit code 2).
 * @throws {FfmpegError} If ffmpeg is missing.
 */
export async function openVideo(input: string, options: SourceOptions = {}): Promise<VideoSource> {
  const window = checkWindow(options);
  const classified = await classifyInput(input);
  const format = options.inputFormat ?? "auto";
  if (format === "rgb24" || format === "rgba" || format === "gray8") {
    return await openRawInput(classified, format, options, window);
  }
  if (options.size) {
    throw new UsageError({ what: "--size is for raw frames", found: `--input-format ${format}` });
  }
  const ffmpeg = await locateFfmpeg(options.ffmpeg);
  switch (classified.kind) {
    case "pipe":
      return await openPipe(
        ffmpeg,
        await reading(options, classified.path),
        window,
        classified.path ?? "stdin",
      );
    case "pictures":
      return await openPictures(ffmpeg, classified, options, window);
    default:
      return await openFile(ffmpeg, withFormat(classified, format), options, window);
  }
}

/** Checks the options that choose frames. */
function checkWindow(options: SourceOptions): Window {
  const { start = 0, end = Infinity, frames = Infinity, stride = 1, shard } = options;
  const seconds = (value: number) => Number.isFinite(value) && value >= 0 && value < 1e9;
  if (!seconds(start)) throw new UsageError({ what: "Not a time to start at", found: start });
  if (end !== Infinity && !seconds(end)) throw new UsageError({ what: "Not a time to end at", found: end });
  if (end <= start) {
    throw new UsageError({ what: "The end comes before the start", found: `${end} s <= ${start} s` });
  }
  if (frames !== Infinity && !(Number.isSafeInteger(frames) && frames >= 1)) {
    throw new UsageError({ what: "Not a number of frames", found: frames, advice: "give 1 or more" });
  }
  if (!(Number.isSafeInteger(stride) && stride >= 1 && stride < 2 ** 31)) {
    throw new UsageError({ what: "Not a stride", found: stride, advice: "give 1 or more" });
  }
  if (
    shard &&
    !(Number.isSafeInteger(shard.count) && Number.isSafeInteger(shard.index) && shard.index >= 1 &&
      shard.index <= shard.count)
  ) {
    throw new UsageError({
      what: "Not a shard",
      found: `${shard.index}/${shard.count}`,
      advice: "give I/N with 1 <= I <= N",
    });
  }
  return { start, end, frames, stride };
}

/** The frames of a numbered list that a window and a shard choose. */
function chosenIndices(count: number, fps: Rational, window: Window, options: SourceOptions): number[] {
  const seconds = fps.den / fps.num;
  const chosen: number[] = [];
  for (
    let i = Math.ceil(window.start / seconds - 1e-6);
    i < count && chosen.length < window.frames;
    i += window.stride
  ) {
    if (i * seconds >= window.end - 1e-9) break;
    chosen.push(i);
  }
  return shardOf(chosen, options.shard);
}

function shardOf<T>(items: readonly T[], shard: SourceOptions["shard"]): T[] {
  if (!shard) return [...items];
  const cut = (part: number) => Math.floor(items.length * part / shard.count);
  return items.slice(cut(shard.index - 1), cut(shard.index));
}

function withFormat(
  input: Input & { kind: "file" | "url" },
  format: InputFormat,
): Input & { kind: "file" | "url" } {
  if (input.kind === "url" || format === "auto") return input;
  const demuxer = format === "y4m" ? "yuv4mpegpipe" : format;
  return { ...input, content: { name: format.toUpperCase(), demuxer } };
}

async function openRawInput(
  input: Input,
  format: "rgb24" | "rgba" | "gray8",
  options: SourceOptions,
  window: Window,
): Promise<VideoSource> {
  if (!options.size) {
    throw new UsageError({
      what: "Raw frames have no header",
      found: format,
      advice: "give --size WIDTHxHEIGHT",
    });
  }
  if (options.shard) throw new UsageError({ what: "Raw frames cannot be sharded", found: format });
  if (input.kind !== "pipe" && input.kind !== "file") {
    throw new UsageError({ what: "Raw frames come from a file or stdin", found: input.kind });
  }
  const fps = options.fps ?? DEFAULT_FPS;
  const frameOf = (seconds: number) => Math.ceil(seconds * fps.num / fps.den - 1e-6);
  const first = frameOf(window.start);
  const last = Math.min(
    window.end === Infinity ? Infinity : frameOf(window.end),
    first + window.frames * window.stride,
  );
  const stream = stdinOf(await reading(options, input.path));
  return await openRaw(stream, { format, size: options.size, fps, first, last, stride: window.stride });
}

async function openPipe(
  ffmpeg: Ffmpeg,
  options: SourceOptions,
  window: Window,
  name: string,
): Promise<VideoSource> {
  if (options.shard) {
    throw new UsageError({ what: "A pipe cannot be sharded", found: "-", advice: "name a file" });
  }
  const reader = new ByteReader(stdinOf(options));
  // One chunk describes a stream; waiting for more would stall a live one.
  const head = (await reader.peek(64)).slice(0, HEAD_BYTES);
  if (head.length === 0) throw new UsageError({ what: "The input is empty", found: name });
  const asked = options.inputFormat;
  const content: Content = asked === "y4m" || asked === "nut"
    ? { name: asked.toUpperCase(), demuxer: asked === "y4m" ? "yuv4mpegpipe" : "nut" }
    : await oriented(sniff(head), {
      read: async (offset, length) =>
        offset + length > PICTURE_BYTES
          ? new Uint8Array(0)
          : (await reader.peek(offset + length)).slice(offset, offset + length),
    });
  const jpeg = content.demuxer === "jpeg_pipe" ? new JpegGuard() : undefined;
  const guard = content.demuxer === "yuv4mpegpipe" ? new Y4mGuard() : jpeg;
  if (guard instanceof Y4mGuard) Y4mGuard.checkHeader(head);
  const args = pipeArgs(content, options.fps ?? DEFAULT_FPS);
  const described = await probeInput(ffmpeg, args, head);
  const probe = "probe" in described ? described.probe : undefined;
  if (probe && probe.streams.length > 0 && !probe.video) throw noVideo(name, probe);
  const plan = await planOf(ffmpeg, probe?.video, content);
  const aside = options.aside === undefined || content.picture || guard
    ? undefined
    : putAside(ffmpeg, args, options.aside, window, probe, name);
  return await Decoder.start({
    ffmpeg,
    args: [
      ...args,
      ...decodeArgs(ffmpeg, [...trimFilters(window), ...strideFilter(window)], plan, content, window.frames),
      ...(aside && probe && LOOSE_FORMATS.test(probe.format) ? onePacketEach(probe, 0, ["audio"]) : []),
    ],
    name,
    feed: { reader, ...(guard ? { guard } : {}), ...(aside ? { aside } : {}) },
    info: { ...describe(probe, plan, window, name, undefined), ...(aside ? { aside } : {}) },
    still: content.picture ? "one" : false,
    ...(jpeg ? { picture: jpeg } : {}),
    ...(window.end < Infinity ? { limit: window.end - window.start } : {}),
    ...(probe?.video?.ticks ? { ticks: probe.video.ticks } : {}),
  });
}

/** Puts aside what a pipe has beside pictures; undefined where its head shows nothing. */
function putAside(
  ffmpeg: Ffmpeg,
  inputArgs: readonly string[],
  path: string,
  window: Window,
  probe: Probe | undefined,
  name: string,
): AsideFile | undefined {
  const { start, end, frames } = window;
  const streams = !probe || probe.streams.some(({ kind }) => kind === "audio" || kind === "subtitle");
  if (!streams && probe.extras.length === 0) return undefined;
  return AsideFile.start({
    ...{ ffmpeg, inputArgs, path, name, format: probe?.format ?? "" },
    window: [
      ...(probe && leadsIn(probe) ? ["-output_ts_offset", "0.007"] : []),
      ...(start > 0 ? ["-ss", zeroOf(window, probe?.video?.ticks).toFixed(6)] : []),
      ...(end < Infinity ? ["-t", (end - start).toFixed(6)] : []),
    ],
    outputs: probe && LOOSE_FORMATS.test(probe.format) ? onePacketEach(probe, 0, ["video"]) : [],
    tagsOnly: !streams,
    counted: frames < Infinity,
  });
}

async function openPictures(
  ffmpeg: Ffmpeg,
  input: Input & { kind: "pictures" },
  options: SourceOptions,
  window: Window,
): Promise<VideoSource> {
  const fps = options.fps ?? DEFAULT_FPS;
  const chosen = chosenIndices(input.files.length, fps, window, options).map((i) => input.files[i]!);
  if (chosen.length === 0) throw noFramesChosen(`${input.files.length} pictures`);
  const args = pipeArgs(input.content, fps);
  const described = await probeInput(ffmpeg, args, await Deno.readFile(chosen[0]!));
  const probe = "probe" in described ? described.probe : undefined;
  const plan = await planOf(ffmpeg, probe?.video, input.content);
  const rate = { num: fps.num, den: fps.den * window.stride };
  return await Decoder.start({
    ffmpeg,
    args: [...args, ...decodeArgs(ffmpeg, [], plan, input.content, Infinity)],
    name: chosen.length === 1 ? chosen[0]! : `${chosen[0]} …`,
    feed: { reader: new ByteReader(concatenateFiles(chosen)) },
    info: {
      frameRate: rate,
      frameCount: chosen.length,
      duration: chosen.length * rate.den / rate.num,
      audioStreams: 0,
      subtitleStreams: 0,
      color: plan.color,
      notes: plan.notes,
    },
    still: false,
    clock: frameClock(rate),
    exactly: chosen.length,
  });
}

async function openFile(
  ffmpeg: Ffmpeg,
  input: Input & { kind: "file" | "url" },
  options: SourceOptions,
  window: Window,
): Promise<VideoSource> {
  const name = input.kind === "url" ? input.url : input.path;
  if (input.kind === "file" && input.content.demuxer === "yuv4mpegpipe" && !options.shard) {
    // ffmpeg passes over a Y4M file that ends inside a frame; our guard does not.
    return await openPipe(ffmpeg, await reading(options, input.path), window, name);
  }
  const args = inputArgs(input);
  const probe = described(name, await probeInput(ffmpeg, args));
  if (!probe.video) throw noVideo(name, probe);
  const content = input.kind === "file" ? input.content : undefined;
  const picture = content?.picture === true;
  if (probe.duration !== undefined && window.start > 0 && window.start >= probe.duration) {
    throw noFramesChosen(`${name} is ${probe.duration} s long`);
  }
  const plan = await planOf(ffmpeg, probe.video, content);
  const part = options.shard ? await shardWindow(ffmpeg, args, window, options.shard, name) : window;
  const way = seekWay(probe, part);
  const whole = part.frames === Infinity && part.end === Infinity && !picture;
  return await Decoder.start({
    ffmpeg,
    args: [
      ...way.decodeArgs,
      ...args,
      ...decodeArgs(ffmpeg, [...way.filters, ...strideFilter(part)], plan, content, part.frames),
      ...way.decodeOutputs,
    ],
    name,
    info: describe(probe, plan, part, name, {
      inputArgs: [...way.copyArgs, ...args],
      outputArgs: way.copyOutputs,
      skipped: part.start > 0,
    }),
    still: picture,
    ...(input.kind === "file" && content?.demuxer === "jpeg_pipe"
      ? { picture: await endOfJpeg(input.path) }
      : {}),
    ...(part.end < Infinity ? { limit: part.end - part.start } : {}),
    ...(probe.video.ticks ? { ticks: probe.video.ticks } : {}),
    ...(whole && probe.duration !== undefined && window.stride === 1 && input.kind === "file" &&
        probe.streams.every(({ kind }) => kind !== "audio") // sound may be longer than the picture
      ? { until: probe.duration - part.start }
      : {}),
  });
}

async function endOfJpeg(path: string): Promise<JpegGuard> {
  const guard = new JpegGuard();
  using file = await Deno.open(path);
  if (await file.seek(0, Deno.SeekMode.End) >= 2) {
    await file.seek(-2, Deno.SeekMode.End);
    const tail = new Uint8Array(2);
    await file.read(tail);
    guard.see(tail);
  }
  return guard;
}

/** How a window is cut out of a file. */
interface SeekWay {
  /** Input arguments of the decoder. */
  readonly decodeArgs: readonly string[];
  /** Filters of the decoder. */
  readonly filters: readonly string[];
  /** More outputs of the decoder. */
  readonly decodeOutputs: readonly string[];
  /** Input arguments where the other streams are copied. */
  readonly copyArgs: readonly string[];
  /** More outputs there. */
  readonly copyOutputs: readonly string[];
}

/** Demuxers whose streams ffmpeg shifts one by one, and in which it seeks to where it cannot decode. */
const LOOSE_FORMATS = /^(mpegts|mpeg|ogg|hls|h264|hevc|mpegvideo)/;

/** Cuts a window so that time 0 is the same in the decoder and where sound is copied. */
function seekWay(probe: Probe, part: Window): SeekWay {
  const { start, end } = part;
  if (!LOOSE_FORMATS.test(probe.format)) {
    const seek = [
      ...(start > 0 ? ["-ss", start.toFixed(6)] : []),
      ...(end < Infinity ? ["-t", (end - start).toFixed(6)] : []),
    ];
    return { decodeArgs: seek, filters: [], decodeOutputs: [], copyArgs: seek, copyOutputs: [] };
  }
  // Both read from the beginning.
  return {
    decodeArgs: [],
    filters: trimFilters(part),
    decodeOutputs: onePacketEach(probe, 0, ["audio", "subtitle"]),
    copyArgs: [
      ...(start > 0 ? ["-itsoffset", (-zeroOf(part, probe.video?.ticks)).toFixed(6)] : []),
      ...(end < Infinity ? ["-t", (end - start).toFixed(6)] : []),
    ],
    copyOutputs: onePacketEach(probe, 1, ["video"]),
  };
}

/**
 * An output that takes one packet of each stream of some kinds. ffmpeg counts the times of a loose format from
 * the first of the streams that are used: with this it is the same time where others are used.
 */
function onePacketEach(probe: Probe, file: number, kinds: readonly OriginStream["kind"][]): string[] {
  const maps = probe.streams.filter(({ kind }) => kinds.includes(kind))
    .flatMap(({ index }) => ["-map", `${file}:${index}`]);
  const one = ["-c", "copy", "-frames:v", "1", "-frames:a", "1", "-frames:s", "1", "-f", "null", "-"];
  return maps.length > 0 ? [...maps, ...one] : [];
}

/** Filters that keep a window's frames and count time from its start. */
function trimFilters({ start, end }: Window): string[] {
  if (start === 0 && end === Infinity) return [];
  return [
    `trim=start=${start.toFixed(6)}` + (end < Infinity ? `:end=${end.toFixed(6)}` : ""),
    `setpts=PTS-round(${start.toFixed(6)}/TB)`,
  ];
}

/** The time, in seconds, that {@linkcode trimFilters} makes time 0: the start, in whole ticks of the source. */
function zeroOf({ start }: Window, ticks: number | undefined): number {
  return ticks === undefined ? start : Math.round(start * ticks) / ticks;
}

/** The window that holds exactly a shard's frames. */
async function shardWindow(
  ffmpeg: Ffmpeg,
  args: readonly string[],
  window: Window,
  shard: { readonly index: number; readonly count: number },
  name: string,
): Promise<Window> {
  const times = (await packetTimes(ffmpeg, args, name))
    .filter((time) => time >= window.start - 1e-6 && time < window.end - 1e-6)
    .filter((_, i) => i % window.stride === 0)
    .slice(0, window.frames);
  const part = shardOf(times, shard);
  if (part.length === 0) throw noFramesChosen(`${times.length} frames in ${shard.count} parts`);
  // A seek keeps frames from its time on; rounded down to the microsecond it is within the tick.
  return {
    start: Math.floor(part[0]! * 1e6) / 1e6,
    end: Infinity,
    frames: part.length,
    stride: window.stride,
  };
}

/** What is known of a source before its first frame, beside what the decoded stream says itself. */
function describe(
  probe: Probe | undefined,
  plan: ColorPlan,
  window: Window,
  name: string,
  origin: Pick<Origin, "inputArgs" | "outputArgs" | "skipped"> | undefined,
): Omit<VideoInfo, "width" | "height" | "timeBase" | "still"> {
  const count = (kind: string) => probe?.streams.filter((stream) => stream.kind === kind).length ?? 0;
  const end = Math.min(probe?.duration ?? Infinity, window.end);
  const length = end === Infinity ? undefined : Math.max(0, end - window.start);
  const fps = probe?.video?.fps;
  const estimate = length === undefined || fps === undefined
    ? Infinity
    : Math.ceil(Math.round(length * fps) / window.stride);
  const frameCount = Math.min(Math.max(1, estimate), window.frames);
  return {
    ...(Number.isFinite(frameCount) ? { frameCount } : {}),
    // A number of frames ends at a time that is not known before.
    ...(length !== undefined && window.frames === Infinity ? { duration: length } : {}),
    audioStreams: count("audio"),
    subtitleStreams: count("subtitle"),
    color: plan.color,
    notes: [
      ...plan.notes,
      ...(probe?.video?.interlaced ? ["the video is interlaced; its frames are segmented as they are"] : []),
    ],
    ...(origin && probe
      ? {
        origin: {
          ...limited(origin, window, probe),
          ...{ format: probe.format, name, streams: probe.streams, extras: probe.extras },
        },
      }
      : {}),
  };
}

/**
 * Sound ends with the last of a number of frames: ffmpeg's `-shortest` does it, except beside subtitles, which
 * end earlier, or further outputs; then the time is estimated.
 */
function limited(
  origin: Pick<Origin, "inputArgs" | "outputArgs" | "skipped">,
  window: Window,
  probe: Probe,
): Pick<Origin, "inputArgs" | "outputArgs" | "skipped" | "trimmed"> {
  const { fps } = probe.video ?? {};
  const counted = window.frames < Infinity;
  const subtitles = probe.streams.some(({ kind }) => kind === "subtitle");
  const estimated = subtitles || origin.outputArgs.length > 0;
  if (!counted || !estimated || !fps || origin.inputArgs.includes("-t")) {
    return { ...origin, trimmed: counted && !estimated };
  }
  const seconds = window.frames * window.stride / fps;
  return { ...origin, inputArgs: ["-t", seconds.toFixed(6), ...origin.inputArgs], trimmed: false };
}

/** How the frames of an input become RGB. */
async function planOf(
  ffmpeg: Ffmpeg,
  video: ProbedVideo | undefined,
  content: Content | undefined,
): Promise<ColorPlan> {
  const upright = (content?.orientation ?? 1) === 1;
  return await planColor(video, () => listCapabilities(ffmpeg, "filters"), upright);
}

/** ffmpeg's arguments from its input to NUT on its stdout. */
function decodeArgs(
  ffmpeg: Ffmpeg,
  filters: readonly string[],
  plan: ColorPlan,
  content: Content | undefined,
  frames: number,
): string[] {
  return [
    "-map",
    "0:V:0",
    "-vf",
    [...filters, ...plan.filters, ...uprightFilters(content?.orientation ?? 1)].join(","),
    ...(frames < Infinity ? ["-frames:v", String(frames)] : []),
    ...passthroughArgs(ffmpeg),
    ...inputClockArgs(ffmpeg),
    "-c:v",
    "rawvideo",
    "-pix_fmt",
    plan.pixels,
    "-f",
    "nut",
    "pipe:1",
  ];
}

function strideFilter(window: Window): string[] {
  return window.stride > 1 ? [`select=not(mod(n\\,${window.stride}))`] : [];
}

function described(name: string, result: ProbeResult): Probe {
  if ("probe" in result) return result.probe;
  throw new UsageError({ what: "ffmpeg cannot read the input", found: `${name} (${result.reason})` });
}

function noVideo(name: string, probe: Probe): UsageError {
  const kinds = [...new Set(probe.streams.map(({ kind }) => kind))].join(", ") || "nothing";
  return new UsageError({ what: "The input has no video stream", found: `${name} (it has ${kinds})` });
}

function noFramesChosen(found: string): UsageError {
  return new UsageError({ what: "No frame is left to read", found, advice: "see --start, --end, --shard" });
}

/** Options by which a pipe is read from a path; as they are without one. */
async function reading(options: SourceOptions, path: string | undefined): Promise<SourceOptions> {
  return path === undefined ? options : { ...options, stdin: (await Deno.open(path)).readable };
}

function stdinOf(options: SourceOptions): ReadableStream<Uint8Array<ArrayBuffer>> {
  return options.stdin ?? Deno.stdin.readable;
}
