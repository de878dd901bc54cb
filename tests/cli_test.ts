import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { editDistance, helpText, nearest, parseCommand, readTime } from "../lib/cli/command.ts";
import { commands } from "../lib/cli/commands.ts";
import { segmentCommand } from "../lib/cli/options.ts";
import { durationText, Progress, rateText } from "../lib/cli/progress.ts";
import { ahead, Guarded, until } from "../lib/cli/streams.ts";
import { segmenterOptions } from "../lib/cli/segment.ts";
import { splitWords } from "../lib/cli/words.ts";
import { UsageError } from "../lib/errors.ts";
import { scene } from "../lib/eval/scene.ts";
import { V8_FLAGS } from "../lib/setup/permissions.ts";
import { resident } from "./program.ts";
import { FrameSegmenter } from "../lib/frame_segmenter.ts";
import { uniform } from "../lib/random.ts";

const ROOT = new URL("../", import.meta.url).pathname;
const MAIN = `${ROOT}main.ts`;
const PERMISSIONS = ["--allow-read", "--allow-write", "--allow-env", "--allow-run"];

// --- the table of options -------------------------------------------------------------------------------

Deno.test("parseCommand() reads every kind of value", () => {
  const { values, positionals } = parseCommand(segmentCommand, [
    ...["in put.mp4", "-o", "-", "--output-format=y4m", "--opacity", "0.25", "--grid", "32", "-y"],
    ...[
      "--start",
      "1:02.5",
      "--size",
      "640x360",
      "--fps",
      "30000/1001",
      "--shard",
      "2/4",
      "--segment",
      "3,5",
    ],
  ]);
  assertEquals(positionals, ["in put.mp4"]);
  assertEquals(values, {
    output: ["-"],
    "output-format": "y4m",
    opacity: 0.25,
    grid: 32,
    overwrite: true,
    start: 62.5,
    size: { width: 640, height: 360 },
    fps: { num: 30000, den: 1001 },
    shard: { index: 2, count: 4 },
    segment: [3, 5],
  });
});

Deno.test("parseCommand() takes what follows -- as names", () => {
  assertEquals(parseCommand(segmentCommand, ["-q", "--", "--grid"]).positionals, ["--grid"]);
});

for (
  const [args, line] of [
    [["x", "--opactiy", "1"], "Unknown option: --opactiy; did you mean --opacity?"],
    [["x", "--qqqqqqqq"], "Unknown option: --qqqqqqqq; see walkcut segment --help"],
    [["x", "--grid", "33"], "Wrong --grid: 33; it is 64 or 32"],
    [["x", "--threshold", "9"], "Wrong --threshold: 9; it is a number from 0 to 2"],
    [["x", "--opacity", "2"], "Wrong --opacity: 2; it is a number from 0 to 1"],
    [["x", "--opacity", "0x1"], "Wrong --opacity: 0x1; it is a number from 0 to 1"],
    [["x", "--frames", "1.5"], "Wrong --frames: 1.5; it is a whole number, 1 or more"],
    [["x", "--start", "abc"], "Wrong --start: abc; it is seconds or HH:MM:SS.mmm"],
    [["x", "--shard", "5/4"], "Wrong --shard: 5/4; it is I/N with 1 ≤ I ≤ N, as 2/4"],
    [["x", "--labels", "--stats", "s"], "--labels needs a value: --stats; give it as --labels PATH"],
    [["x", "-o"], "--output needs a value; give it as --output PATH"],
    [["x", "y"], "Unexpected argument of segment: y; give one INPUT, and the output after -o"],
    [["--grid", "32"], "segment needs INPUT; see walkcut segment --help"],
  ] as const
) {
  Deno.test(`parseCommand() says "${line}"`, () => {
    assertEquals(assertThrows(() => parseCommand(segmentCommand, args), UsageError).message, line);
  });
}

Deno.test("readTime() reads clock times and rejects what is none", () => {
  for (
    const [text, seconds] of [["0", 0], ["12.5", 12.5], [".5", 0.5], ["1:02", 62], [
      "01:02:03.25",
      3723.25,
    ]] as const
  ) {
    assertEquals(readTime(text), seconds, text);
  }
  for (const text of ["", "-1", "1:60", "1:2:3:4", "1e3", "abc", "1:", "99:61:00", "NaN", " 1"]) {
    assert(Number.isNaN(readTime(text)), text);
  }
});

Deno.test("editDistance() is a metric that counts swaps once", () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const random = uniform(seed);
  const word = () =>
    Array.from({ length: Math.floor(random() * 7) }, () => "abc"[Math.floor(random() * 3)]).join("");
  for (let k = 0; k < 300; k++) {
    const [a, b] = [word(), word()];
    const d = editDistance(a, b);
    assertEquals(d, editDistance(b, a), `seed ${seed}: ${a} ${b}`);
    assertEquals(d === 0, a === b, `seed ${seed}: ${a} ${b}`);
    assert(
      d <= Math.max(a.length, b.length) && d >= Math.abs(a.length - b.length),
      `seed ${seed}: ${a} ${b}`,
    );
  }
  assertEquals(editDistance("sahred", "shared"), 1);
  assertEquals(nearest("--lables", ["--labels", "--levels"]), "--labels");
  assertEquals(nearest("--x", ["--labels"]), undefined);
});

Deno.test("helpText() shows every option that is not hidden, in lines that fit a terminal", async () => {
  for (const entry of commands) {
    const command = await entry.command();
    const text = helpText(command);
    for (const option of command.options) {
      assertEquals(
        text.includes(`--${option.name}`),
        !("hidden" in option),
        `${entry.name} --${option.name}`,
      );
    }
    for (const line of text.split("\n")) assert(line.length <= 110, `${entry.name}: ${line}`);
  }
});

Deno.test("splitWords() splits as a shell does", () => {
  assertEquals(splitWords(`-tune film  -metadata 'title=a b' "say \\"x\\"" a\\ b ''`), [
    "-tune",
    "film",
    "-metadata",
    "title=a b",
    'say "x"',
    "a b",
    "",
  ]);
  assertThrows(() => splitWords("'open"), UsageError, "left open");
});

// --- streams ------------------------------------------------------------------------------------------

async function* count(n: number, made: number[], fail = Infinity) {
  for (let i = 0; i < n; i++) {
    if (i === fail) throw new Error("made to fail");
    made.push(i);
    yield i;
    await Promise.resolve();
  }
}

Deno.test("ahead() keeps order and runs no further ahead than its depth", async () => {
  const made: number[] = [], got: number[] = [];
  for await (const i of ahead(count(50, made), 3)) {
    await new Promise((resolve) => setTimeout(resolve, i % 7 === 0 ? 2 : 0));
    got.push(i);
    assert(made.length - got.length <= 4, `made ${made.length}, taken ${got.length}`);
  }
  assertEquals(got, [...Array(50).keys()]);
});

Deno.test("ahead() overlaps the maker and the taker", async () => {
  let open = 0, both = 0;
  async function* slow() {
    for (let i = 0; i < 6; i++) {
      open |= 1;
      await new Promise((resolve) => setTimeout(resolve, 3));
      if (open & 2) both++;
      open &= ~1;
      yield i;
    }
  }
  for await (const _ of ahead(slow(), 2)) {
    open |= 2;
    await new Promise((resolve) => setTimeout(resolve, 3));
    open &= ~2;
  }
  assert(both > 0, "they never worked at the same time");
});

Deno.test("ahead() delivers what came before a failure, then the failure", async () => {
  const got: number[] = [];
  let message = "";
  try {
    for await (const i of ahead(count(9, [], 5), 2)) got.push(i);
  } catch (error) {
    message = (error as Error).message;
  }
  assertEquals([got, message], [[0, 1, 2, 3, 4], "made to fail"]);
});

Deno.test("ahead() ends its source when its reader stops", async () => {
  let ended = false;
  async function* source() {
    try {
      for (let i = 0;; i++) yield await Promise.resolve(i);
    } finally {
      ended = true;
    }
  }
  for await (const i of ahead(source(), 2)) if (i === 3) break;
  assert(ended);
});

Deno.test("until() stops at the signal, also while nothing comes", async () => {
  const controller = new AbortController();
  async function* stuck() {
    yield 1;
    await new Promise(() => {});
  }
  const got: number[] = [];
  for await (const i of until(stuck(), controller.signal)) {
    got.push(i);
    setTimeout(() => controller.abort(), 1);
  }
  assertEquals(got, [1]);
});

Deno.test("Guarded keeps an error for later", async () => {
  const got: number[] = [];
  const guarded = new Guarded(count(5, [], 3));
  for await (const i of guarded) got.push(i);
  assertEquals([got, (guarded.failure?.error as Error).message], [[0, 1, 2], "made to fail"]);
});

// --- progress -----------------------------------------------------------------------------------------

/** A progress on a clock of its own: `step` milliseconds a frame. */
function drive(mode: "bar" | "plain" | "json" | "none", total: number | undefined, steps: readonly number[]) {
  let now = 0, text = "";
  const progress = new Progress({
    mode,
    ...(total === undefined ? {} : { total }),
    write: (t) => text += t,
    now: () => now,
    columns: 80,
  });
  for (const step of steps) {
    now += step;
    progress.frame(5);
  }
  progress.end();
  return text;
}

Deno.test("Progress takes rate and ETA from a recent window", () => {
  // 200 fast frames, then slow ones: an average over the whole run would promise an end far too early.
  const steps = [...Array(200).fill(10), ...Array(100).fill(500)];
  const last = drive("json", 400, steps).trim().split("\n").map((line) => JSON.parse(line)).at(-1);
  assertEquals([last.frame, last.total, last.segments], [300, 400, 5]);
  assertAlmostEquals(last.fps, 2, 0.01);
  assertAlmostEquals(last.eta, 50, 0.5);
});

Deno.test("Progress in JSON has no rate before it knows one, and no total where there is none", () => {
  const lines = drive("json", undefined, [100, 400]).trim().split("\n").map((line) => JSON.parse(line));
  assertEquals(lines[0], { frame: 1, total: null, fps: null, eta: null, segments: 5 });
  assertEquals(lines.at(-1).fps, 2.5);
});

Deno.test("Progress as a bar stays on one line of the terminal and clears it at the end", () => {
  const text = drive("bar", 1000, Array(300).fill(40));
  assert(!text.includes("\n"));
  assert(text.endsWith("\r\x1b[K"));
  for (const drawn of text.split("\r\x1b[K")) assert(drawn.length < 80, drawn);
  assertMatch(text, /25\.0 fps {2}ETA 0:2\d/);
});

Deno.test("Progress in plain lines tells seconds a frame below 1 fps", () => {
  assertMatch(
    drive("plain", 10, Array(4).fill(2500)),
    /^40 % {2}frame 4\/10 {2}2\.5 s\/frame {2}ETA 0:15 {2}5 segments$/m,
  );
  assertEquals(drive("none", 10, Array(4).fill(2500)), "");
  assertEquals([rateText(0.4), rateText(12.34), durationText(3723), durationText(59.6)], [
    "2.5 s/frame",
    "12.3 fps",
    "1:02:03",
    "1:00",
  ]);
});

// --- the real program ---------------------------------------------------------------------------------

interface Result {
  readonly code: number;
  readonly stdout: Uint8Array<ArrayBuffer>;
  readonly stderr: string;
}

const decoder = new TextDecoder();

/** Runs the program in a folder of its own. */
async function walkcut(
  cwd: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Result> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "--no-check", ...PERMISSIONS, MAIN, ...args],
    cwd,
    env,
    stdin: "null",
  }).output();
  return { code, stdout, stderr: decoder.decode(stderr) };
}

async function ffmpeg(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("ffmpeg", {
    args: ["-v", "error", "-nostdin", ...args],
    stdin: "null",
  }).output();
  assert(success, decoder.decode(stderr));
}

/** Makes a folder with the inputs of the tests; it is removed when the test is done. */
async function folder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await Deno.makeTempDir({ prefix: "walkcut-cli-" });
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
    ...["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", `${path}/clip.mp4`],
  );
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

async function names(path: string): Promise<string[]> {
  const list: string[] = [];
  for await (const { name } of Deno.readDir(path)) list.push(name);
  return list.sort();
}

/** Checks the one line on stderr, the exit code, and that no file was left. */
async function assertFails(
  dir: string,
  args: readonly string[],
  expected: { code: number; line: RegExp },
  env: Record<string, string> = {},
): Promise<void> {
  const before = await names(dir);
  const { code, stdout, stderr } = await walkcut(dir, args, env);
  const what = `walkcut ${args.join(" ")}`;
  assertMatch(stderr, /^walkcut: [^\n]+\n$/, `${what}: not one line: ${JSON.stringify(stderr)}`);
  assertMatch(stderr, expected.line, what);
  assertEquals(code, expected.code, `${what}: ${stderr}`);
  assertEquals(stdout.length, 0, `${what}: stdout`);
  assertEquals(await names(dir), before, `${what}: files were left`);
}

Deno.test("walkcut answers wrong usage and unreadable input with one line and code 2", async () => {
  await using dir = await folder();
  const { path } = dir;
  await Deno.writeTextFile(`${path}/text.mp4`, "This is no video.\n".repeat(50));
  await ffmpeg("-f", "lavfi", "-i", "sine=duration=1", `${path}/sound.mp4`);
  await Deno.writeTextFile(`${path}/there.mp4`, "precious");
  const cases: [string[], RegExp][] = [
    [["missing.mp4"], /missing\.mp4/],
    [["text.mp4"], /text\.mp4/],
    [["sound.mp4"], /no video/],
    [["clip.mp4", "-o", "nowhere/out.mp4"], /folder does not exist: nowhere/],
    [["clip.mp4", "-o", "there.mp4"], /exists: there\.mp4; .*-y/],
    [["clip.mp4", "-o", "clip.mp4", "-y"], /same file/],
    [["clip.mp4", "--opactiy", "1"], /--opactiy; did you mean --opacity\?/],
    [["clip.mp4", "--grid", "33"], /--grid: 33/],
    [["clip.mp4", "--threshold", "9"], /--threshold: 9/],
    [["clip.mp4", "-o", "-"], /--output-format/],
    [["clip.mp4", "--show", "cutout", "--segment", "1", "-o", "o.mp4"], /alpha: o\.mp4/],
    [["clip.mp4", "--model", "no-such-model"], /no-such-model/],
  ];
  for (const [args, line] of cases) await assertFails(path, args, { code: 2, line });
  assertEquals(await Deno.readTextFile(`${path}/there.mp4`), "precious");
});

Deno.test("walkcut ends with 4 where there is no ffmpeg, with 3 where there is no adapter", async () => {
  await using dir = await folder();
  await assertFails(
    dir.path,
    ["clip.mp4"],
    { code: 4, line: /ffmpeg was not found.*apt-get install ffmpeg/ },
    {
      PATH: "",
      FFMPEG_BIN: "",
    },
  );
  await assertFails(dir.path, ["clip.mp4", "--device", "webgpu"], { code: 3, line: /--device cpu/ }, {
    VK_DRIVER_FILES: "/nonexistent.json",
    VK_ICD_FILENAMES: "/nonexistent.json",
    LIBGL_ALWAYS_SOFTWARE: "1",
    __EGL_VENDOR_LIBRARY_FILENAMES: "/nonexistent.json",
  });
});

Deno.test("walkcut --debug shows the stack below the line", async () => {
  await using dir = await folder();
  const { stderr } = await walkcut(dir.path, ["missing.mp4", "--debug"]);
  assertMatch(stderr, /^walkcut: .*missing\.mp4/);
  assertStringIncludes(stderr, "\n    at ");
});

Deno.test("walkcut --help and --version go to stdout with code 0", async () => {
  for (
    const [args, text] of [[["--help"], "walkcut [segment] INPUT"], [["--version"], "walkcut 0."]] as const
  ) {
    const { code, stdout, stderr } = await walkcut(ROOT, args);
    assertEquals([code, stderr], [0, ""]);
    assertStringIncludes(decoder.decode(stdout), text);
  }
});

Deno.test("walkcut completions bash completes commands, options and values", async () => {
  const { code, stdout } = await walkcut(ROOT, ["completions", "bash"]);
  assertEquals(code, 0);
  const complete = async (...words: string[]) => {
    const script = `${decoder.decode(stdout)}
compopt() { :; }
COMP_WORDS=(walkcut ${words.map((w) => `'${w}'`).join(" ")}); COMP_CWORD=${words.length}
_walkcut; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const result = await new Deno.Command("bash", { args: ["-c", script], cwd: `${ROOT}lib/std` }).output();
    assertEquals(decoder.decode(result.stderr), "");
    return decoder.decode(result.stdout).trim().split("\n");
  };
  assert((await complete("doc")).includes("doctor"));
  assertEquals(await complete("x.mp4", "--show", "ov"), ["overlay"]);
  assertEquals(await complete("x.mp4", "--opac"), ["--opacity"]);
  assertEquals(await complete("completions", "z"), ["zsh"]);
});

/** Frames that a file decodes to. */
async function frameCount(path: string): Promise<number> {
  const { stdout } = await new Deno.Command("ffmpeg", {
    args: [
      "-v",
      "error",
      "-i",
      `file:${path}`,
      "-map",
      "0:v",
      "-fps_mode",
      "passthrough",
      "-f",
      "framecrc",
      "-",
    ],
    stdin: "null",
  }).output();
  return decoder.decode(stdout).split("\n").filter((line) => /^\d/.test(line)).length;
}

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
  const flags = `run -q --no-check ${PERMISSIONS.join(" ")} '${MAIN}'`;
  const script = `
set -o pipefail
walkcut() { '${Deno.execPath()}' ${flags} "$@"; }
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
      `'${Deno.execPath()}' run -q --no-check ${PERMISSIONS.join(" ")} '${MAIN}' - --null-model \
        --input-format rgb24 --size 16x12 -o - --output-format rgb24 < raw`,
    ],
    cwd: dir.path,
  }).output();
  assertMatch(decoder.decode(stderr), /^walkcut: [^\n]*ends inside a frame[^\n]*\n$/);
  assertEquals([code, stdout.length], [1, 2 * bytes]);
});

/** Starts a run on an endless input and waits until it has done some frames. */
async function startEndless(path: string): Promise<{ child: Deno.ChildProcess; stderr: Promise<string> }> {
  const feed =
    `ffmpeg -v quiet -re -f lavfi -i testsrc2=size=64x48:rate=30 -f yuv4mpegpipe -pix_fmt yuv420p - | \
    exec '${Deno.execPath()}' run -q --no-check ${
      PERMISSIONS.join(" ")
    } '${MAIN}' - --null-model -o out.mp4 --progress json`;
  const child = new Deno.Command("bash", {
    // The pid of the last of a pipe is that of the program itself: lastpipe runs it in the shell's place.
    args: ["-c", `shopt -s lastpipe; ${feed}`],
    cwd: path,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let text = "";
  const begun = Promise.withResolvers<void>();
  const stderr = (async () => {
    for await (const part of child.stderr.pipeThrough(new TextDecoderStream())) {
      text += part;
      if ((text.match(/"frame"/g) ?? []).length >= 3) begun.resolve();
    }
    begun.resolve();
    return text;
  })();
  await begun.promise;
  return { child, stderr };
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`walkcut closes its output whole at the first ${signal} and ends with 130`, async () => {
    await using dir = await folder();
    const { child, stderr } = await startEndless(dir.path);
    child.kill(signal);
    const { code } = await child.status;
    assertEquals(code, 130, await stderr);
    const line = (await stderr).trim().split("\n").at(-1) ?? "";
    assertMatch(line, /^walkcut: interrupted: \d+ frames, .*wrote out\.mp4$/);
    assertEquals(await names(dir.path), ["clip.mp4", "out.mp4"]);
    assertEquals(await frameCount(`${dir.path}/out.mp4`), Number(/(\d+) frames/.exec(line)?.[1]));
  });
}

Deno.test("walkcut stops at once at the second SIGINT", async () => {
  await using dir = await folder();
  const { child, stderr } = await startEndless(dir.path);
  child.kill("SIGINT");
  child.kill("SIGINT");
  const { code } = await child.status;
  assertEquals(code, 130, await stderr);
});

Deno.test("walkcut demo renders, segments and scores a scene, and says where the overlay is", async () => {
  await using dir = await folder();
  const { code, stderr } = await walkcut(dir.path, [
    "demo",
    "--seconds",
    "1",
    "--device",
    "cpu",
    "--grid",
    "32",
  ]);
  assertEquals(code, 0, stderr);
  const miou = Number(/mIoU ([\d.]+)/.exec(stderr)?.[1]);
  assert(miou > 0.5 && miou <= 1, stderr);
  assertMatch(stderr, /the overlay is out\/scene\.overlay\.mp4\n$/);
  assertEquals(await frameCount(`${dir.path}/out/scene.overlay.mp4`), 30);
});

Deno.test("walkcut --stall-timeout names the stage that stands still and keeps what was done", async () => {
  await using dir = await folder();
  const program = `'${Deno.execPath()}' run -q --no-check ${PERMISSIONS.join(" ")} '${MAIN}'`;
  const raw = "--null-model --input-format gray8 --size 16x16 --stall-timeout 1";
  const cases = [
    // Two frames, then nothing for longer than the program waits.
    [
      `(head -c 512 /dev/zero; sleep 4) | ${program} - ${raw} -o out.mp4`,
      /^walkcut: No frame has moved for 1 s: the input; /,
    ],
    // A reader that takes nothing: the pipe fills.
    [
      `head -c 2000000 /dev/zero | ${program} - ${raw} -o - --output-format rgb24 | sleep 4`,
      /: the output stdout; /,
    ],
  ] as const;
  for (const [script, line] of cases) {
    const { code, stderr } = await new Deno.Command("bash", {
      args: ["-c", `${script}\nexit \${PIPESTATUS[1]}`],
      cwd: dir.path,
      stdout: "null",
    }).output();
    assertMatch(decoder.decode(stderr), line);
    assertMatch(decoder.decode(stderr), /^[^\n]+\n$/);
    assertEquals(code, 1);
  }
  assertEquals(await frameCount(`${dir.path}/out.partial.mp4`), 2);
});

Deno.test({
  name: "walkcut keeps its memory while frames go by",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const [width, height, frames] = [160, 90, 10_000];
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        // As the task and the launcher start it.
        ...["run", "-q", "--no-check", V8_FLAGS],
        ...[...PERMISSIONS, MAIN, "-", "--null-model", "-q"],
        ...["--input-format", "rgb24", "--size", `${width}x${height}`, "-o", "-", "--output-format", "rgb24"],
      ],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    let bytes = 0;
    const reading = (async () => {
      for await (const chunk of child.stdout) bytes += chunk.length;
    })();
    const writer = child.stdin.getWriter();
    const frame = new Uint8Array(width * height * 3);
    // Garbage comes and goes: what counts is the most in a while.
    let [early, late] = [0, 0];
    for (let i = 1; i <= frames; i++) {
      await writer.write(frame.fill(i & 255));
      // The pipes hold a few frames: what was written before is through.
      if (i % 250 !== 0) continue;
      const now = await resident(child.pid);
      if (i > 0.1 * frames && i <= 0.3 * frames) early = Math.max(early, now);
      if (i > 0.8 * frames) late = Math.max(late, now);
    }
    await writer.close();
    await reading;
    assertEquals([(await child.status).code, bytes], [0, frames * frame.length]);
    // What is kept of each frame shows: 7,000 frames are 300 MB.
    assert(late < 1.15 * early, `${early} KiB in an early fifth of the frames, ${late} KiB in the last`);
  },
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

Deno.test("segmenterOptions() carries every option of the cut to the cut", async () => {
  const { frame } = [...scene({ width: 160, height: 96, fps: 1, seconds: 2, seed: 5 })][0]!;
  const run = async (...args: string[]) => {
    const { values } = parseCommand(segmentCommand, ["x", "--device", "cpu", "--grid", "32", ...args]);
    const segmenter = await FrameSegmenter.create(segmenterOptions(values));
    const { labels, stats } = await segmenter.segment({ ...frame, data: frame.data.slice() });
    await segmenter.close();
    return { labels: labels.join(), stats };
  };
  const usual = await run();
  const others = [
    ["--threshold", "0.9"],
    ["--walk-steps", "4"],
    ["--levels", "16"],
    ["--max-segments", "2"],
    ["--min-area", "0.3"],
    ["--adjacency", "cosine"],
    ["--adjacency", "walk"],
    ["--stop", "manc-mincut"],
    ["--stop", "manc-mincut=bipartition"],
  ];
  const idle: string[] = [];
  for (const options of others) {
    if ((await run(...options)).labels === usual.labels) idle.push(options.join(" "));
  }
  for (const solver of ["factor", "operator"]) {
    if ((await run("--solver", solver)).stats.solver !== solver) idle.push(`--solver ${solver}`);
  }
  assertEquals(idle, [], "these options change nothing");
});
