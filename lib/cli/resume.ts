/**
 * `--resume`: goes on with a run that was killed.
 *
 * A run into files keeps a checkpoint beside its first output, `NAME.resume`: what the run is, and every
 * second what ids need in order to go on after a frame. A killed run leaves it. The next one takes the latest
 * checkpoint whose frames are whole in every output, cuts the outputs there, and starts its segmenter with
 * that checkpoint's ids at the frame after it, cold, as a key frame.
 *
 * @module
 */
import { resolve } from "node:path";
import { textOf, UsageError, WalkcutError } from "../errors.ts";
import { type Ffmpeg, locateFfmpeg } from "../ffmpeg/locate.ts";
import type { SegmenterSnapshot } from "../frame_segmenter.ts";
import { partialName } from "../sink/claim.ts";
import { containerOf } from "../sink/encoder.ts";
import { numberedName } from "../sink/files.ts";
import { NpyLabels } from "../sink/labels.ts";
import {
  bytesOfLines,
  cutPiece,
  holdsFrames,
  packetsOf,
  type Piece,
  pieceName,
  type Resumed,
} from "../sink/resume.ts";
import type { VideoInfo } from "../source/frame.ts";
import { ptsSeconds } from "../source/numbers.ts";

/** An option that names an output; those that may be given several times are numbered: `output 2`. */
export type OutputKey = string;

/** Outputs that are named files, by option. */
export type Outputs = Record<OutputKey, string>;

/** What makes two runs the same one. */
export type RunKey = Readonly<Record<string, unknown>>;

/** A frame after which a run can be gone on with. */
interface Checkpoint {
  /** Frames up to and with it. */
  readonly frames: number;
  /** Times of the first frame of the newest piece and of this frame, in ticks. */
  readonly first: number;
  readonly last: number;
  readonly snapshot: SegmenterSnapshot;
}

interface Header {
  readonly key: RunKey;
  /** Frames in the pieces. */
  readonly done: number;
  /** Pieces of the videos, by option. */
  readonly pieces: Readonly<Record<string, readonly Piece[]>>;
}

/** Checkpoints that a file holds before it is written anew, and that stay then. */
const [MOST, KEPT] = [96, 32];
/** Milliseconds that an output must lie still: an encoder whose program was killed still ends its file. */
const STILL_MS = 2000;
/** Milliseconds that are waited for that. */
const PATIENCE_MS = 60_000;

/** Keeps checkpoints while a run goes on. */
export class Checkpoints {
  /** Frames that earlier runs have done. */
  readonly done: number;
  readonly #path: string;
  readonly #header: Header;
  readonly #lines: string[] = [];
  #file: Deno.FsFile | undefined;
  #first: number | undefined;

  constructor(path: string, header: Header) {
    this.#path = path;
    this.#header = header;
    this.done = header.done;
  }

  /** True once a run could be gone on with. */
  get begun(): boolean {
    return this.#file !== undefined;
  }

  /** Tells that a frame is in every output. */
  async written(frames: number, pts: number, snapshot: SegmenterSnapshot | undefined): Promise<void> {
    this.#first ??= pts;
    if (!snapshot) return;
    try {
      await this.add({ frames, first: this.#first, last: pts, snapshot });
    } catch (error) {
      // A full disk or a removed folder: the outputs tell it better, and an older checkpoint is as true.
      if (!(error instanceof WalkcutError)) throw error;
    }
  }

  /**
   * Adds a checkpoint.
   *
   * @throws {WalkcutError} If it cannot be written.
   */
  async add(checkpoint: Checkpoint): Promise<void> {
    const line = JSON.stringify(checkpoint);
    this.#lines.push(line);
    try {
      if (this.#file && this.#lines.length <= MOST) await append(this.#file, [line]);
      else await this.#writeAnew();
    } catch (cause) {
      throw new WalkcutError({
        what: `Cannot write ${this.#path}`,
        found: textOf(cause),
        cause,
      });
    }
  }

  /** Whole under another name first: a kill at any moment leaves one or the other. */
  async #writeAnew(): Promise<void> {
    this.#lines.splice(0, this.#lines.length - KEPT);
    const next = `${this.#path}.new`;
    const file = await Deno.open(next, { write: true, create: true, truncate: true });
    try {
      await file.tryLock(true);
      await append(file, [JSON.stringify(this.#header), ...this.#lines]);
      await Deno.rename(next, this.#path);
    } catch (error) {
      file.close();
      await Deno.remove(next).catch(() => {});
      throw error;
    }
    this.#file?.close();
    this.#file = file;
  }

  /** The run is done: nothing is left to go on with. */
  async remove(): Promise<void> {
    this.leave();
    await Deno.remove(this.#path).catch(() => {});
  }

  /** Leaves the file for `--resume`. */
  leave(): void {
    this.#file?.close();
    this.#file = undefined;
  }
}

async function append(file: Deno.FsFile, lines: readonly string[]): Promise<void> {
  const bytes = new TextEncoder().encode(lines.map((line) => line + "\n").join(""));
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}

/** A run that is gone on with. */
export interface TakenUp {
  readonly checkpoints: Checkpoints;
  /** Frames that are done. */
  readonly frames: number;
  readonly snapshot: SegmenterSnapshot;
  readonly outputs: Readonly<Record<OutputKey, Resumed>>;
}

/** What a run is to `--resume`. */
export interface ResumeOptions {
  readonly key: RunKey;
  readonly outputs: Outputs;
  readonly info: VideoInfo;
  readonly ffmpeg?: string;
}

/** Where a run keeps its checkpoints; undefined where it has no file to go on with. */
export function checkpointPath(outputs: Outputs): string | undefined {
  const first = Object.values(outputs)[0];
  return first === undefined ? undefined : `${first}.resume`;
}

/** Why a run of these outputs could not be gone on with; undefined where it can. */
export function cannotResume(input: string, outputs: Outputs, info: VideoInfo): string | undefined {
  if (input === "-") return "what stdin has given is gone";
  if (/^\w+:\/\//.test(input) && !info.frameCount) return "a live stream does not come again";
  if (info.still) return "a still picture is done at once";
  for (const path of Object.values(outputs)) {
    if (path === "-") return "what stdout has taken cannot be looked at";
    if (/\.gif$/i.test(path)) return "the pictures of a GIF share what came before";
    if (path.includes("\n")) return "an output's name has a line feed";
  }
  return undefined;
}

/** What of the options and the input makes a run the same one. */
export async function runKey(input: string, values: Readonly<Record<string, unknown>>): Promise<RunKey> {
  const indifferent = "overwrite no-overwrite resume progress quiet debug stall-timeout ffmpeg".split(" ");
  const options = Object.entries(values).filter(([name]) => !indifferent.includes(name));
  let file: RunKey = {};
  try {
    const { size, mtime, isFile } = await Deno.stat(input);
    if (isFile) file = { "the input's size": size, "the input's time": mtime?.getTime() };
  } catch {
    // A URL or a pattern.
  }
  return {
    "the input": resolve(input),
    ...file,
    ...Object.fromEntries(options.map(([name, value]) => [`--${name}`, value])),
  };
}

/**
 * Finds what is whole of a run that was killed, and cuts the outputs there.
 *
 * @returns undefined where there is nothing to go on with.
 * @throws {UsageError} If the run still goes on, or was another one.
 */
export async function takeUp(options: ResumeOptions): Promise<TakenUp | undefined> {
  const path = checkpointPath(options.outputs);
  const found = path === undefined ? undefined : await readCheckpoints(path);
  if (path === undefined || !found) return undefined;
  checkSame(options.key, found.header.key);
  const ffmpeg = await locateFfmpeg(options.ffmpeg);
  const outputs = Object.entries(options.outputs).map(([option, name]) =>
    lookAt(option, name, found.header, options.info, ffmpeg)
  );
  await Promise.all(outputs.map(({ partial }) => partial === undefined ? undefined : untilStill(partial)));
  for (const checkpoint of found.checkpoints.toReversed()) {
    const whole = await Promise.all(outputs.map((output) => output.holds(checkpoint)));
    if (!whole.every(Boolean)) continue;
    const resumed: Record<OutputKey, Resumed> = {};
    for (const output of outputs) resumed[output.option] = await output.cut(checkpoint);
    const pieces = Object.fromEntries(
      Object.entries(resumed).flatMap(([option, { pieces }]) => pieces ? [[option, pieces]] : []),
    );
    const checkpoints = new Checkpoints(path, {
      key: options.key,
      done: checkpoint.frames,
      pieces,
    });
    await checkpoints.add(checkpoint);
    for (const output of outputs) {
      if (pieces[output.option]) await Deno.remove(output.partial!).catch(() => {});
    }
    const { frames, snapshot } = checkpoint;
    return { checkpoints, frames, snapshot, outputs: resumed };
  }
  return undefined;
}

/** One output of the killed run. */
interface Looked {
  readonly option: OutputKey;
  readonly partial: string | undefined;
  /** True where the checkpoint's frames are whole in it. */
  holds(checkpoint: Checkpoint): Promise<boolean>;
  /** Cuts it behind them, or says where to. */
  cut(checkpoint: Checkpoint): Promise<Resumed>;
}

function lookAt(
  option: OutputKey,
  path: string,
  header: Header,
  info: VideoInfo,
  ffmpeg: Ffmpeg,
): Looked {
  const partial = partialName(path);
  if (option === "rle" || option === "stats") {
    return {
      option,
      partial,
      holds: async ({ frames }) => await bytesOfLines(partial, frames) !== undefined,
      cut: async ({ frames }) => ({ frames, bytes: (await bytesOfLines(partial, frames))! }),
    };
  }
  if (/\.(png|jpe?g)$/i.test(path)) {
    return {
      option,
      partial: undefined,
      holds: async ({ frames }) => await sizeOf(numberedName(path, frames - 1)) > 0,
      cut: ({ frames }) => Promise.resolve({ frames }),
    };
  }
  if (/\.npy$/i.test(path)) {
    const bytes = (frames: number) => NpyLabels.bytesOf(info, frames);
    return {
      option,
      partial,
      holds: async ({ frames }) => await sizeOf(partial) >= bytes(frames),
      cut: ({ frames }) => Promise.resolve({ frames, bytes: bytes(frames) }),
    };
  }
  const pieces = header.pieces[option] ?? [];
  let packets: Promise<number[]> | undefined;
  return {
    option,
    partial,
    async holds({ frames, first, last }) {
      const count = frames - header.done;
      if (count === 0) return true;
      packets ??= packetsOf(ffmpeg, partial);
      return holdsFrames(await packets, count, ptsSeconds(info, first), ptsSeconds(info, last));
    },
    async cut({ frames, first }) {
      if (frames === header.done) return { frames, pieces };
      const piece = pieceName(partial, pieces.length + 1);
      await cutPiece(ffmpeg, partial, piece, frames - header.done, containerOf(path).muxer);
      return { frames, pieces: [...pieces, { path: piece, first }] };
    },
  };
}

async function readCheckpoints(
  path: string,
): Promise<{ header: Header; checkpoints: Checkpoint[] } | undefined> {
  let text: string;
  try {
    using file = await Deno.open(path, { read: true, write: true });
    if (!await file.tryLock(true)) {
      throw new UsageError({
        what: "This run still goes on",
        found: path,
        advice: "wait for its end, or stop it first",
      });
    }
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  // The last line may have been cut off by the kill.
  const lines = text.split("\n").slice(0, -1);
  try {
    const [header, ...checkpoints] = lines.flatMap(parsed);
    if (header?.key === undefined || typeof header.done !== "number") throw new TypeError("no header");
    return { header, checkpoints };
  } catch (cause) {
    throw new UsageError({
      what: "The checkpoint is damaged",
      found: path,
      advice: "delete it and run without --resume",
      cause,
    });
  }
}

/** A line's value; none where it was cut off by a disk that was full for a while. */
function parsed(line: string): [value?: ReturnType<typeof JSON.parse>] {
  try {
    return [JSON.parse(line)];
  } catch {
    return [];
  }
}

/** Another input, or other options, would make two videos of one. */
function checkSame(key: RunKey, before: RunKey): void {
  for (const name of new Set([...Object.keys(key), ...Object.keys(before)])) {
    const [now, then] = [key[name], before[name]].map((value) => JSON.stringify(value) ?? "unset");
    if (now !== then) {
      throw new UsageError({
        what: `Cannot go on with a run of another kind, ${name} was ${then}`,
        found: now!,
        advice: "give what the killed run was given, or run without --resume",
      });
    }
  }
}

/** Waits until nothing writes to a file any more. */
async function untilStill(path: string): Promise<void> {
  let size = await sizeOf(path);
  let since = performance.now();
  const begun = since;
  while (performance.now() - since < STILL_MS && performance.now() - begun < PATIENCE_MS) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const now = await sizeOf(path);
    if (now !== size) [size, since] = [now, performance.now()];
  }
}

/** Bytes of a file; 0 where there is none. */
async function sizeOf(path: string): Promise<number> {
  try {
    return (await Deno.stat(path)).size;
  } catch {
    return 0;
  }
}
