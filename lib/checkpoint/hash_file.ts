/**
 * Size and hash of a file.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { FileRecord } from "./manifest.ts";

/** Reads `file` in `folder` in pieces and gives its record. */
export async function hashFile(folder: string, file: string, signal?: AbortSignal): Promise<FileRecord> {
  const hash = createHash("sha256");
  let bytes = 0;
  using input = await Deno.open(`${folder}/${file}`);
  const buffer = new Uint8Array(2 ** 20);
  for (let n; (n = await input.read(buffer)) !== null; bytes += n) {
    signal?.throwIfAborted();
    hash.update(buffer.subarray(0, n));
  }
  return { file, bytes, sha256: hash.digest("hex") };
}
