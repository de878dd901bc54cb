/**
 * A checkpoint's folder in diffusers' layout: which files hold what.
 *
 * @module
 */
import { oneLine, UsageError } from "../errors.ts";
import type { Precision } from "./dtypes.ts";
import { hashFile } from "./hash_file.ts";
import type { FileRecord } from "./manifest.ts";
import { openSafetensors, openSharded, type TensorSource } from "./safetensors.ts";

/** A checkpoint on disk. Remembers which files were used. */
export class CheckpointFolder {
  readonly #used = new Set<string>();

  private constructor(readonly path: string, readonly precision: Precision) {}

  /** Throws a `UsageError` unless `path` is a folder with a UNet in it. */
  static async open(path: string, precision: Precision): Promise<CheckpointFolder> {
    const folder = new CheckpointFolder(path.replace(/(?<=.)\/+$/, ""), precision);
    if (await folder.has("unet")) return folder;
    throw new UsageError({
      what: "Cannot import, the folder has no unet folder in it",
      found: path,
      advice:
        "give a folder in the layout of diffusers (unet/, vae/, …); a single .safetensors or .ckpt file is not one",
    });
  }

  /** True where the folder or file `name` is there. */
  async has(name: string): Promise<boolean> {
    try {
      await Deno.stat(`${this.path}/${name}`);
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
      throw error;
    }
  }

  /** Reads a JSON file, e.g. `unet/config.json`. */
  async json(name: string): Promise<unknown> {
    const path = `${this.path}/${name}`;
    try {
      const json = JSON.parse(await Deno.readTextFile(path));
      this.#used.add(name);
      return json;
    } catch (cause) {
      throw new UsageError({
        what: `Cannot import, a config ${cause instanceof SyntaxError ? "is not JSON" : "cannot be read"}`,
        found: path,
        advice: "download the folder again",
        cause,
      });
    }
  }

  /** Opens the weights of the part `part`, whose files start with `stem`. */
  async weights(part: string, stem: string): Promise<TensorSource> {
    const half = [`${stem}.fp16.safetensors`, `${stem}.safetensors.index.fp16.json`];
    const full = [`${stem}.safetensors`, `${stem}.safetensors.index.json`];
    const names = this.precision === "fp16" ? [...half, ...full] : [...full, ...half];
    for (const name of [...names, `${stem}.fp16.safetensors.index.json`]) {
      const file = `${part}/${name}`;
      if (!await this.has(file)) continue;
      const path = `${this.path}/${file}`;
      this.#used.add(file);
      if (!name.endsWith(".json")) return await openSafetensors(path);
      const source = await openSharded(path);
      for (const shard of source.files) this.#used.add(`${part}/${shard}`);
      return source;
    }
    throw await this.#noWeights(part, stem);
  }

  /** Size and hash of each file that was used. */
  async records(signal?: AbortSignal): Promise<FileRecord[]> {
    const records: FileRecord[] = [];
    for (const file of [...this.#used].sort()) records.push(await hashFile(this.path, file, signal));
    return records;
  }

  async #noWeights(part: string, stem: string): Promise<UsageError> {
    const pickled: string[] = [];
    if (await this.has(part)) {
      for await (const { name } of Deno.readDir(`${this.path}/${part}`)) {
        if (/\.(bin|ckpt|pt|pth)$/.test(name)) pickled.push(name);
      }
    }
    if (pickled.length > 0) {
      return new UsageError({
        what: `Cannot import ${
          oneLine(`${this.path}/${part}`)
        }, its weights are pickled, and loading a pickle runs the code in it`,
        found: pickled.sort().join(", "),
        advice: `get ${stem}.safetensors instead`,
      });
    }
    return new UsageError({
      what: "Cannot import, there are no weights",
      found: `${this.path}/${part}/${stem}.safetensors`,
      advice: "download the folder again",
    });
  }
}
