/**
 * Options that several commands have, from the table of the first that has them.
 *
 * @module
 */
import type { Command, Option } from "./command.ts";

/** The options of the given names, as `command` declares them, in the order of the names. */
export function optionsOf<const T extends readonly Option[], const N extends T[number]["name"]>(
  command: Command<T>,
  ...names: readonly N[]
): Extract<T[number], { readonly name: N }>[] {
  return names.map((name) =>
    command.options.find((option) => option.name === name) as Extract<T[number], { readonly name: N }>
  );
}

/** The same options for a command whose help has no headings. */
export function ungrouped<O extends Option>(options: readonly O[]): O[] {
  return options.map(({ group: _, ...option }) => option as O);
}
