/**
 * The program: `walkcut [COMMAND] …`.
 *
 * @module
 */
import config from "./deno.json" with { type: "json" };
import { nearest } from "./lib/cli/command.ts";
import { commands } from "./lib/cli/commands.ts";
import { ExitCode, oneLine, WalkcutError } from "./lib/errors.ts";

/** Runs the program on its arguments; resolves to the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    return await dispatch(args);
  } catch (error) {
    if (isBrokenPipe(error)) return ExitCode.Done;
    return tell(error, args.includes("--debug"));
  }
}

async function dispatch(args: readonly string[]): Promise<number> {
  const [first] = args;
  if (first === undefined || first === "--help" || first === "-h") {
    console.log(overview());
    return first === undefined ? ExitCode.Usage : ExitCode.Done;
  }
  if (first === "--version" || first === "-V") {
    console.log(`walkcut ${config.version}`);
    return ExitCode.Done;
  }
  const named = commands.find(({ name }) => name === first);
  const command = named ?? commands[0];
  const run = await command!.load();
  try {
    return await run(named ? args.slice(1) : [...args]);
  } catch (error) {
    if (!named && error instanceof WalkcutError) hintAtCommand(error, first);
    throw error;
  }
}

/** An input that is not there and looks like a command was meant as one. */
function hintAtCommand(error: WalkcutError, first: string): void {
  if (error.exitCode !== ExitCode.Usage || !/^[a-z]+$/.test(first) || !error.message.includes(first)) return;
  const near = nearest(first, commands.map(({ name }) => name));
  if (near) error.message += `, or did you mean the command ${near}?`;
}

function overview(): string {
  const rows = commands.map(({ name, usage, summary }) => [
    `walkcut ${name === "segment" ? "[segment]" : name} ${usage}`,
    summary,
  ]);
  const width = Math.max(...rows.map(([left]) => left!.length));
  return [
    "walkcut segments video by cutting the random walk of a network's self-attention.",
    "",
    "Usage:",
    ...rows.map(([left, right]) => `  ${left!.padEnd(width)}  ${right}`),
    `  ${
      "walkcut COMMAND --help | --help | --version".padEnd(width)
    }  the options of a command, this text, the version`,
    "",
    "Exit codes: 0 done, 1 failed while running, 2 wrong usage or unreadable input, 3 no such device,",
    "4 ffmpeg is missing or failed, 130 interrupted.",
  ].join("\n");
}

function isBrokenPipe(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe;
}

/** Prints one line for an error and returns the exit code. */
function tell(error: unknown, debug: boolean): number {
  if (error instanceof WalkcutError) {
    console.error(`walkcut: ${error.message}`);
  } else if (error instanceof Deno.errors.NotCapable) {
    const advice = /run access/.test(error.message)
      ? "; deno task walkcut allows the ffmpeg that FFMPEG_BIN names"
      : "";
    console.error(`walkcut: Deno does not allow this: ${oneLine(error.message)}${advice}`);
  } else {
    const found = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    console.error(`walkcut: Unexpected failure: ${oneLine(found)}; --debug shows where`);
  }
  if (debug) console.error(error instanceof Error ? error.stack : error, ...causes(error));
  return error instanceof WalkcutError ? error.exitCode : ExitCode.Failed;
}

function causes(error: unknown): string[] {
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause === undefined) return [];
  return [`\ncaused by ${cause instanceof Error ? cause.stack : String(cause)}`, ...causes(cause)];
}

if (import.meta.main) {
  const code = await main(Deno.args);
  // Workers and pipes that are still open must not hold a finished program.
  Deno.exit(code);
}
