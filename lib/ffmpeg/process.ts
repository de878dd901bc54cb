/**
 * One ffmpeg child: pipes, its last words, its end.
 *
 * @module
 */
import { FfmpegError, oneLine } from "../errors.ts";
import type { Ffmpeg } from "./locate.ts";

/** Arguments that every ffmpeg child begins with: quiet, never asking, lines that carry their level. */
const COMMON_ARGS: readonly string[] = [
  "-nostdin",
  "-hide_banner",
  "-nostats",
  "-loglevel",
  "level+warning",
];

/**
 * Memory as glibc serves it by itself. This program may run with settings that keep its own memory small; they
 * would have ffmpeg ask the kernel for each of its frames.
 */
export const USUAL_MEMORY: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: "8",
  MALLOC_MMAP_THRESHOLD_: String(2 ** 25),
  MALLOC_TRIM_THRESHOLD_: String(2 ** 26),
};

/** Lines of ffmpeg that are kept. */
const KEPT_LINES = 40;
/** Milliseconds after which a child that ignores a signal is killed. */
const GRACE_MS = 2000;

/** A line that ffmpeg wrote. */
export interface FfmpegLine {
  readonly level: "info" | "warning" | "error" | "fatal";
  readonly text: string;
}

/** How a child's pipes are set up. */
export interface FfmpegProcessOptions {
  /** What it does, for messages: `"decoder"`, `"encoder"`. */
  readonly role: string;
  /** Default `"null"`. */
  readonly stdin?: "piped" | "null";
  /** Default `"null"`; `"inherit"` writes to this process's stdout. */
  readonly stdout?: "piped" | "null" | "inherit";
}

const running = new Set<Deno.ChildProcess>();

/**
 * Kills every ffmpeg that is still running, at once and without waiting: for an exit that cannot wait.
 * Also runs when the program unloads.
 */
export function killAllFfmpeg(): void {
  for (const child of running) signal(child, "SIGKILL");
}

globalThis.addEventListener?.("unload", killAllFfmpeg);

/** A running ffmpeg. */
export class FfmpegProcess {
  /** What it does, for messages. */
  readonly role: string;
  /** Resolves when the process is reaped and its stderr is read to the end; never rejects. */
  readonly ended: Promise<Deno.CommandStatus>;
  readonly #child: Deno.ChildProcess;
  readonly #lines: FfmpegLine[] = [];
  #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>> | undefined;
  #status: Deno.CommandStatus | undefined;

  /**
   * Starts ffmpeg with {@linkcode COMMON_ARGS} and `args`.
   *
   * @throws {FfmpegError} If it cannot be started.
   */
  static spawn(ffmpeg: Ffmpeg, args: readonly string[], options: FfmpegProcessOptions): FfmpegProcess {
    try {
      const child = new Deno.Command(ffmpeg.path, {
        args: [...COMMON_ARGS, ...args],
        stdin: options.stdin ?? "null",
        stdout: options.stdout ?? "null",
        stderr: "piped",
        env: USUAL_MEMORY,
        // Its own process group: Ctrl-C reaches this program alone, which then ends its children in order.
        // If this program dies, their pipes close and they end.
        detached: true,
      }).spawn();
      return new FfmpegProcess(child, options);
    } catch (cause) {
      if (cause instanceof Deno.errors.NotCapable) throw cause;
      throw new FfmpegError({ what: `Cannot start ffmpeg (${options.role})`, found: String(cause), cause });
    }
  }

  private constructor(child: Deno.ChildProcess, options: FfmpegProcessOptions) {
    this.role = options.role;
    this.#child = child;
    running.add(child);
    if (options.stdin === "piped") this.#writer = child.stdin.getWriter();
    this.#writer?.closed.catch(() => {}); // A closed pipe is told by the write that meets it.
    const stderr = this.#readStderr();
    this.ended = child.status.then(async (status) => {
      running.delete(child);
      this.#status = status;
      await stderr;
      return status;
    });
  }

  /** Process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** How it ended; undefined while it runs. */
  get status(): Deno.CommandStatus | undefined {
    return this.#status;
  }

  /** The last lines that it wrote, oldest first. */
  get lines(): readonly FfmpegLine[] {
    return this.#lines;
  }

  /** Its standard output, where that is piped. */
  get stdout(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#child.stdout;
  }

  /** The line that says best why it failed: its first error of the last run of errors, else its last line. */
  get lastError(): string | undefined {
    const lines = this.#lines.filter(({ text }) =>
      !/^Thread message queue|^Last message repeated/.test(text)
    );
    const errors = lines.filter(({ level }) => level === "error" || level === "fatal");
    // "Conversion failed!" and the like only repeat that something did.
    const telling = errors.filter(({ text }) =>
      !/^(Conversion failed!|Error while filtering|Error initializing output|Terminating)/.test(text)
    );
    return (telling.at(-1) ?? errors.at(-1) ?? lines.at(-1))?.text;
  }

  /**
   * Writes to its stdin and waits until the pipe took it all.
   *
   * @throws {Deno.errors.BrokenPipe} If it has closed its stdin.
   */
  async write(data: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#writer?.write(data);
  }

  /** Closes its stdin, so that it sees the end of its input; safe to call twice. */
  async closeStdin(): Promise<void> {
    const writer = this.#writer;
    this.#writer = undefined;
    try {
      await writer?.close();
    } catch {
      // It went first: its status says why.
    }
  }

  /** Sends a signal; nothing happens where it has ended. */
  signal(name: Deno.Signal): void {
    if (!this.#status) signal(this.#child, name);
  }

  /** Ends it and waits until it is reaped: SIGTERM, and SIGKILL when it does not obey. */
  async kill(): Promise<void> {
    if (!this.#status) {
      this.signal("SIGTERM");
      const timer = setTimeout(() => this.signal("SIGKILL"), GRACE_MS);
      const writer = this.#writer;
      this.#writer = undefined;
      writer?.abort().catch(() => {});
      await this.#child.status;
      clearTimeout(timer);
    }
    await this.ended;
  }

  /** The error that says how it failed, with its last error line. */
  failure(what: string): FfmpegError {
    const said = this.lastError;
    const how = this.#status?.signal
      ? `killed by ${this.#status.signal}`
      : this.#status
      ? `exit code ${this.#status.code}`
      : "it closed its pipe";
    return new FfmpegError({
      what,
      found: `ffmpeg (${this.role}): ${how}${said ? `, last said "${said}"` : ""}`,
    });
  }

  async #readStderr(): Promise<void> {
    let rest = "";
    const take = (line: string) => {
      const parsed = parseLine(line);
      if (!parsed) return;
      this.#lines.push(parsed);
      if (this.#lines.length > KEPT_LINES) this.#lines.shift();
    };
    try {
      for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
        const lines = (rest + text).split(/\r?\n|\r/);
        rest = (lines.pop() ?? "").slice(0, 4096);
        lines.forEach(take);
      }
    } catch {
      // Killed in the middle of a line: what was read is kept.
    }
    take(rest);
  }
}

/** Reads `[mov,mp4 @ 0x55…] [error] text`; undefined for an empty line. */
function parseLine(line: string): FfmpegLine | undefined {
  const match = /^((?:\[[^\]]* @ 0x[0-9a-f]+\] )*)\[(\w+)\] (.*)$/.exec(line);
  const text = oneLine(match ? match[3] ?? "" : line).trim();
  if (text === "") return undefined;
  switch (match?.[2]) {
    case "panic":
    case "fatal":
      return { level: "fatal", text };
    case "error":
      return { level: "error", text };
    case "warning":
      return { level: "warning", text };
    default:
      return { level: "info", text };
  }
}

function signal(child: Deno.ChildProcess, name: Deno.Signal): void {
  try {
    child.kill(name);
  } catch {
    // It has ended already.
  }
}
