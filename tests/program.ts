/**
 * Runs the whole program for tests, as it is or with a fault put into a copy of it.
 *
 * @module
 */
import { assert } from "@std/assert";
import { V8_FLAGS } from "../lib/setup/permissions.ts";
import { processesWith } from "./io_media.ts";

/** Folder of this checkout. */
export const ROOT = new URL("../", import.meta.url).pathname;

/** What Deno may do in the program of a test. */
const PERMISSIONS = ["--allow-read", "--allow-write", "--allow-env", "--allow-run"] as const;

/** How a run ended. */
export interface Outcome {
  readonly code: number;
  readonly stdout: Uint8Array<ArrayBuffer>;
  readonly stderr: string;
}

/** Settings of {@linkcode walkcut} and {@linkcode start}. */
export interface ProgramOptions {
  /** Folder of the program; default: this checkout. */
  readonly root?: string;
  /** Text of a shell that stands before the program: `ulimit …;`. */
  readonly before?: string;
  /** Bytes on its stdin. */
  readonly stdin?: Uint8Array<ArrayBuffer>;
  /** Further environment variables. */
  readonly env?: Record<string, string>;
}

/** The words that start the program, as the task and the launcher do: their settings bound what garbage takes. */
export function commandOf(args: readonly string[], root = ROOT): string[] {
  const words = ["run", "-q", "--no-check", V8_FLAGS, ...PERMISSIONS, `${root}main.ts`];
  return [Deno.execPath(), ...words, ...args];
}

/** A word as a shell takes it. */
export function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Starts the program in a folder. */
export function start(cwd: string, args: readonly string[], options: ProgramOptions = {}): Deno.ChildProcess {
  const words = commandOf(args, options.root);
  const [path, rest] = options.before === undefined
    ? [words[0]!, words.slice(1)]
    : ["bash", ["-c", `${options.before} exec ${words.map(quoted).join(" ")}`]];
  return new Deno.Command(path, {
    args: rest,
    cwd,
    env: options.env ?? {},
    stdin: options.stdin ? "piped" : "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs the program in a folder to its end. */
export async function walkcut(
  cwd: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<Outcome> {
  const child = start(cwd, args, options);
  if (options.stdin) {
    const writer = child.stdin.getWriter();
    writer.write(options.stdin).then(() => writer.close()).catch(() => {}); // It may stop reading before.
  }
  const { code, stdout, stderr } = await child.output();
  return { code, stdout, stderr: new TextDecoder().decode(stderr) };
}

/** Does something for each item, two at a time: a program that starts up leaves a core to another. */
export async function byTwo<T>(items: readonly T[], act: (item: T) => Promise<unknown>): Promise<void> {
  const left = items.values();
  const worker = async () => {
    for (const item of left) await act(item);
  };
  await Promise.all([worker(), worker()]);
}

/** A program under way. */
export interface Running {
  readonly child: Deno.ChildProcess;
  /** All of stderr, at the end. */
  readonly stderr: Promise<string>;
}

/** Starts the program with `--progress json` and waits until it has told of `frames` frames. */
export async function underWay(
  cwd: string,
  args: readonly string[],
  frames: number,
  options: ProgramOptions = {},
): Promise<Running> {
  const child = start(cwd, [...args, "--progress", "json"], options);
  child.stdout.cancel().catch(() => {});
  let text = "";
  const begun = Promise.withResolvers<void>();
  const stderr = (async () => {
    for await (const part of child.stderr.pipeThrough(new TextDecoderStream())) {
      text += part;
      if (Number([...text.matchAll(/"frame":(\d+)/g)].at(-1)?.[1]) >= frames) begun.resolve();
    }
    begun.reject(new Error(`It ended before ${frames} frames: ${text}`));
    return text;
  })();
  await begun.promise;
  return { child, stderr };
}

/** Process ids of the ffmpeg children of programs that work in `folder`, by role. */
export async function children(folder: string, role: "decoder" | "encoder"): Promise<number[]> {
  const marked = await processesWith(role === "decoder" ? "pipe:1" : "pipe:0");
  return (await processesWith(folder)).filter((pid) => marked.includes(pid));
}

/** The lines of stderr that are no progress. */
export function told(stderr: string): string {
  return stderr.split("\n").filter((line) => !line.startsWith("{")).join("\n");
}

/** A copy of the program with changed sources; `[path, text, replacement]` each. */
export async function changedProgram(
  folder: string,
  changes: readonly (readonly [path: string, text: string, replacement: string])[],
): Promise<string> {
  const root = `${folder}/program/`;
  await Deno.mkdir(root);
  const from = ["main.ts", "deno.json", "deno.lock", "lib", "models", "shaders"].map((name) => ROOT + name);
  const { success } = await new Deno.Command("cp", { args: ["-r", ...from, root] }).output();
  assert(success, "cp");
  for (const [path, text, replacement] of changes) {
    const source = await Deno.readTextFile(root + path);
    assert(source.includes(text), `${path} has no ${text}`);
    await Deno.writeTextFile(root + path, source.replace(text, () => replacement));
  }
  return root;
}

/** Resident memory of a process in KiB; NaN where it has ended. */
export async function resident(pid: number): Promise<number> {
  // Deno itself reads /proc only with every permission.
  const { stdout } = await new Deno.Command("cat", { args: [`/proc/${pid}/status`], stderr: "null" })
    .output();
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(new TextDecoder().decode(stdout))?.[1]);
}
