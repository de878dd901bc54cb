/**
 * Makes small media with ffmpeg for the tests of sources and sinks, and looks into what came out.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { locateFfmpeg } from "../lib/ffmpeg/locate.ts";

/** Runs ffmpeg; throws with its words when it fails. Returns its stdout. */
export async function ffmpeg(...args: string[]): Promise<Uint8Array<ArrayBuffer>> {
  return (await ffmpegSaying("error", ...args)).stdout;
}

/** Runs ffmpeg; throws with its words when it fails. Returns its stdout, and what it said from a level on. */
export async function ffmpegSaying(
  level: "error" | "info",
  ...args: string[]
): Promise<{ stdout: Uint8Array<ArrayBuffer>; said: string }> {
  const { path } = await locateFfmpeg();
  const { success, stdout, stderr } = await new Deno.Command(path, {
    args: ["-nostdin", "-hide_banner", "-nostats", "-v", level, "-y", ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const said = new TextDecoder().decode(stderr);
  if (!success) throw new Error(`ffmpeg ${args.join(" ")}: ${said}`);
  return { stdout, said };
}

/** Runs a test body in a folder that is removed afterwards. */
export async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "walkcut-test-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Names in a folder, sorted. */
export async function names(folder: string): Promise<string[]> {
  const found = [];
  for await (const { name } of Deno.readDir(folder)) found.push(name);
  return found.sort();
}

/** Times of a stream's packets in seconds from the file's own zero, in order. */
export async function packetTimes(path: string, stream = "0:V:0"): Promise<number[]> {
  const text = new TextDecoder().decode(
    await ffmpeg("-copyts", "-i", `file:${path}`, "-map", stream, "-c", "copy", "-f", "framecrc", "-"),
  );
  const clock = /#tb 0: (\d+)\/(\d+)/.exec(text);
  const scale = Number(clock?.[1]) / Number(clock?.[2]);
  return text.split("\n").filter((line) => /^0,/.test(line)).map((line) => Number(line.split(",")[2]) * scale)
    .sort((a, b) => a - b);
}

/** ffmpeg's description of a file. */
export async function describe(path: string): Promise<string> {
  const { path: bin } = await locateFfmpeg();
  const { stderr } = await new Deno.Command(bin, {
    args: ["-nostdin", "-hide_banner", "-i", `file:${path}`],
    stderr: "piped",
  }).output();
  return new TextDecoder().decode(stderr);
}

/** Processes whose command line holds a text: to find children that were left behind. */
export async function processesWith(text: string): Promise<number[]> {
  // Deno itself reads /proc only with every permission; the text comes by stdin to stay out of grep's own line.
  const child = new Deno.Command("sh", {
    args: ["-c", "grep -laFf - /proc/[0-9]*/cmdline 2>/dev/null"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(`${text}\n`));
  await writer.close();
  const { stdout } = await child.output();
  return [...new TextDecoder().decode(stdout).matchAll(/\/proc\/(\d+)\//g)].map(([, pid]) => Number(pid))
    .filter((pid) => pid !== Deno.pid);
}

/** Bytes as a stream, in pieces as a pipe gives them. */
export function streamOf(
  bytes: Uint8Array<ArrayBuffer>,
  piece = 1 << 14,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at += piece));
    },
  });
}

/** A mask in COCO's compressed run lengths, `[height, width]` row-major: its rleFrString and rleDecode. */
export function decodeRle(text: string, height: number, width: number): Uint8Array {
  const counts: number[] = [];
  for (let at = 0; at < text.length;) {
    let [value, shift, more] = [0, 0, true];
    while (more) {
      const digit = text.charCodeAt(at++) - 48;
      value |= (digit & 31) << shift;
      shift += 5;
      more = (digit & 32) !== 0;
      if (!more && digit & 16) value |= -1 << shift;
    }
    counts.push(counts.length > 2 ? value + counts[counts.length - 2]! : value);
  }
  const mask = new Uint8Array(width * height);
  let at = 0;
  counts.forEach((count, run) => {
    for (let i = 0; i < count; i++, at++) {
      if (run % 2) mask[(at % height) * width + Math.floor(at / height)] = 1;
    }
  });
  assertEquals(at, width * height);
  return mask;
}

/** Runs the program in a folder, with what it is given on stdin. */
export async function runMain(
  cwd: string,
  args: readonly string[],
  stdin?: Uint8Array<ArrayBuffer>,
): Promise<{ code: number; stdout: Uint8Array<ArrayBuffer>; stderr: string }> {
  const permissions = ["--allow-read", "--allow-write", "--allow-env", "--allow-run"];
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-q",
      "--no-check",
      ...permissions,
      new URL("../main.ts", import.meta.url).pathname,
      ...args,
    ],
    cwd,
    stdin: stdin ? "piped" : "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const fed = stdin ? new Blob([stdin]).stream().pipeTo(child.stdin).catch(() => {}) : undefined;
  const { code, stdout, stderr } = await child.output();
  await fed;
  return { code, stdout, stderr: new TextDecoder().decode(stderr) };
}

/** Samples a second of sound that is compared. */
export const SOUND_RATE = 48_000;

/**
 * Seconds by which one sound comes later than another beyond `expected`, to the sample and up to 12 ms, and how
 * alike they are then.
 */
export function lagOf(
  late: Float32Array,
  early: Float32Array,
  expected: number,
): { lag: number; alike: number } {
  const [most, base] = [Math.round(0.012 * SOUND_RATE), Math.round(expected * SOUND_RATE)];
  let best = { lag: NaN, alike: -1 };
  for (let shift = -most; shift <= most; shift++) {
    let [product, a, b] = [0, 0, 0];
    for (let i = most; i < early.length - 2 * most; i += 3) {
      const [x, y] = [late[i + base + shift] ?? 0, early[i]!];
      product += x * y;
      a += x * x;
      b += y * y;
    }
    const alike = product / Math.sqrt(a * b);
    if (alike > best.alike) best = { lag: shift / SOUND_RATE, alike };
  }
  return best;
}
