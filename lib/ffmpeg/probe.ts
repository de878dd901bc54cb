/**
 * What ffmpeg says of an input before anything is decoded.
 *
 * ffprobe is often missing beside a bundled ffmpeg, so ffmpeg's own description of its input is read: the
 * lines that it prints when it opens a file. What they round (the clock, the rate) is taken from the decoded
 * stream itself.
 *
 * @module
 */
import { FfmpegError } from "../errors.ts";
import type { OriginStream } from "../source/frame.ts";
import type { Ffmpeg } from "./locate.ts";

/** The first real video stream of an input. */
export interface ProbedVideo {
  readonly codec: string;
  /** ffmpeg's pixel format; `"none"` where it found none. */
  readonly pixelFormat: string;
  readonly width: number;
  readonly height: number;
  /** `"tv"`, `"pc"`, or undefined where it does not say. */
  readonly range?: string;
  readonly matrix?: string;
  readonly primaries?: string;
  readonly transfer?: string;
  readonly interlaced: boolean;
  /** Degrees of the display matrix; 0 without. */
  readonly rotation: number;
  /** Frames a second, to two decimals. */
  readonly fps?: number;
  /** Ticks a second, where it is a whole number. */
  readonly ticks?: number;
}

/** A description of an input. */
export interface Probe {
  /** Names of the demuxer, comma-separated as ffmpeg prints them. */
  readonly format: string;
  /** Seconds. */
  readonly duration?: number;
  /** Time of the first of all streams, in seconds. */
  readonly start: number;
  readonly streams: readonly OriginStream[];
  /** What else the file holds, for people: `"chapters"`, and names of its tags such as `"title"`. */
  readonly extras: readonly string[];
  readonly video?: ProbedVideo;
}

/** Result of {@linkcode probeInput}: a description, or ffmpeg's reason why there is none. */
export type ProbeResult = { readonly probe: Probe } | { readonly reason: string };

/**
 * Asks ffmpeg what an input is.
 *
 * @param inputArgs Arguments up to and with `-i`.
 * @param head The first bytes of the input, where it is a pipe.
 */
export async function probeInput(
  ffmpeg: Ffmpeg,
  inputArgs: readonly string[],
  head?: Uint8Array<ArrayBuffer>,
): Promise<ProbeResult> {
  let text: string;
  try {
    const child = new Deno.Command(ffmpeg.path, {
      args: ["-nostdin", "-hide_banner", "-loglevel", "info", ...inputArgs],
      stdin: head ? "piped" : "null",
      stdout: "null",
      stderr: "piped",
      detached: true,
    }).spawn();
    if (head) {
      const writer = child.stdin.getWriter();
      writer.write(head).then(() => writer.close()).catch(() => {}); // It may have read enough.
    }
    text = new TextDecoder().decode((await child.output()).stderr);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    throw new FfmpegError({ what: "Cannot start ffmpeg (probe)", found: String(cause), cause });
  }
  return parseDescription(text);
}

/** Tags that containers and encoders write of themselves. */
const TECHNICAL_TAGS = /^(major_brand|minor_version|compatible_brands|encoder|creation_time|duration)$/i;

/** Reads the lines that ffmpeg prints when it opens an input. */
export function parseDescription(text: string): ProbeResult {
  const lines = text.split(/\r?\n/);
  const first = lines.findIndex((line) => /^Input #0, /.test(line));
  if (first < 0) return { reason: reasonOf(lines) };
  const format = /^Input #0, (.*?), from /.exec(lines[first]!)?.[1] ?? "";
  const streams: OriginStream[] = [];
  const extras = new Set<string>();
  let inFile = true;
  let video: ProbedVideo | undefined;
  let duration: number | undefined;
  let start = 0;
  let inVideo = false;
  for (const line of lines.slice(first + 1)) {
    // Values of metadata are indented deeper, so a title cannot pose as a stream.
    const stream = /^ {2}Stream #0:(\d+)\S*: (Video|Audio|Subtitle|Data|Attachment): (.*)$/.exec(line);
    const length = /^ {2}Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)/.exec(line);
    const rotation = /^ +displaymatrix: rotation of (-?\d+(?:\.\d+)?) degrees/.exec(line);
    const begin = /^ {2}Duration: .*?, start: (-?[\d.]+)/.exec(line);
    if (begin) start = Number(begin[1]);
    if (length) duration = Number(length[1]) * 3600 + Number(length[2]) * 60 + Number(length[3]);
    if (rotation && inVideo && video) video = { ...video, rotation: Number(rotation[1]) };
    // The file's own tags come before its length.
    if (length || stream) inFile = false;
    const tag = inFile && /^ {4}(\S+) +: /.exec(line)?.[1];
    if (tag && !TECHNICAL_TAGS.test(tag)) extras.add(tag);
    if (/^ {4}Chapter #0:\d/.test(line)) extras.add("chapters");
    if (!stream) continue;
    inVideo = false;
    const description = stream[3]!;
    const kind = stream[2]!.toLowerCase() as OriginStream["kind"];
    const picture = /\((attached pic|timed thumbnails|still image)\)/.test(description);
    streams.push({
      index: Number(stream[1]),
      kind: kind === "video" && picture ? "attachment" : kind,
      codec: /^\w+/.exec(description)?.[0] ?? "unknown",
    });
    if (kind === "video" && !picture && !video) {
      video = parseVideo(description);
      inVideo = video !== undefined;
    }
  }
  return {
    probe: {
      format,
      start,
      streams,
      extras: [...extras],
      ...(duration === undefined ? {} : { duration }),
      ...(video ? { video } : {}),
    },
  };
}

/** Reads `h264 (High) (avc1 / 0x…), yuv420p(tv, bt709, progressive), 640x360 [SAR …], 29.83 fps, …`. */
function parseVideo(text: string): ProbedVideo {
  const codec = /^\w+/.exec(text)?.[0] ?? "unknown";
  // Commas inside parentheses and brackets belong to their field.
  const fields = text.match(/(?:\([^)]*\)|\[[^\]]*\]|[^,(\[])+/g) ?? [];
  const pixels = /^ *(\w+)(?:\(([^)]*)\))?/.exec(fields[1] ?? "");
  const traits = pixels?.[2]?.split(/, */) ?? [];
  const colors = traits.find((trait) => !/^(tv|pc|progressive|unknown$|.* (first|coded).*)$/.test(trait));
  const [matrix, primaries, transfer] = colors?.includes("/") ? colors.split("/") : [colors, colors, colors];
  const size = /, (\d+)x(\d+)/.exec(text);
  const fps = /, ([\d.]+) fps/.exec(text)?.[1];
  const ticks = /, (\d+)(k?) tbn/.exec(text);
  const range = traits.find((trait) => trait === "tv" || trait === "pc") ??
    (/^yuvj/.test(pixels?.[1] ?? "") ? "pc" : undefined);
  return {
    codec,
    pixelFormat: pixels?.[1] ?? "none",
    width: Number(size?.[1] ?? 0),
    height: Number(size?.[2] ?? 0),
    interlaced: traits.some((trait) => /^(top|bottom)/.test(trait)),
    rotation: 0,
    ...(range ? { range } : {}),
    ...known("matrix", matrix),
    ...known("primaries", primaries),
    ...known("transfer", transfer),
    ...(fps ? { fps: Number(fps) } : {}),
    ...(ticks ? { ticks: Number(ticks[1]) * (ticks[2] ? 1000 : 1) } : {}),
  };
}

function known<K extends string>(key: K, value: string | undefined): { [P in K]?: string } {
  return value && value !== "unknown" && value !== "reserved" ? { [key]: value } as { [P in K]: string } : {};
}

/** ffmpeg's last line that says something, without the name of the input before it. */
function reasonOf(lines: readonly string[]): string {
  const said = lines.map((line) => line.replace(/^\[[^\]]* @ 0x[0-9a-f]+\] */, "").trim()).filter(Boolean);
  const last = said.at(-1) ?? "ffmpeg said nothing";
  const reason = /: ([^:]+)$/.exec(last)?.[1] ?? last;
  const telling = said.find((line) => /moov atom not found/.test(line));
  return telling ? `${reason} (${telling})` : reason;
}
