/**
 * What an INPUT is: a file, a URL, pictures, a pipe; and how ffmpeg is told so that it takes a name for
 * nothing but a name.
 *
 * @module
 */
import { textOf, UsageError } from "../errors.ts";
import { orientationOf, type PictureBytes } from "./exif.ts";
import { reduce } from "./numbers.ts";
import type { Rational } from "./frame.ts";

/** A recognised content. */
export interface Content {
  /** For people. */
  readonly name: string;
  /** ffmpeg's demuxer; unset where ffmpeg shall look itself. */
  readonly demuxer?: string;
  /** True for one picture a file. */
  readonly picture?: true;
  /** Exif's orientation, 2 … 8, where a picture is not stored upright. */
  readonly orientation?: number;
}

/** An input, before ffmpeg has seen it. */
export type Input =
  | { readonly kind: "file"; readonly path: string; readonly content: Content }
  | { readonly kind: "url"; readonly url: string }
  | { readonly kind: "pictures"; readonly files: readonly string[]; readonly content: Content }
  /** Stdin where it has no path. */
  | { readonly kind: "pipe"; readonly path?: string };

/** Bytes of a file's head that are looked at. */
const HEAD_BYTES = 1 << 16;
const URL_FORM = /^(https?|ftp|rtsps?|rtmps?|rtmpe|srt|udp|tcp|rtp|mmsh?|sftp):\/\/./i;
const URL_PROTOCOLS =
  "http,https,httpproxy,ftp,tcp,tls,udp,rtp,rtsp,rtmp,rtmps,rtmpt,rtmpe,srt,mmsh,mmst,sftp,crypto,data,hls";
/** Extensions of pictures that are recognised by name alone. */
const PICTURE_NAMES =
  /\.(pgm|ppm|pbm|pam|pnm|tga|exr|dpx|jp2|j2k|sgi|pcx|xbm|xpm|dds|qoi|hdr|pfm|jxl|ras|tiff?)$/i;
const SEQUENCE_NAMES = /\.(png|jpe?g|bmp|webp|ppm|pgm|pam)$/i;

/**
 * Finds out what INPUT names. A name that exists is a file or folder, whatever it looks like.
 *
 * @throws {UsageError} If nothing is there.
 */
export async function classifyInput(input: string): Promise<Input> {
  if (input === "-") return { kind: "pipe" };
  if (input === "" || input.includes("\0")) {
    throw new UsageError({ what: "Not an input's name", found: input });
  }
  const info = await stat(input);
  if (info?.isDirectory) return await pictureFolder(input);
  if (info?.isFile) return { kind: "file", path: input, content: await contentOf(input) };
  // A FIFO or device: it cannot be looked into without taking from it.
  if (info) return { kind: "pipe", path: input };
  if (URL_FORM.test(input)) return { kind: "url", url: input };
  if (/%0?\d*d/.test(input)) return await picturePattern(input);
  if (/[*?[]/.test(input)) return await pictureGlob(input);
  throw new UsageError({
    what: "No such file",
    found: input,
    ...(/^\w+:/.test(input) ? { advice: "a URL begins with http://, https://, rtsp:// and the like" } : {}),
  });
}

/** ffmpeg's input arguments for a file or a URL, with `-i`. */
export function inputArgs(input: Input & { kind: "file" | "url" }): string[] {
  if (input.kind === "url") return ["-protocol_whitelist", URL_PROTOCOLS, "-i", input.url];
  return [
    "-protocol_whitelist",
    "file,crypto,data",
    ...(input.content.demuxer ? ["-f", input.content.demuxer] : []),
    ...(input.content.demuxer === "image2" ? ["-pattern_type", "none"] : []),
    ...(input.content.orientation ? ["-noautorotate"] : []),
    "-i",
    `file:${input.path}`,
  ];
}

/** ffmpeg's input arguments for bytes that come over its stdin. */
export function pipeArgs(content: Content, fps: Rational | undefined): string[] {
  return [
    "-protocol_whitelist",
    "pipe,crypto,data",
    ...(content.demuxer ? ["-f", content.demuxer] : []),
    ...(content.picture && fps ? ["-framerate", `${fps.num}/${fps.den}`] : []),
    ...(content.orientation ? ["-noautorotate"] : []),
    "-i",
    "pipe:0",
  ];
}

/** A content with its picture's orientation. */
export async function oriented(content: Content, bytes: PictureBytes): Promise<Content> {
  const orientation = await orientationOf(content.demuxer, bytes);
  return orientation > 1 ? { ...content, orientation } : content;
}

/** Recognises content by its first bytes: 64 are enough. */
export function sniff(head: Uint8Array<ArrayBuffer>): Content {
  const ascii = String.fromCharCode(...head.subarray(0, 64));
  if (ascii.startsWith("YUV4MPEG2")) return { name: "Y4M", demuxer: "yuv4mpegpipe" };
  if (ascii.startsWith("nut/multimedia container\0")) return { name: "NUT", demuxer: "nut" };
  if (ascii.startsWith("\x89PNG\r\n\x1a\n")) {
    return ascii.slice(37, 41) === "acTL"
      ? { name: "APNG", demuxer: "apng" }
      : { name: "PNG", demuxer: "png_pipe", picture: true };
  }
  if (ascii.startsWith("\xff\xd8\xff")) {
    return { name: "JPEG", demuxer: "jpeg_pipe", picture: true };
  }
  if (ascii.startsWith("RIFF") && ascii.slice(8, 12) === "WEBP") {
    return { name: "WebP", demuxer: "webp_pipe", picture: true };
  }
  if (/^BM.{4}\0\0\0\0/s.test(ascii)) return { name: "BMP", demuxer: "bmp_pipe", picture: true };
  if (/^(II\*\0|MM\0\*)/.test(ascii)) return { name: "TIFF", demuxer: "tiff_pipe", picture: true };
  if (/^P6\s/.test(ascii)) return { name: "PPM", demuxer: "ppm_pipe", picture: true };
  if (/^P5\s/.test(ascii)) return { name: "PGM", demuxer: "pgm_pipe", picture: true };
  if (/^P7\n/.test(ascii)) return { name: "PAM", demuxer: "pam_pipe", picture: true };
  if (ascii.startsWith("GIF8")) return { name: "GIF", demuxer: "gif" };
  if (ascii.startsWith("\x1a\x45\xdf\xa3")) return { name: "Matroska", demuxer: "matroska" };
  if (/^.{4}(ftyp|styp|moof|moov|mdat|wide|free|skip)/s.test(ascii)) return { name: "MP4", demuxer: "mov" };
  if (ascii.startsWith("RIFF") && ascii.slice(8, 12) === "AVI ") return { name: "AVI", demuxer: "avi" };
  if (ascii.startsWith("FLV\x01")) return { name: "FLV", demuxer: "flv" };
  return { name: "unknown" };
}

/** Opens files one after the other, as one stream of bytes; a file that has gone ends it with an error. */
export function concatenateFiles(files: readonly string[]): ReadableStream<Uint8Array<ArrayBuffer>> {
  let next = 0;
  return new ReadableStream({
    async pull(controller) {
      const path = files[next++];
      if (path === undefined) return controller.close();
      try {
        controller.enqueue(await Deno.readFile(path));
      } catch (cause) {
        controller.error(new UsageError({ what: "Cannot read a picture", found: path, cause }));
      }
    },
  }, { highWaterMark: 0 });
}

async function contentOf(path: string): Promise<Content> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    throw new UsageError({ what: "Cannot read the input", found: `${path} (${textOf(cause)})`, cause });
  }
  try {
    const head = await readUpTo(file, HEAD_BYTES);
    const filled = head.length;
    if (filled === 0) throw new UsageError({ what: "The input is empty", found: path });
    const content = sniff(head);
    return content.demuxer === undefined && PICTURE_NAMES.test(path)
      ? { name: "picture", demuxer: "image2", picture: true }
      : await oriented(content, {
        size: (await file.stat()).size,
        async read(offset, length) {
          if (offset + length <= filled) return head.slice(offset, offset + length);
          await file.seek(offset, Deno.SeekMode.Start);
          return await readUpTo(file, length);
        },
      });
  } finally {
    file.close();
  }
}

/** The next bytes of a file; fewer only at its end. */
async function readUpTo(file: Deno.FsFile, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  for (let n: number | null = 0; n !== null && filled < length; filled += n ?? 0) {
    n = await file.read(bytes.subarray(filled));
  }
  return bytes.subarray(0, filled);
}

async function pictureFolder(folder: string): Promise<Input> {
  const names = (await list(folder)).filter((name) => SEQUENCE_NAMES.test(name));
  if (names.length === 0) {
    throw new UsageError({
      what: "The input is a folder without pictures",
      found: folder,
      advice: "name a video, or a folder of png, jpg, bmp or webp files",
    });
  }
  return await pictures(folder, names);
}

async function pictureGlob(glob: string): Promise<Input> {
  const [folder, last] = split(glob);
  const source = last.replace(/\[!/g, "[^").replace(/[.+^${}()|\\]/g, (c) => c === "^" ? c : `\\${c}`)
    .replace(/\*/g, ".*").replace(/\?/g, ".");
  let pattern: RegExp;
  try {
    pattern = new RegExp(`^${source}$`, "s");
  } catch {
    throw new UsageError({ what: "Not a glob", found: glob });
  }
  const names = (await list(folder)).filter((name) => pattern.test(name) && SEQUENCE_NAMES.test(name));
  if (names.length === 0) throw new UsageError({ what: "No picture matches", found: glob });
  return await pictures(folder, names);
}

/** `%06d`: every number that exists, in order. */
async function picturePattern(pattern: string): Promise<Input> {
  const [folder, last] = split(pattern);
  const place = /%(0?)(\d*)d/.exec(last);
  if (!place) throw new UsageError({ what: "No such file", found: pattern });
  const [before, after] = [last.slice(0, place.index), last.slice(place.index + place[0].length)];
  const width = Number(place[2] || 0);
  const numbered = (await list(folder)).flatMap((name) => {
    if (!name.startsWith(before) || !name.endsWith(after)) return [];
    const digits = name.slice(before.length, name.length - after.length);
    const fits = /^\d+$/.test(digits) && digits === String(Number(digits)).padStart(width, "0");
    return fits ? [{ name, number: Number(digits) }] : [];
  });
  if (numbered.length === 0) throw new UsageError({ what: "No picture matches", found: pattern });
  numbered.sort((a, b) => a.number - b.number);
  return await pictures(folder, numbered.map(({ name }) => name));
}

async function pictures(folder: string, names: readonly string[]): Promise<Input> {
  const files = names.map((name) =>
    folder === "" ? name : folder.endsWith("/") ? folder + name : `${folder}/${name}`
  );
  const content = await contentOf(files[0]!);
  if (!content.picture || content.demuxer === "image2" || content.demuxer === "tiff_pipe") {
    throw new UsageError({ what: "Not a picture that a sequence can have", found: files[0]! });
  }
  for (const path of files) {
    const other = await contentOf(path);
    if (other.demuxer !== content.demuxer) {
      throw new UsageError({
        what: `The pictures are not all ${content.name}`,
        found: `${path} is ${other.name}`,
        advice: "name those of one kind with a glob",
      });
    }
    if (other.orientation !== content.orientation) {
      throw new UsageError({
        what: "The pictures are not all turned the same way",
        found: `${path} has orientation ${other.orientation ?? 1}, the first has ${content.orientation ?? 1}`,
        advice: "name those of one kind with a glob",
      });
    }
  }
  return { kind: "pictures", files, content };
}

/** File names of a folder, in the order in which people count: `2.png` before `10.png`. */
async function list(folder: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const entry of Deno.readDir(folder === "" ? "." : folder)) {
      if (!entry.isDirectory) names.push(entry.name);
    }
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    throw new UsageError({ what: "Cannot read the folder", found: folder, cause });
  }
  const order = new Intl.Collator("en", { numeric: true }).compare;
  return names.sort((a, b) => order(a, b) || (a < b ? -1 : 1));
}

function split(path: string): [folder: string, last: string] {
  const slash = path.lastIndexOf("/") + 1;
  return [path.slice(0, slash), path.slice(slash)];
}

async function stat(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    if (cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.NotADirectory) return undefined;
    // A name that is too long for a file may still be a URL.
    if (URL_FORM.test(path)) return undefined;
    throw new UsageError({ what: "Cannot read the input", found: `${path} (${textOf(cause)})`, cause });
  }
}

/** The clock that is one frame long. */
export function frameClock(fps: Rational): Rational {
  return reduce(fps.den, fps.num);
}
