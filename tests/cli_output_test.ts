import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { assertFails, folder, frameCount } from "./cli_folder.ts";
import { ffmpeg, names } from "./io_media.ts";
import { commandOf, quoted, walkcut } from "./program.ts";

const decoder = new TextDecoder();
const PROGRAM = commandOf([]).map(quoted).join(" ");

Deno.test("walkcut writes INPUT.walkcut.mp4, refuses to replace it, replaces it with -y, keeps it with -n", async () => {
  await using dir = await folder();
  const { path } = dir;
  const run = (...args: string[]) => walkcut(path, ["clip.mp4", "--null-model", ...args]);
  const first = await run();
  assertEquals([first.code, first.stdout.length], [0, 0], first.stderr);
  assertMatch(
    first.stderr,
    /^walkcut: 20 frames, 4 segments, .*fps, 0\.0 applications a frame; wrote clip\.mp4\.walkcut\.mp4\n$/,
  );
  assertEquals(await names(path), ["clip.mp4", "clip.mp4.walkcut.mp4"]);
  assertEquals(await frameCount(`${path}/clip.mp4.walkcut.mp4`), 20);
  await assertFails(path, ["clip.mp4", "--null-model"], { code: 2, line: /exists: clip\.mp4\.walkcut\.mp4/ });
  const modified = async () => (await Deno.stat(`${path}/clip.mp4.walkcut.mp4`)).mtime?.getTime();
  const before = await modified();
  const kept = await run("-n");
  assertEquals([kept.code, await modified()], [0, before], kept.stderr);
  const replaced = await run("-y", "-q", "--frames", "3");
  assertEquals([replaced.code, replaced.stderr], [0, ""]);
  assertEquals(await frameCount(`${path}/clip.mp4.walkcut.mp4`), 3);
});

Deno.test("walkcut writes several outputs in one run, and pictures from pictures", async () => {
  await using dir = await folder();
  const { path } = dir;
  const several = await walkcut(path, [
    ...[
      "clip.mp4",
      "--null-model",
      "-q",
      "--frames",
      "4",
      "--show",
      "cutout",
      "--segment",
      "2,3",
      "-o",
      "o%02d.png",
    ],
    ...["--labels", "l.mkv", "--rle", "r.jsonl", "--stats", "s.jsonl"],
  ]);
  assertEquals([several.code, several.stderr], [0, ""]);
  assertEquals(await frameCount(`${path}/l.mkv`), 4);
  for (const name of ["r.jsonl", "s.jsonl"]) {
    const lines = (await Deno.readTextFile(`${path}/${name}`)).trim().split("\n").map((line) =>
      JSON.parse(line)
    );
    assertEquals(lines.map(({ frame }) => frame), [0, 1, 2, 3], name);
  }
  const pictures = (await names(path)).filter((name) => /^o\d\d\.png$/.test(name));
  assertEquals(pictures.length, 4);
  const one = await walkcut(path, [pictures[0]!, "--null-model"]);
  assertEquals(one.code, 0, one.stderr);
  assert((await names(path)).includes(`${pictures[0]}.walkcut.png`));
});

Deno.test("walkcut composes in pipes, and a reader that leaves ends it with 0", async () => {
  await using dir = await folder();
  const script = `
set -o pipefail
walkcut() { ${PROGRAM} "$@"; }
ffmpeg -v error -i clip.mp4 -f yuv4mpegpipe -pix_fmt yuv420p - \
  | walkcut - --null-model -q -o - --output-format y4m \
  | ffmpeg -v error -f yuv4mpegpipe -i - piped.mkv
echo "codes \${PIPESTATUS[*]}"
walkcut clip.mp4 --null-model -o - --output-format rgb24 | head -c 30000 | wc -c
echo "codes \${PIPESTATUS[*]}"`;
  const { stdout, stderr } = await new Deno.Command("bash", { args: ["-c", script], cwd: dir.path }).output();
  assertEquals(decoder.decode(stderr), "");
  assertEquals(decoder.decode(stdout).trim().split("\n"), ["codes 0 0 0", "30000", "codes 0 0 0"]);
  assertEquals(await frameCount(`${dir.path}/piped.mkv`), 20);
});

Deno.test("walkcut writes every whole frame of a raw stream that ends inside one, then fails with 1", async () => {
  await using dir = await folder();
  const bytes = 16 * 12 * 3;
  await Deno.writeFile(`${dir.path}/raw`, new Uint8Array(2 * bytes + 100).fill(90));
  const { code, stdout, stderr } = await new Deno.Command("bash", {
    args: [
      "-c",
      `${PROGRAM} - --null-model \
        --input-format rgb24 --size 16x12 -o - --output-format rgb24 < raw`,
    ],
    cwd: dir.path,
  }).output();
  assertMatch(decoder.decode(stderr), /^walkcut: [^\n]*ends inside a frame[^\n]*\n$/);
  assertEquals([code, stdout.length], [1, 2 * bytes]);
});

/** Times of a file's frames in seconds, in the order in which a player shows them. */
async function frameTimes(path: string): Promise<number[]> {
  const { stdout } = await new Deno.Command("ffmpeg", {
    args: ["-v", "error", "-i", `file:${path}`, "-an", "-fps_mode", "passthrough", "-f", "framecrc", "-"],
    stdin: "null",
  }).output();
  const text = decoder.decode(stdout);
  const [, num, den] = /^#tb 0: (\d+)\/(\d+)/m.exec(text) ?? [];
  return text.split("\n").filter((line) => /^\d/.test(line))
    .map((line) => Number(line.split(",")[2]) * Number(num) / Number(den));
}

Deno.test("walkcut keeps every frame and its time where there is no sound", async () => {
  await using dir = await folder();
  // Frames at uneven times, so that a lost or swapped one shows.
  await ffmpeg(
    ...[
      "-f",
      "lavfi",
      "-i",
      "testsrc2=size=96x64:rate=25:duration=3",
      "-vf",
      "select=not(mod(n\\,7))+gt(mod(n\\,5)\\,2)",
    ],
    ...["-fps_mode", "passthrough", "-c:v", "ffv1", `${dir.path}/silent.mkv`],
  );
  const { code, stderr } = await walkcut(dir.path, ["silent.mkv", "--null-model", "-o", "out.mp4"]);
  assertEquals(code, 0, stderr);
  const [before, after] = [
    await frameTimes(`${dir.path}/silent.mkv`),
    await frameTimes(`${dir.path}/out.mp4`),
  ];
  assertEquals(after.length, before.length);
  before.forEach((time, i) => assertAlmostEquals(after[i]!, time, 0.002, `frame ${i}`));
});
