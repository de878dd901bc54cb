/**
 * Outputs that are written here and not by ffmpeg: one file, or one file a frame.
 *
 * @module
 */
import { textOf, UsageError, WalkcutError } from "../errors.ts";
import type { VideoInfo } from "../source/frame.ts";
import {
  type ClaimOptions,
  claimOutput,
  folderOf,
  type OutputClaim,
  partialName,
  requireFolder,
} from "./claim.ts";
import type { Sink } from "./sink.ts";

/** Settings of {@linkcode openPictureFiles}. */
export interface PictureFilesOptions<T> extends ClaimOptions {
  readonly info: VideoInfo;
  /** Makes the file of an item. */
  readonly encode: (item: T) => Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>;
}

/**
 * Opens one file a frame, numbered from 1 as `%06d` says, or one file for a still picture.
 *
 * @throws {UsageError} If files of that pattern exist, or one name is given for several frames.
 */
export async function openPictureFiles<T>(output: string, options: PictureFilesOptions<T>): Promise<Sink<T>> {
  const pattern = numberPattern(output);
  if (!pattern) {
    const { info } = options;
    if (!info.still && info.frameCount !== 1) {
      throw new UsageError({
        what: "One picture cannot hold a video",
        found: output,
        advice: `number the files: ${output.replace(/(\.[^.]*)$/, "-%06d$1")}`,
      });
    }
    await claimOutput(output, options);
  } else {
    await requireFolder(folderOf(output));
    if (!options.overwrite && !options.resume) await refuseExisting(output, pattern);
  }
  const nameOf = (index: number) => numberedName(output, index);
  return new PictureFiles(output, nameOf, options, pattern ? Infinity : 1);
}

class PictureFiles<T> implements Sink<T> {
  readonly output: string;
  readonly #nameOf: (index: number) => string;
  readonly #encode: PictureFilesOptions<T>["encode"];
  readonly #most: number;
  #count: number;

  constructor(
    output: string,
    nameOf: (index: number) => string,
    { encode, resume }: PictureFilesOptions<T>,
    most: number,
  ) {
    this.output = output;
    this.#nameOf = nameOf;
    this.#encode = encode;
    this.#count = resume?.frames ?? 0;
    this.#most = most;
  }

  async write(item: T): Promise<void> {
    if (this.#count >= this.#most) {
      throw new WalkcutError({ what: "One picture cannot hold a second frame", found: this.output });
    }
    const path = this.#nameOf(this.#count++);
    const partial = partialName(path);
    try {
      await Deno.writeFile(partial, await this.#encode(item));
      await Deno.rename(partial, path);
    } catch (cause) {
      await Deno.remove(partial).catch(() => {});
      if (cause instanceof WalkcutError) throw cause;
      throw cannotWrite(path, cause);
    }
  }

  async close(): Promise<void> {}

  /** Every file that is there is whole. */
  async abort(): Promise<void> {}
}

/** One file that grows under its partial name; made at the first write. */
export class GrowingFile {
  readonly #claim: OutputClaim;
  #file: Deno.FsFile | undefined;
  #ended = false;

  /** Bytes of the partial file that stay and are appended to. */
  readonly #keep: number;

  private constructor(claim: OutputClaim, keep: number) {
    this.#claim = claim;
    this.#keep = keep;
  }

  /**
   * Claims an output; nothing is written yet.
   *
   * @throws {UsageError} If it cannot be.
   */
  static async claim(output: string, options: ClaimOptions): Promise<GrowingFile> {
    return new GrowingFile(await claimOutput(output, options), options.resume?.bytes ?? 0);
  }

  get partial(): string {
    return this.#claim.partial;
  }

  /** Appends bytes. */
  async append(bytes: Uint8Array): Promise<void> {
    try {
      this.#file ??= await this.#open();
      for (let at = 0; at < bytes.length;) at += await this.#file.write(bytes.subarray(at));
    } catch (cause) {
      throw cannotWrite(this.#claim.path, cause);
    }
  }

  async #open(): Promise<Deno.FsFile> {
    const file = await Deno.open(this.#claim.partial, { write: true, create: true });
    await file.truncate(this.#keep);
    await file.seek(this.#keep, Deno.SeekMode.Start);
    return file;
  }

  /** Replaces bytes at the beginning of the file. */
  async rewriteStart(bytes: Uint8Array): Promise<void> {
    if (!this.#file) return;
    try {
      await this.#file.seek(0, Deno.SeekMode.Start);
      for (let at = 0; at < bytes.length;) at += await this.#file.write(bytes.subarray(at));
    } catch (cause) {
      throw cannotWrite(this.#claim.path, cause);
    }
  }

  /** Closes it and gives it its name. */
  async commit(): Promise<void> {
    if (this.#ended) return;
    await this.append(new Uint8Array(0));
    this.end();
    await this.#claim.commit();
  }

  /** Closes it as it is. */
  end(): void {
    this.#ended = true;
    this.#file?.close();
    this.#file = undefined;
  }
}

/** The error for a file that cannot be written, such as on a full disk. */
function cannotWrite(path: string, cause: unknown): WalkcutError {
  return new WalkcutError({ what: `Cannot write ${path}`, found: textOf(cause), cause });
}

/** The low bytes of ids. */
export function toBytes(labels: Uint16Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(labels.length);
  for (let i = 0; i < labels.length; i++) {
    const id = labels[i]!;
    if (id > 255) {
      throw new WalkcutError({ what: "An id does not fit into gray8", found: id, advice: "write gray16le" });
    }
    bytes[i] = id;
  }
  return bytes;
}

const LITTLE = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** Ids as two bytes each, the low one first, without a copy where the machine has them so. */
export function littleEndian(labels: Uint16Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (LITTLE) return new Uint8Array(labels.buffer, labels.byteOffset, labels.byteLength);
  const bytes = new Uint8Array(labels.length * 2);
  const view = new DataView(bytes.buffer);
  labels.forEach((id, i) => view.setUint16(2 * i, id, true));
  return bytes;
}

interface NumberPattern {
  readonly before: string;
  readonly after: string;
  readonly width: number;
}

/** The name of a frame's file, from the index of the frame; the path itself where it has no `%06d`. */
export function numberedName(path: string, index: number): string {
  const pattern = numberPattern(path);
  return pattern ? pattern.before + String(index + 1).padStart(pattern.width, "0") + pattern.after : path;
}

/** Splits a path at `%06d` in its last part; undefined without one. */
function numberPattern(path: string): NumberPattern | undefined {
  const match = /^((?:.*\/)?[^/]*?)%0?(\d{0,2})d([^/]*)$/s.exec(path);
  return match ? { before: match[1]!, after: match[3]!, width: Number(match[2] || 0) } : undefined;
}

async function refuseExisting(output: string, pattern: NumberPattern): Promise<void> {
  const slash = pattern.before.lastIndexOf("/") + 1;
  const before = pattern.before.slice(slash);
  for await (const { name } of Deno.readDir(folderOf(output))) {
    const digits = name.slice(before.length, name.length - pattern.after.length);
    if (name.startsWith(before) && name.endsWith(pattern.after) && /^\d+$/.test(digits)) {
      throw new UsageError({
        what: "The output exists",
        found: pattern.before.slice(0, slash) + name,
        advice: "give -y to replace it",
      });
    }
  }
}
