/**
 * Quality on photographs, clips and scenes: ours beside its peers and baselines, in one run.
 *
 * `deno task bench quality` writes `bench/RESULTS.md`. Sections can be run one by one and go on where a
 * stopped run ended.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { PEERS } from "../../lib/cut/peers/segment.ts";
import { UsageError, WalkcutError } from "../../lib/errors.ts";
import { type Dataset, openDataset } from "../../lib/eval/datasets.ts";
import { scoreDataset, summarise, type Summary } from "../../lib/eval/run.ts";
import { GRADES } from "../../lib/eval/scene.ts";
import { openStill, type StillOptions } from "../../lib/eval/still.ts";
import { chooseGpu } from "../../lib/walk/choose_gpu.ts";
import { Cache } from "./cache.ts";
import { scoreForeign } from "./foreign.ts";
import { readResults, type Section, type SectionName, SECTIONS, tableOf, writeResults } from "./report.ts";
import { clipFrames, sceneFrames, scoreStream, type StreamRow } from "./streams.ts";

const USAGE = `deno task bench quality [options]

  --only NAMES     sections to run, of ${SECTIONS.join(",")}; default: all
  --data DIR       pictures: images/ID.jpg, labels/ID_k.png; default ../shared/images/bsds-check100
  --first N        only the first pictures
  --peers NAMES    of the methods: ours,${[...PEERS].join(",")},kmeans,slic-ncut,felzenszwalb; default: all
  --clips DIR      default ../shared/clips
  --frames N       frames of each clip; default 60
  --seconds S      length of each scene; default 4
  --seeds N        scenes of each grade; default 2
  --device WORD    auto, cpu or webgpu; default auto
  --python FILE    a Python with scikit-image for the baselines; default python3
  --out FILE       default bench/RESULTS.md; the numbers go beside it, to results.json
  --fresh          forget what a stopped run found`;

const METHODS = ["ours", ...PEERS, "kmeans", "slic-ncut", "felzenszwalb"] as const;

/** Scales of Felzenszwalb among which the best is reported. */
const SCALES = [200, 500, 1000];

type Row = { readonly name: string } & (Summary | StreamRow);
type Settings = ReturnType<typeof parse>;
type Caches = Readonly<Record<"own" | "foreign", Cache>>;

/** Runs the bench; `args` as on the command line. */
export async function main(args: readonly string[]): Promise<void> {
  const settings = parse(args);
  if (settings.help) return console.log(USAGE);
  const caches = {
    own: await Cache.open("own", settings.fresh),
    foreign: await Cache.open("foreign", settings.fresh),
  };
  const json = settings.out.replace(/[^/]*$/, "results.json");
  for (const name of settings.only) {
    console.log(`\n${name}`);
    const section = await runSection(name, settings, caches);
    console.log(tableOf(section));
    // After each section, so that what is done stays.
    await writeResults(json, settings.out, { ...await readResults(json), [name]: section });
  }
}

async function runSection(name: SectionName, settings: Settings, { own, foreign }: Caches): Promise<Section> {
  const device = await deviceName(settings.device);
  const date = new Date().toISOString().slice(0, 10);
  if (name === "clips") {
    const { rows, data } = await clipRows(settings, own);
    return { data, device, date, rows };
  }
  if (name === "scenes") {
    const data = `scenes of ${settings.seconds} s, ${settings.seeds} a grade`;
    return { data, device, date, rows: await sceneRows(settings, own) };
  }
  const whole = await openDataset("bsds500", settings.data);
  const dataset = { ...whole, items: whole.items.slice(0, settings.first) };
  const data = `${dataset.items.length} pictures of ${settings.data.split("/").at(-1)}`;
  const rows: Row[] = [];
  const put = (row: Row) => {
    rows.push(row);
    console.log(`  ${row.name}`);
  };
  for (const [label, options] of configurations(name, settings)) {
    put({
      name: label,
      ...await scoreOwn(dataset, { device: settings.device, ...options }, settings, own),
    });
  }
  for (const method of name === "methods" ? foreignMethods(settings) : []) {
    const key = { method, data: settings.data, pictures: dataset.items.length };
    put({ name: method, ...await foreign.value(key, () => scoreForeign(method, dataset, settings.python)) });
  }
  return { data, device, date, rows: rows as unknown as Section["rows"] };
}

/** What a section compares on our network. */
function configurations(name: SectionName, { peers }: Settings): [string, StillOptions][] {
  switch (name) {
    case "methods":
      return [
        ...(peers.includes("ours") ? [["walkcut", { grid: 32 }] as [string, StillOptions]] : []),
        ...PEERS.filter((peer) => peers.includes(peer))
          .map((method): [string, StillOptions] => [method, { method, grid: 32 }]),
      ];
    case "grid":
      return ([32, 64] as const).map((grid) => [`grid ${grid}`, { grid }]);
    case "walk":
      return [1, 2, 3, 4].map((walkSteps) => [`k = ${walkSteps}`, { grid: 32, walkSteps }]);
    case "refine":
      return (["none", "pamr"] as const).map((refine) => [refine, { grid: 32, refine }]);
    default:
      return [];
  }
}

function foreignMethods({ peers }: Settings): string[] {
  return [
    ...(["kmeans", "slic-ncut"] as const).filter((peer) => peers.includes(peer)),
    ...(peers.includes("felzenszwalb") ? SCALES.map((scale) => `felzenszwalb-${scale}`) : []),
  ];
}

async function scoreOwn(
  dataset: Dataset,
  options: StillOptions,
  { data }: Settings,
  cache: Cache,
): Promise<Summary> {
  const journal = await cache.journal({ data, ...options });
  const known = dataset.items.every(({ id }) => journal.done.has(id));
  const segmenter = known
    ? { segment: unreachable, close: () => Promise.resolve() }
    : await openStill(options);
  try {
    return summarise(await scoreDataset(dataset, segmenter, { journal }), dataset);
  } finally {
    await segmenter.close();
  }
}

function unreachable(): never {
  throw new WalkcutError({ what: "A picture was to be known" });
}

async function clipRows(settings: Settings, cache: Cache) {
  const { clips, frames, device } = settings;
  const names: string[] = [];
  try {
    for await (const { name, isFile } of Deno.readDir(clips)) if (isFile) names.push(name);
  } catch (cause) {
    throw new UsageError({
      what: "There is no folder of clips",
      found: clips,
      advice: "give --clips",
      cause,
    });
  }
  const rows: StreamRow[] = [];
  for (const name of names.sort()) {
    rows.push(
      ...await cache.value({ clips, name, frames, device }, () => {
        return scoreStream(name, () => clipFrames(`${clips}/${name}`, frames), { device, grid: 32 });
      }),
    );
    console.log(`  ${name}`);
  }
  return {
    rows: rows as unknown as Section["rows"],
    data: `${names.length} clips, ${frames} frames each at most`,
  };
}

async function sceneRows({ seeds, seconds, device }: Settings, cache: Cache): Promise<Section["rows"]> {
  const rows: StreamRow[] = [];
  for (const grade of GRADES) {
    const runs: StreamRow[][] = [];
    for (let seed = 1; seed <= seeds; seed++) {
      runs.push(
        await cache.value({ grade, seed, seconds, device }, () => {
          return scoreStream(grade, () => sceneFrames(grade, seed, seconds), { device, grid: 32 });
        }),
      );
      console.log(`  ${grade}, seed ${seed}`);
    }
    rows.push(...runs[0]!.map((_, i) => meanRow(runs.map((run) => run[i]!))));
  }
  return rows as unknown as Section["rows"];
}

/** Means of the numbers of rows of the same name; of those that have a number, which a short VC may lack. */
function meanRow(rows: readonly StreamRow[]): StreamRow {
  const keys = Object.keys(rows[0]!) as (keyof StreamRow)[];
  const entries = keys.filter((key) => key !== "name").map((key) => {
    const numbers = rows.map((row) => row[key]).filter((value) => Number.isFinite(value)) as number[];
    return [key, numbers.reduce((sum, value) => sum + value, 0) / numbers.length];
  });
  return { ...Object.fromEntries(entries), name: rows[0]!.name } as StreamRow;
}

async function deviceName(wanted: "auto" | "cpu" | "webgpu"): Promise<string> {
  const gpu = await chooseGpu(wanted);
  if (!gpu) return "CPU";
  const { description } = gpu;
  gpu.close();
  return `WebGPU, ${description}`;
}

function parse(args: readonly string[]) {
  const texts = [
    "only",
    "data",
    "first",
    "peers",
    "clips",
    "frames",
    "seconds",
    "seeds",
    "device",
    "python",
    "out",
  ];
  const options: Record<string, unknown> = parseArgs([...args], {
    string: texts,
    boolean: ["fresh", "help"],
    unknown: (arg: string) => {
      throw new UsageError({
        what: "Unknown option of quality",
        found: arg,
        advice: `known are ${[...texts, "fresh", "help"].map((name) => `--${name}`).join(", ")}`,
      });
    },
  });
  const text = (name: string, fallback: string) =>
    options[name] === undefined ? fallback : String(options[name]);
  const number = (name: string, fallback: number) => {
    const value = options[name] === undefined ? fallback : Number(options[name]);
    if (value > 0) return value;
    throw new UsageError({ what: `--${name} is no positive number`, found: String(options[name]) });
  };
  const among = <T extends string>(name: string, fallback: string, known: readonly T[]): T[] =>
    text(name, fallback).split(",").map((found) => {
      const value = known.find((item) => item === found);
      if (value !== undefined) return value;
      throw new UsageError({ what: `--${name} is none of ${known.join(", ")}`, found });
    });
  return {
    only: among("only", SECTIONS.join(","), SECTIONS),
    data: text("data", "../shared/images/bsds-check100"),
    first: number("first", Infinity),
    peers: among("peers", METHODS.join(","), METHODS),
    clips: text("clips", "../shared/clips"),
    frames: number("frames", 60),
    seconds: number("seconds", 4),
    seeds: number("seeds", 2),
    device: among("device", "auto", ["auto", "cpu", "webgpu"] as const)[0]!,
    python: text("python", "python3"),
    out: text("out", new URL("../RESULTS.md", import.meta.url).pathname),
    fresh: options.fresh === true,
    help: options.help === true,
  };
}
