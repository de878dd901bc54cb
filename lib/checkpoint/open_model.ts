/**
 * Finds a network of any kind by the name that a person gives it.
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import type { FeatureNetwork } from "../features/network.ts";
import { openModel } from "../features/open_model.ts";
import type { NetworkDevice } from "../features/session.ts";
import { type DiffusionOptions, openDiffusionNetwork } from "./diffusion_network.ts";
import { DIFFUSION_FORMAT, MANIFEST_FILE } from "./manifest.ts";
import { findModel, modelsFolder } from "./store.ts";

/**
 * Opens `"embedded"`, a network in the models folder by its name, or the folder or manifest of any
 * other; the manifest's format says of which kind it is.
 */
export async function openAnyModel(
  name: string,
  where: NetworkDevice,
  options: DiffusionOptions,
): Promise<FeatureNetwork> {
  if (name === "embedded") return await openModel(name, where, options);
  const folder = await findModel(name, modelsFolder());
  if (folder === undefined) return await openModel(name, where, options);
  if (await formatOf(folder) !== DIFFUSION_FORMAT) return await openModel(folder, where, options);
  return await openDiffusionNetwork(folder, where, options);
}

async function formatOf(folder: string): Promise<unknown> {
  const path = `${folder}/${MANIFEST_FILE}`;
  try {
    return JSON.parse(await Deno.readTextFile(path))?.format;
  } catch (cause) {
    throw new UsageError({ what: "Cannot read the network's manifest", found: path, cause });
  }
}
