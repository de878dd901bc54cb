/**
 * Pictures encoded by ffmpeg into a container, every one at its own time.
 *
 * @module
 */
import { type Ffmpeg, inputClockArgs, locateFfmpeg, passthroughArgs } from "../ffmpeg/locate.ts";
import { nutFrameBytes, NutWriter } from "../ffmpeg/nut.ts";
import { FfmpegProcess } from "../ffmpeg/process.ts";
import { UsageError, WalkcutError } from "../errors.ts";
import { colorTags, encodeFilters } from "../source/color.ts";
import type { Aside, VideoInfo } from "../source/frame.ts";
import { ptsSeconds } from "../source/numbers.ts";
import { recycle } from "../source/spare.ts";
import { claimOutput, type OutputClaim, partialName } from "./claim.ts";
import { chooseEncoder, type Container, containerOf, type CopyPlan, planCopies } from "./encoder.ts";
import type { PictureSinkOptions } from "./picture.ts";
import { joinPieces, type Piece } from "./resume.ts";
import { ClosedPipe, type Picture, type Sink } from "./sink.ts";

/** Seconds that the last frame may be shown longer than the others because the source does so. */
const LONGEST_LAST_FRAME = 10;
/** Milliseconds that ffmpeg gets, when a run ends early, to take what is in its pipe. */
const DRAIN_MS = 200;
/** Milliseconds that ffmpeg gets, when a run is interrupted, to come to the end of the source's sound. */
const SOON_MS = 3000;

/**
 * Opens an encoded video.
 *
 * @throws {UsageError} If the output cannot be, before anything is written.
 */
export async function openVideoSink(output: string, options: PictureSinkOptions): Promise<Sink<Picture>> {
  const container = containerOf(output);
  const claim = await claimOutput(output, options);
  const ffmpeg = await locateFfmpeg(options.ffmpeg);
  const { info, channels = 3 } = options;
  const size = options.size ?? info;
  const encoder = await chooseEncoder(ffmpeg, container, {
    channels,
    width: size.width,
    height: size.height,
    ...(options.codec === undefined ? {} : { codec: options.codec }),
    ...(options.crf === undefined ? {} : { crf: options.crf }),
    ...(options.preset === undefined ? {} : { preset: options.preset }),
    ...(options.pixFmt === undefined ? {} : { pixFmt: options.pixFmt }),
  });
  // What is decoded to 4:2:0 and encoded as such need not become RGB between.
  const planar = options.planar === true && info.planar === true && encoder.pixelFormat === "yuv420p" &&
    encoder.upload.length === 0;
  const copies = options.audio !== false && info.origin && !info.still
    ? planCopies(info.origin, container, container.muxer)
    : NO_COPIES;
  const aside = options.audio !== false && !info.still && container.audioCodec ? info.aside : undefined;
  if (options.audio !== false && !info.origin && !aside && info.audioStreams > 0 && container.audioCodec) {
    options.warn?.("the sound of a piped input is not kept; name a file to keep it");
  }
  copies.warnings.forEach((line) => options.warn?.(line));
  const color = info.color ?? { matrix: "bt709", primaries: "bt709", transfer: "bt709" };
  const filters = container.muxer === "gif"
    ? GIF_FILTERS
    : [...encodeFilters(color, encoder.pixelFormat, planar), ...encoder.upload].join(",");
  // Where an earlier run is gone on with, sound and all else come in when the pieces are joined.
  const pieces = options.resume?.pieces;
  const now = pieces ? NO_COPIES : copies;
  const args = (first: number) => [
    "-y",
    ...encoder.device,
    ...nutInputArgs(),
    ...(now.needed ? now.inputArgs : []),
    "-map",
    "0:v:0",
    ...now.args,
    "-vf",
    `${startAt(first)},${filters}`,
    "-c:v",
    encoder.codec,
    // Frames that lie on a device have a format of its own.
    ...(encoder.upload.length > 0
      ? []
      : ["-pix_fmt", container.muxer === "gif" ? "pal8" : encoder.pixelFormat]),
    ...encoder.args,
    ...(container.muxer === "gif" ? [] : colorTags(color, encoder.pixelFormat)),
    ...passthroughArgs(ffmpeg),
    ...inputClockArgs(ffmpeg),
    ...muxerArgs(container, info),
    ...(now.sound && info.origin!.trimmed ? ["-shortest"] : []),
    ...(options.ffmpegArgs ?? []),
    "-f",
    container.muxer,
    `file:${claim.partial}`,
    ...(now.sound ? info.origin!.outputArgs : []),
  ];
  const start = (first: number) =>
    FfmpegProcess.spawn(ffmpeg, args(first), { role: "encoder", stdin: "piped" });
  return new NutSink(start, {
    output,
    claim,
    info,
    size,
    channels,
    planar,
    // When a run ends early, sound must not go on to the end of the source.
    interrupt: now.sound,
    ...(container.muxer === "gif" && info.duration !== undefined
      ? { finish: lastGifDelay(claim.partial, info) }
      : {}),
    ...(isMp4(container)
      ? {
        finish: (times: FrameTimes) => joinFragments(ffmpeg, claim.partial, container, info, copies, times),
      }
      : {}),
    ...(!isMp4(container) && now.sound
      ? { finish: (times: FrameTimes) => endSound(ffmpeg, claim.partial, container, info, times) }
      : {}),
    ...(pieces
      ? { resumed: true, finish: finishPieces(ffmpeg, claim, container, info, copies, pieces) }
      : {}),
    ...(aside
      ? { finish: finishAside(ffmpeg, claim, container, info, aside, { pieces, warn: options.warn }) }
      : {}),
  });
}

/** Nothing of the source but its pictures. */
export const NO_COPIES: CopyPlan = {
  inputArgs: [],
  args: [],
  late: [],
  needed: false,
  sound: false,
  warnings: [],
};

/** Joins what earlier runs and this one have encoded, adds the source's other streams, removes the pieces. */
export function finishPieces(
  ffmpeg: Ffmpeg,
  claim: OutputClaim,
  container: Container,
  info: VideoInfo,
  copies: CopyPlan,
  pieces: readonly Piece[],
): (times: FrameTimes) => Promise<Finished> {
  return async (times) => {
    const { first } = times;
    const joined = partialName(claim.partial);
    try {
      await joinPieces(ffmpeg, {
        pieces: first === undefined ? pieces : [...pieces, { path: claim.partial, first }],
        timeBase: info.timeBase,
        ticks: containerTicks(container, info),
        inputArgs: copies.needed ? copies.inputArgs : [],
        outputArgs: [
          ...["-map", "0:v:0", ...copies.args, ...copies.late, "-c:v", "copy"],
          ...(isMp4(container) ? mp4Args(info) : ["-avoid_negative_ts", "disabled"]),
          ...lastFrameArgs(container, info),
          ...(copies.sound && info.origin!.trimmed ? ["-shortest"] : []),
          ...endArgs(info, times),
          ...["-f", container.muxer, `file:${joined}`],
          ...(copies.sound ? info.origin!.outputArgs : []),
        ],
      });
      return { path: joined, spent: [claim.partial, ...pieces.map(({ path }) => path)] };
    } catch (error) {
      await Deno.remove(joined).catch(() => {});
      throw error;
    }
  };
}

/** Gives an encoded output what was put aside of a pipe; no picture changes. */
function finishAside(
  ffmpeg: Ffmpeg,
  claim: OutputClaim,
  container: Container,
  info: VideoInfo,
  aside: Aside,
  { pieces, warn }: {
    readonly pieces: readonly Piece[] | undefined;
    readonly warn: ((line: string) => void) | undefined;
  },
): (times: FrameTimes) => Promise<Finished | undefined> {
  return async (times) => {
    const origin = await aside.origin();
    const copies = typeof origin === "string" ? NO_COPIES : planCopies(origin, container, container.muxer);
    if (typeof origin === "string" && info.audioStreams + info.subtitleStreams > 0) {
      warn?.(`the sound of the piped input is dropped: ${origin}`);
    }
    copies.warnings.forEach((line) => warn?.(line));
    if (typeof origin === "string" && !isMp4(container) && !pieces) return undefined;
    const known = typeof origin === "string" ? info : { ...info, origin };
    const early = times.early || aside.counted;
    return await finishPieces(ffmpeg, claim, container, known, copies, pieces ?? [])({ ...times, early });
  };
}

/** ffmpeg's arguments for NUT on its stdin: taken frame by frame, without reading ahead to guess. */
export function nutInputArgs(): string[] {
  return [
    "-protocol_whitelist",
    "pipe",
    "-probesize",
    "32",
    "-analyzeduration",
    "0",
    "-f",
    "nut",
    "-i",
    "pipe:0",
  ];
}

/** The filter that gives the first frame its time: ffmpeg counts from the first frame of a pipe. */
export function startAt(first: number): string {
  return `setpts=PTS+${first}`;
}

/** GIF's colours: a palette for each frame, no dithering that would crawl over still parts. */
const GIF_FILTERS = "split[whole][seen];" +
  "[seen]palettegen=stats_mode=single:reserve_transparent=1[palette];" +
  "[whole][palette]paletteuse=new=1:dither=none";

/** What a container needs so that frames keep their times, and the last one its length. */
function muxerArgs(container: Container, info: VideoInfo): string[] {
  const args: string[] = [];
  if (isMp4(container)) {
    // In fragments, each with its own index, until it is whole: what was written plays whatever ends the run.
    args.push(
      ...mp4Args(info, "+delay_moov+default_base_moof"),
      "-frag_duration",
      "1000000",
      "-flush_packets",
      "1",
      ...EXACT_LENGTHS,
    );
  }
  if (container.muxer === "matroska" || container.muxer === "webm") {
    // A lead-in of the sound lies before time 0; the picture keeps its times all the same.
    args.push("-avoid_negative_ts", "disabled", ...MATROSKA_ARGS);
  }
  // In MP4 the last fragment would lose it: it is said when the fragments are joined.
  if (!isMp4(container)) args.push(...lastFrameArgs(container, info));
  return args;
}

/** The length of the last frame, where encoders would drop it. */
function lastFrameArgs(container: Container, info: VideoInfo): string[] {
  const { duration, frameRate } = info;
  if (container.muxer === "gif" || duration === undefined || info.audioStreams > 0) return [];
  // Encoders drop the length of a frame. The newest one is given what is left of the source, if that is more
  // than a usual frame and not so much that the run must have been stopped.
  const usual = frameRate ? frameRate.den / frameRate.num : 0.04;
  // ffmpeg tells lengths in hundredths of a second: exact for a GIF, else good for a clear difference only.
  const exact = info.timeBase.num === 1 && info.timeBase.den === 100;
  const least = (exact ? 0.005 : usual + 0.01).toFixed(6);
  // Register 0 holds the latest time so far, plus 1; frames come out of order.
  // The filter sees the muxer's clock, and does not know it in every version.
  const tick = `(1/${containerTicks(container, info)})`;
  const left = (latest: string) => `(${duration.toFixed(6)}-(${latest}-1)*${tick})`;
  const odd = `between(${left("st(0,max(ld(0),PTS+1))")},${least},${LONGEST_LAST_FRAME})`;
  const length = `if(${odd},round(${left("ld(0)")}/${tick}),DURATION)`;
  return ["-bsf:v", `setts=pts=PTS:dts=DTS:duration=${length.replace(/,/g, "\\,")}`];
}

/**
 * Lengths of packets as the times of the next ones have them. Where sound ends a fragment and no picture is
 * waiting, ffmpeg's muxer puts the next picture at the end of the one before, by its length: without this a
 * guess, and so a time that is no frame's.
 */
const EXACT_LENGTHS: readonly string[] = [
  "-bsf:v",
  "setts=pts=PTS:dts=DTS:duration=if(gt(NEXT_DTS\\,DTS)\\,NEXT_DTS-DTS\\,DURATION)",
];

/** Clusters of a second, written when they are done: what was written plays whatever ends the run. */
export const MATROSKA_ARGS: readonly string[] = ["-cluster_time_limit", "1000", "-flush_packets", "1"];

/** Ticks a second of the video's clock in a container. */
function containerTicks(container: Container, info: VideoInfo): number {
  return isMp4(container) ? trackTicks(info) : 1000;
}

function isMp4({ muxer }: Container): boolean {
  return muxer === "mp4" || muxer === "mov";
}

function mp4Args(info: VideoInfo, flags = ""): string[] {
  return [
    ...["-video_track_timescale", String(trackTicks(info)), "-movflags", `+write_colr${flags}`],
    // The start of a track is told in ticks of the movie: a millisecond each would part sound and picture by two.
    ...["-movie_timescale", String(trackTicks(info))],
    // ffmpeg before 6.1 calls FLAC in MP4 an experiment.
    ...["-strict", "experimental"],
  ];
}

/** FLAC comes out of fragments without lengths, and a last packet without one would not be played. */
const LAST_SOUND =
  "setts=pts=PTS:dts=DTS:duration=if(gt(DURATION\\,0)\\,DURATION\\,if(gt(N\\,0)\\,PTS-PREV_INPTS\\,1))";

/** Gives the fragments of an MP4 file one index, as every player takes it; no packet changes. */
async function joinFragments(
  ffmpeg: Ffmpeg,
  path: string,
  container: Container,
  info: VideoInfo,
  { late, inputArgs }: CopyPlan,
  times: FrameTimes,
): Promise<Finished> {
  const joined = partialName(path);
  // A run that ended early leaves out the subtitles of what it did not come to.
  const limit = ["-t", (ptsSeconds(info, times.last) + LONGEST_LAST_FRAME).toFixed(6)];
  return await remux(ffmpeg, path, joined, [
    // Its times are taken as they are; those of the source begin where the frames do.
    ...["-y", "-protocol_whitelist", "file", "-seek_timestamp", "1", "-f", "mov", "-i", `file:${path}`],
    ...(late.length > 0 ? [...(inputArgs.includes("-t") ? [] : limit), ...inputArgs] : []),
    ...["-map", "0:v:0", "-map", "0:a?", "-c:v", "copy", "-c:a", "copy", ...late],
    ...["-map_metadata", "0", "-map_chapters", "0", ...lastFrameArgs(container, info), "-bsf:a", LAST_SOUND],
    ...[...mp4Args(info), ...endArgs(info, times), "-f", container.muxer, `file:${joined}`],
    ...(late.length > 0 ? info.origin!.outputArgs : []),
  ]);
}

/** Ends the sound of a run that ended early where its picture does. */
async function endSound(
  ffmpeg: Ffmpeg,
  path: string,
  container: Container,
  info: VideoInfo,
  times: FrameTimes,
): Promise<Finished | undefined> {
  if (!times.early) return undefined;
  const joined = partialName(path);
  return await remux(ffmpeg, path, joined, [
    ...["-y", "-protocol_whitelist", "file", "-i", `file:${path}`, "-map", "0", "-c", "copy", "-copyts"],
    ...[...endArgs(info, times), "-avoid_negative_ts", "disabled", "-f", container.muxer, `file:${joined}`],
  ]);
}

/** The end of the last frame as the end of all streams, where a run ended early. */
function endArgs(info: VideoInfo, { last, early }: FrameTimes): string[] {
  const usual = info.frameRate ? info.frameRate.den / info.frameRate.num : 0.04;
  return early ? ["-t", (ptsSeconds(info, last) + usual).toFixed(6)] : [];
}

/** Runs ffmpeg from the file at `path` to the one at `joined`, which takes its place. */
async function remux(
  ffmpeg: Ffmpeg,
  path: string,
  joined: string,
  args: readonly string[],
): Promise<Finished> {
  const process = FfmpegProcess.spawn(ffmpeg, args, { role: "muxer" });
  try {
    if (!(await process.ended).success) throw process.failure(`Cannot finish ${path}`);
    return { path: joined, spent: [path] };
  } catch (error) {
    await process.kill();
    await Deno.remove(joined).catch(() => {});
    throw error;
  }
}

/** Ticks a second of an MP4 track: the source's clock, doubled until players find it fine enough. */
function trackTicks(info: VideoInfo): number {
  let ticks = info.timeBase.den;
  while (ticks < 10_000) ticks *= 2;
  return ticks;
}

/** Settings of {@linkcode NutSink}. */
export interface NutSinkOptions {
  readonly output: string;
  /** Unset for stdout. */
  readonly claim?: OutputClaim;
  readonly info: VideoInfo;
  readonly size: { readonly width: number; readonly height: number };
  readonly channels: 1 | 2 | 3 | 4;
  /** True where frames are planes of 4:2:0. */
  readonly planar?: boolean;
  /** Stop ffmpeg by a signal when a run ends early. */
  readonly interrupt: boolean;
  /** True where an earlier run has done frames of it, so that none need come. */
  readonly resumed?: boolean;
  /** Called on the finished file before it gets its name. */
  readonly finish?: (times: FrameTimes) => Promise<Finished | void>;
}

/** A finished file that lies beside the partial one. */
export interface Finished {
  readonly path: string;
  /** Files that it was made of, for which there is no use once it has its name. */
  readonly spent: readonly string[];
}

/** Times of the frames that were written, in ticks. */
export interface FrameTimes {
  /** Undefined where none was. */
  readonly first: number | undefined;
  readonly last: number;
  /** True where the run ended before its source did. */
  readonly early: boolean;
}

/** A frame as an encoder takes it. */
export interface RawItem {
  readonly width: number;
  readonly height: number;
  readonly pts: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

/** An encoder that is fed NUT. */
export class NutSink implements Sink<Picture> {
  readonly output: string;
  readonly #start: (first: number) => FfmpegProcess;
  readonly #options: NutSinkOptions;
  readonly #nut: NutWriter;
  readonly #nutHeader: Uint8Array<ArrayBuffer>;
  readonly #frameBytes: number;
  #process: FfmpegProcess | undefined;
  #writing: Promise<void> = Promise.resolve();
  #failed: unknown;
  #firstPts = 0;
  #lastPts = -1;
  #done = false;
  /** True from the end of the last frame until the output has its name. */
  #whole = false;
  #finished: Finished | undefined;

  /** @param start Starts ffmpeg, whose first frame is at the given time; called at the first write. */
  constructor(start: (first: number) => FfmpegProcess, options: NutSinkOptions) {
    this.output = options.output;
    this.#start = start;
    this.#options = options;
    const { info, size, channels, planar } = options;
    const stream = {
      width: size.width,
      height: size.height,
      pixelFormat: planar
        ? "yuv420p"
        : ({ 1: "gray", 2: "gray16le", 3: "rgb24", 4: "rgba" } as const)[channels],
    } as const;
    this.#frameBytes = nutFrameBytes(stream);
    this.#nut = new NutWriter({
      ...stream,
      timeBase: info.timeBase,
      ...(info.frameRate ? { frameRate: info.frameRate } : {}),
      ...(info.sampleAspect ? { sampleAspect: info.sampleAspect } : {}),
    });
    this.#nutHeader = this.#nut.header();
  }

  /** True where pictures must come as planes. */
  get planar(): boolean {
    return this.#options.planar === true;
  }

  /** Where the unfinished output lies. */
  get partial(): string {
    return this.#options.claim?.partial ?? "stdout";
  }

  /** Process id of ffmpeg, once it runs. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  async write(item: RawItem): Promise<void> {
    // One frame is on its way while the next is made.
    await this.#writing;
    if (this.#failed) throw this.#failed;
    if (this.#done) throw new TypeError("Cannot write to a sink that is closed");
    const { size } = this.#options;
    if (item.width !== size.width || item.height !== size.height) {
      throw new WalkcutError({
        what: `The output is ${size.width}x${size.height}, a frame is not`,
        found: `${item.width}x${item.height}`,
      });
    }
    if (item.data.length !== this.#frameBytes) {
      throw new RangeError(`A frame should have ${this.#frameBytes} bytes: ${item.data.length}`);
    }
    // Encoders refuse times that stand still or run back; a damaged source may have them.
    const begins = !this.#process;
    const pts = begins ? Math.max(0, item.pts) : Math.max(item.pts, this.#lastPts + 1);
    if (begins) {
      this.#firstPts = pts;
      this.#process = this.#start(pts);
    }
    this.#lastPts = pts;
    const header = this.#nut.frameHeader(pts - this.#firstPts);
    this.#writing = this.#send(
      this.#process!,
      begins ? [this.#nutHeader, header, item.data] : [header, item.data],
    );
  }

  async finish(early = false): Promise<void> {
    if (this.#done) return;
    await this.#writing;
    if (this.#failed) throw this.#failed;
    this.#done = true;
    const process = this.#process;
    if (process) {
      await process.closeStdin();
      const stopped = early && this.#options.interrupt && !await this.#endsSoon(process);
      if (stopped) process.signal("SIGINT");
      const status = await process.ended;
      // ffmpeg ends its file at an interrupt, and says so with 255.
      if (!status.success && !(stopped && status.code === 255)) throw this.#failure(process);
    } else if (!this.#options.resumed) {
      throw new WalkcutError({ what: "No frame was written to the output", found: this.output });
    }
    const first = process ? this.#firstPts : undefined;
    this.#finished = await this.#options.finish?.({ first, last: this.#lastPts, early }) ?? undefined;
    this.#whole = true;
  }

  async close(): Promise<void> {
    await this.finish();
    if (!this.#whole) return;
    this.#whole = false;
    await this.#options.claim?.commit(this.#finished?.path);
    for (const path of this.#finished?.spent ?? []) await Deno.remove(path).catch(() => {});
  }

  /** True where ffmpeg ends by itself: the rest of a source's sound may keep it for long. */
  async #endsSoon(process: FfmpegProcess): Promise<boolean> {
    await Promise.race([process.ended, delay(SOON_MS)]);
    return process.status !== undefined;
  }

  async abort(): Promise<void> {
    const process = this.#process;
    this.#done = true;
    if (this.#whole && this.#finished) await Deno.remove(this.#finished.path).catch(() => {});
    this.#whole = false;
    if (!process || process.status) return;
    // The frame on its way is whole before the stream ends; an encoder that stands still loses it.
    await Promise.race([this.#writing, delay(2000)]);
    const closing = process.closeStdin();
    if (this.#options.interrupt) {
      await Promise.race([process.ended, delay(DRAIN_MS)]);
      process.signal("SIGINT");
    }
    await Promise.race([process.ended, delay(10_000)]);
    await process.kill();
    await closing;
  }

  async #send(process: FfmpegProcess, parts: readonly Uint8Array<ArrayBuffer>[]): Promise<void> {
    try {
      for (const part of parts) await process.write(part);
      if (this.planar) recycle(parts.at(-1)!);
    } catch {
      await Promise.race([process.ended, delay(5000)]);
      this.#failed = this.#failure(process);
    }
  }

  #failure(process: FfmpegProcess): Error {
    const status = process.status;
    const said = process.lines.map(({ text }) => text).join("\n");
    if (!this.#options.claim && (status?.signal === "SIGPIPE" || /Broken pipe/.test(said))) {
      return new ClosedPipe();
    }
    if (REFUSES.test(said) && !/No space|too large/.test(said)) {
      return new UsageError({
        what: `ffmpeg refuses to encode ${this.output}`,
        found: process.lastError ?? "",
        advice: "check --codec, --preset, --pix-fmt and --ffmpeg-args",
      });
    }
    return process.failure(`Cannot write ${this.output}`);
  }
}

/** Words by which ffmpeg says that it cannot begin with what it was asked for. */
const REFUSES =
  /Unknown encoder|Invalid encoder type|Unrecognized option|Option .* not found|Error splitting|Unknown pixel format|Incompatible pixel format|Error (initializing|while opening)|Could not write header/;

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => {
    Deno.unrefTimer(setTimeout(resolve, ms));
  });
}

/** Gives the last frame of a GIF the length that it has in the source; GIF's encoder cannot know it. */
function lastGifDelay(path: string, info: VideoInfo): (times: FrameTimes) => Promise<void> {
  return async ({ last }) => {
    const seconds = info.duration! - last * info.timeBase.num / info.timeBase.den;
    const hundredths = Math.round(seconds * 100);
    if (hundredths < 1 || seconds > LONGEST_LAST_FRAME) return;
    await patchLastDelay(path, hundredths);
  };
}

/**
 * Sets the delay of the last picture of a GIF file.
 *
 * Walks over the file's blocks, so that a delay is never mistaken for picture data.
 */
export async function patchLastDelay(path: string, hundredths: number): Promise<void> {
  const data = await Deno.readFile(path);
  const at = (i: number) => data[i] ?? 0;
  const skipBlocks = (i: number) => {
    while (i < data.length && at(i) !== 0) i += at(i) + 1;
    return i + 1;
  };
  const table = (flags: number) => flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0;
  let last = -1;
  let i = 13 + table(at(10));
  while (i < data.length && at(i) !== 0x3b) {
    if (at(i) === 0x21) {
      if (at(i + 1) === 0xf9) last = i + 4;
      i = skipBlocks(i + 2);
    } else if (at(i) === 0x2c) {
      i = skipBlocks(i + 10 + table(at(i + 9)) + 1);
    } else return; // Not a GIF that we understand: its last delay stays.
  }
  if (last < 0) return;
  const file = await Deno.open(path, { write: true });
  try {
    await file.seek(last, Deno.SeekMode.Start);
    await file.write(Uint8Array.of(hundredths & 255, hundredths >> 8 & 255));
  } finally {
    file.close();
  }
}
