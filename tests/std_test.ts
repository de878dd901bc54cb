import { assertEquals } from "@std/assert";
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
