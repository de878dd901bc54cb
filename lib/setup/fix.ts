/**
 * Installs what a machine lacks, where that is allowed, and says so.
 *
 * @module
 */
import { addBackports, type Apt, findApt, install, removeBackports, update } from "./apt.ts";

/** What can be installed. */
export type Part = "ffmpeg" | "vulkan";

/** A software device for Vulkan and the loader that finds it. */
const VULKAN_PACKAGES = ["mesa-vulkan-drivers", "libvulkan1"];

/** The lines that install parts by hand. */
export function linesFor(parts: readonly Part[]): string[] {
  const packages = parts.flatMap((part) => part === "ffmpeg" ? ["ffmpeg"] : VULKAN_PACKAGES);
  return ["sudo apt-get update", `sudo apt-get install -y ${packages.join(" ")}`];
}

/**
 * Installs parts with apt.
 *
 * @param say takes a line for each thing that is done or failed.
 * @returns false where this user cannot install packages at all.
 */
export async function fix(parts: readonly Part[], say: (line: string) => void): Promise<boolean> {
  const apt = await findApt();
  if (!apt) return false;
  const backports = parts.includes("vulkan") ? await addBackports(apt) : undefined;
  if (backports?.added) say(`added the source of ${backports.release}, at the mirror that this machine uses`);
  const updated = await update(apt);
  if (!updated.ok) say(`apt-get update failed: ${updated.said}`);
  if (parts.includes("ffmpeg")) await installPart(apt, ["ffmpeg"], undefined, say);
  if (parts.includes("vulkan")) await installVulkan(apt, backports, say);
  return true;
}

/** Backports first: their software device is several times faster than the release's own. */
async function installVulkan(
  apt: Apt,
  backports: { release: string; added: boolean } | undefined,
  say: (line: string) => void,
): Promise<void> {
  if (backports && await installPart(apt, VULKAN_PACKAGES, backports.release, say)) return;
  if (backports?.added) {
    await removeBackports(apt);
    say(`removed the source of ${backports.release} again`);
    await update(apt);
  }
  await installPart(apt, VULKAN_PACKAGES, undefined, say);
}

async function installPart(
  apt: Apt,
  packages: readonly string[],
  release: string | undefined,
  say: (line: string) => void,
): Promise<boolean> {
  const from = release ? ` from ${release}` : "";
  say(`installing ${packages.join(", ")}${from} with apt-get`);
  const { ok, said } = await install(apt, packages, release);
  if (!ok) say(`could not install ${packages.join(", ")}${from}: ${said}`);
  return ok;
}
