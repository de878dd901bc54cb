/**
 * Region quality on photographs: the product's own pipeline beside its baselines, in one run.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { UsageError, WalkcutError } from "../../lib/errors.ts";
import { type Dataset, openDataset } from "../../lib/eval/datasets.ts";
import { type ImageScore, type Prediction, scoreImage, summarise, type Summary } from "../../lib/eval/run.ts";
import { openStill, type StillOptions } from "../../lib/eval/still.ts";

/**
 * `--data DIR` (images/ID.jpg and labels/ID_k.png), `--first N` pictures only, `--device`, `--grids 32,64`
 * of our own method, `--peers` (of {@linkcode PEERS}, or `none`), `--python FILE` with scikit-image,
 * `--json FILE` for the table in full precision.
 */
const OPTIONS = ["data", "first", "device", "grids", "peers", "python", "json"] as const;

/** Scales of Felzenszwalb among which the best is reported. */
const SCALES = [200, 500, 1000];

interface Row {
  readonly method: string;
  readonly summary: Summary;
}

/** Runs the bench; `args` as on the command line. */
export async function main(args: readonly string[]): Promise<void> {
  const { data, first, device, grids, peers, python, json } = parse(args);
  const whole = await openDataset("bsds500", data);
  const dataset = { ...whole, items: whole.items.slice(0, first) };
  console.log(`${dataset.items.length} pictures of ${data}`);
  console.log(header());
  const rows: Row[] = [];
  const show = (row: Row) => {
    rows.push(row);
    console.log(line(row));
  };
  for (const grid of grids) {
    show(await scoreOwn(`walkcut, grid ${grid}`, dataset, { segmenter: { grid, device } }));
  }
  for (const method of ["diffseg", "diffcut"] as const) {
    if (!peers.includes(method)) continue;
    show(await scoreOwn(`${method}, grid 32`, dataset, { method, segmenter: { grid: 32, device } }));
  }
  const foreign = peers.flatMap((peer) =>
    peer === "felzenszwalb"
      ? SCALES.map((scale) => `felzenszwalb-${scale}`)
      : peer === "slic-ncut" || peer === "kmeans"
      ? [peer]
      : []
  );
  if (foreign.length > 0) { for (const row of await scoreForeign(foreign, dataset, python)) show(row); }
  if (peers.includes("felzenszwalb")) {
    const best = rows.filter((row) => row.method.startsWith("felzenszwalb"))
      .reduce((a, b) => b.summary.covering! > a.summary.covering! ? b : a);
    console.log(`best scale by covering: ${best.method}`);
  }
  if (json !== undefined) await Deno.writeTextFile(json, JSON.stringify(rows, null, 2) + "\n");
}

type Peer = "felzenszwalb" | "slic-ncut" | "kmeans" | "diffseg" | "diffcut";
const PEERS: readonly Peer[] = ["felzenszwalb", "slic-ncut", "kmeans", "diffseg", "diffcut"];

function parse(args: readonly string[]) {
  const options: Record<string, unknown> = parseArgs([...args], {
    string: [...OPTIONS],
    unknown: (arg: string) => {
      throw new UsageError({
        what: "Unknown option of quality",
        found: arg,
        advice: `known are ${OPTIONS.map((name) => `--${name}`).join(", ")}`,
      });
    },
  });
  const text = (name: string) => options[name] === undefined ? undefined : String(options[name]);
  const oneOf = <T>(name: string, found: string, known: readonly T[]): T => {
    const value = known.find((item) => String(item) === found);
    if (value !== undefined) return value;
    throw new UsageError({ what: `--${name} is none of ${known.join(", ")}`, found });
  };
  const first = Number(text("first") ?? Infinity);
  if (!(first >= 1)) {
    throw new UsageError({ what: "--first is no positive number", found: String(options.first) });
  }
  const peers = text("peers") ?? "felzenszwalb";
  return {
    data: text("data") ?? "../shared/images/bsds-check100",
    first,
    device: oneOf("device", text("device") ?? "auto", ["auto", "cpu", "webgpu"] as const),
    grids: (text("grids") ?? "32,64").split(",").map((g) => oneOf("grids", g, [32, 64] as const)),
    peers: peers === "none" ? [] : peers.split(",").map((peer) => oneOf("peers", peer, PEERS)),
    python: text("python") ?? "python3",
    json: text("json"),
  };
}

async function scoreOwn(method: string, dataset: Dataset, options: StillOptions): Promise<Row> {
  const segmenter = await openStill(options);
  try {
    return { method, summary: summarise(await scoreAll(dataset, segmenter), dataset) };
  } finally {
    await segmenter.close();
  }
}

async function scoreAll(dataset: Dataset, prediction: Prediction): Promise<ImageScore[]> {
  const scores: ImageScore[] = [];
  for (const item of dataset.items) scores.push((await scoreImage(item, dataset, prediction)).score);
  return scores;
}

/** Baselines in Python: labels to a folder of their own, scored as ours are. */
async function scoreForeign(
  methods: readonly string[],
  dataset: Dataset,
  python: string,
): Promise<Row[]> {
  const out = await Deno.makeTempDir({ prefix: "walkcut-quality-" });
  try {
    const script = new URL("../peers/felzenszwalb.py", import.meta.url).pathname;
    const list = `${out}/pictures.txt`;
    await Deno.writeTextFile(list, dataset.items.map(({ image }) => image).join("\n"));
    const { code, stdout, stderr } = await runPython(python, [script, list, out, ...methods]);
    if (code !== 0) {
      throw new WalkcutError({
        what: "The baselines failed",
        found: new TextDecoder().decode(stderr).trim().split("\n").at(-1) || `exit code ${code}`,
        advice: "install python3-skimage, or pass --python or --peers none",
      });
    }
    const times = new TextDecoder().decode(stdout).trim().split("\n").map((text) => JSON.parse(text));
    const rows: Row[] = [];
    for (const { method, ms } of times) {
      const scores = await scoreAll(dataset, { folder: `${out}/${method}` });
      rows.push({ method, summary: { ...summarise(scores, dataset), ms } });
    }
    return rows;
  } finally {
    await Deno.remove(out, { recursive: true });
  }
}

async function runPython(python: string, args: string[]): Promise<Deno.CommandOutput> {
  try {
    return await new Deno.Command(python, { args }).output();
  } catch (cause) {
    throw new WalkcutError({
      what: "Cannot start Python for the baselines",
      found: python,
      advice: "install python3-skimage, or pass --python or --peers none",
      cause,
    });
  }
}

const COLUMNS = [["covering", 3], ["pri", 3], ["voi", 2], ["boundaryF", 3], ["segments", 1], [
  "ms",
  0,
]] as const;

function header(): string {
  return "method".padEnd(20) + COLUMNS.map(([name]) => name.padStart(10)).join("");
}

function line({ method, summary }: Row): string {
  return method.padEnd(20) +
    COLUMNS.map(([name, digits]) => summary[name]!.toFixed(digits).padStart(10)).join("");
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    if (!(error instanceof WalkcutError)) throw error;
    console.error(error.message);
    Deno.exit(error.exitCode);
  }
}
