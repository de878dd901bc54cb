/**
 * The options of `walkcut eval`, and what they mean to more than one of its parts.
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import { DATASETS } from "../eval/datasets.ts";
import { GRADES } from "../eval/scene.ts";
import { TABLES } from "../eval/tables.ts";
import { defineCommand, type Option, type Values } from "./command.ts";
import { progressModes, segmentCommand } from "./options.ts";
import { Progress, type ProgressMode } from "./progress.ts";
import { optionsOf } from "./shared_options.ts";

/** Options of the method, as `walkcut segment` has them. */
const METHOD = [
  "model",
  "device",
  "grid",
  "levels",
  "walk-steps",
  "power",
  "thresholds",
  "adjacency",
  "stop",
  "threshold",
  "method",
  "refine",
  "solver",
  "max-segments",
  "min-area",
  "contour",
  "inversion-steps",
  "timestep",
] as const;

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
      help: "their label maps: ID.png, ID.npy or BSDS' ID.mat, or ID_1.png, ID_2.png … of several annotators",
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
    {
      name: "match",
      kind: "choice",
      choices: ["tracker", "overlap"],
      help: "whence ids come: segment's own tracker, or overlap with the last frame alone, as a baseline",
      default: "tracker",
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
      help: "journal: pictures that it holds are not scored again (of a table, one a row)",
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
    ...optionsOf(
      segmentCommand,
      ...METHOD,
    ),
    { name: "ffmpeg", kind: "path", value: "PATH", help: "the ffmpeg to use", group: "Other" },
  ],
});

/** Their values. */
export type EvalValues = Values<
  typeof evalCommand.options extends readonly Option[] ? typeof evalCommand.options : never
>;

/** What reading pictures and scoring them take from the options. */
export function shared(values: EvalValues) {
  return {
    ...(values.ffmpeg === undefined ? {} : { ffmpeg: values.ffmpeg }),
    ...(values.limit === undefined ? {} : { limit: values.limit }),
  };
}

/** The progress that the options ask for; quiet unless stderr is a terminal. */
export function progressOf(values: EvalValues, total: number | undefined): Progress {
  const terminal = Deno.stderr.isTerminal();
  const asked = values.progress ?? "auto";
  const mode: ProgressMode = values.quiet ? "none" : asked === "auto" ? (terminal ? "bar" : "none") : asked;
  return new Progress({ mode, ...(total !== undefined && Number.isFinite(total) ? { total } : {}) });
}

/** Options that each way of scoring takes, beside those that all take. */
const TAKEN: Readonly<Record<string, readonly string[]>> = {
  "--images": [
    ...["images", "labels", "class-map", "dataset", "data", "segments", "limit"],
    ...["per-image", "resume", "worst", "out", ...METHOD],
  ],
  "--table": [
    ...["table", "images", "labels", "class-map", "dataset", "data", "limit", "resume"],
    ...["model", "device", "grid", "solver", "inversion-steps", "timestep"],
  ],
  "--video": ["video", "truth", "input", "ignore", "limit", "per-image"],
  "--scene": ["scene", "seed", "seconds", "no-warm-start", "match", "per-image", ...METHOD],
  "--dataset davis": ["dataset", "data", "ignore", "limit", "no-warm-start", "match", ...METHOD],
};
const ALWAYS = ["json", "progress", "quiet", "ffmpeg", "debug"];

/** @throws {UsageError} where an option was given that a way of scoring does not take. */
export function requireTaken(values: EvalValues, way: keyof typeof TAKEN): void {
  const taken = TAKEN[way]!;
  const stray = Object.entries(values).find(([name, value]) =>
    value !== undefined && !taken.includes(name) && !ALWAYS.includes(name)
  );
  if (stray) {
    throw new UsageError({
      what: `--${stray[0]} does not apply to ${way}`,
      advice: "leave one of them out",
    });
  }
}
