/**
 * Names of outputs: checked before a run starts, given when it is done.
 *
 * @module
 */
import { textOf, UsageError, WalkcutError } from "../errors.ts";
import type { Resumed } from "./resume.ts";

/** Settings of {@linkcode claimOutput}. */
export interface ClaimOptions {
  /** Replace an output that exists (`-y`). Default false. */
  readonly overwrite?: boolean;
  /** What an earlier run has done of it, to go on from there. */
  readonly resume?: Resumed;
}

/** An output's name, and where its bytes lie until it is whole. */
export interface OutputClaim {
  readonly path: string;
  /** `NAME.partial.EXT`, beside `path`. */
  readonly partial: string;
  /** Gives the finished output its name; `from` is where it lies, if not at `partial`. */
  commit(from?: string): Promise<void>;
}

/**
 * Checks that an output can be written, and writes nothing.
 *
 * @throws {UsageError} If it exists and may not be replaced, is a folder, or its folder does not exist.
 */
export async function claimOutput(path: string, options: ClaimOptions = {}): Promise<OutputClaim> {
  if (path === "" || path.includes("\0")) {
    throw new UsageError({ what: "Not an output's name", found: JSON.stringify(path) });
  }
  const existing = await stat(path);
  if (existing?.isDirectory) {
    throw new UsageError({ what: "The output is a folder", found: path, advice: "name a file in it" });
  }
  if (existing && !options.overwrite) {
    throw new UsageError({ what: "The output exists", found: path, advice: "give -y to replace it" });
  }
  await requireFolder(folderOf(path));
  const partial = partialName(path);
  return {
    path,
    partial,
    async commit(from = partial) {
      try {
        await Deno.rename(from, path);
      } catch (cause) {
        throw new WalkcutError({
          what: `Cannot rename ${from}`,
          found: textOf(cause),
          advice: "the output may lie there under that name",
          cause,
        });
      }
    },
  };
}

/** `dir/clip.mp4` → `dir/clip.partial.mp4`; a name without extension gets `.partial` at its end. */
export function partialName(path: string): string {
  const slash = path.lastIndexOf("/") + 1;
  const dot = path.lastIndexOf(".");
  return dot > slash ? `${path.slice(0, dot)}.partial${path.slice(dot)}` : `${path}.partial`;
}

/** The folder of a path; `.` where it names none. */
export function folderOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "." : slash === 0 ? "/" : path.slice(0, slash);
}

/**
 * Checks that a folder exists.
 *
 * @throws {UsageError} If it does not, or is not a folder.
 */
export async function requireFolder(folder: string): Promise<void> {
  const info = await stat(folder);
  if (!info?.isDirectory) {
    throw new UsageError({
      what: info ? "The output's folder is not a folder" : "The output's folder does not exist",
      found: folder,
      advice: "create it first",
    });
  }
}

async function stat(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.NotADirectory) return undefined;
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    throw new UsageError({ what: "Cannot look at the output", found: `${path} (${textOf(cause)})`, cause });
  }
}
