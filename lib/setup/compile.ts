/**
 * Builds a standalone executable: `deno task compile [OUTPUT]`.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { PERMISSION_FLAGS, V8_FLAGS } from "./permissions.ts";

/** What is read at run time and not imported. */
const INCLUDED = [
  "models/embedded.json",
  "models/embedded.onnx",
  "lib/segmenter_worker.ts",
  "lib/setup/checks.ts",
];

/** The line that says why a build failed, from what Deno printed. */
export function explain(stderr: string): string {
  const lines = (stderr.split("Stack backtrace")[0] ?? "").trim().split("\n");
  // The last of the causes is the first that happened.
  const cause = lines.findLast((line) => /^\s+\d+: /.test(line)) ?? lines.find((line) => /error/i.test(line));
  const why = (cause ?? lines.at(-1) ?? "").replace(/^\s+\d+: /, "").trim();
  return /denort|download|fetch|client error|dns|connect|tunnel/i.test(stderr)
    ? `Deno cannot fetch the base binary of standalone programs here: ${why}; build where it can be reached, or use deno task install`
    : `The standalone program was not built: ${why}`;
}

/** Builds it; returns undefined, or the line that says why it could not be built. */
export async function compile(output: string): Promise<string | undefined> {
  const root = fileURLToPath(new URL("../../", import.meta.url));
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "compile",
      ...["--config", `${root}deno.json`, "--no-check", "--output", output],
      // Of node_modules only what is imported.
      "--exclude-unused-npm",
      V8_FLAGS,
      ...PERMISSION_FLAGS,
      // The name is looked up when the program runs; FFMPEG_BIN is not known yet.
      "--allow-run",
      ...INCLUDED.flatMap((path) => ["--include", root + path]),
      `${root}main.ts`,
    ],
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "null",
  }).output();
  return success ? undefined : explain(new TextDecoder().decode(stderr));
}

if (import.meta.main) {
  const output = Deno.args[0] ?? "walkcut";
  const failure = await compile(output);
  console.error(`walkcut: ${failure ?? `wrote ${output}`}`);
  Deno.exit(failure === undefined ? 0 : 1);
}
