/**
 * `parseArgs` with the signature and results of `@std/cli/parse-args`, over
 * `node:util`, for the options that walkcut uses: `string`, `boolean`,
 * `collect`, `alias`, `default`, `negatable`, `unknown`, `stopEarly`, `"--"`.
 *
 * @module
 */
import { parseArgs as nodeParseArgs } from "node:util";

/** Options of {@linkcode parseArgs}. */
export interface ParseOptions {
  /** Names that take a value; `"_"` keeps positionals as they were written. */
  string?: readonly string[];
  /** Names that take none. */
  boolean?: readonly string[];
  /** Names whose values are gathered in an array. */
  collect?: readonly string[];
  /** Boolean names that `--no-NAME` sets to false. */
  negatable?: readonly string[];
  /** Other names of a name. */
  alias?: Readonly<Record<string, string | readonly string[]>>;
  /** Values of names that were not given. */
  default?: Readonly<Record<string, unknown>>;
  /** Called for each argument that no name covers; returning false drops it. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** Result of {@linkcode parseArgs}: positionals under `_`. */
export type Args = { _: string[] } & Record<string, unknown>;

/** Splits a command line into named options and positionals. */
export function parseArgs(args: readonly string[], options: ParseOptions = {}): Args {
  const { string = [], boolean = [], collect = [], negatable = [], alias = {}, unknown } = options;
  const canonical = new Map<string, string>();
  // "_" asks that positionals stay strings, which they always do here.
  for (const name of [...string, ...boolean]) if (name !== "_") canonical.set(name, name);
  for (const [name, others] of Object.entries(alias)) {
    for (const other of typeof others === "string" ? [others] : others) canonical.set(other, name);
  }
  const takesValue = new Set(string);
  const known = (name: string) => canonical.get(name);
  const shape: Record<string, { type: "string" | "boolean"; short?: string }> = {};
  for (const [spelling, name] of canonical) {
    const type = takesValue.has(name) ? "string" as const : "boolean" as const;
    if (spelling.length > 1) shape[spelling] = { type, ...(shape[spelling] ?? {}) };
    else if (name.length > 1) shape[name] = { type, short: spelling };
    else shape[spelling] = { type, short: spelling };
  }
  for (const name of negatable) shape[`no-${name}`] = { type: "boolean" };
  const { tokens } = nodeParseArgs({
    args: [...args],
    options: shape,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const result: Args = { _: [] };
  const put = (name: string, value: unknown) => {
    if (!collect.includes(name)) result[name] = value;
    else result[name] = [...(result[name] as unknown[] | undefined) ?? [], value];
  };
  let ended = false;
  for (const token of tokens) {
    ended ||= token.kind === "option-terminator";
    if (token.kind === "positional") {
      if (!unknown || ended || token.value === "-" || unknown(token.value) !== false) {
        result._.push(token.value);
      }
      continue;
    }
    if (token.kind !== "option") continue;
    const negated = token.name.startsWith("no-") && negatable.includes(token.name.slice(3))
      ? token.name.slice(3)
      : undefined;
    if (negated) {
      put(negated, false);
      continue;
    }
    const name = known(token.name);
    if (name === undefined) {
      if (!unknown || unknown(token.rawName, token.name, token.value) !== false) {
        put(token.name, token.value ?? true);
      }
      continue;
    }
    put(name, takesValue.has(name) ? token.value ?? "" : token.value !== "false");
  }
  for (const [name, value] of Object.entries(options.default ?? {})) {
    if (!(name in result)) result[name] = value;
  }
  return result;
}
