/**
 * The models folder: where imported networks lie, and how one gets there whole or not at all.
 *
 * @module
 */
import { oneLine, UsageError } from "../errors.ts";
import { MANIFEST_FILE } from "./manifest.ts";
import { guardWrite } from "./part.ts";

/** Names of folders that are being written start with this. */
const PARTIAL = ".partial-";

/** In a folder that is being written, the file that its writer holds locked. */
const LOCK_FILE = "lock";

/** The models folder: what was given, else `WALKCUT_MODELS`, else the platform's data folder. */
export function modelsFolder(given?: string): string {
  const folder = given ?? Deno.env.get("WALKCUT_MODELS") ?? `${dataFolder()}/walkcut/models`;
  return folder.replace(/(?<=.)\/+$/, "");
}

function dataFolder(): string {
  const home = Deno.env.get("HOME") ?? Deno.env.get("USERPROFILE") ?? ".";
  switch (Deno.build.os) {
    case "windows":
      return Deno.env.get("LOCALAPPDATA") ?? `${home}/AppData/Local`;
    case "darwin":
      return `${home}/Library/Application Support`;
    default:
      return Deno.env.get("XDG_DATA_HOME") || `${home}/.local/share`;
  }
}

/** The folder of an imported network, by its name or as a path to the folder; undefined where there is none. */
export async function findModel(nameOrFolder: string, models: string): Promise<string | undefined> {
  const candidates = isModelName(nameOrFolder) ? [`${models}/${nameOrFolder}`, nameOrFolder] : [nameOrFolder];
  for (const folder of candidates) {
    if (await isFile(`${folder}/${MANIFEST_FILE}`)) return folder;
  }
  return undefined;
}

/** Names of the networks in the models folder, sorted. */
export async function modelNames(models: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(models)) {
      if (isDirectory && isModelName(name) && await isFile(`${models}/${name}/${MANIFEST_FILE}`)) {
        names.push(name);
      }
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names.sort();
}

/** True for what may name a network: it becomes a folder's name, so it can lead nowhere else. */
export function isModelName(name: string): boolean {
  return /^[A-Za-z0-9][\w.-]{0,99}$/.test(name) && name !== "embedded";
}

/**
 * Calls `write` with a new empty folder and gives it its name in the models folder when that is
 * done. Where it fails or is interrupted, the folder is removed; one whose writer was killed is
 * removed by the next call.
 */
export async function createModel(
  models: string,
  name: string,
  write: (folder: string) => Promise<void>,
): Promise<string> {
  if (!isModelName(name)) {
    throw new UsageError({
      what: "Cannot give a network this name",
      found: name,
      advice: "use letters, digits, dots, dashes and underscores in --name",
    });
  }
  const target = `${models}/${name}`;
  if (await exists(target)) {
    throw new UsageError({
      what: "Cannot import, there is already something of this name",
      found: target,
      advice: "give another --name, or remove it first",
    });
  }
  await guardWrite(models, () => Deno.mkdir(models, { recursive: true }));
  await removeAbandoned(models);
  const folder = `${models}/${PARTIAL}${crypto.randomUUID()}`;
  await guardWrite(folder, () => Deno.mkdir(folder));
  try {
    using lock = await guardWrite(
      folder,
      () => Deno.open(`${folder}/${LOCK_FILE}`, { create: true, write: true }),
    );
    await lock.lock(true);
    await write(folder);
    await Deno.remove(`${folder}/${LOCK_FILE}`);
    await guardWrite(target, () => Deno.rename(folder, target));
  } catch (error) {
    await Deno.remove(folder, { recursive: true });
    throw error;
  }
  return target;
}

/** Removes folders whose writer no longer holds their lock. */
async function removeAbandoned(models: string): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(models)) {
    if (!isDirectory || !name.startsWith(PARTIAL)) continue;
    const folder = `${models}/${name}`;
    if (await isLocked(`${folder}/${LOCK_FILE}`)) continue;
    await Deno.remove(folder, { recursive: true });
  }
}

async function isLocked(path: string): Promise<boolean> {
  try {
    using file = await Deno.open(path, { write: true });
    return !await file.tryLock(true);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw new UsageError({ what: `Cannot use ${oneLine(path)}`, found: String(error), cause: error });
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch {
    return false;
  }
}
