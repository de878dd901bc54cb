/**
 * `walkcut eval` on videos: label videos, sample scenes, the sequences of DAVIS.
 *
 * @module
 */
import { ExitCode, UsageError } from "../errors.ts";
import { openDavis } from "../eval/datasets.ts";
import { openLabelVideo, readLabelMap } from "../eval/label_map.ts";
import { OverlapMatcher } from "../eval/overlap_matcher.ts";
import { readPicture } from "../eval/picture.ts";
import { scene, sceneLength, type SceneOptions } from "../eval/scene.ts";
import { SteadyScorer } from "../eval/steady.ts";
import { type TruthScore, TruthScorer } from "../eval/video.ts";
import { type SegmentedFrame, Segmenter } from "../segmenter.ts";
import type { Frame } from "../source/frame.ts";
import { openVideo } from "../source/open.ts";
import { type EvalValues, progressOf, shared } from "./eval_options.ts";
import { table, writeText } from "./eval_report.ts";
import { writeStderr } from "./progress.ts";
import { segmenterOptions } from "./segment.ts";

/** Scores a label video. */
export async function evaluateVideo(values: EvalValues): Promise<number> {
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
      await input?.close();
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

/** Segments a sample scene and scores it. */
export async function evaluateScene(values: EvalValues): Promise<number> {
  const options = { grade: values.scene!, seed: values.seed ?? 1, seconds: values.seconds ?? 5 };
  const segmenter = await Segmenter.create(segmenterOptions(values));
  const progress = progressOf(values, sceneLength(options));
  try {
    const truths: { truth: Uint16Array<ArrayBuffer>; scene: number }[] = [];
    let scorers: { truth: TruthScorer; steady: SteadyScorer } | undefined;
    let last = 0;
    for await (
      const { frame, labels, segments } of matched(segmenter.stream(sceneFrames(options, truths)), values)
    ) {
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

/** The frames with the ids that `--match` asks for. */
async function* matched(
  frames: AsyncIterable<SegmentedFrame>,
  values: EvalValues,
): AsyncGenerator<Pick<SegmentedFrame, "frame" | "labels" | "segments">> {
  if (values.match !== "overlap") return yield* frames;
  const matcher = new OverlapMatcher();
  for await (const { frame, labels, segments } of frames) {
    yield { frame, labels: matcher.match(labels), segments };
  }
}

/** Pictures as the frames of a stream. */
async function* pictures(paths: readonly string[], ffmpeg: string | undefined): AsyncGenerator<Frame> {
  for (const [index, path] of paths.entries()) {
    yield { ...await readPicture(path, ffmpeg), index, pts: index };
  }
}

/** Segments and scores the sequences of DAVIS. */
export async function evaluateDavis(values: EvalValues): Promise<number> {
  if (values.data === undefined) throw new UsageError({ what: "--dataset davis needs --data ROOT" });
  const sequences = await openDavis(values.data);
  const results: [string, TruthScore][] = [];
  for (const { name, frames: paths, truths } of sequences) {
    // Each sequence from a fresh start: ids and bases of the last one mean nothing to it.
    const segmenter = await Segmenter.create(segmenterOptions(values));
    const count = Math.min(paths.length, values.limit ?? Infinity);
    const progress = progressOf(values, count);
    try {
      let scorer: TruthScorer | undefined;
      for await (
        const { frame, labels, segments } of matched(
          segmenter.stream(pictures(paths.slice(0, count), values.ffmpeg)),
          values,
        )
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
    put("share of pixels at rest", steady.rest);
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
