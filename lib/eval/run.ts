/**
 * Scores a data set, picture by picture, so that a run that was stopped can go on.
 *
 * @module
 */
import { UsageError, WalkcutError } from "../errors.ts";
import { boundaryF } from "./boundary.ts";
import { addCounts, type ClassCounts, classCounts, classTotals, emptyCounts, IGNORED } from "./classes.ts";
import type { Dataset, EvalItem } from "./datasets.ts";
import { type LabelImage, readLabelMap, readLabelMaps } from "./label_map.ts";
import { regionScore } from "./metrics.ts";
import { readPicture, squareFrame, squareLabels } from "./picture.ts";
import type { StillSegmenter } from "./still.ts";
import type { Frame } from "../source/frame.ts";

/** Scores of one picture. */
export interface ImageScore {
  readonly id: string;
  readonly segments: number;
  /** Milliseconds from the picture to its labels; 0 where the labels came from files. */
  readonly ms: number;
  /** For regions. */
  readonly covering?: number;
  readonly pri?: number;
  readonly voi?: number;
  readonly boundaryF?: number;
  /** For classes. */
  readonly counts?: ClassCounts;
}

/** Names of the numbers of a data set's summary, in the order in which tables show them. */
export const MEASURES = [
  "covering",
  "pri",
  "voi",
  "boundaryF",
  "accuracy",
  "f1",
  "miou",
  "segments",
  "ms",
] as const;

/** Scores of a data set; what does not apply is absent. */
export type Summary = { readonly [M in typeof MEASURES[number]]?: number } & { readonly images: number };

/** Where the labels that are scored come from: a segmenter, or a folder of label maps `ID.png`, `ID.npy`. */
export type Prediction = StillSegmenter | { readonly folder: string };

/** A picture as it was scored. */
export interface ScoredImage {
  readonly frame: Frame;
  readonly labels: Uint16Array<ArrayBuffer>;
  readonly truths: readonly LabelImage[];
  readonly score: ImageScore;
}

/** Labels one picture of a data set and scores it. */
export async function scoreImage(
  item: EvalItem,
  dataset: Dataset,
  prediction: Prediction,
  ffmpeg?: string,
): Promise<ScoredImage> {
  const { square } = dataset;
  const whole = await readPicture(item.image, ffmpeg);
  const frame = square ? squareFrame(whole, square) : whole;
  const truths: LabelImage[] = [];
  for (const path of item.truths) {
    for (const map of await readLabelMaps(path)) {
      requireSize(map, whole, path, item.image);
      truths.push(square ? squareLabels(map, square) : map);
    }
  }
  const { labels, segments, ms } = await predict(item, prediction, frame, whole, square);
  const base = { id: item.id, segments, ms };
  if (dataset.measure === "regions") {
    const maps = truths.map((truth) => truth.labels);
    const { f } = boundaryF(labels, maps, frame.width, frame.height);
    return { frame, labels, truths, score: { ...base, ...regionScore(labels, maps), boundaryF: f } };
  }
  const truth = truths[0]!;
  const table = new Map<number, number>();
  const classes = truth.labels.map((label) => {
    let value = table.get(label);
    if (value === undefined) table.set(label, value = dataset.classOf(label));
    return value;
  });
  if (!classes.some((c) => c !== IGNORED)) {
    return { frame, labels, truths, score: { ...base, counts: emptyCounts(dataset.classes) } };
  }
  return { frame, labels, truths, score: { ...base, counts: classCounts(labels, classes, dataset.classes) } };
}

async function predict(item: EvalItem, from: Prediction, frame: Frame, whole: Frame, square?: number) {
  if ("folder" in from) {
    const path = await firstThatExists([`${from.folder}/${item.id}.png`, `${from.folder}/${item.id}.npy`]);
    const map = await readLabelMap(path);
    requireSize(map, whole, path, item.image);
    const { labels } = square ? squareLabels(map, square) : map;
    return { labels, segments: new Set(labels).size, ms: 0 };
  }
  // The segmenter takes the memory of the frame that it is given.
  return await from.segment({ ...frame, data: frame.data.slice() });
}

function requireSize(map: LabelImage, frame: Frame, path: string, image: string): void {
  if (map.width === frame.width && map.height === frame.height) return;
  throw new UsageError({
    what: "Image and label map differ in size",
    found: `${image} ${frame.width}x${frame.height}, ${path} ${map.width}x${map.height}`,
  });
}

async function firstThatExists(paths: readonly string[]): Promise<string> {
  for (const path of paths) {
    try {
      await Deno.lstat(path);
      return path;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new UsageError({ what: "There is no label map of an image", found: paths[0]! });
}

/** Means (and for classes sums) over the pictures. */
export function summarise(scores: readonly ImageScore[], dataset: Dataset): Summary {
  const mean = (pick: (score: ImageScore) => number) =>
    scores.reduce((sum, score) => sum + pick(score), 0) / scores.length;
  const base = { images: scores.length, segments: mean((s) => s.segments), ms: mean((s) => s.ms) };
  if (dataset.measure === "regions") {
    return {
      ...base,
      covering: mean((s) => s.covering!),
      pri: mean((s) => s.pri!),
      voi: mean((s) => s.voi!),
      boundaryF: mean((s) => s.boundaryF!),
    };
  }
  const sum = emptyCounts(dataset.classes);
  for (const { counts } of scores) addCounts(sum, counts!);
  return { ...base, ...classTotals(sum) };
}

/** How good a picture's score is, for finding the worst. */
export function goodness({ covering, counts }: ImageScore): number {
  return covering ?? (counts ? classTotals(counts).miou : 0);
}

/**
 * A file that remembers the scores of the pictures that are done: a line of JSON
 * with the settings, then one a picture.
 */
export class Journal {
  readonly #path: string;
  readonly done: ReadonlyMap<string, ImageScore>;

  private constructor(path: string, done: ReadonlyMap<string, ImageScore>) {
    this.#path = path;
    this.done = done;
  }

  /**
   * Opens a journal or begins it.
   *
   * @param settings what the scores depend on; a journal of other settings is refused.
   * @throws {UsageError} If the file is no journal, or of another run.
   */
  static async open(path: string, settings: unknown): Promise<Journal> {
    const header = JSON.stringify({ walkcutEval: 1, settings });
    let text: string | undefined;
    try {
      text = await Deno.readTextFile(path);
    } catch (cause) {
      if (!(cause instanceof Deno.errors.NotFound)) {
        throw new UsageError({ what: "Cannot read the journal", found: path, cause });
      }
    }
    const done = new Map<string, ImageScore>();
    if (text === undefined || text === "") {
      try {
        await Deno.writeTextFile(path, `${header}\n`);
      } catch (cause) {
        throw new UsageError({ what: "Cannot write the journal", found: path, cause });
      }
      return new Journal(path, done);
    }
    const lines = text.split("\n");
    if (lines[0] !== header) {
      throw new UsageError({
        what: "The journal is of a run with other settings",
        found: path,
        advice: "give the same options, or another --resume file",
      });
    }
    // A line that a stopped run left unfinished is done again, and cut off so that the next begins a line.
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    if (whole !== text) await Deno.writeTextFile(path, whole);
    for (const line of whole.split("\n").slice(1)) {
      if (line === "") continue;
      try {
        const score = JSON.parse(line) as ImageScore;
        done.set(score.id, score);
      } catch (cause) {
        throw new UsageError({ what: "The journal is damaged", found: path, advice: "delete it", cause });
      }
    }
    return new Journal(path, done);
  }

  /** Remembers a score. */
  async add(score: ImageScore): Promise<void> {
    await Deno.writeTextFile(this.#path, JSON.stringify(score) + "\n", { append: true });
  }
}

/** Scores all pictures that a journal does not know; each result is told. */
export async function scoreDataset(
  dataset: Dataset,
  prediction: Prediction,
  options: {
    readonly ffmpeg?: string;
    readonly journal?: Journal;
    readonly limit?: number;
    readonly onScore?: (score: ImageScore) => void;
  } = {},
): Promise<ImageScore[]> {
  const scores: ImageScore[] = [];
  for (const item of dataset.items.slice(0, options.limit)) {
    let score = options.journal?.done.get(item.id);
    if (!score) {
      score = (await scoreImage(item, dataset, prediction, options.ffmpeg)).score;
      await options.journal?.add(score);
    }
    scores.push(score);
    options.onScore?.(score);
  }
  if (scores.length === 0) {
    throw new WalkcutError({ what: "There is no picture to score", found: dataset.name });
  }
  return scores;
}
