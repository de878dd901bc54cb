import {
  assert,
  assertAlmostEquals,
  assertEquals,
  AssertionError,
  assertIsError,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { parseArgs } from "@std/cli/parse-args";

Deno.test("parseArgs() reads values, flags, aliases and negations", () => {
  const args = parseArgs([
    "in.mp4",
    "-o",
    "out.mp4",
    "--opacity=0.3",
    "--no-audio",
    "-y",
    "--start",
    "-5",
    "-",
  ], {
    string: ["output", "opacity", "start"],
    boolean: ["yes", "audio"],
    negatable: ["audio"],
    alias: { output: "o", yes: "y" },
  });
  assertEquals(args, {
    _: ["in.mp4", "-"],
    output: "out.mp4",
    opacity: "0.3",
    audio: false,
    yes: true,
    start: "-5",
  });
});

Deno.test("parseArgs() gathers, fills defaults, and takes all after -- as positionals", () => {
  const args = parseArgs(["--id", "1", "--id=2", "--", "--id", "007"], {
    string: ["_", "id", "mode"],
    collect: ["id"],
    default: { mode: "auto" },
  });
  assertEquals(args, { _: ["--id", "007"], id: ["1", "2"], mode: "auto" });
});

Deno.test("parseArgs() reads --flag=false as false and a missing value as an empty string", () => {
  assertEquals(parseArgs(["--quiet=false", "--out"], { string: ["out"], boolean: ["quiet"] }), {
    _: [],
    quiet: false,
    out: "",
  });
});

Deno.test("parseArgs() tells `unknown` of options and positionals, and drops what it refuses", () => {
  const seen: unknown[] = [];
  const args = parseArgs(["a", "--what=1", "-", "--", "b"], {
    unknown: (arg, key, value) => (seen.push([arg, key, value]), key === undefined),
  });
  assertEquals(args, { _: ["a", "-", "b"] });
  assertEquals(seen, [["a", undefined, undefined], ["--what", "what", "1"]]);
});

Deno.test("the assertions pass what holds and throw AssertionError at what does not", async () => {
  const error = new RangeError("out of range");
  const fail = () => {
    throw error;
  };
  const cases: [() => unknown, () => unknown][] = [
    [() => assert(1), () => assert(0)],
    [() => assertEquals({ a: [1] }, { a: [1] }), () => assertEquals([1], [2])],
    [() => assertNotEquals(1, 2), () => assertNotEquals([1], [1])],
    [() => assertAlmostEquals(1, 1 + 1e-9), () => assertAlmostEquals(1, 1.1)],
    [() => assertAlmostEquals(1, 1.05, 0.1), () => assertAlmostEquals(NaN, 1, 0.1)],
    [() => assertStringIncludes("abc", "b"), () => assertStringIncludes("abc", "d")],
    [() => assertMatch("abc", /b/), () => assertMatch("abc", /^b/)],
    [() => assertIsError(error, RangeError, "range"), () => assertIsError(error, TypeError)],
    [() => assertThrows(fail, RangeError, "range"), () => assertThrows(() => 1)],
    [() => assertThrows(fail), () => assertThrows(fail, RangeError, "another")],
  ];
  cases.forEach(([holds, fails], i) => {
    holds();
    let thrown: unknown;
    try {
      fails();
    } catch (e) {
      thrown = e;
    }
    if (!(thrown instanceof AssertionError)) throw new Error(`case ${i} threw ${thrown}`);
  });
  assertEquals(await assertRejects(() => Promise.reject(error), RangeError), error);
  await assertRejects(() => assertRejects(() => Promise.resolve(1)), AssertionError);
});
