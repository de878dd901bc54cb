/**
 * Results that a stopped bench need not find again, under `.cache/quality`.
 *
 * @module
 */
import { Journal } from "../../lib/eval/run.ts";
import { WalkcutError } from "../../lib/errors.ts";

const ROOT = new URL("../../", import.meta.url);
/** What results depend on: ours, and those of others, whose labels are only scored here. */
const SOURCES = { own: ["lib", "models", "shaders"], foreign: ["lib/eval", "bench/peers"] } as const;

/** A folder of results that hold for the program as it is now. */
export class Cache {
  private constructor(private readonly folder: string) {}

  /**
   * Opens the results of a program with these sources; those of others are of no use and removed.
   *
   * @param kind whose results.
   * @param fresh forget them.
   * @param home the folder of all results, ending in a slash.
   */
  static async open(
    kind: keyof typeof SOURCES,
    fresh: boolean,
    home = new URL(".cache/quality/", ROOT).pathname,
  ): Promise<Cache> {
    const root = `${home}${kind}/`;
    const version = await fingerprint(SOURCES[kind]);
    const folder = `${root}${version}`;
    try {
      await Deno.mkdir(root, { recursive: true });
      for await (const { name } of Deno.readDir(root)) {
        if (fresh || name !== version) await Deno.remove(`${root}${name}`, { recursive: true });
      }
      await Deno.mkdir(folder, { recursive: true });
    } catch (cause) {
      throw new WalkcutError({ what: "Cannot use the folder of results", found: root, cause });
    }
    return new Cache(folder);
  }

  /** The scores of pictures so far, for settings. */
  async journal(settings: unknown): Promise<Journal> {
    return await Journal.open(`${this.folder}/${await digest(JSON.stringify(settings))}.jsonl`, settings);
  }

  /** What `find` gives for settings, from an earlier run where there was one. */
  async value<T>(settings: unknown, find: () => Promise<T>): Promise<T> {
    const path = `${this.folder}/${await digest(JSON.stringify(settings))}.json`;
    try {
      return JSON.parse(await Deno.readTextFile(path));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound || error instanceof SyntaxError)) throw error;
    }
    const value = await find();
    await Deno.writeTextFile(path, JSON.stringify(value));
    return value;
  }
}

/** A name for the contents of the sources. */
async function fingerprint(sources: readonly string[]): Promise<string> {
  const files: string[] = [];
  const walk = async (folder: string) => {
    for await (const { name, isDirectory } of Deno.readDir(new URL(folder, ROOT))) {
      if (isDirectory) await walk(`${folder}${name}/`);
      else files.push(`${folder}${name}`);
    }
  };
  for (const folder of sources) await walk(`${folder}/`);
  const parts: string[] = [];
  for (const file of files.sort()) {
    parts.push(`${file} ${await digest(await Deno.readFile(new URL(file, ROOT)))}`);
  }
  return await digest(parts.join("\n"));
}

async function digest(content: string | Uint8Array<ArrayBuffer>): Promise<string> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex().slice(0, 16);
}
