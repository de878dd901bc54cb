/**
 * Installs Debian packages, where this user may.
 *
 * @module
 */
import { textOf } from "../errors.ts";
import { parseSources, type Source } from "./apt_sources.ts";

/** Where a release of Debian or Ubuntu says what it is. */
const OS_RELEASE = "/etc/os-release";
/** The source that is added for backports, when there is none. */
const BACKPORTS_LIST = "/etc/apt/sources.list.d/walkcut-backports.list";

/** What apt needs to know of this machine. */
export interface Apt {
  /** What commands are put after: nothing for root, sudo for others. */
  readonly prefix: readonly string[];
  /** Such as `bookworm`; empty where the system does not say. */
  readonly codename: string;
  readonly debian: boolean;
}

/** Finds out whether this user may install packages: apt on Debian or Ubuntu, as root or by sudo without a password. */
export async function findApt(): Promise<Apt | undefined> {
  const release = await readText(OS_RELEASE);
  const field = (name: string) => new RegExp(`^${name}="?([^"\\n]*)"?$`, "m").exec(release)?.[1] ?? "";
  if (!/\b(debian|ubuntu)\b/.test(`${field("ID")} ${field("ID_LIKE")}`)) return undefined;
  if (!await succeeds("apt-get", ["--version"])) return undefined;
  const prefix = Deno.uid() === 0 ? [] : await succeeds("sudo", ["-n", "true"]) ? ["sudo", "-n"] : undefined;
  if (!prefix) return undefined;
  return { prefix, codename: field("VERSION_CODENAME"), debian: field("ID") === "debian" };
}

/** What an installation came to. */
export interface Installed {
  readonly ok: boolean;
  /** The last lines of a failure. */
  readonly said: string;
}

/** Installs packages, from `release` (such as `bookworm-backports`) where one is given. */
export async function install(apt: Apt, packages: readonly string[], release?: string): Promise<Installed> {
  const args = [
    "install",
    "-y",
    "-q",
    "--no-install-recommends",
    ...(release ? ["-t", release] : []),
    ...packages,
  ];
  return await aptGet(apt, args);
}

/** Reads the lists of packages anew. */
export async function update(apt: Apt): Promise<Installed> {
  return await aptGet(apt, ["update", "-q"]);
}

/**
 * Makes the backports of this Debian release installable.
 *
 * The source is added in a file of its own, at the mirror and with the key that the
 * machine already uses for the release.
 *
 * @returns the release's name and whether a source was added; undefined where backports cannot be had.
 */
export async function addBackports(apt: Apt): Promise<{ release: string; added: boolean } | undefined> {
  if (!apt.debian || apt.codename === "") return undefined;
  const release = `${apt.codename}-backports`;
  const sources = await configuredSources();
  if (sources.some(({ suites }) => suites.includes(release))) return { release, added: false };
  const main = sources.find(({ suites, components }) =>
    suites.includes(apt.codename) && components.includes("main")
  );
  if (!main) return undefined;
  const options = main.signedBy ? `[signed-by=${main.signedBy}] ` : "";
  const line = `deb ${options}${main.uri} ${release} main\n`;
  const written = await pipeTo(apt, ["tee", BACKPORTS_LIST], line);
  return written ? { release, added: true } : undefined;
}

/** Takes the source of {@linkcode addBackports} away again. */
export async function removeBackports(apt: Apt): Promise<void> {
  const [command = "rm", ...args] = [...apt.prefix, "rm", "-f", BACKPORTS_LIST];
  await succeeds(command, args);
}

async function configuredSources(): Promise<Source[]> {
  const files = ["/etc/apt/sources.list"];
  try {
    for await (const { name } of Deno.readDir("/etc/apt/sources.list.d")) {
      if (/\.(list|sources)$/.test(name)) files.push(`/etc/apt/sources.list.d/${name}`);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const sources: Source[] = [];
  for (const file of files) sources.push(...parseSources(await readText(file), file.endsWith(".sources")));
  return sources;
}

async function aptGet(apt: Apt, args: readonly string[]): Promise<Installed> {
  const [command = "apt-get", ...rest] = [
    ...apt.prefix,
    "env",
    "DEBIAN_FRONTEND=noninteractive",
    "apt-get",
    ...args,
  ];
  try {
    const { success, stdout, stderr } = await new Deno.Command(command, { args: rest, stdin: "null" })
      .output();
    const decoder = new TextDecoder();
    const lines = `${decoder.decode(stdout)}\n${decoder.decode(stderr)}`.trim().split("\n");
    return {
      ok: success,
      said: lines.filter((line) => /^[EW]:/.test(line)).slice(-3).join(" ") || lines.at(-1) || "",
    };
  } catch (error) {
    return { ok: false, said: textOf(error) };
  }
}

async function pipeTo(apt: Apt, words: readonly string[], text: string): Promise<boolean> {
  const [command = "", ...args] = [...apt.prefix, ...words];
  try {
    const child = new Deno.Command(command, { args, stdin: "piped", stdout: "null", stderr: "null" }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
    return (await child.status).success;
  } catch {
    return false;
  }
}

async function succeeds(command: string, args: readonly string[]): Promise<boolean> {
  try {
    const options: Deno.CommandOptions = { args: [...args], stdin: "null", stdout: "null", stderr: "null" };
    return (await new Deno.Command(command, options).output()).success;
  } catch {
    return false;
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
