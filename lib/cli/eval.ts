/**
 * `walkcut eval`: label maps against ground truth, the paper's tables, steadiness in time.
 *
 * @module
 */
import { ExitCode, UsageError, WalkcutError } from "../errors.ts";
import { classTotals } from "../eval/classes.ts";
import {
  type Dataset,
  type DatasetName,
  DATASETS,
  openDataset,
  openDavis,
  pairFolders,
  readClassMap,
} from "../eval/datasets.ts";
import { openLabelVideo, readLabelMap } from "../eval/label_map.ts";
import { readPicture } from "../eval/picture.ts";
import {
  goodness,
  type ImageScore,
  Journal,
  MEASURES,
  type Prediction,
  scoreDataset,
  scoreImage,
  summarise,
  type Summary,
} from "../eval/run.ts";
import { GRADES, scene, sceneLength, type SceneOptions } from "../eval/scene.ts";
import { openStill, type StillOptions } from "../eval/still.ts";
import { PAPER, type TableRow, TABLES } from "../eval/tables.ts";
import { SteadyScorer, type TruthScore, TruthScorer } from "../eval/video.ts";
import { Palette } from "../render/palette.ts";
import { drawLabels } from "../render/render.ts";
import { Segmenter, type SegmenterOptions } from "../segmenter.ts";
import { encodePng } from "../sink/png.ts";
import type { Frame } from "../source/frame.ts";
import { openVideo } from "../source/open.ts";
import { defineCommand, helpText, type Option, parseCommand, type Values } from "./command.ts";
import { progressModes } from "./options.ts";
import { Progress, type ProgressMode, writeStderr } from "./progress.ts";

const datasetNames = [...DATASETS, "davis"] as const;

/** What the command is called with. */
export const evalCommand = defineCommand({
  name: "eval",
  usage: "[options]",
  summary: "score label maps against ground truth; the paper's tables",
  notes:
    "Pictures: --images DIR --labels DIR, or --dataset NAME --data ROOT. They are segmented and scored; with\n" +
    "--segments DIR the label maps ID.png or ID.npy found there are scored instead.\n" +
    "Videos: --video LABELS.mkv with --truth TRUTH.mkv, with --input CLIP for what needs no truth, or both;\n" +
    "--scene GRADE segments a sample scene with known truth. The table goes to stderr, --json to stdout.",
  positionals: [0, 0],
  options: [
    { name: "images", kind: "folder", value: "DIR", help: "pictures to segment", group: "Pictures" },
    {
      name: "labels",
      kind: "folder",
      value: "DIR",
      help: "their label maps: ID.png or ID.npy, or ID_1.png, ID_2.png … of several annotators",
      group: "Pictures",
    },
    {
      name: "class-map",
      kind: "path",
      value: "FILE.json",
      help: 'score classes: {"classes": 3, "map": {"0": 0, "7": 1}}; labels not in it do not count',
      group: "Pictures",
    },
    { name: "dataset", kind: "choice", choices: datasetNames, help: "a known layout", group: "Pictures" },
    { name: "data", kind: "folder", value: "ROOT", help: "where the data set lies", group: "Pictures" },
    {
      name: "segments",
      kind: "folder",
      value: "DIR",
      help: "score these label maps instead of segmenting",
      group: "Pictures",
    },
    {
      name: "table",
      kind: "choice",
      choices: TABLES,
      help: "run the configurations of one of the paper's tables, beside its figures",
      group: "Pictures",
    },
    {
      name: "limit",
      kind: "integer",
      value: "N",
      min: 1,
      help: "only the first pictures, or frames of a sequence",
      group: "Pictures",
    },
    { name: "video", kind: "path", value: "PATH", help: "label video (lossless grey)", group: "Videos" },
    { name: "truth", kind: "path", value: "PATH", help: "its truth, likewise", group: "Videos" },
    { name: "input", kind: "path", value: "PATH", help: "the clip that was segmented", group: "Videos" },
    {
      name: "ignore",
      kind: "integer",
      value: "ID",
      min: 0,
      max: 65535,
      help: "id of the truth that does not count",
      group: "Videos",
    },
    { name: "scene", kind: "choice", choices: GRADES, help: "a sample scene of this grade", group: "Videos" },
    {
      name: "seed",
      kind: "integer",
      value: "N",
      min: 0,
      max: 4294967295,
      help: "the scene's seed",
      default: "1",
      group: "Videos",
    },
    {
      name: "seconds",
      kind: "number",
      value: "S",
      min: 0.1,
      max: 600,
      help: "the scene's length",
      default: "5",
      group: "Videos",
    },
    {
      name: "no-warm-start",
      kind: "flag",
      help: "start each frame of a scene or sequence cold",
      group: "Videos",
    },
    { name: "json", kind: "flag", help: "the scores as JSON on stdout", group: "Output" },
    {
      name: "per-image",
      kind: "path",
      value: "FILE.csv",
      help: "one row a picture (a track for videos with truth)",
      group: "Output",
    },
    {
      name: "resume",
      kind: "path",
      value: "FILE.jsonl",
      help: "journal: pictures that it holds are not scored again",
      group: "Output",
    },
    {
      name: "worst",
      kind: "integer",
      value: "N",
      min: 1,
      help: "draw the worst pictures: image, truth, ours; needs --out",
      group: "Output",
    },
    { name: "out", kind: "folder", value: "DIR", help: "where they go", group: "Output" },
    {
      name: "progress",
      kind: "choice",
      choices: progressModes,
      help: "how progress is told",
      default: "auto",
      group: "Output",
    },
    { name: "quiet", alias: "q", kind: "flag", help: "no progress, no table", group: "Output" },
    { name: "model", kind: "text", value: "NAME", help: "network", default: "embedded", group: "Method" },
    {
      name: "device",
      kind: "choice",
      choices: ["auto", "webgpu", "cpu"],
      help: "where it runs",
      default: "auto",
      group: "Method",
    },
    {
      name: "grid",
      kind: "integer",
      value: "N",
      choices: [64, 32],
      help: "nodes a side",
      default: "64 on a hardware GPU, 32 elsewhere",
      group: "Method",
    },
    {
      name: "levels",
      kind: "integers",
      value: "R,…",
      min: 1,
      max: 128,
      help: "resolutions to aggregate",
      default: "the model's own",
      group: "Method",
    },
    {
      name: "walk-steps",
      kind: "integer",
      value: "K",
      min: 1,
      max: 8,
      help: "the power of P",
      default: "the model's own",
      group: "Method",
    },
    {
      name: "adjacency",
      kind: "choice",
      choices: ["dot", "cosine", "walk"],
      help: "what is cut",
      default: "dot",
      group: "Method",
    },
    {
      name: "stop",
      kind: "choice",
      choices: ["manc-ncut", "manc-mincut", "manc-mincut=bipartition", "ncut"],
      help: "when a segment is left whole",
      default: "manc-ncut",
      group: "Method",
    },
    {
      name: "threshold",
      kind: "number",
      value: "T",
      min: 0,
      max: 2,
      help: "NCut for --stop ncut; KL distance of diffseg; τ of diffcut",
      group: "Method",
    },
    {
      name: "method",
      kind: "choice",
      choices: ["walkcut", "diffseg", "diffcut"],
      help: "what segments the walk",
      default: "walkcut",
      group: "Method",
    },
    {
      name: "refine",
      kind: "choice",
      choices: ["none", "pamr"],
      help: "what is done to the labels afterwards",
      default: "none",
      group: "Method",
    },
    { name: "ffmpeg", kind: "path", value: "PATH", help: "the ffmpeg to use", group: "Other" },
  ],
});

type EvalValues = Values<
  typeof evalCommand.options extends readonly Option[] ? typeof evalCommand.options : never
>;

/** Runs the command; resolves to its exit code. */
export async function evaluate(args: string[]): Promise<number> {
  const { values, help } = parseCommand(evalCommand, args);
  if (help) {
    console.log(helpText(evalCommand));
    return ExitCode.Done;
  }
  const modes = [
    ["video", "--video"],
    ["scene", "--scene"],
    ["table", "--table"],
    ["images", "--images"],
  ] as const;
  const given = modes.filter(([name]) => values[name] !== undefined).map(([, option]) => option);
  if (values.dataset && values.images) given.push("--images" as never);
  if (given.length > 1 && !(given.length === 2 && values.table && values.images && !values.dataset)) {
    throw new UsageError({
      what: "Cannot score several things at once",
      found: values.dataset && values.images ? "--images and --dataset" : given.join(" and "),
      advice: "give one of them",
    });
  }
  if ((values.worst === undefined) !== (values.out === undefined)) {
    throw new UsageError({
      what: "--worst and --out go together",
      advice: "give both, as --worst 20 --out worst",
    });
  }
  if (values.video !== undefined) return await evaluateVideo(values);
  if (values.scene !== undefined) return await evaluateScene(values);
  if (values.table !== undefined) return await evaluateTable(values);
  if (values.dataset === "davis") return await evaluateDavis(values);
  return await evaluateImages(values);
}

/** The folders or the data set that the options name. */
async function chosenDataset(values: EvalValues, name = values.dataset): Promise<Dataset> {
  if (name && name !== "davis") {
    if (values.data === undefined) {
      throw new UsageError({ what: `--dataset ${name} needs --data ROOT`, advice: "say where it lies" });
    }
    return await openDataset(name as DatasetName, values.data);
  }
  const { images, labels } = values;
  if (images === undefined || labels === undefined) {
    throw new UsageError({
      what: "There is nothing to score",
      advice:
        "give --images DIR --labels DIR, --dataset NAME --data ROOT, --video LABELS, --scene GRADE or --table",
    });
  }
  const classes = values["class-map"] === undefined ? undefined : await readClassMap(values["class-map"]);
  const items = await pairFolders(images, labels);
  const several = classes && items.find(({ truths }) => truths.length > 1);
  if (several) {
    throw new UsageError({
      what: "Classes are scored against one annotator",
      found: `${several.truths.length} label maps of ${several.id}`,
      advice: "leave --class-map out, or give one map an image",
    });
  }
  return classes
    ? { name: images, items, measure: "classes", ...classes }
    : { name: images, items, measure: "regions", classes: 0, classOf: (label) => label };
}

function stillOptions(values: EvalValues): StillOptions {
  const { method, refine, threshold } = values;
  const peer = method === "diffseg" || method === "diffcut";
  return {
    ...(method ? { method } : {}),
    ...(refine ? { refine } : {}),
    ...(peer && threshold !== undefined ? { peerThreshold: threshold } : {}),
    segmenter: segmenterOptions(values, !peer),
  };
}

function segmenterOptions(values: EvalValues, cut = true): SegmenterOptions {
  const { model, device, grid, levels, adjacency, stop, threshold } = values;
  return {
    ...(model === undefined ? {} : { model }),
    ...(device ? { device } : {}),
    ...(grid ? { grid } : {}),
    ...(levels ? { levels } : {}),
    ...(values["walk-steps"] ? { walkSteps: values["walk-steps"] } : {}),
    ...(adjacency ? { adjacency } : {}),
    ...(cut && stop ? { stop } : {}),
    ...(cut && threshold !== undefined ? { threshold, stop: stop ?? "ncut" } : {}),
  };
}

async function openPrediction(values: EvalValues, options = stillOptions(values)): Promise<Prediction> {
  return values.segments === undefined ? await openStill(options) : { folder: values.segments };
}

async function closePrediction(prediction: Prediction): Promise<void> {
  if (!("folder" in prediction)) await prediction.close();
}

async function evaluateImages(values: EvalValues): Promise<number> {
  const dataset = await chosenDataset(values);
  const journal = values.resume === undefined ? undefined : await Journal.open(values.resume, {
    dataset: dataset.name,
    classes: dataset.classes,
    segments: values.segments ?? null,
    ...stillOptions(values),
  });
  if (values.out !== undefined) await requireFolder(values.out);
  const progress = progressOf(values, Math.min(values.limit ?? Infinity, dataset.items.length));
  const prediction = await openPrediction(values);
  try {
    const scores = await scoreDataset(dataset, prediction, {
      ...shared(values),
      ...(journal ? { journal } : {}),
      onScore: ({ segments }) => progress.frame(segments),
    });
    progress.end();
    const summary = summarise(scores, dataset);
    if (values["per-image"] !== undefined) await writeText(values["per-image"], imageTable(scores));
    if (values.worst !== undefined) await drawWorst(values, dataset, prediction, scores);
    tell(values, [[dataset.name, summary]], { dataset: dataset.name, ...summary });
  } finally {
    progress.end();
    await closePrediction(prediction);
  }
  return ExitCode.Done;
}

function shared(values: EvalValues) {
  return {
    ...(values.ffmpeg === undefined ? {} : { ffmpeg: values.ffmpeg }),
    ...(values.limit === undefined ? {} : { limit: values.limit }),
  };
}

async function evaluateTable(values: EvalValues): Promise<number> {
  const { title, rows } = PAPER[values.table!];
  const model = values.model ?? "embedded";
  if (model === "embedded") {
    writeStderr("walkcut: on the embedded network: the paper's figures are those of Stable Diffusion 1.4\n");
  }
  const results: { label: string; summary?: Summary; published: TableRow["published"]; reason?: string }[] =
    [];
  for (const row of rows) {
    const label = row.dataset ? `${row.dataset}, ${row.label}` : row.label;
    try {
      const dataset = row.dataset && !values.images
        ? await openDataset(row.dataset, `${values.data ?? "."}/${row.dataset}`)
        : await chosenDataset(values);
      const { segmenter, ...method } = row.options;
      const prediction = await openStill({
        ...method,
        segmenter: { ...segmenterOptions(values, false), ...segmenter },
      });
      const progress = progressOf(values, Math.min(values.limit ?? Infinity, dataset.items.length));
      try {
        const scores = await scoreDataset(dataset, prediction, {
          ...shared(values),
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

async function evaluateVideo(values: EvalValues): Promise<number> {
  if (values.truth === undefined && values.input === undefined) {
    throw new UsageError({
      what: "--video needs something to score it on",
      advice: "give --truth, --input or both",
    });
  }
  const video = await openLabelVideo(values.video!, values.ffmpeg);
  const truth = values.truth === undefined ? undefined : await openLabelVideo(values.truth, values.ffmpeg);
  const input = values.input === undefined ? undefined : await openVideo(
    values.input,
    shared({
      ...(values.ffmpeg === undefined ? {} : { ffmpeg: values.ffmpeg }),
    }),
  );
  const { width, height } = video;
  for (const [name, other] of [["truth", truth], ["input", input?.info]] as const) {
    if (other && (other.width !== width || other.height !== height)) {
      throw new UsageError({
        what: `Labels and ${name} differ in size`,
        found: `${width}x${height} and ${other.width}x${other.height}`,
      });
    }
  }
  const truthScorer = truth && new TruthScorer(width, height, ignoring(values.ignore));
  const steadyScorer = input && new SteadyScorer(width, height);
  const truths = truth?.frames();
  const frames = input?.frames()[Symbol.asyncIterator]();
  const progress = progressOf(values, undefined);
  let count = 0;
  try {
    for await (const labels of video.frames()) {
      if (values.limit !== undefined && count >= values.limit) break;
      count++;
      const seen = await truths?.next();
      const shown = await frames?.next();
      if (seen?.done || shown?.done) {
        throw new UsageError({
          what: `The ${seen?.done ? "truth" : "input"} has fewer frames than the labels`,
          found: count - 1,
        });
      }
      if (seen && !seen.done) truthScorer!.add(labels, seen.value);
      if (shown && !shown.done) steadyScorer!.add(shown.value, labels);
      progress.frame(0);
    }
    if (count === 0) throw new UsageError({ what: "The label video holds no frame", found: values.video! });
    const longer = values.limit === undefined && await truths?.next();
    if (longer && !longer.done) {
      throw new UsageError({
        what: "The truth has more frames than the labels",
        found: `more than ${count}`,
      });
    }
  } finally {
    progress.end();
    await truths?.return();
    await frames?.return?.();
    await input?.close();
  }
  await tellVideo(values, values.video!, truthScorer?.result(), steadyScorer?.result());
  return ExitCode.Done;
}

function ignoring(id: number | undefined): { ignore?: number } {
  return id === undefined ? {} : { ignore: id };
}

async function evaluateScene(values: EvalValues): Promise<number> {
  const options = { grade: values.scene!, seed: values.seed ?? 1, seconds: values.seconds ?? 5 };
  const segmenter = await Segmenter.create({
    ...segmenterOptions(values),
    ...(values["no-warm-start"] ? { warmStart: false } : {}),
  });
  const progress = progressOf(values, sceneLength(options));
  try {
    const truths: { truth: Uint16Array<ArrayBuffer>; scene: number }[] = [];
    let scorers: { truth: TruthScorer; steady: SteadyScorer } | undefined;
    let last = 0;
    for await (const { frame, labels, segments } of segmenter.stream(sceneFrames(options, truths))) {
      const { width, height } = frame;
      scorers ??= { truth: new TruthScorer(width, height), steady: new SteadyScorer(width, height) };
      const { truth, scene: index } = truths.shift()!;
      scorers.truth.add(labels, truth);
      scorers.steady.add(frame, labels, index !== last);
      last = index;
      progress.frame(segments.length);
    }
    progress.end();
    const name = `scene ${options.grade}, seed ${options.seed}`;
    await tellVideo(values, name, scorers!.truth.result(), scorers!.steady.result());
  } finally {
    progress.end();
    await segmenter.close();
  }
  return ExitCode.Done;
}

/** The frames of a scene; their truth is kept until the labels are there. */
async function* sceneFrames(
  options: SceneOptions,
  truths: { truth: Uint16Array<ArrayBuffer>; scene: number }[],
): AsyncGenerator<Frame> {
  for (const { frame, truth, scene: index } of scene(options)) {
    truths.push({ truth, scene: index });
    yield frame;
  }
}

/** Pictures as the frames of a stream. */
async function* pictures(paths: readonly string[], ffmpeg: string | undefined): AsyncGenerator<Frame> {
  for (const [index, path] of paths.entries()) {
    yield { ...await readPicture(path, ffmpeg), index, pts: index };
  }
}

async function evaluateDavis(values: EvalValues): Promise<number> {
  if (values.data === undefined) throw new UsageError({ what: "--dataset davis needs --data ROOT" });
  const sequences = await openDavis(values.data);
  const results: [string, TruthScore][] = [];
  for (const { name, frames: paths, truths } of sequences) {
    // Each sequence from a fresh start: ids and bases of the last one mean nothing to it.
    const segmenter = await Segmenter.create({
      ...segmenterOptions(values),
      ...(values["no-warm-start"] ? { warmStart: false } : {}),
    });
    const count = Math.min(paths.length, values.limit ?? Infinity);
    const progress = progressOf(values, count);
    try {
      let scorer: TruthScorer | undefined;
      for await (
        const { frame, labels, segments } of segmenter.stream(pictures(paths.slice(0, count), values.ffmpeg))
      ) {
        scorer ??= new TruthScorer(frame.width, frame.height, { ignore: values.ignore ?? 0 });
        scorer.add(labels, (await readLabelMap(truths[frame.index]!)).labels);
        progress.frame(segments.length);
      }
      if (scorer) results.push([name, scorer.result()]);
    } finally {
      progress.end();
      await segmenter.close();
    }
  }
  const columns = ["j", "f", "jf", "aq", "miou"] as const;
  const mean = (key: typeof columns[number]) =>
    results.reduce((sum, [, score]) => sum + score[key], 0) / results.length;
  const rows = results.map(([name, score]) => [name, ...columns.map((key) => score[key].toFixed(3))]);
  rows.push(["mean", ...columns.map((key) => mean(key).toFixed(3))]);
  if (!values.quiet) writeStderr(table(["sequence", "J", "F", "J&F", "AQ", "mIoU"], rows));
  if (values.json) {
    const means = Object.fromEntries(columns.map((key) => [key, mean(key)]));
    const list = results.map(([name, score]) => ({ name, ...plain(score) }));
    console.log(JSON.stringify({ dataset: "davis", ...means, sequences: list }));
  }
  return ExitCode.Done;
}

/** A score without its map of tracks, which JSON would lose. */
function plain({ tracks, ...score }: TruthScore) {
  return { ...score, tracks: [...tracks].map(([id, track]) => ({ id, ...track })) };
}

async function tellVideo(
  values: EvalValues,
  name: string,
  truth: TruthScore | undefined,
  steady: ReturnType<SteadyScorer["result"]> | undefined,
): Promise<void> {
  const rows: [string, string][] = [];
  const put = (label: string, value: number, digits = 3) =>
    rows.push([label, Number.isNaN(value) ? "–" : value.toFixed(digits)]);
  if (truth) {
    put("mIoU (matched each frame)", truth.miou);
    put("AQ (of STQ)", truth.aq);
    put("J", truth.j);
    put("F", truth.f);
    put("J&F", truth.jf);
    put("VC8 (constant truth)", truth.vc8);
    put("VC16", truth.vc16);
    put("id switches", truth.switches, 0);
    put("fragmentations", truth.fragmentations, 0);
  }
  if (steady) {
    put("TC (labels moved along)", steady.tc);
    put("VC8 (pixels at rest)", steady.vc8);
    put("VC16", steady.vc16);
    put("flicker (pixels at rest)", steady.flicker, 5);
  }
  const { frames } = (truth ?? steady)!;
  if (!values.quiet) writeStderr(`${name}, ${frames} frames\n${table(["measure", "value"], rows)}`);
  if (values.json) {
    console.log(JSON.stringify({
      name,
      frames,
      ...(truth ? { truth: plain(truth) } : {}),
      ...(steady ? { steady } : {}),
    }));
  }
  if (values["per-image"] !== undefined && truth) {
    const lines = [...truth.tracks].map(([id, t]) =>
      [id, t.frames, t.followed, t.switches, t.fragmentations].join(",")
    );
    await writeText(
      values["per-image"],
      ["id,frames,followed,switches,fragmentations", ...lines, ""].join("\n"),
    );
  }
}

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

type Row = readonly [string, Summary | undefined, TableRow["published"]?];

/** Prints a table on stderr and JSON on stdout, as asked. */
function tell(values: EvalValues, rows: readonly Row[], json: unknown, title?: string): void {
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
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((row) => [...row[i]!].length)));
  return all.map((row) =>
    row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join("  ").trimEnd() +
    "\n"
  ).join("");
}

/** One row a picture, as comma-separated values. */
function imageTable(scores: readonly ImageScore[]): string {
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

async function writeText(path: string, text: string): Promise<void> {
  try {
    await Deno.writeTextFile(path, text);
  } catch (cause) {
    throw new WalkcutError({ what: "Cannot write", found: path, advice: "check its folder", cause });
  }
}

async function requireFolder(path: string): Promise<void> {
  try {
    await Deno.mkdir(path, { recursive: true });
  } catch (cause) {
    throw new UsageError({ what: "Cannot make the folder", found: path, cause });
  }
}

/** Draws the pictures with the lowest scores: image, first annotator, ours, side by side. */
async function drawWorst(
  values: EvalValues,
  dataset: Dataset,
  prediction: Prediction,
  scores: readonly ImageScore[],
): Promise<void> {
  const ranked = [...scores].filter((s) => !Number.isNaN(goodness(s)))
    .sort((a, b) => goodness(a) - goodness(b)).slice(0, values.worst);
  const items = new Map(dataset.items.map((item) => [item.id, item]));
  for (const [rank, { id }] of ranked.entries()) {
    const { frame, labels, truths } = await scoreImage(items.get(id)!, dataset, prediction, values.ffmpeg);
    const { width, height } = frame;
    const panels = [frame.data, ...[truths[0]!.labels, labels].map((map) => paint(map, width))];
    const data = new Uint8Array(3 * width * height * 3);
    panels.forEach((panel, k) => {
      for (let y = 0; y < height; y++) {
        data.set(panel.subarray(3 * y * width, 3 * (y + 1) * width), 3 * (3 * y + k) * width);
      }
    });
    const png = encodePng({ width: 3 * width, height, pts: 0, channels: 3, data });
    const name = `${values.out}/${String(rank + 1).padStart(3, "0")}_${id.replaceAll(/[^\w.-]/g, "_")}.png`;
    try {
      await Deno.writeFile(name, png);
    } catch (cause) {
      throw new WalkcutError({ what: "Cannot write", found: name, cause });
    }
  }
}

/** Colours for labels, which may hold 0: the palette begins at 1. */
function paint(labels: Uint16Array<ArrayBuffer>, width: number): Uint8Array<ArrayBuffer> {
  const values = [...new Set(labels)].sort((a, b) => a - b);
  const place = new Map(values.map((label, i) => [label, i + 1]));
  const ids = labels.map((label) => place.get(label)!);
  const palette = new Palette();
  palette.meet(ids, width, values.map((_, i) => i + 1));
  return drawLabels(ids, palette.colours);
}

function progressOf(values: EvalValues, total: number | undefined): Progress {
  const terminal = Deno.stderr.isTerminal();
  const asked = values.progress ?? "auto";
  const mode: ProgressMode = values.quiet ? "none" : asked === "auto" ? (terminal ? "bar" : "none") : asked;
  return new Progress({ mode, ...(total !== undefined && Number.isFinite(total) ? { total } : {}) });
}
