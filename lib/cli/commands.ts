/**
 * The commands of the program, each loaded when it is called.
 *
 * @module
 */
import type { Command } from "./command.ts";
import { completionsCommand, cutCommand, demoCommand, doctorCommand, segmentCommand } from "./options.ts";

/** Runs a command on its arguments; resolves to the exit code. */
export type Runner = (args: string[]) => Promise<number>;

/** A command of the program. */
export interface Entry {
  readonly name: string;
  /** What it is called with, in the list of commands. */
  readonly usage: string;
  readonly summary: string;
  /** Its table of options. */
  readonly command: () => Promise<Command>;
  readonly load: () => Promise<Runner>;
}

function entry(command: Command, load: () => Promise<Runner>): Entry {
  const { name, usage, summary } = command;
  return { name, usage, summary, command: () => Promise.resolve(command), load };
}

/** The commands in the order of the help; the first is the default. */
export const commands: readonly Entry[] = [
  entry(segmentCommand, async () => (await import("./segment.ts")).segment),
  entry(cutCommand, async () => (await import("./cut.ts")).cut),
  {
    name: "inspect",
    usage: "IMAGE|VIDEO -o OUT.png",
    summary: "figures: attention of a point, P^k, eigenvectors, the hierarchy",
    command: async () => (await import("./inspect.ts")).inspectCommand,
    load: async () => (await import("./inspect.ts")).inspect,
  },
  {
    name: "eval",
    usage: "[options]",
    summary: "score label maps against ground truth; the paper's tables",
    command: async () => (await import("./eval.ts")).evalCommand,
    load: async () => (await import("./eval.ts")).evaluate,
  },
  {
    name: "models",
    usage: "list|import|verify",
    summary: "networks: the embedded one, imported checkpoints",
    command: async () => (await import("./models.ts")).modelsCommand,
    load: async () => (await import("./models.ts")).models,
  },
  entry(doctorCommand, async () => (await import("./doctor.ts")).doctor),
  entry(demoCommand, async () => (await import("./demo.ts")).demo),
  entry(completionsCommand, async () => (await import("./completions.ts")).completions),
];
