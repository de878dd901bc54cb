/**
 * `walkcut eval --table`: the configurations of the paper's tables, beside its figures.
 *
 * @module
 */
import { ExitCode, UsageError, WalkcutError } from "../errors.ts";
import { type Dataset, openDataset } from "../eval/datasets.ts";
import { Journal, scoreDataset, summarise, type Summary } from "../eval/run.ts";
import { openStill, type StillOptions } from "../eval/still.ts";
import { PAPER, type TableRow } from "../eval/tables.ts";
import { chosenDataset } from "./eval_images.ts";
import { type EvalValues, progressOf, shared } from "./eval_options.ts";
import { tell } from "./eval_report.ts";
import { writeStderr } from "./progress.ts";
import { segmenterOptions } from "./segment.ts";

/** Nodes a side of the paper's graph. */
const PAPER_GRID = 64;

/**
 * A row's settings. The embedded network has no level finer than the grid, so that on a grid of 32 those are
 * left out.
 */
function rowOptions({ options }: TableRow, model: string, grid: number): StillOptions {
  if (model !== "embedded" || !options.levels) return options;
  return { ...options, levels: options.levels.filter((resolution) => resolution <= grid) };
}

/** The data set of the tables that compare none. */
const PAPER_DATASET = "coco-stuff-27";

/** What a row is scored on: the folders given, else its data set in `--data`, or in the folder of its name there. */
async function datasetOf({ dataset }: TableRow, values: EvalValues): Promise<Dataset> {
  if (values.data === undefined) return await chosenDataset(values);
  const name = dataset ?? (values.dataset === "davis" ? undefined : values.dataset) ?? PAPER_DATASET;
  const below = `${values.data}/${name}`;
  const isBelow = await Deno.stat(below).then(() => true, () => false);
  return await openDataset(name, isBelow ? below : values.data);
}

/** Runs a table of the paper. */
export async function evaluateTable(values: EvalValues): Promise<number> {
  if (values.data === undefined && (values.images === undefined || values.labels === undefined)) {
    throw new UsageError({
      what: `--table ${values.table} needs pictures`,
      advice:
        `give --data ROOT with the folder ${PAPER_DATASET} of the data set, or --images DIR --labels DIR`,
    });
  }
  const { title, rows } = PAPER[values.table!];
  const model = values.model ?? "embedded";
  if (model === "embedded") {
    writeStderr(
      "walkcut: on the embedded network: the paper's figures are those of Stable Diffusion 1.4" +
        (values.grid === 32 ? "; on a grid of 32 levels of 64 are left out" : "") + "\n",
    );
  }
  const grid = values.grid ?? PAPER_GRID;
  const results: { label: string; summary?: Summary; published: TableRow["published"]; reason?: string }[] =
    [];
  for (const [index, row] of rows.entries()) {
    const label = row.dataset ? `${row.dataset}, ${row.label}` : row.label;
    try {
      const dataset = await datasetOf(row, values);
      // The paper's segments are those that are cut, whatever contours are between them.
      const options = { ...segmenterOptions(values), grid, contour: 0, ...rowOptions(row, model, grid) };
      const journal = values.resume === undefined
        ? undefined
        : await Journal.open(`${values.resume}.${index + 1}`, { dataset: dataset.name, ...options });
      const prediction = await openStill(options);
      const progress = progressOf(values, Math.min(values.limit ?? Infinity, dataset.items.length));
      try {
        const scores = await scoreDataset(dataset, prediction, {
          ...shared(values),
          ...(journal ? { journal } : {}),
          onScore: ({ segments }) => progress.frame(segments),
        });
        results.push({ label, summary: summarise(scores, dataset), published: row.published });
      } finally {
        progress.end();
        await prediction.close();
      }
    } catch (error) {
      // A level that the network lacks or a data set that is not there takes one row, not the table.
      if (!(error instanceof WalkcutError)) throw error;
      results.push({ label, published: row.published, reason: error.message });
    }
  }
  if (results.every(({ summary }) => !summary)) {
    throw new WalkcutError({
      what: `No row of ${values.table} could be run`,
      found: results[0]!.reason ?? "",
    });
  }
  tell(
    values,
    results.map(({ label, summary, published }) => [label, summary, published]),
    { table: values.table, title, model, rows: results },
    title,
  );
  for (const { label, reason } of results) if (reason) writeStderr(`walkcut: ${label}: ${reason}\n`);
  return ExitCode.Done;
}
