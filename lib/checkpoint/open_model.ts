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
 *
 * @param options the network's, and `models`, the models folder where it is not the usual one.
 */
export async function openAnyModel(
  name: string,
  where: NetworkDevice,
  options: DiffusionOptions & { readonly models?: string },
): Promise<FeatureNetwork> {
  const folder = name === "embedded" ? undefined : await findModel(name, modelsFolder(options.models));
  if (folder !== undefined && await formatOf(folder) === DIFFUSION_FORMAT) {
    return await openDiffusionNetwork(folder, where, options);
  }
  const network = await openModel(folder ?? name, where, options);
  try {
    refuseDiffusionOptions(name, options);
    return network;
  } catch (error) {
    await network.close();
    throw error;
  }
}

/** Options that mean something to diffusion networks only, as the command line calls them. */
const DIFFUSION_OPTIONS = {
  inversionSteps: "--inversion-steps",
  timestep: "--timestep",
  reuseNoise: "--reuse-noise",
  layers: "--layers",
  prompt: "--prompt",
} as const satisfies Partial<Record<keyof DiffusionOptions, string>>;

/** An option that would change nothing is told, not ignored. */
function refuseDiffusionOptions(name: string, options: DiffusionOptions): void {
  for (const [key, spelling] of Object.entries(DIFFUSION_OPTIONS)) {
    if (options[key as keyof typeof DIFFUSION_OPTIONS] === undefined) continue;
    throw new UsageError({
      what: `${spelling} is for diffusion networks`,
      found: name,
      advice: "leave it out, or choose an imported one with --model",
    });
  }
}

async function formatOf(folder: string): Promise<unknown> {
  const path = `${folder}/${MANIFEST_FILE}`;
  try {
    return JSON.parse(await Deno.readTextFile(path))?.format;
  } catch (cause) {
    throw new UsageError({ what: "Cannot read the network's manifest", found: path, cause });
  }
}
