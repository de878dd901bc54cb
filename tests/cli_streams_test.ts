import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { durationText, Progress, rateText } from "../lib/cli/progress.ts";
import { ahead, Guarded, until } from "../lib/cli/streams.ts";

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
