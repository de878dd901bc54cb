/**
 * How `walkcut eval` says what it found: tables for people, JSON, comma-separated values.
 *
 * @module
 */
import { WalkcutError } from "../errors.ts";
import { classTotals } from "../eval/classes.ts";
import { type ImageScore, MEASURES, type Summary } from "../eval/run.ts";
import type { TableRow } from "../eval/tables.ts";
import type { EvalValues } from "./eval_options.ts";
import { writeStderr } from "./progress.ts";

/** Columns of a table: name, digits, factor (shares of the classes' protocol are shown in percent). */
const COLUMNS: Readonly<Record<typeof MEASURES[number], readonly [string, number, number]>> = {
  covering: ["covering", 3, 1],
  pri: ["PRI", 3, 1],
  voi: ["VoI", 3, 1],
  boundaryF: ["boundary F", 3, 1],
  accuracy: ["Acc", 1, 100],
  f1: ["F1", 1, 100],
  miou: ["mIoU", 1, 100],
  segments: ["segments", 1, 1],
  ms: ["ms", 0, 1],
};

/** A row of a table of data sets or configurations: its name, its scores, those of the paper. */
export type Row = readonly [string, Summary | undefined, TableRow["published"]?];

/** Prints a table on stderr and JSON on stdout, as asked. */
export function tell(values: EvalValues, rows: readonly Row[], json: unknown, title?: string): void {
  const shown = MEASURES.filter((m) => rows.some(([, summary]) => summary?.[m] !== undefined));
  const inPaper = (["accuracy", "f1", "miou"] as const).filter((m) =>
    rows.some(([, , p]) => p?.[m] !== undefined)
  );
  const head = [
    "",
    ...shown.map((m) => COLUMNS[m][0]),
    ...inPaper.map((m) => `${COLUMNS[m][0]} (paper)`),
  ];
  const body = rows.map(([label, summary, paper]) => [
    label,
    ...shown.map((m) => {
      const value = summary?.[m];
      return value === undefined ? "–" : (value * COLUMNS[m][2]).toFixed(COLUMNS[m][1]);
    }),
    ...inPaper.map((m) => paper?.[m]?.toFixed(1) ?? "–"),
  ]);
  if (!values.quiet) {
    const images = rows.find(([, summary]) => summary)?.[1]?.images;
    writeStderr(`${title ? title + ", " : ""}${images} pictures\n${table(head, body)}`);
  }
  if (values.json) console.log(JSON.stringify(json));
}

/** Text in columns, the first to the left, the others to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((row) => [...row[i]!].length)));
  return all.map((row) =>
    row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join("  ").trimEnd() +
    "\n"
  ).join("");
}

/** One row a picture, as comma-separated values. */
export function imageTable(scores: readonly ImageScore[]): string {
  const regions = scores.some((s) => s.covering !== undefined);
  const names = regions
    ? ["id", "covering", "pri", "voi", "boundary_f", "segments", "ms"]
    : ["id", "accuracy", "f1", "miou", "segments", "ms"];
  const rows = scores.map((s) => {
    const totals = s.counts ? classTotals(s.counts) : undefined;
    const numbers = totals
      ? [totals.accuracy, totals.f1, totals.miou]
      : [s.covering!, s.pri!, s.voi!, s.boundaryF!];
    return [quoted(s.id), ...numbers.map((v) => v.toFixed(5)), s.segments, s.ms.toFixed(1)].join(",");
  });
  return [names.join(","), ...rows, ""].join("\n");
}

function quoted(text: string): string {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Writes a text file. */
export async function writeText(path: string, text: string): Promise<void> {
  try {
    await Deno.writeTextFile(path, text);
  } catch (cause) {
    throw new WalkcutError({ what: "Cannot write", found: path, advice: "check its folder", cause });
  }
}
