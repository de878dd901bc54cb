/**
 * Watches bytes on their way to ffmpeg for what ffmpeg would pass over in silence: a Y4M stream with an
 * impossible header, or one that ends inside a frame; and for what it would complain of without need: the end
 * of a JPEG.
 *
 * @module
 */
import { UsageError, WalkcutError } from "../errors.ts";
import { isFrameSize } from "./numbers.ts";

/** Longest line of a Y4M stream. */
const MAX_LINE = 4096;

/** Bytes of the header and frames of a Y4M stream. */
export interface Y4mHeader {
  readonly width: number;
  readonly height: number;
  /** Bytes of one frame's samples. */
  readonly frameBytes: number;
  readonly interlaced: boolean;
}

/**
 * Reads a Y4M header line, without its line feed.
 *
 * @throws {UsageError} If a size or rate is impossible, or the colour space unknown.
 */
export function parseY4mHeader(line: string): Y4mHeader {
  const [magic, ...fields] = line.split(" ");
  if (magic !== "YUV4MPEG2") throw new UsageError({ what: "Not a Y4M header", found: line.slice(0, 40) });
  const value = (key: string) => fields.find((field) => field.startsWith(key))?.slice(1);
  const side = (text = "") => /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  const [width, height] = [side(value("W")), side(value("H"))];
  if (!isFrameSize(width, height)) {
    throw new UsageError({ what: "Y4M: impossible frame size", found: `${value("W")}x${value("H")}` });
  }
  const rate = value("F");
  const match = /^(\d+):(\d+)$/.exec(rate ?? "25:1");
  if (!match || !(Number(match[1]) > 0 && Number(match[2]) > 0)) {
    throw new UsageError({ what: "Y4M: impossible frame rate", found: rate ?? "" });
  }
  const interlaced = ["t", "b", "m"].includes(value("I") ?? "p");
  return { width, height, frameBytes: sampleBytes(value("C") ?? "420jpeg", width, height), interlaced };
}

/** Bytes of a frame of a Y4M colour space. */
function sampleBytes(space: string, width: number, height: number): number {
  const match = /^(420|422|444|440|411|410|mono)(jpeg|mpeg2|paldv|alpha)?(?:p?(\d+))?(?:XYSCSS=.*)?$/.exec(
    space,
  );
  const bits = Number(match?.[3] ?? 8);
  if (!match || bits < 8 || bits > 16) {
    throw new UsageError({ what: "Y4M: unknown colour space", found: space });
  }
  const half = (n: number) => Math.ceil(n / 2);
  const quarter = (n: number) => Math.ceil(n / 4);
  const chroma = {
    "420": half(width) * half(height),
    "422": half(width) * height,
    "444": width * height,
    "440": width * half(height),
    "411": quarter(width) * height,
    "410": quarter(width) * quarter(height),
    "mono": 0,
  }[match[1] as "420" | "422" | "444" | "440" | "411" | "410" | "mono"];
  const planes = width * height * (match[2] === "alpha" ? 2 : 1) + 2 * chroma;
  return planes * (bits > 8 ? 2 : 1);
}

/** Follows a Y4M stream byte by byte, in constant memory. */
export class Y4mGuard {
  #state: "header" | "frame line" | "samples" = "header";
  #line: number[] = [];
  #left = 0;
  #frameBytes = 0;
  #frames = 0;
  #good = 0;

  /**
   * Looks at the beginning of a stream for an impossible header alone.
   *
   * @throws {UsageError} If there is one.
   */
  static checkHeader(head: Uint8Array): void {
    const end = head.indexOf(10);
    new Y4mGuard().see(end < 0 ? head : head.subarray(0, end + 1));
  }

  /** Bytes of those last seen that come before the damage that `see` has found: up to the last whole frame. */
  get good(): number {
    return this.#good;
  }

  /**
   * Looks at the next bytes.
   *
   * @throws {WalkcutError} If they cannot be part of a Y4M stream.
   */
  see(bytes: Uint8Array): void {
    let at = 0;
    this.#good = 0;
    while (at < bytes.length) {
      if (this.#state === "samples") {
        const step = Math.min(this.#left, bytes.length - at);
        this.#left -= step;
        at += step;
        if (this.#left === 0) {
          this.#state = "frame line";
          this.#good = at;
        }
        continue;
      }
      const end = bytes.indexOf(10, at);
      const stop = end < 0 ? bytes.length : end;
      if (this.#line.length + stop - at > MAX_LINE) {
        throw new UsageError({ what: "Y4M: a line is too long", found: `over ${MAX_LINE} bytes` });
      }
      for (let i = at; i < stop; i++) this.#line.push(bytes[i]!);
      at = stop + 1;
      if (end >= 0) this.#endLine();
    }
  }

  /**
   * The stream has ended.
   *
   * @throws {WalkcutError} If it ended inside a frame.
   */
  end(): void {
    const inside = this.#state === "samples" || this.#line.length > 0 || this.#state === "header";
    if (!inside) return;
    const whole = this.#frames - (this.#state === "samples" ? 1 : 0);
    if (whole <= 0) {
      throw new UsageError({
        what: "The Y4M stream holds no whole frame",
        found: this.#state === "header" ? "it ends in its header" : "it ends in its first one",
      });
    }
    throw new WalkcutError({
      what: "The Y4M stream ends inside a frame",
      found: `after ${whole} whole frames`,
    });
  }

  #endLine(): void {
    const line = String.fromCharCode(...this.#line);
    this.#line = [];
    if (this.#state === "header") {
      this.#frameBytes = parseY4mHeader(line).frameBytes;
      this.#state = "frame line";
      return;
    }
    if (!/^FRAME( |$)/.test(line)) {
      throw new WalkcutError({
        what: `The Y4M stream is damaged after ${this.#frames} frames: a frame does not begin as one`,
        found: line.slice(0, 20),
      });
    }
    this.#frames++;
    this.#left = this.#frameBytes;
    this.#state = "samples";
  }
}

/** Remembers how a JPEG stream ends: ffmpeg misses the end marker of some that have it. */
export class JpegGuard {
  #last = [-1, -1];

  /** Looks at the next bytes. */
  see(bytes: Uint8Array): void {
    this.#last = [...this.#last, ...bytes.subarray(-2)].slice(-2);
  }

  /** The stream has ended; whether it was whole is for {@linkcode whole} to say. */
  end(): void {}

  /** True where the last two bytes were the end marker. */
  get whole(): boolean {
    return this.#last[0] === 0xff && this.#last[1] === 0xd9;
  }
}
