/**
 * Runs all tests in two processes at a time, those that open a GPU in one of them: a software device does
 * not stand two threads of a process that close it at once, which `deno test --parallel` would bring about.
 *
 * @module
 */

/** What a test file says that opens a device itself. */
const OPENS_GPU = /openGpu|WebGpu|webgpu|device_matrices/;

/** How a run of `deno test` ends. */
const SUMMARY = /^(?:ok|FAILED) \| (\d+) passed.*?\| (\d+) failed/m;

interface Ended {
  readonly text: string;
  readonly code: number;
  readonly passed: number;
  readonly failed: number;
}

/** Runs some test files; `live` are those whose lines are passed on as they come. */
async function runTests(files: readonly string[], live: boolean): Promise<Ended> {
  const { stdout, stderr, status } = new Deno.Command(Deno.execPath(), {
    args: [
      ...["test", "-q", "--no-prompt"],
      ...["read", "write", "env", "run", "sys"].map((what) => `--allow-${what}`),
      ...Deno.args,
      ...files,
    ],
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let text = "";
  const take = async (from: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    for await (const bytes of from) {
      text += decoder.decode(bytes, { stream: true });
      if (live) await Deno.stdout.write(bytes);
    }
  };
  await Promise.all([take(stdout), take(stderr)]);
  const [, passed = "0", failed = "0"] = SUMMARY.exec(text) ?? [];
  return { text, code: (await status).code, passed: Number(passed), failed: Number(failed) };
}

const folder = new URL(".", import.meta.url);
const files = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) =>
  name.endsWith("_test.ts")
)
  .sort();
const opening = files.filter((name) => OPENS_GPU.test(Deno.readTextFileSync(new URL(name, folder))));
const rest = files.filter((name) => !opening.includes(name));
const paths = (names: readonly string[]) => names.map((name) => `tests/${name}`);
const started = performance.now();
const ended = await Promise.all([runTests(paths(opening), true), runTests(paths(rest), false)]);
console.log(ended[1].text);
const sum = (of: "passed" | "failed") => ended.reduce((all, { [of]: count }) => all + count, 0);
const bad = ended.some(({ code }) => code !== 0);
const seconds = Math.round((performance.now() - started) / 1000);
console.log(`${bad ? "FAILED" : "ok"} | ${sum("passed")} passed | ${sum("failed")} failed (${seconds}s)`);
Deno.exit(bad ? 1 : 0);
