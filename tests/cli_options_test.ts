import { assert, assertEquals, assertThrows } from "@std/assert";
import { editDistance, helpText, nearest, parseCommand, readTime } from "../lib/cli/command.ts";
import { commands } from "../lib/cli/commands.ts";
import { segmentCommand } from "../lib/cli/options.ts";
import { segmenterOptions } from "../lib/cli/segment.ts";
import { splitWords } from "../lib/cli/words.ts";
import { UsageError } from "../lib/errors.ts";
import { scene } from "../lib/eval/scene.ts";
import { FrameSegmenter } from "../lib/frame_segmenter.ts";
import { uniform } from "../lib/random.ts";

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
