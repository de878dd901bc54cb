/**
 * Finds ffmpeg, and asks it what it can do.
 *
 * The order: the path that was asked for (`--ffmpeg`), `FFMPEG_BIN`, ffmpeg-static where its
 * binary was downloaded, `ffmpeg` on `PATH`.
 *
 * @module
 */
import { FfmpegError } from "../errors.ts";

/** An ffmpeg that was found and ran. */
export interface Ffmpeg {
  /** Path of the executable, or its name where it was found on `PATH`. */
  readonly path: string;
  /** Its version as it prints it, such as `5.1.9-0+deb12u1` or `N-119000-gabcdef`. */
  readonly version: string;
  /** Where it was found. */
  readonly origin: "--ffmpeg" | "FFMPEG_BIN" | "ffmpeg-static" | "PATH";
}

const found = new Map<string, Promise<Ffmpeg>>();

/**
 * Finds an ffmpeg that runs.
 *
 * @param asked The path given by `--ffmpeg`; nothing else is tried then.
 * @throws {FfmpegError} If none is there, with the line that installs one, or if it does not run.
 */
export function locateFfmpeg(asked?: string): Promise<Ffmpeg> {
  const key = asked ?? "";
  // The environment is part of the answer, so only what was asked for by path is remembered with it.
  const memo = `${key}\0${environment("FFMPEG_BIN") ?? ""}\0${environment("PATH") ?? ""}`;
  let answer = found.get(memo);
  if (!answer) {
    answer = locate(asked);
    found.set(memo, answer);
    answer.catch(() => found.delete(memo));
  }
  return answer;
}

/** The line that installs ffmpeg on this platform. */
export function ffmpegInstallLine(): string {
  switch (Deno.build.os) {
    case "darwin":
      return "brew install ffmpeg";
    case "windows":
      return "winget install Gyan.FFmpeg";
    case "freebsd":
      return "pkg install ffmpeg";
    default:
      return "sudo apt-get install ffmpeg";
  }
}

/** True where this ffmpeg is at least version `major.minor`; builds from git count as newest. */
function ffmpegAtLeast(ffmpeg: Ffmpeg, major: number, minor: number): boolean {
  const match = /^n?(\d+)\.(\d+)/.exec(ffmpeg.version);
  if (!match) return true;
  const [have, haveMinor] = [Number(match[1]), Number(match[2])];
  return have > major || (have === major && haveMinor >= minor);
}

/** The arguments that pass every frame with its own timestamp, in this version's words. */
export function passthroughArgs(ffmpeg: Ffmpeg): string[] {
  return ffmpegAtLeast(ffmpeg, 5, 1) ? ["-fps_mode", "passthrough"] : ["-vsync", "passthrough"];
}

/** The arguments that keep the input's clock for the output, in this version's words. */
export function inputClockArgs(ffmpeg: Ffmpeg): string[] {
  return ["-enc_time_base", ffmpegAtLeast(ffmpeg, 6, 1) ? "demux" : "-1"];
}

const listed = new Map<string, Promise<ReadonlySet<string>>>();

/** The names that `ffmpeg -encoders`, `-filters` or `-muxers` lists. */
export function listCapabilities(
  ffmpeg: Ffmpeg,
  kind: "encoders" | "filters" | "muxers",
): Promise<ReadonlySet<string>> {
  const key = `${ffmpeg.path}\0${kind}`;
  let names = listed.get(key);
  if (!names) {
    names = readCapabilities(ffmpeg, kind);
    listed.set(key, names);
    names.catch(() => listed.delete(key));
  }
  return names;
}

async function readCapabilities(ffmpeg: Ffmpeg, kind: string): Promise<ReadonlySet<string>> {
  const { stdout } = await new Deno.Command(ffmpeg.path, {
    args: ["-hide_banner", "-loglevel", "error", `-${kind}`],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).output();
  const names = new Set<string>();
  for (const line of new TextDecoder().decode(stdout).split("\n")) {
    // " V....D libx264   description", " ..C scale  V->V  description", "  E mp4  description"
    const match = /^ [A-Z.| ]+? ([a-z0-9_][\w,-]*) /.exec(line);
    for (const name of match?.[1]?.split(",") ?? []) names.add(name);
  }
  return names;
}

async function locate(asked: string | undefined): Promise<Ffmpeg> {
  if (asked !== undefined) return await tryFfmpeg(asked, "--ffmpeg");
  const fromEnvironment = environment("FFMPEG_BIN");
  if (fromEnvironment) return await tryFfmpeg(fromEnvironment, "FFMPEG_BIN");
  const bundled = await ffmpegStatic();
  // A half-downloaded binary does not run: the next in order is tried then.
  if (bundled) {
    try {
      return await tryFfmpeg(bundled, "ffmpeg-static");
    } catch (error) {
      if (!(error instanceof FfmpegError)) throw error;
    }
  }
  return await tryFfmpeg("ffmpeg", "PATH");
}

/** Where ffmpeg-static's binary lies, if its install script could download it. */
async function ffmpegStatic(): Promise<string | undefined> {
  try {
    const { default: path } = await import("ffmpeg-static") as { default: unknown };
    if (typeof path !== "string") return undefined;
    return (await Deno.stat(path)).isFile ? path : undefined;
  } catch {
    return undefined; // Not installed, not downloaded, or not readable: not there.
  }
}

async function tryFfmpeg(path: string, origin: Ffmpeg["origin"]): Promise<Ffmpeg> {
  const install = `install it with "${ffmpegInstallLine()}" or name one with --ffmpeg`;
  const where = origin === "PATH" ? "looked on PATH" : `${origin} is ${path}`;
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(path, {
      args: ["-hide_banner", "-version"],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).output();
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    const what = cause instanceof Deno.errors.NotFound ? "ffmpeg was not found" : "Cannot run ffmpeg";
    throw new FfmpegError({ what, found: where, advice: install, cause });
  }
  const version = /^ffmpeg version (\S+)/.exec(new TextDecoder().decode(output.stdout))?.[1];
  if (!output.success || version === undefined) {
    throw new FfmpegError({ what: "This is not an ffmpeg that runs", found: where, advice: install });
  }
  return { path, version, origin };
}

/** An environment variable; unset where it may not be read. */
function environment(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch {
    return undefined;
  }
}
