/**
 * Pictures encoded by ffmpeg into a container, every one at its own time.
 *
 * @module
 */
import { type Ffmpeg, inputClockArgs, locateFfmpeg, passthroughArgs } from "../ffmpeg/locate.ts";
import { FfmpegProcess } from "../ffmpeg/process.ts";
import { colorTags, encodeFilters } from "../source/color.ts";
import type { Aside, VideoInfo } from "../source/frame.ts";
import { ptsSeconds } from "../source/numbers.ts";
import { claimOutput, type OutputClaim, partialName } from "./claim.ts";
import { chooseEncoder, type Container, containerOf, type CopyPlan, planCopies } from "./encoder.ts";
import { lastGifDelay } from "./gif.ts";
import { type Finished, type FrameTimes, LONGEST_LAST_FRAME, NutSink } from "./nut_sink.ts";
import type { PictureSinkOptions } from "./picture.ts";
import { joinPieces, type Piece } from "./resume.ts";
import type { Picture, Sink } from "./sink.ts";

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
    ...options,
    channels,
    width: size.width,
    height: size.height,
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
  const { duration } = info;
  if (container.muxer === "gif" || duration === undefined || info.audioStreams > 0) return [];
  // Encoders drop the length of a frame. The newest one is given what is left of the source, if that is more
  // than a usual frame and not so much that the run must have been stopped.
  // ffmpeg tells lengths in hundredths of a second: exact for a GIF, else good for a clear difference only.
  const exact = info.timeBase.num === 1 && info.timeBase.den === 100;
  const least = (exact ? 0.005 : usualLength(info) + 0.01).toFixed(6);
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
  return early ? ["-t", (ptsSeconds(info, last) + usualLength(info)).toFixed(6)] : [];
}

/** Seconds that a frame is shown, as a rule. */
function usualLength({ frameRate }: VideoInfo): number {
  return frameRate ? frameRate.den / frameRate.num : 0.04;
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
