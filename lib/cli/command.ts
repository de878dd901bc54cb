/**
 * Commands as tables: from one declaration of a command's options come its
 * parser, its checks, its help and its completions.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { UsageError } from "../errors.ts";
import { parseRate, parseSize } from "../source/numbers.ts";

interface OptionBase {
  /** Long name, without dashes. */
  readonly name: string;
  /** One letter, without the dash. */
  readonly alias?: string;
  /** What it means, without a full stop. */
  readonly help: string;
  /** The default as a person reads it; omitted where there is none. */
  readonly default?: string;
  /** Heading of the help under which it stands. */
  readonly group?: string;
  /** Understood but not shown, for benches. */
  readonly hidden?: true;
}

/** An option that is there or not. */
export interface FlagOption extends OptionBase {
  readonly kind: "flag";
}

/** An option with a number, checked against its range or its choices. */
export interface NumberOption extends OptionBase {
  readonly kind: "number" | "integer";
  /** Placeholder of the value in the help. */
  readonly value: string;
  readonly min?: number;
  readonly max?: number;
  readonly choices?: readonly number[];
  readonly unit?: string;
}

/** An option with seconds or `HH:MM:SS.mmm`. */
export interface TimeOption extends OptionBase {
  readonly kind: "time";
  readonly value: string;
}

/** An option with a width and a height, as `640x360`. */
export interface SizeOption extends OptionBase {
  readonly kind: "size";
  readonly value: string;
}

/** An option with a rate: a positive number or a ratio, as `30000/1001`. */
export interface RateOption extends OptionBase {
  readonly kind: "rate";
  readonly value: string;
}

/** An option with one part of several, as `2/4`. */
export interface ShardOption extends OptionBase {
  readonly kind: "shard";
  readonly value: string;
}

/** An option with numbers between commas. */
export interface ListOption extends OptionBase {
  readonly kind: "integers";
  readonly value: string;
  readonly min?: number;
  readonly max?: number;
}

/** An option with one word of a few. */
export interface ChoiceOption<C extends string = string> extends OptionBase {
  readonly kind: "choice";
  readonly choices: readonly C[];
}

/** An option with any text; `path` and `folder` complete to files and folders. */
export interface TextOption extends OptionBase {
  readonly kind: "text" | "path" | "folder";
  readonly value: string;
  /** True where it may be given several times; its value is then a list. */
  readonly repeats?: true;
}

/** Any option. */
export type Option =
  | FlagOption
  | NumberOption
  | TimeOption
  | SizeOption
  | RateOption
  | ShardOption
  | ListOption
  | ChoiceOption
  | TextOption;

/** What an option's value is once it is parsed. */
export type ValueOf<O extends Option> = O extends FlagOption ? true
  : O extends { kind: "number" | "integer"; choices: readonly (infer C)[] } ? C
  : O extends NumberOption | TimeOption ? number
  : O extends SizeOption ? { readonly width: number; readonly height: number }
  : O extends RateOption ? { readonly num: number; readonly den: number }
  : O extends ShardOption ? { readonly index: number; readonly count: number }
  : O extends ListOption ? readonly number[]
  : O extends ChoiceOption<infer C> ? C
  : O extends { repeats: true } ? readonly string[]
  : string;

/** The options that were given, by name. */
export type Values<T extends readonly Option[]> = {
  readonly [O in T[number] as O["name"]]?: ValueOf<O>;
};

/** A command: how it is called, and its options. */
export interface Command<T extends readonly Option[] = readonly Option[]> {
  readonly name: string;
  /** Arguments after the name, e.g. `INPUT [options]`. */
  readonly usage: string;
  /** One line: what it does. */
  readonly summary: string;
  /** Longer text under the usage, already wrapped. */
  readonly notes?: string;
  /** Fewest and most positional arguments. */
  readonly positionals: readonly [min: number, max: number];
  /** Words that complete the first positional argument; files where absent. */
  readonly words?: readonly string[];
  readonly options: T;
}

/** A command line, understood and checked. */
export interface Parsed<T extends readonly Option[]> {
  readonly values: Values<T>;
  readonly positionals: readonly string[];
  /** True where `--help` was asked for; nothing else was checked then. */
  readonly help: boolean;
  readonly debug: boolean;
}

/** Declares a command, keeping the literal types of its table. */
export function defineCommand<const T extends readonly Option[]>(command: Command<T>): Command<T> {
  return command;
}

/** Options that every command has. */
export const commonOptions = [
  { name: "help", alias: "h", kind: "flag", help: "show this help", group: "Other" },
  { name: "debug", kind: "flag", help: "show the stack of an error", group: "Other" },
] as const satisfies readonly Option[];

/**
 * Parses and checks a command line.
 *
 * @throws {UsageError} For an unknown option, a missing value, a value of the wrong kind
 * or outside its range, or a wrong number of positional arguments.
 */
export function parseCommand<const T extends readonly Option[]>(
  command: Command<T>,
  args: readonly string[],
): Parsed<T> {
  const table: readonly Option[] = [...command.options, ...commonOptions];
  const spellings = table.flatMap((o) => o.alias ? [`--${o.name}`, `-${o.alias}`] : [`--${o.name}`]);
  const raw = parseArgs(args, {
    string: ["_", ...table.filter((o) => o.kind !== "flag").map((o) => o.name)],
    boolean: table.filter((o) => o.kind === "flag").map((o) => o.name),
    collect: table.filter(repeats).map((o) => o.name),
    alias: Object.fromEntries(table.filter((o) => o.alias).map((o) => [o.name, o.alias as string])),
    unknown: (arg, key) => {
      if (key === undefined) return true;
      throw unknownOption(arg, spellings, command.name);
    },
  });
  const help = raw.help === true;
  const values: Record<string, unknown> = {};
  for (const option of table) {
    const given = raw[option.name];
    if (help || given === undefined || given === false) continue;
    values[option.name] = option.kind === "flag"
      ? true
      : repeats(option)
      ? (given as unknown[]).map((text) => readValue(option, String(text), spellings))
      : readValue(option, String(given), spellings);
  }
  const positionals = raw._.map(String);
  if (!help) checkPositionals(command, positionals);
  return { values: values as Values<T>, positionals, help, debug: values.debug === true };
}

function repeats(option: Option): boolean {
  return "repeats" in option && option.repeats === true;
}

function checkPositionals(command: Command, given: readonly string[]): void {
  const [min, max] = command.positionals;
  const advice = `see walkcut ${command.name} --help`;
  if (given.length < min) {
    throw new UsageError({ what: `${command.name} needs ${command.usage.split(" ")[given.length]}`, advice });
  }
  const extra = given[max];
  if (extra !== undefined) {
    throw new UsageError({
      what: `Unexpected argument of ${command.name}`,
      found: extra,
      advice: max === 1 && command.name === "segment" ? "give one INPUT, and the output after -o" : advice,
    });
  }
}

function unknownOption(arg: string, spellings: readonly string[], command: string): UsageError {
  const name = arg.split("=")[0] ?? arg;
  const near = nearest(name, spellings);
  return new UsageError({
    what: "Unknown option",
    found: name,
    advice: near ? `did you mean ${near}?` : `see walkcut ${command} --help`,
  });
}

/** Reads one value as its option says. */
function readValue(option: Exclude<Option, FlagOption>, text: string, spellings: readonly string[]): unknown {
  const wrong = (advice: string) => new UsageError({ what: `Wrong --${option.name}`, found: text, advice });
  if (text === "" || spellings.includes(text.split("=")[0] ?? "") && text.startsWith("--")) {
    throw new UsageError({
      what: `--${option.name} needs a value`,
      ...(text === "" ? {} : { found: text }),
      advice: `give it as --${option.name} ${placeholder(option)}`,
    });
  }
  switch (option.kind) {
    case "text":
    case "path":
    case "folder":
      return text;
    case "choice":
      if (option.choices.includes(text)) return text;
      throw wrong(`it is one of ${option.choices.join(", ")}`);
    case "number":
    case "integer": {
      const value = readNumber(text);
      if (option.choices) {
        if (option.choices.includes(value)) return value;
        throw wrong(`it is ${option.choices.join(" or ")}`);
      }
      const { min = -Infinity, max = Infinity } = option;
      const whole = option.kind === "number" || Number.isSafeInteger(value);
      if (value >= min && value <= max && whole) return value;
      throw wrong(`it is ${describeRange(option)}`);
    }
    case "integers": {
      const list = text.split(",").map(readNumber);
      const { min = -Infinity, max = Infinity } = option;
      if (list.every((v) => Number.isSafeInteger(v) && v >= min && v <= max)) return list;
      throw wrong(`it is whole numbers between commas, as ${option.value}`);
    }
    case "time": {
      const seconds = readTime(text);
      if (Number.isFinite(seconds)) return seconds;
      throw wrong("it is seconds or HH:MM:SS.mmm");
    }
    case "size":
      return parseSize(text);
    case "rate":
      return parseRate(text);
    case "shard": {
      const [, index, count] = /^(\d{1,6})\/(\d{1,6})$/.exec(text) ?? [];
      if (Number(index) >= 1 && Number(index) <= Number(count)) {
        return { index: Number(index), count: Number(count) };
      }
      throw wrong("it is I/N with 1 ≤ I ≤ N, as 2/4");
    }
  }
}

/** A decimal number, or NaN; `Number` alone would take "", " 1" and "0x10". */
function readNumber(text: string): number {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : NaN;
}

/** Seconds from `12.5`, `MM:SS.mmm` or `HH:MM:SS.mmm`; NaN for anything else. */
export function readTime(text: string): number {
  if (/^\d+(\.\d+)?$|^\.\d+$/.test(text)) return Number(text);
  const [, hours = "0", minutes, seconds] = /^(?:(\d+):)?([0-5]?\d):([0-5]?\d(?:\.\d+)?)$/.exec(text) ?? [];
  if (minutes === undefined || seconds === undefined) return NaN;
  return Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
}

/** How a value is written in the help. */
export function placeholder(option: Option): string {
  if (option.kind === "flag") return "";
  if (option.kind === "choice") return option.choices.join("|");
  if ("choices" in option && option.choices) return option.choices.join("|");
  return option.value;
}

function describeRange(option: NumberOption): string {
  const kind = option.kind === "integer" ? "a whole number" : "a number";
  const { min, max } = option;
  const unit = option.unit ? ` ${option.unit}` : "";
  if (min !== undefined && max !== undefined) return `${kind}${unit} from ${min} to ${max}`;
  if (min !== undefined) return `${kind}${unit}, ${min} or more`;
  if (max !== undefined) return `${kind}${unit}, ${max} or less`;
  return kind + unit;
}

/** The help of a command, from its table. */
export function helpText(command: Command): string {
  const lines = [
    `Usage: walkcut ${command.name === "segment" ? "[segment]" : command.name} ${command.usage}`,
    "",
    capital(command.summary) + ".",
  ];
  if (command.notes) lines.push("", command.notes);
  const shown = [...command.options, ...commonOptions].filter((o) => !(o as Option).hidden) as Option[];
  for (const group of new Set(shown.map((o) => o.group ?? "Options"))) {
    lines.push("", `${group}:`);
    for (const option of shown.filter((o) => (o.group ?? "Options") === group)) {
      lines.push(...optionHelp(option));
    }
  }
  return lines.join("\n");
}

const HELP_COLUMN = 28;
const HELP_WIDTH = 100;

function optionHelp(option: Option): string[] {
  const left = `  ${option.alias ? `-${option.alias}, ` : "    "}--${option.name}` +
    (option.kind === "flag" ? "" : ` ${shortPlaceholder(option)}`);
  const choices = option.kind === "choice" ? `: ${option.choices.join(", ")}` : "";
  const range = (option.kind === "number" || option.kind === "integer") && !option.choices &&
      (option.min !== undefined || option.max !== undefined)
    ? `, ${rangeText(option)}`
    : "";
  const fallback = option.default === undefined ? "" : ` (default ${option.default})`;
  const text = wrap(option.help + choices + range + fallback, HELP_WIDTH - HELP_COLUMN);
  const pad = " ".repeat(HELP_COLUMN);
  const first = left.length < HELP_COLUMN - 1 ? [left.padEnd(HELP_COLUMN) + (text.shift() ?? "")] : [left];
  return [...first, ...text.map((line) => pad + line)];
}

function shortPlaceholder(option: Exclude<Option, FlagOption>): string {
  return option.kind === "choice" ? "WORD" : placeholder(option);
}

function rangeText({ min, max, unit }: NumberOption): string {
  const numbers = min !== undefined && max !== undefined
    ? `${min} … ${max}`
    : min !== undefined
    ? `≥ ${min}`
    : `≤ ${max}`;
  return unit ? `${numbers} ${unit}` : numbers;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line ? `${line} ${word}` : word;
  }
  return [...lines, line];
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The known word nearest to `word` by edits, where one is near enough to be meant. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let fewest = Infinity;
  for (const candidate of known) {
    const edits = editDistance(word, candidate);
    if (edits < fewest) [best, fewest] = [candidate, edits];
  }
  const letters = word.replace(/^-+/, "").length;
  return fewest <= Math.max(1, Math.floor(letters / 2)) ? best : undefined;
}

/** Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`. */
export function editDistance(a: string, b: string): number {
  const at = (i: number, j: number) => i * (b.length + 1) + j;
  const d = new Uint32Array((a.length + 1) * (b.length + 1));
  const get = (i: number, j: number) => d[at(i, j)] ?? 0;
  for (let i = 0; i <= a.length; i++) d[at(i, 0)] = i;
  for (let j = 0; j <= b.length; j++) d[at(0, j)] = j;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const substitution = get(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let cost = Math.min(get(i - 1, j) + 1, get(i, j - 1) + 1, substitution);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, get(i - 2, j - 2) + 1);
      }
      d[at(i, j)] = cost;
    }
  }
  return get(a.length, b.length);
}
