/**
 * A folder with a clip for tests of the program, and what they look at there.
 *
 * @module
 */
import { assertEquals, assertMatch } from "@std/assert";
import { ffmpeg, names } from "./io_media.ts";
import { walkcut } from "./program.ts";

/** Twenty small frames with sound, encoded once. */
const clip = (async () => {
  const path = await Deno.makeTempFile({ suffix: ".mp4" });
  await ffmpeg(
    ...[
      "-f",
      "lavfi",
      "-i",
      "testsrc2=size=96x64:rate=10:duration=2",
      "-f",
      "lavfi",
      "-i",
      "sine=duration=2",
    ],
    ...["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", path],
  );
  const bytes = await Deno.readFile(path);
  await Deno.remove(path);
  return bytes;
})();

/** Makes a folder with `clip.mp4`; it is removed when the test is done. */
export async function folder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await Deno.makeTempDir({ prefix: "walkcut-cli-" });
  await Deno.writeFile(`${path}/clip.mp4`, await clip);
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/** Checks the one line on stderr, the exit code, and that no file was left. */
export async function assertFails(
  dir: string,
  args: readonly string[],
  expected: { code: number; line: RegExp },
  env: Record<string, string> = {},
): Promise<void> {
  const before = await names(dir);
  const { code, stdout, stderr } = await walkcut(dir, args, { env });
  const what = `walkcut ${args.join(" ")}`;
  assertMatch(stderr, /^walkcut: [^\n]+\n$/, `${what}: not one line: ${JSON.stringify(stderr)}`);
  assertMatch(stderr, expected.line, what);
  assertEquals(code, expected.code, `${what}: ${stderr}`);
  assertEquals(stdout.length, 0, `${what}: stdout`);
  assertEquals(await names(dir), before, `${what}: files were left`);
}

/** Frames that a file decodes to. */
export async function frameCount(path: string): Promise<number> {
  const crc = await ffmpeg(
    "-i",
    `file:${path}`,
    "-map",
    "0:v",
    "-fps_mode",
    "passthrough",
    "-f",
    "framecrc",
    "-",
  );
  return new TextDecoder().decode(crc).split("\n").filter((line) => /^\d/.test(line)).length;
}
