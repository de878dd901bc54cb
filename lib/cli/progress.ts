/**
 * What people and programs see of a run on stderr.
 *
 * @module
 */

/** How progress is told. */
export type ProgressMode = "bar" | "plain" | "json" | "none";

/** Settings of a {@linkcode Progress}. */
export interface ProgressOptions {
  readonly mode: ProgressMode;
  /** Frames in all, where known. */
  readonly total?: number;
  /** Use colours. Default false. */
  readonly colour?: boolean;
  /** Columns of the terminal. Default 80. */
  readonly columns?: number;
  /** Takes text; default: stderr. */
  readonly write?: (text: string) => void;
  /** Milliseconds, monotonic. Default `performance.now`. */
  readonly now?: () => number;
}

/** Frames by which the rate is taken: recent enough to follow, many enough to be calm. */
const WINDOW_FRAMES = 60;
/** Milliseconds by which the rate is taken, at most. */
const WINDOW_MS = 20_000;
/** Milliseconds between two reports of a mode. */
const INTERVAL = { bar: 100, plain: 2000, json: 250 } as const;

/** Tells how far a run is. */
export class Progress {
  readonly #mode: ProgressMode;
  readonly #total: number | undefined;
  readonly #colour: boolean;
  readonly #columns: number;
  readonly #write: (text: string) => void;
  readonly #now: () => number;
  readonly #times: number[] = [];
  #frames = 0;
  #segments = 0;
  #last = -Infinity;
  #reported = 0;
  #drawn = false;

  constructor(options: ProgressOptions) {
    this.#mode = options.mode;
    this.#total = options.total;
    this.#colour = options.colour ?? false;
    this.#columns = options.columns ?? 80;
    this.#write = options.write ?? writeStderr;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Tells that one more frame is done. */
  frame(segments: number): void {
    const now = this.#now();
    this.#frames++;
    this.#segments = segments;
    this.#times.push(now);
    while (
      this.#times.length > 2 && (this.#times.length > WINDOW_FRAMES || now - this.#times[0]! > WINDOW_MS)
    ) {
      this.#times.shift();
    }
    if (this.#mode !== "none" && now - this.#last >= INTERVAL[this.#mode]) this.#report(now);
  }

  /** Prints a line without harming the bar. */
  note(line: string): void {
    this.#clear();
    this.#write(`${line}\n`);
  }

  /** Ends the telling: the bar goes, the last frame is reported. */
  end(): void {
    if (this.#mode === "bar") this.#clear();
    else if (this.#mode !== "none" && this.#frames > this.#reported) this.#report(this.#now());
  }

  /** Frames a second over the recent window; NaN before two frames are done. */
  get fps(): number {
    const first = this.#times[0], last = this.#times.at(-1);
    if (first === undefined || last === undefined || last <= first) return NaN;
    return (this.#times.length - 1) * 1000 / (last - first);
  }

  #report(now: number): void {
    this.#last = now;
    this.#reported = this.#frames;
    const total = this.#total === undefined ? undefined : Math.max(this.#total, this.#frames);
    const eta = total === undefined ? NaN : (total - this.#frames) / this.fps;
    if (this.#mode === "json") {
      this.#write(
        JSON.stringify({
          frame: this.#frames,
          total: total ?? null,
          fps: finite(this.fps),
          eta: finite(eta),
          segments: this.#segments,
        }) + "\n",
      );
      return;
    }
    const percent = total === undefined ? "" : `${Math.floor(100 * this.#frames / total)} %`;
    const parts = [
      `frame ${this.#frames}${total === undefined ? "" : `/${total}`}`,
      Number.isFinite(this.fps) ? rateText(this.fps) : "",
      Number.isFinite(eta) ? `ETA ${durationText(eta)}` : "",
      `${this.#segments} segments`,
    ].filter(Boolean).join("  ");
    if (this.#mode === "plain") this.#write(`${percent && percent + "  "}${parts}\n`);
    else this.#drawBar(percent, parts, total === undefined ? 0 : this.#frames / total);
  }

  #drawBar(percent: string, parts: string, share: number): void {
    const width = Math.min(30, this.#columns - parts.length - 10);
    const filled = Math.round(share * width);
    const bar = percent === "" || width < 5
      ? ""
      : this.#paint("█".repeat(filled)) + "░".repeat(width - filled) + ` ${percent.padStart(5)}  `;
    this.#write(`\r\x1b[K${bar}${parts.slice(0, Math.max(0, this.#columns - 1))}`);
    this.#drawn = true;
  }

  #paint(text: string): string {
    return this.#colour ? `\x1b[36m${text}\x1b[0m` : text;
  }

  #clear(): void {
    if (this.#drawn) this.#write("\r\x1b[K");
    this.#drawn = false;
  }
}

/** `12.3 fps`, and seconds a frame where it is slower than one a second. */
export function rateText(fps: number): string {
  return fps >= 1 ? `${fps.toFixed(1)} fps` : `${(1 / fps).toFixed(1)} s/frame`;
}

/** `1:02:03` or `2:03`. */
export function durationText(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  const two = (v: number) => String(v).padStart(2, "0");
  const [h, m] = [Math.floor(s / 3600), Math.floor(s / 60) % 60];
  return h > 0 ? `${h}:${two(m)}:${two(s % 60)}` : `${m}:${two(s % 60)}`;
}

/** The mode that `--progress` and `-q` ask for. */
export function progressMode(asked: "auto" | ProgressMode, quiet: boolean): ProgressMode {
  if (quiet) return "none";
  if (asked !== "auto") return asked;
  return Deno.stderr.isTerminal() && Deno.env.get("TERM") !== "dumb" ? "bar" : "none";
}

/** True where `NO_COLOR` is unset or empty and stderr is a terminal. */
export function mayColour(): boolean {
  return !Deno.env.get("NO_COLOR") && Deno.stderr.isTerminal();
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? Math.round(value * 1000) / 1000 : null;
}

const encoder = new TextEncoder();

/** Writes to stderr; a reader that has gone does not end the run. */
export function writeStderr(text: string): void {
  try {
    let bytes = encoder.encode(text);
    while (bytes.length > 0) bytes = bytes.subarray(Deno.stderr.writeSync(bytes));
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
