/**
 * A running decoder: ffmpeg on one side, frames on the other.
 *
 * @module
 */
import { type ByteReader } from "../ffmpeg/byte_reader.ts";
import { NutError, type NutFrame, NutReader } from "../ffmpeg/nut.ts";
import { FfmpegProcess } from "../ffmpeg/process.ts";
import type { Ffmpeg } from "../ffmpeg/locate.ts";
import { UsageError, WalkcutError } from "../errors.ts";
import { within } from "../within.ts";
import { ptsSeconds } from "./numbers.ts";
import type { AsideFile } from "./aside.ts";
import type { Frame, FrameColor, Rational, VideoInfo, VideoSource } from "./frame.ts";
import { planarFrame } from "./planes.ts";

/** Frames that are decoded before they are asked for. */
const AHEAD = 2;
/** Milliseconds that a pipe gets to bring the sound of its last frame. */
const ASIDE_MS = 2000;
/** Words by which ffmpeg says that an input ended too early, whatever its length should have been. */
const ENDS_EARLY =
  /partial file|Invalid buffer size|ended prematurely|prematurely|truncated|unexpected end|corrupt input packet|Input\/output error|Connection (reset|timed out|refused)/i;

/** Bytes on their way to a decoder's stdin. */
export interface Feed {
  readonly reader: ByteReader;
  /** Looks at all bytes first, and may say how many are good before those it throws at; `end` follows the last. */
  readonly guard?: { see(bytes: Uint8Array): void; end(): void; readonly good?: number };
  /** Gets the same bytes. */
  readonly aside?: AsideFile;
}

/** Settings of {@linkcode Decoder.start}. */
export interface DecoderOptions {
  readonly ffmpeg: Ffmpeg;
  /** All of ffmpeg's arguments; NUT with rgb24, or yuv420p of the colour in `info`, must come from its stdout. */
  readonly args: readonly string[];
  /** Name for messages. */
  readonly name: string;
  readonly feed?: Feed;
  /** What is known beside NUT's headers. */
  readonly info: Omit<VideoInfo, "width" | "height" | "timeBase" | "still">;
  /** True: a picture; `"one"`: a picture if no second frame follows. */
  readonly still: boolean | "one";
  /** Ticks a second of the source's clock, where known: NUT's may be finer by a power of two. */
  readonly ticks?: number;
  /** The clock of frames that are numbered and not timed. */
  readonly clock?: Rational;
  /** Frames that must come, where that is known. */
  readonly exactly?: number;
  /** Seconds before which frames begin: ffmpeg's own limit lets one more through at times. */
  readonly limit?: number;
  /** Seconds at which the last frame should end, where known and nothing cuts it short. */
  readonly until?: number;
  /** Of a picture: says whether its last bytes are those of a whole one. */
  readonly picture?: { readonly whole: boolean };
}

/** ffmpeg, decoding. */
export class Decoder implements VideoSource {
  readonly info: VideoInfo;
  readonly #options: DecoderOptions;
  readonly #process: FfmpegProcess;
  readonly #nut: NutReader;
  readonly #ahead: Promise<NutFrame | undefined>[] = [];
  readonly #pump: Promise<unknown>;
  #scale = 1;
  /** Set where frames come as planes. */
  #matrix: FrameColor["matrix"] | undefined;
  #iterated = false;
  #closed = false;

  /**
   * Starts ffmpeg and waits for the first frame.
   *
   * @throws {UsageError} If there is none.
   */
  static async start(options: DecoderOptions): Promise<Decoder> {
    const process = FfmpegProcess.spawn(options.ffmpeg, options.args, {
      role: "decoder",
      stdin: options.feed ? "piped" : "null",
      stdout: "piped",
    });
    const pump = options.feed ? pumpInto(process, options.feed) : Promise.resolve(undefined);
    try {
      const nut = await NutReader.open(process.stdout);
      const first = await nut?.read();
      if (!nut || !first) throw await noFrames(process, options, pump);
      const second = options.still === "one" ? await nut.read() : undefined;
      const still = options.still === "one" ? second === undefined : options.still;
      const decoder = new Decoder(options, process, nut, pump, still);
      decoder.#ahead.push(Promise.resolve(first));
      if (options.still === "one") decoder.#ahead.push(Promise.resolve(second));
      return decoder;
    } catch (error) {
      await process.kill();
      await options.feed?.reader.cancel();
      await options.feed?.aside?.remove();
      if (error instanceof NutError) {
        const reason = await pump;
        throw reason instanceof WalkcutError
          ? reason
          : process.status?.signal && process.status.signal !== "SIGTERM"
          ? process.failure("The decoder failed")
          : unreadable(options.name, process.lastError ?? error.message);
      }
      throw error;
    }
  }

  private constructor(
    options: DecoderOptions,
    process: FfmpegProcess,
    nut: NutReader,
    pump: Promise<unknown>,
    still: boolean,
  ) {
    this.#options = options;
    this.#process = process;
    this.#nut = nut;
    this.#pump = pump;
    const { width, height, timeBase, frameRate, sampleAspect, pixelFormat } = nut.stream;
    if (pixelFormat === "yuv420p") this.#matrix = options.info.color?.matrix;
    this.#scale = options.ticks ? finerBy(timeBase, options.ticks) : 1;
    const clock = options.clock ?? (this.#scale > 1 ? { num: 1, den: options.ticks! } : timeBase);
    this.info = {
      ...(frameRate && !still ? { frameRate } : {}),
      ...(sampleAspect ? { sampleAspect } : {}),
      ...options.info,
      width,
      height,
      timeBase: clock,
      still,
      ...(still ? { frameCount: 1 } : {}),
      ...(this.#matrix ? { planar: true } : {}),
    };
  }

  /** Process id of ffmpeg. */
  get pid(): number {
    return this.#process.pid;
  }

  async *frames(): AsyncGenerator<Frame> {
    if (this.#iterated) throw new TypeError("Cannot iterate the frames of a source twice");
    this.#iterated = true;
    let index = 0;
    let last = -1;
    try {
      while (!this.#closed) {
        this.#fill();
        const item = await this.#ahead.shift()!;
        if (!item || this.#closed) break;
        this.#options.feed?.aside?.check();
        this.#fill();
        // Pictures of a sequence are numbered, everything else is timed.
        const pts = this.#options.clock ? index : Math.round(item.pts / this.#scale);
        if (ptsSeconds(this.info, pts) >= (this.#options.limit ?? Infinity) - 1e-6) {
          await this.#process.kill();
          return await this.#endAside();
        }
        last = pts;
        yield this.#frame(index++, pts, item.data);
      }
      if (!this.#closed) {
        await this.#checkEnd(index, last);
        await this.#endAside();
      }
    } catch (error) {
      throw await this.#explain(error, index);
    } finally {
      await this.#stop();
    }
  }

  async close(): Promise<void> {
    await this.#stop();
    await this.#options.feed?.aside?.remove();
  }

  async #stop(): Promise<void> {
    this.#closed = true;
    await this.#process.kill();
    await this.#options.feed?.reader.cancel();
    await this.#nut.cancel();
    await Promise.allSettled(this.#ahead);
    await this.#pump;
  }

  #frame(index: number, pts: number, data: Uint8Array<ArrayBuffer>): Frame {
    const { width, height } = this.info;
    return this.#matrix
      ? planarFrame(index, pts, { width, height, matrix: this.#matrix, data })
      : { index, pts, width, height, data };
  }

  /** Frames have ended: the sound of the last of them may come a little later in the pipe. */
  async #endAside(): Promise<void> {
    if (this.#options.feed?.aside) await within(ASIDE_MS, this.#pump);
  }

  #fill(): void {
    while (this.#ahead.length < AHEAD) {
      const before = this.#ahead.at(-1) ?? Promise.resolve(true);
      const next = before.then((item) => item ? this.#nut.read() : undefined);
      next.catch(() => {}); // Thrown when its turn comes.
      this.#ahead.push(next);
    }
  }

  /** Frames have ended: did the input? */
  async #checkEnd(count: number, last: number): Promise<void> {
    const status = await this.#process.ended;
    const fed = await Promise.race([this.#pump, Promise.resolve(undefined)]);
    if (fed instanceof Error) throw fed;
    if (status.signal) throw this.#process.failure("The decoder failed");
    const errors = this.#process.lines.filter(({ level }) => level === "error" || level === "fatal");
    const said = this.#process.lines.filter(({ text }) => ENDS_EARLY.test(text)).at(-1)?.text ??
      errors.at(-1)?.text;
    const quote = said ? `, ffmpeg says "${said}"` : "";
    const { exactly, until, name } = this.#options;
    if (exactly !== undefined && count < exactly) {
      throw new WalkcutError({
        what: `Only ${count} of ${exactly} frames could be read`,
        found: name + quote,
      });
    }
    const short = until !== undefined && until - ptsSeconds(this.info, last) > this.#tolerance(until);
    // A camera's MJPEG often lacks its end marker; a single picture without one is cut off.
    const early = this.#process.lines.some(({ text }) =>
      ENDS_EARLY.test(text) ||
      (this.info.still && !this.#options.picture?.whole && /EOI missing|overread/.test(text))
    );
    if ((short && (errors.length > 0 || !status.success)) || early) {
      throw new WalkcutError({
        what: "The input ends too early",
        found: `${name} after ${count} frames${quote}`,
      });
    }
    if (!status.success && errors.length > 0) {
      throw new WalkcutError({
        what: "The input could not be read to its end",
        found: `${name} after ${count} frames${quote}`,
      });
    }
  }

  /** Seconds by which the last frame may begin before the end. */
  #tolerance(length: number): number {
    const { frameRate } = this.info;
    return Math.max(frameRate ? 2.5 * frameRate.den / frameRate.num : 0.2, 0.002 * length);
  }

  /** Turns a broken pipe from ffmpeg into the reason why it broke. */
  async #explain(error: unknown, count: number): Promise<unknown> {
    if (!(error instanceof NutError)) return error;
    if (!error.truncated) {
      await this.#process.kill();
      return new WalkcutError({
        what: `The decoded stream is damaged after ${count} frames (does its frame size change?)`,
        found: error.message,
        cause: error,
      });
    }
    await this.#process.ended;
    return this.#process.failure(`The decoder failed after ${count} frames`);
  }
}

/** By how many times NUT's clock is finer than the source's: a power of two, or 1 where it is not. */
function finerBy(nut: Rational, ticks: number): number {
  const ratio = nut.den / (nut.num * ticks);
  return Number.isInteger(ratio) && Number.isInteger(Math.log2(ratio)) ? ratio : 1;
}

/** Writes a feed to the decoder; resolves with the error that ended it early, or undefined. */
async function pumpInto(process: FfmpegProcess, feed: Feed): Promise<unknown> {
  const { aside } = feed;
  try {
    for (;;) {
      const bytes = await feed.reader.some();
      if (!bytes) break;
      let damage: { error: unknown } | undefined;
      try {
        feed.guard?.see(bytes);
      } catch (error) {
        damage = { error };
      }
      try {
        const kept = aside?.write(bytes);
        await process.write(damage ? bytes.slice(0, feed.guard?.good ?? 0) : bytes);
        await kept;
      } catch {
        // It has all it wants, or has failed: its status says which.
        for (let more; aside && !aside.ended && (more = await feed.reader.some());) await aside.write(more);
        return damage?.error;
      }
      if (damage) return damage.error;
    }
    feed.guard?.end();
    return undefined;
  } catch (error) {
    return error;
  } finally {
    await Promise.all([process.closeStdin(), aside?.end()]);
  }
}

async function noFrames(
  process: FfmpegProcess,
  options: DecoderOptions,
  pump: Promise<unknown>,
): Promise<Error> {
  const status = await process.ended;
  const reason = await Promise.race([pump, Promise.resolve(undefined)]);
  if (reason instanceof Error) return reason;
  if (status.signal) return process.failure("The decoder failed");
  return unreadable(options.name, process.lastError);
}

/** The error for an input without any frame. */
function unreadable(name: string, said: string | undefined): UsageError {
  return new UsageError({
    what: "No frame could be read from the input",
    found: name + (said ? `, ffmpeg says "${said}"` : ""),
  });
}
