/**
 * Finds a network by the name that a person gives it.
 *
 * @module
 */
import { pathToFileURL } from "node:url";
import { UsageError } from "../errors.ts";
import type { FeatureNetwork } from "./network.ts";
import { type NetworkDevice, type NetworkOptions, openNetwork } from "./session.ts";

/** The network that comes with the program. */
const EMBEDDED = new URL("../../models/embedded.json", import.meta.url);

/** Opens `"embedded"`, a manifest's file, or a folder that holds a `manifest.json`. */
export async function openModel(
  name: string,
  where: NetworkDevice,
  options: NetworkOptions,
): Promise<FeatureNetwork> {
  if (name === "embedded") return await openNetwork(EMBEDDED, where, options);
  return await openNetwork(await manifestOf(name), where, options);
}

async function manifestOf(name: string): Promise<URL> {
  try {
    const { isDirectory } = await Deno.stat(name);
    return pathToFileURL(isDirectory ? `${name}/manifest.json` : name);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new UsageError({
      what: "There is no such model",
      found: name,
      advice: "see `walkcut models list`",
      cause,
    });
  }
}
