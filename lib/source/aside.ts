/**
 * The sound of a pipe, its subtitles, chapters and tags, put aside until an output takes them.
 *
 * A pipe cannot be read twice. A second ffmpeg is given the bytes that the decoder is given, and copies all but
 * the pictures, packet by packet, into a file that lasts as long as the source is open.
 *
 * @module
 */
import type { Ffmpeg } from "../ffmpeg/locate.ts";
import { type Probe, probeInput } from "../ffmpeg/probe.ts";
import { FfmpegProcess } from "../ffmpeg/process.ts";
import { within } from "../within.ts";
import type { Aside, Origin } from "./frame.ts";

/** Settings of {@linkcode AsideFile.start}. */
export interface AsideOptions {
  readonly ffmpeg: Ffmpeg;
  /** ffmpeg's input arguments up to and with `-i pipe:0`, as the decoder has them. */
  readonly inputArgs: readonly string[];
  /** ffmpeg's arguments, before the output's name, that cut what the frames are cut to. */
  readonly window: readonly string[];
  /** Outputs beside it, so that time 0 is the decoder's. */
  readonly outputs: readonly string[];
  /** True where there are no streams to keep, but tags or chapters. */
  readonly tagsOnly: boolean;
  /** True where frames end at their number, at a time not known before. */
  readonly counted: boolean;
  /** Names of the pipe's demuxer; empty where its head did not tell. */
  readonly format: string;
  /** The file; made anew. */
  readonly path: string;
  /** The pipe's name, for messages. */
  readonly name: string;
}

/** Milliseconds that ffmpeg gets to write what it has been given. */
const WRITE_MS = 10_000;
/** Words by which ffmpeg says that it is not the streams that it could not keep. */
const FAULTS = /No space|too large|Input\/output|Permission denied|Read-only/i;

const files = new Set<string>();

// An exit that cannot wait takes the files along.
globalThis.addEventListener?.("unload", () => {
  for (const path of files) {
    try {
      Deno.removeSync(path);
    } catch {
      // It was never made.
    }
  }
});

/**
 * True where Opus begins with a lead-in (312 samples of an encoder's 48,000) that ffmpeg's reader takes off the
 * times. Matroska's writer does not add it, and its reader would take it off again.
 */
export function leadsIn({ format, streams }: Pick<Origin, "format" | "streams">): boolean {
  return /^(matroska|mov|ogg)/.test(format) && streams.some(({ codec }) => codec === "opus");
}

/** What of a pipe is put aside in a file. */
export class AsideFile implements Aside {
  readonly counted: boolean;
  readonly #options: AsideOptions;
  readonly #process: FfmpegProcess;
  #origin: Promise<Origin | string> | undefined;

  /** Starts ffmpeg. */
  static start(options: AsideOptions): AsideFile {
    return new AsideFile(options);
  }

  private constructor(options: AsideOptions) {
    this.#options = options;
    this.counted = options.counted;
    files.add(options.path);
    const streams = options.tagsOnly
      ? []
      : ["-map", "0:a?", "-map", "0:s?", "-c", "copy", "-copypriorss", "0"];
    this.#process = FfmpegProcess.spawn(options.ffmpeg, [
      ...["-y", ...options.inputArgs, ...streams, ...options.window],
      ...["-f", this.#muxer, `file:${options.path}`, ...options.outputs],
    ], { role: "sound of the pipe", stdin: "piped" });
  }

  get #muxer(): string {
    return this.#options.tagsOnly ? "ffmetadata" : "matroska";
  }

  /** True once ffmpeg takes nothing more: it has all it was asked for, or has failed. */
  get ended(): boolean {
    return this.#process.status !== undefined;
  }

  /** Takes bytes of the pipe; never rejects. */
  async write(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    if (this.ended) return;
    await this.#process.write(bytes).catch(() => {}); // Its status says why, when the frames have ended.
  }

  /** No more bytes come. */
  async end(): Promise<void> {
    await this.#process.closeStdin();
  }

  /**
   * Looks whether it goes on well: a run of hours shall not learn at its end that there is no sound.
   *
   * @throws {FfmpegError} If ffmpeg was killed, or what it writes to is full.
   */
  check(): void {
    const status = this.#process.status;
    if (status?.signal || (status?.success === false && FAULTS.test(this.#process.lastError ?? ""))) {
      throw this.#process.failure("The sound of the piped input could not be kept");
    }
  }

  origin(): Promise<Origin | string> {
    this.#origin ??= this.#settle();
    return this.#origin;
  }

  async #settle(): Promise<Origin | string> {
    const { ffmpeg, path, name, format } = this.#options;
    const process = this.#process;
    await within(WRITE_MS, this.end().then(() => process.ended));
    if (!process.status) await process.kill();
    const status = await process.ended;
    this.check();
    // Times are taken as they are: they begin where the frames do.
    const inputArgs = [
      ...["-protocol_whitelist", "file", "-seek_timestamp", "1", "-f", this.#muxer, "-i", `file:${path}`],
    ];
    const described = status.success ? await this.#probe(ffmpeg, inputArgs) : process.lastError;
    if (typeof described !== "object") return described ?? "ffmpeg said nothing";
    const { streams, extras } = described;
    return { inputArgs, outputArgs: [], skipped: false, format, name, streams, extras, trimmed: false };
  }

  async #probe(
    ffmpeg: Ffmpeg,
    inputArgs: readonly string[],
  ): Promise<Pick<Probe, "streams" | "extras"> | string> {
    if (this.#options.tagsOnly) return { streams: [], extras: [] };
    const result = await probeInput(ffmpeg, inputArgs);
    return "probe" in result ? result.probe : result.reason;
  }

  /** Ends ffmpeg and removes the file; safe to call twice. */
  async remove(): Promise<void> {
    await this.#process.kill();
    await Deno.remove(this.#options.path).catch(() => {});
    files.delete(this.#options.path);
  }
}
