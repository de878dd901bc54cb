/**
 * `walkcut eval` on pictures: a folder or a data set, segmented or as label maps.
 *
 * @module
 */
import { ExitCode, UsageError, WalkcutError } from "../errors.ts";
import { type Dataset, type DatasetName, openDataset, pairFolders, readClassMap } from "../eval/datasets.ts";
import {
  goodness,
  type ImageScore,
  Journal,
  type Prediction,
  scoreDataset,
  scoreImage,
  summarise,
} from "../eval/run.ts";
import { openStill } from "../eval/still.ts";
import { Palette } from "../render/palette.ts";
import { drawLabels } from "../render/render.ts";
import { encodePng } from "../sink/png.ts";
import { type EvalValues, progressOf, shared } from "./eval_options.ts";
import { imageTable, tell, writeText } from "./eval_report.ts";
import { segmenterOptions } from "./segment.ts";

/** The folders or the data set that the options name. */
export async function chosenDataset(values: EvalValues, name = values.dataset): Promise<Dataset> {
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

/** Scores pictures. */
export async function evaluateImages(values: EvalValues): Promise<number> {
  const dataset = await chosenDataset(values);
  const journal = values.resume === undefined ? undefined : await Journal.open(values.resume, {
    dataset: dataset.name,
    classes: dataset.classes,
    segments: values.segments ?? null,
    ...segmenterOptions(values),
  });
  if (values.out !== undefined) await requireFolder(values.out);
  const progress = progressOf(values, Math.min(values.limit ?? Infinity, dataset.items.length));
  const prediction: Prediction = values.segments === undefined
    ? await openStill(segmenterOptions(values))
    : { folder: values.segments };
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
    if (!("folder" in prediction)) await prediction.close();
  }
  return ExitCode.Done;
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
