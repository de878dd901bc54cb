/**
 * Outputs of a run that was killed: how many frames of them are whole, and how they are gone on with.
 *
 * A file of lines or of an array is cut behind its last whole frame and grows on. A video cannot: its whole
 * frames are copied, without being encoded again, into a piece (`NAME.partial-1.EXT`), an encoder starts
 * afresh beside it, and at the end the pieces are joined, again as they are.
 *
 * @module
 */
import { resolve } from "node:path";
import { WalkcutError } from "../errors.ts";
import type { Ffmpeg } from "../ffmpeg/locate.ts";
import { FfmpegProcess } from "../ffmpeg/process.ts";
import type { Rational } from "../source/frame.ts";

/** What an earlier run has done of an output. */
export interface Resumed {
  /** Frames that are whole. */
  readonly frames: number;
  /** Bytes of the partial file that hold them, for files that grow. */
  readonly bytes?: number;
  /** What holds them, in order, for videos. */
  readonly pieces?: readonly Piece[];
}

/** Part of a video. */
export interface Piece {
  readonly path: string;
  /** Time of its first frame, in ticks of the source. */
  readonly first: number;
}

/** `clip.partial.mp4` → `clip.partial-2.mp4`. */
export function pieceName(partial: string, number: number): string {
  return partial.replace(/\.partial(\.[^./]*)?$/, (_, extension = "") => `.partial-${number}${extension}`);
}

/** Times of the whole packets of a video in seconds, in the order of the file; none where it cannot be read. */
export async function packetsOf(ffmpeg: Ffmpeg, path: string): Promise<number[]> {
  const process = FfmpegProcess.spawn(ffmpeg, [
    ...readArgs(path),
    ...["-map", "0:v:0", "-c", "copy", "-copyts", "-f", "framecrc", "pipe:1"],
  ], { role: "index", stdout: "piped" });
  try {
    const text = await new Response(process.stdout).text();
    const clock = /^#tb 0: (\d+)\/(\d+)/m.exec(text);
    const scale = Number(clock?.[1]) / Number(clock?.[2]);
    return [...text.matchAll(/^0, *-?\d+, *(-?\d+),/gm)].map(([, pts]) => Number(pts) * scale);
  } finally {
    await process.kill();
  }
}

/**
 * True where the first `frames` packets of a video are those of the frames from time `first` to time `last`,
 * in seconds, and no other: they decode without what comes behind them.
 */
export function holdsFrames(
  packets: readonly number[],
  frames: number,
  first: number,
  last: number,
): boolean {
  if (packets.length < frames) return false;
  let [least, most] = [Infinity, -Infinity];
  for (const time of packets.slice(0, frames)) {
    least = Math.min(least, time);
    most = Math.max(most, time);
  }
  // Matroska rounds to the millisecond.
  return Math.abs(most - least - (last - first)) < 0.0015;
}

/** Copies the first packets of a video into a file of its own. */
export async function cutPiece(
  ffmpeg: Ffmpeg,
  from: string,
  to: string,
  frames: number,
  muxer: string,
): Promise<void> {
  const unfinished = `${to}.new`;
  const process = FfmpegProcess.spawn(ffmpeg, [
    ...["-y", ...readArgs(from), "-map", "0:v:0", "-c", "copy", "-copyts"],
    ...["-frames:v", String(frames), "-avoid_negative_ts", "disabled", "-f", muxer, `file:${unfinished}`],
  ], { role: "muxer" });
  try {
    if (!(await process.ended).success) throw process.failure(`Cannot take up ${from}`);
    await Deno.rename(unfinished, to);
  } finally {
    await process.kill();
    await Deno.remove(unfinished).catch(() => {});
  }
}

/** How pieces become one file. */
export interface JoinPlan {
  readonly pieces: readonly Piece[];
  /** Time of the first frame after each piece but the last is that of the next; seconds a tick. */
  readonly timeBase: Rational;
  /** Ticks a second of the container's clock, to which times are rounded. */
  readonly ticks: number;
  /** ffmpeg's arguments for further inputs. */
  readonly inputArgs: readonly string[];
  /** ffmpeg's arguments from the first `-map` to the name of the output. */
  readonly outputArgs: readonly string[];
}

/** Joins pieces packet by packet; each begins at the time of its first frame. */
export async function joinPieces(ffmpeg: Ffmpeg, plan: JoinPlan): Promise<void> {
  const { pieces, timeBase: { num, den }, ticks } = plan;
  const seconds = (pts: number) => Math.round(pts * num / den * ticks) / ticks;
  const list = pieces.flatMap(({ path, first }, i) => {
    const next = pieces[i + 1];
    const name = `file:${resolve(path)}`.replaceAll("'", `'\\''`);
    return [
      `file '${name}'`,
      // ffmpeg does not know itself where a piece of a few packets starts, and would leave its times as they are.
      `inpoint ${seconds(first).toFixed(6)}`,
      ...(next ? [`duration ${(seconds(next.first) - seconds(first)).toFixed(6)}`] : []),
    ];
  });
  const process = FfmpegProcess.spawn(ffmpeg, [
    ...["-y", "-itsoffset", seconds(pieces[0]!.first).toFixed(6), "-protocol_whitelist", "file,pipe"],
    ...["-f", "concat", "-safe", "0", "-i", "pipe:0", ...plan.inputArgs, ...plan.outputArgs],
  ], { role: "muxer", stdin: "piped" });
  try {
    await process.write(new TextEncoder().encode(`ffconcat version 1.0\n${list.join("\n")}\n`)).catch(
      () => {},
    );
    await process.closeStdin();
    if (!(await process.ended).success) throw process.failure("Cannot join what two runs have done");
  } finally {
    await process.kill();
  }
}

/** Bytes of a file that its first `lines` lines take; undefined where it has not so many. */
export async function bytesOfLines(path: string, lines: number): Promise<number | undefined> {
  let [left, bytes] = [lines, 0];
  if (left === 0) return 0;
  using file = await open(path);
  const piece = new Uint8Array(1 << 20);
  for (let read = await file?.read(piece); file && read; read = await file.read(piece)) {
    const chunk = piece.subarray(0, read);
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) {
      if (--left === 0) return bytes + at + 1;
    }
    bytes += read;
  }
  return undefined;
}

async function open(path: string): Promise<Deno.FsFile | undefined> {
  try {
    return await Deno.open(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new WalkcutError({ what: "Cannot take up", found: path, cause: error });
  }
}

function readArgs(path: string): string[] {
  return ["-protocol_whitelist", "file", "-fflags", "+discardcorrupt", "-i", `file:${path}`];
}
