/**
 * An encoder's side of a run: ffmpeg is fed frames as NUT, ended when they are, and its file finished.
 *
 * @module
 */
import { nutFrameBytes, NutWriter } from "../ffmpeg/nut.ts";
import type { FfmpegProcess } from "../ffmpeg/process.ts";
import { UsageError, WalkcutError } from "../errors.ts";
import type { VideoInfo } from "../source/frame.ts";
import { recycle } from "../source/spare.ts";
import { within } from "../within.ts";
import type { OutputClaim } from "./claim.ts";
import { ClosedPipe, type Picture, type Sink } from "./sink.ts";

/** Seconds that the last frame may be shown longer than the others because the source does so. */
export const LONGEST_LAST_FRAME = 10;
/** Milliseconds that ffmpeg gets, when a run ends early, to take what is in its pipe. */
const DRAIN_MS = 200;
/** Milliseconds that ffmpeg gets, when a run is interrupted, to come to the end of the source's sound. */
const SOON_MS = 3000;

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
    this.#nut = new NutWriter({ ...info, ...stream });
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
    await within(SOON_MS, process.ended);
    return process.status !== undefined;
  }

  async abort(): Promise<void> {
    const process = this.#process;
    this.#done = true;
    if (this.#whole && this.#finished) await Deno.remove(this.#finished.path).catch(() => {});
    this.#whole = false;
    if (!process || process.status) return;
    // The frame on its way is whole before the stream ends; an encoder that stands still loses it.
    await within(2000, this.#writing);
    const closing = process.closeStdin();
    if (this.#options.interrupt) {
      await within(DRAIN_MS, process.ended);
      process.signal("SIGINT");
    }
    await within(10_000, process.ended);
    await process.kill();
    await closing;
  }

  async #send(process: FfmpegProcess, parts: readonly Uint8Array<ArrayBuffer>[]): Promise<void> {
    try {
      for (const part of parts) await process.write(part);
      if (this.planar) recycle(parts.at(-1)!);
    } catch {
      await within(5000, process.ended);
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
