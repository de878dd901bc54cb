/**
 * `walkcut segment`: a video, an image or a stream, segmented.
 *
 * @module
 */
import { resolve } from "node:path";
import { ExitCode, UsageError, WalkcutError } from "../errors.ts";
import type { SegmenterSnapshot } from "../frame_segmenter.ts";
import { Renderer } from "../render/render.ts";
import type { SegmentedFrame, SegmenterOptions } from "../segmenter.ts";
import {
  type ClaimOptions,
  claimOutput,
  openLabelSink,
  openPictureSink,
  openRleSink,
  openStatsSink,
  openStdoutSink,
  type PictureSinkOptions,
} from "../sink/mod.ts";
import { partialName } from "../sink/claim.ts";
import { openVideo, type SourceOptions, type VideoInfo, type VideoSource } from "../source/mod.ts";
import { helpText, parseCommand, type Values } from "./command.ts";
import { thresholdsOf } from "./cut_words.ts";
import {
  cannotResume,
  checkpointPath,
  Checkpoints,
  type OutputKey,
  type Outputs,
  runKey,
  type TakenUp,
  takeUp,
} from "./resume.ts";
import { Interrupts } from "./interrupts.ts";
import { NullSegmenter } from "./null_segmenter.ts";
import { segmentCommand } from "./options.ts";
import { mayColour, Progress, progressMode, rateText, writeStderr } from "./progress.ts";
import {
  type FrameSegmenter,
  labelOutlet,
  type Outlet,
  pictureOutlet,
  plainOutlet,
  run,
  type RunParts,
  type Totals,
} from "./run.ts";
import { splitWords } from "./words.ts";

/** The options of the command, as they were given. */
export type SegmentValues = Values<typeof segmentCommand.options>;

/** Runs the command; resolves to its exit code. */
export async function segment(args: readonly string[]): Promise<number> {
  const { values, positionals, help } = parseCommand(segmentCommand, args);
  if (help) {
    console.log(helpText(segmentCommand));
    return ExitCode.Done;
  }
  return await segmentInput(positionals[0] as string, values);
}

/**
 * Segments one input as the options say.
 *
 * @param onFrame called with each segmented frame before it is written.
 * @returns the exit code.
 */
export async function segmentInput(
  input: string,
  values: SegmentValues,
  onFrame?: (frame: SegmentedFrame) => void,
): Promise<number> {
  checkTogether(values);
  using interrupts = new Interrupts();
  const source = await interrupts.during(openVideo(input, sourceOptions(values)));
  try {
    const info = source.info;
    const outputs = await chooseOutputs(input, values, info);
    if (outputs === undefined) return ExitCode.Done;
    const frames = expectedFrames(info, values);
    const progress = new Progress({
      mode: progressMode(values.progress ?? "auto", values.quiet === true),
      ...(frames === undefined ? {} : { total: frames }),
      colour: mayColour(),
      ...terminalWidth(),
    });
    const warn = (line: string) => values.quiet || progress.note(`walkcut: ${line}`);
    info.notes?.forEach(warn);
    const { checkpoints, takenUp } = await interrupts.during(openCheckpoints(input, values, outputs, info));
    if (takenUp) warn(`goes on after the ${takenUp.frames} frames that are done`);
    else if (values.resume) warn("nothing is there to go on with; starts at the first frame");
    const segmenter = await interrupts.during(
      createSegmenter(values, warn, { checkpoints, from: takenUp?.snapshot }),
    );
    try {
      const totals = await run({
        source: takenUp ? skipping(source, takenUp.frames) : source,
        segmenter,
        open: () => openOutlets(outputs, values, info, warn, takenUp),
        done: takenUp?.frames ?? 0,
        onWritten: async ({ frame, snapshot }, count) => {
          await checkpoints?.written(count, frame.pts, snapshot);
        },
        progress,
        signal: interrupts.signal,
        ...(onFrame ? { onFrame } : {}),
        ...pick<Pick<RunParts, "stallTimeout">>({ stallTimeout: values["stall-timeout"] }),
      });
      if (totals.written.length > 0) await checkpoints?.remove();
      return report(totals, values.quiet === true);
    } catch (error) {
      if (error instanceof UsageError && !takenUp) await checkpoints?.remove();
      if (checkpoints?.begun && error instanceof WalkcutError) {
        error.message += "; --resume goes on from there";
      }
      throw error;
    } finally {
      checkpoints?.leave();
      await segmenter.close();
    }
  } finally {
    await source.close();
  }
}

/**
 * The checkpoints of a run into files, and what `--resume` found of an earlier one.
 *
 * @throws {UsageError} If `--resume` is asked for and these outputs cannot be gone on with.
 */
async function openCheckpoints(
  input: string,
  values: SegmentValues,
  outputs: Outputs,
  info: VideoInfo,
): Promise<{ checkpoints?: Checkpoints; takenUp?: TakenUp | undefined }> {
  const path = checkpointPath(outputs);
  const reason = path === undefined ? "no output is a file" : cannotResume(input, outputs, info);
  if (path === undefined || reason !== undefined) {
    if (!values.resume) return {};
    throw new UsageError({ what: "Cannot --resume this", found: reason!, advice: "run without it" });
  }
  const key = await runKey(input, values);
  const takenUp = values.resume
    ? await takeUp({ key, outputs, info, ...pick<{ ffmpeg?: string }>({ ffmpeg: values.ffmpeg }) })
    : undefined;
  return {
    takenUp,
    checkpoints: takenUp?.checkpoints ?? new Checkpoints(path, { key, done: 0, pieces: {} }),
  };
}

/** A source without its first frames; those after them keep their index and time. */
function skipping(source: VideoSource, count: number): VideoSource {
  return {
    info: source.info,
    async *frames() {
      for await (const frame of source.frames()) if (frame.index >= count) yield frame;
    },
    close: () => source.close(),
  };
}

/** Options that need or exclude each other. */
function checkTogether(values: SegmentValues): void {
  const wrong = (what: string, advice: string) => {
    throw new UsageError({ what, advice });
  };
  if (values.overwrite && values["no-overwrite"]) wrong("-y and -n exclude each other", "give one of them");
  if (values.threshold !== undefined && values.stop !== undefined && values.stop !== "ncut") {
    wrong(
      `--threshold has no meaning for --stop ${values.stop}`,
      "give --stop ncut, or leave --threshold out",
    );
  }
  if (values.stop === "ncut" && values.threshold === undefined) {
    wrong("--stop ncut needs --threshold", "give the NCut above which a segment is left whole, from 0 to 2");
  }
  if (values.show === "cutout" && !values.segment) {
    wrong("--show cutout needs --segment", "give the ids to keep, as --segment 3; --rle lists them");
  }
  if (values.segment && values.show !== "cutout") {
    wrong("--segment has no meaning here", "give it with --show cutout");
  }
  const toStdout = (values.output ?? []).filter((path) => path === "-").length;
  if (values["output-format"] !== undefined && toStdout === 0) {
    wrong(
      "--output-format is for stdout",
      "give -o - with it, or choose the container by the output's extension",
    );
  }
  if (toStdout > 1) wrong("-o - can be given once", "stdout carries one stream");
  if (toStdout > 0 && values["output-format"] === undefined) {
    wrong("-o - needs --output-format", "it is one of y4m, nut, rgb24, gray8, gray16le");
  }
  if (values.palette && !values.labels?.some(isPng)) {
    wrong("--palette is for --labels as PNG", "give --labels with a .png name or a %06d.png pattern");
  }
  if (values.start !== undefined && values.end !== undefined && values.end <= values.start) {
    throw new UsageError({
      what: "--end is not after --start",
      found: `${values.start} … ${values.end}`,
      advice: "both count from the start of the input",
    });
  }
  if (values.show === "cutout") values.output?.forEach((path) => checkAlpha(path, values["output-format"]));
  thresholdsOf(values.thresholds);
}

const ALPHA_EXTENSIONS = ["mov", "webm", "mkv", "png", "gif"];

/** A cutout without alpha would show what it cuts out. */
function checkAlpha(output: string, format: string | undefined): void {
  if (output === "-" && format === "nut") return;
  const extension = output === "-" ? undefined : /\.([^./]+)$/.exec(output)?.[1]?.toLowerCase();
  if (extension !== undefined && ALPHA_EXTENSIONS.includes(extension)) return;
  throw new UsageError({
    what: "A cutout needs an output with alpha",
    found: output === "-" ? `${format} on stdout` : output,
    advice: `take .${ALPHA_EXTENSIONS.join(", .")}`,
  });
}

function isPng(path: string): boolean {
  return /\.png$/i.test(path);
}

/** The values of the given keys that are set, under new names. */
function pick<T>(entries: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined)) as T;
}

/** Where the sound of a pipe is put aside: beside the first output that takes sound. */
function asideOf(values: SegmentValues): string | undefined {
  if (values["no-audio"]) return undefined;
  const output = values.output?.find((path) => /\.(mp4|m4v|mov|mkv|webm)$/i.test(path));
  return output && partialName(output).replace(/[^.]*$/, "sound.mka");
}

function sourceOptions(values: SegmentValues): SourceOptions {
  return pick<SourceOptions>({
    start: values.start,
    end: values.end,
    frames: values.frames,
    stride: values.stride,
    shard: values.shard,
    inputFormat: values["input-format"],
    size: values.size,
    fps: values.fps,
    ffmpeg: values.ffmpeg,
    aside: asideOf(values),
  });
}

/** The segmenter's settings in the command's options. */
export function segmenterOptions(
  values: Omit<SegmentValues, "resume" | "output" | "labels">,
): SegmenterOptions {
  return pick<SegmenterOptions>({
    model: values.model,
    models: values.models,
    device: values.device,
    grid: values.grid,
    levels: values.levels,
    walkSteps: values["walk-steps"],
    stop: values.stop,
    threshold: values.threshold,
    method: values.method,
    refine: values.refine,
    adjacency: values.adjacency,
    solver: values.solver,
    power: values.power,
    thresholds: thresholdsOf(values.thresholds),
    maxSegments: values["max-segments"],
    minArea: values["min-area"],
    contour: values.contour,
    warmStart: values["no-warm-start"] ? false : undefined,
    keyframe: values.keyframe,
    sceneCut: values["scene-cut"],
    inversionSteps: values["inversion-steps"],
    timestep: values.timestep,
    reuseNoise: values["no-reuse-noise"] ? false : values["reuse-noise"],
    layers: values.layers,
    prompt: values.prompt,
    dump: values.dump,
  });
}

/** Seconds between checkpoints. */
const CHECKPOINT_SECONDS = 1;

async function createSegmenter(
  values: SegmentValues,
  onNote: (line: string) => void,
  { checkpoints, from }: { checkpoints?: Checkpoints | undefined; from?: SegmenterSnapshot | undefined },
): Promise<FrameSegmenter & { close(): Promise<void> }> {
  if (values["null-model"]) return new NullSegmenter();
  // Loaded when it is needed: wrong usage is told without the runtime of the network.
  const { Segmenter } = await import("../segmenter.ts");
  const memory = pick<Pick<SegmenterOptions, "snapshots" | "from">>({
    snapshots: checkpoints && CHECKPOINT_SECONDS,
    from,
  });
  return await Segmenter.create({ ...segmenterOptions(values), ...memory }, onNote);
}

/**
 * Names the outputs and checks, before any work, that they can be written.
 *
 * @returns undefined where `-n` leaves nothing to do.
 */
async function chooseOutputs(
  input: string,
  values: SegmentValues,
  info: VideoInfo,
): Promise<Outputs | undefined> {
  const outputs: Outputs = {
    ...numbered("output", values.output ?? [defaultOutput(input, values, info)]),
    ...numbered("labels", values.labels ?? []),
    ...pick<Outputs>({ rle: values.rle, stats: values.stats }),
  };
  checkDistinct(input, outputs);
  const kept: string[] = [];
  for (const [option, path] of Object.entries(outputs)) {
    if (path === "-" || path.includes("%")) continue;
    if (values["no-overwrite"] && await exists(path)) {
      kept.push(path);
      delete outputs[option];
    } else await claimOutput(path, { overwrite: values.overwrite === true });
  }
  if (kept.length > 0 && !values.quiet) writeStderr(`walkcut: kept as it was: ${kept.join(", ")}\n`);
  const nothingLeft = Object.keys(outputs).length === 0 && values.dump === undefined;
  return kept.length > 0 && nothingLeft ? undefined : outputs;
}

/** Names of one option, the first under its own key, the others numbered. */
function numbered(option: "output" | "labels", paths: readonly string[]): Outputs {
  return Object.fromEntries(paths.map((path, i) => [i === 0 ? option : `${option} ${i + 1}`, path]));
}

/** Two outputs, or an output and the input, in one file would destroy each other. */
function checkDistinct(input: string, outputs: Outputs): void {
  const seen = new Map([[resolve(input), "the input"]]);
  for (const [option, path] of Object.entries(outputs)) {
    if (path === "-") continue;
    const other = seen.get(resolve(path));
    if (other !== undefined) {
      throw new UsageError({
        what: `--${optionOf(option)} and ${other} are the same file`,
        found: path,
        advice: "give them different names",
      });
    }
    seen.set(resolve(path), `--${optionOf(option)}`);
  }
}

/** `output 2` → `output`. */
function optionOf(key: string): string {
  return key.split(" ")[0]!;
}

/** `INPUT.walkcut.mp4` beside the input; in the current folder for a URL. */
export function defaultOutput(input: string, values: Pick<SegmentValues, "show">, info: VideoInfo): string {
  if (/^(-$|\/(dev|proc)\/)/.test(input) || /[%*?\[]/.test(input) && !info.origin) {
    throw new UsageError({
      what: "This input has no name for its output",
      found: input,
      advice: "give one with -o",
    });
  }
  const extension = info.still ? "png" : values.show === "cutout" ? "mov" : "mp4";
  const url = /^[a-z][a-z0-9+.-]+:\/\/[^?#]*?([^/?#]*)\/?(?:[?#].*)?$/i.exec(input);
  const name = url ? decodeURIComponent(url[1] || "stream").replaceAll("/", "_") : input.replace(/\/+$/, "");
  return `${name}.walkcut.${extension}`;
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Opens the outputs; where one cannot be opened, those before it are ended again. */
async function openOutlets(
  outputs: Outputs,
  values: SegmentValues,
  info: VideoInfo,
  warn: (line: string) => void,
  takenUp?: TakenUp,
): Promise<Outlet[]> {
  const renderer = new Renderer(
    pick<ConstructorParameters<typeof Renderer>[0] & object>({
      show: values.show,
      opacity: values.opacity,
      keep: values.segment,
    }),
  );
  const base = { info, overwrite: values.overwrite === true };
  const resumed = (option: OutputKey) => pick<ClaimOptions>({ resume: takenUp?.outputs[option] });
  const ffmpeg = pick<{ ffmpeg?: string }>({ ffmpeg: values.ffmpeg });
  const picture = (option: OutputKey): PictureSinkOptions => {
    const { width, height, channels } = renderer.shape(info.width, info.height);
    return {
      ...base,
      ...resumed(option),
      ...ffmpeg,
      size: { width, height },
      channels,
      planar: renderer.drawsPlanes,
      audio: values["no-audio"] !== true,
      warn,
      ...pick<Partial<PictureSinkOptions>>({
        codec: values.codec,
        crf: values.crf,
        preset: values.preset,
        pixFmt: values["pix-fmt"],
        ffmpegArgs: values["ffmpeg-args"] === undefined ? undefined : splitWords(values["ffmpeg-args"]),
      }),
    };
  };
  const format = values["output-format"];
  const open = async (key: OutputKey, path: string): Promise<Outlet> => {
    switch (optionOf(key)) {
      case "rle":
        return plainOutlet(await openRleSink(path, { ...base, ...resumed(key) }));
      case "stats":
        return plainOutlet(await openStatsSink(path, { ...base, ...resumed(key) }));
      case "labels": {
        const palette = values.palette === true && isPng(path);
        return labelOutlet(await openLabelSink(path, { ...base, ...resumed(key), ...ffmpeg, palette }));
      }
    }
    if (path !== "-" || format === undefined) {
      return pictureOutlet(await openPictureSink(path, picture(key)), renderer);
    }
    return format === "gray8" || format === "gray16le"
      ? labelOutlet(await openStdoutSink(format, picture(key)))
      : pictureOutlet(await openStdoutSink(format, picture(key)), renderer);
  };
  const outlets: Outlet[] = [];
  try {
    for (const [key, path] of Object.entries(outputs)) {
      outlets.push(await open(key, path));
    }
  } catch (error) {
    for (const outlet of outlets) await outlet.discard();
    throw error;
  }
  return outlets;
}

/** Number of frames that the run will take, where the source says. */
function expectedFrames(info: VideoInfo, values: SegmentValues): number | undefined {
  if (info.frameCount === undefined) return values.frames;
  return Math.min(info.frameCount, values.frames ?? Infinity);
}

function terminalWidth(): { columns?: number } {
  try {
    return { columns: Deno.consoleSize().columns };
  } catch {
    return {};
  }
}

/** The summary line; returns the exit code. */
function report(totals: Totals, quiet: boolean): number {
  const { frames, segments, seconds, applications, written, interrupted, readerGone } = totals;
  if (!quiet && !readerGone) {
    const [least, most] = segments;
    const range = least === most ? `${most}` : `${least}–${most}`;
    const parts = [
      `${frames} ${frames === 1 ? "frame" : "frames"}`,
      `${range} ${most === 1 ? "segment" : "segments"}`,
      rateText(frames / seconds),
      `${(applications / frames).toFixed(1)} applications a frame`,
    ];
    const where = written.length > 0 ? `; wrote ${written.join(", ")}` : "";
    const line = frames > 0
      ? parts.join(", ") + where
      : written.length > 0
      ? `wrote ${written.join(", ")}`
      : "nothing was written";
    writeStderr(`walkcut: ${interrupted ? "interrupted: " : ""}${line}\n`);
  }
  return interrupted ? ExitCode.Interrupted : ExitCode.Done;
}
