/**
 * What walkcut needs of a machine, and whether it is there.
 *
 * @module
 */
import { parseManifest } from "../features/manifest.ts";
import { FfmpegError, textOf } from "../errors.ts";
import { ffmpegInstallLine, locateFfmpeg } from "../ffmpeg/locate.ts";

/** The Deno that walkcut is written for. */
const DENO_AT_LEAST = [2, 9] as const;

/** What installs an adapter where there is no hardware. */
const SOFTWARE_VULKAN = "sudo apt-get install mesa-vulkan-drivers";

/** One thing that was looked for. */
export interface Finding {
  readonly name: "Deno" | "ffmpeg" | "WebGPU" | "network" | "permissions";
  readonly found: boolean;
  /** What was found, or what is missing. */
  readonly says: string;
  /** How to get what is missing, or what is better than what was found. */
  readonly advice?: string;
}

/** Is this Deno new enough? */
export function checkDeno(version: string = Deno.version.deno): Finding {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const found = major > DENO_AT_LEAST[0] || major === DENO_AT_LEAST[0] && minor >= DENO_AT_LEAST[1];
  const advice = `npx -y deno@${DENO_AT_LEAST.join(".")}.6, or deno upgrade`;
  return { name: "Deno", found, says: version, ...(found ? {} : { advice }) };
}

/** Is there an ffmpeg that runs? */
export async function checkFfmpeg(): Promise<Finding> {
  try {
    const { version, path, origin } = await locateFfmpeg();
    return { name: "ffmpeg", found: true, says: `${version} (${path}, from ${origin})` };
  } catch (error) {
    if (!(error instanceof FfmpegError) && !(error instanceof Deno.errors.NotCapable)) throw error;
    return {
      name: "ffmpeg",
      found: false,
      says: error.message.split(";")[0] ?? "",
      advice: ffmpegInstallLine(),
    };
  }
}

/** Where Vulkan's loader on Linux looks for drivers. */
const VULKAN_DRIVERS = [
  "/usr/share/vulkan/icd.d",
  "/usr/local/share/vulkan/icd.d",
  "/etc/vulkan/icd.d",
] as const;

/**
 * Is there an adapter for WebGPU, in hardware or software?
 *
 * @param drivers folders with the descriptions of Vulkan's drivers.
 */
export async function checkAdapter(drivers: readonly string[] = VULKAN_DRIVERS): Promise<Finding> {
  const advice = Deno.build.os === "linux"
    ? `a graphics driver with Vulkan; in software: ${SOFTWARE_VULKAN}`
    : "update the graphics driver";
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    if (!adapter) return { name: "WebGPU", found: false, says: "no adapter", advice };
    const { description, vendor, isFallbackAdapter } = adapter.info;
    const finding = { name: "WebGPU", found: true } as const;
    const says = description || vendor || "an adapter";
    if (isFallbackAdapter && says.startsWith("llvmpipe") && !await hasSoftwareVulkan(drivers)) {
      // Desktops and images for browsers have it. It lacks f16, and with Debian 12's Mesa it is several times slower.
      const better = `Vulkan's software driver serves better: ${SOFTWARE_VULKAN}`;
      return { ...finding, says: `${says} (software, through OpenGL)`, advice: better };
    }
    return { ...finding, says: `${says} (${isFallbackAdapter ? "software" : "hardware"})` };
  } catch (error) {
    return {
      name: "WebGPU",
      found: false,
      says: textOf(error),
      advice,
    };
  }
}

/** Whether Mesa's Vulkan driver without hardware is installed: its OpenGL one goes by the same name. */
async function hasSoftwareVulkan(folders: readonly string[]): Promise<boolean> {
  for (const folder of folders) {
    try {
      for await (const { name } of Deno.readDir(folder)) if (/^lvp_icd.*\.json$/.test(name)) return true;
    } catch (error) {
      // What may not be looked at is taken to be there.
      if (error instanceof Deno.errors.NotCapable) return true;
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return false;
}

/** Is the embedded network whole? */
export async function checkNetwork(): Promise<Finding> {
  const manifest = new URL("../../models/embedded.json", import.meta.url);
  try {
    const { graphs } = parseManifest(await Deno.readTextFile(manifest), manifest.pathname);
    let size = 0;
    for (const file of new Set(Object.values(graphs).map((graph) => graph.file))) {
      size += (await Deno.stat(new URL(file, manifest))).size;
    }
    return { name: "network", found: size > 0, says: `embedded (${Math.ceil(size / 1024)} KiB)` };
  } catch (error) {
    const says = textOf(error);
    return { name: "network", found: false, says, advice: "take a whole copy of walkcut" };
  }
}

/** May this process do what a run does? */
export async function checkPermissions(): Promise<Finding> {
  const wanted: Deno.PermissionDescriptor[] = [
    { name: "read" },
    { name: "write" },
    { name: "run", command: "ffmpeg" },
    { name: "env", variable: "FFMPEG_BIN" },
  ];
  const missing: string[] = [];
  for (const descriptor of wanted) {
    if ((await Deno.permissions.query(descriptor)).state !== "granted") {
      missing.push(`--allow-${descriptor.name}`);
    }
  }
  return missing.length === 0
    ? { name: "permissions", found: true, says: wanted.map(({ name }) => name).join(", ") }
    : {
      name: "permissions",
      found: false,
      says: `without ${missing.join(", ")}`,
      advice: "give them to deno run",
    };
}
