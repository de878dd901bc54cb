/**
 * `walkcut inspect`: what the method sees in one frame, as one figure.
 *
 * @module
 */
import { ExitCode, UsageError } from "../errors.ts";
import { FrameSegmenter } from "../frame_segmenter.ts";
import { inspectFrame, type Inspection } from "../inspect_frame.ts";
import { COLUMNS, drawInspection } from "../render/inspection.ts";
import type { SegmenterInfo } from "../segmenter.ts";
import { claimOutput, openPictureSink } from "../sink/mod.ts";
import { type Frame, openVideo, ptsSeconds, type VideoInfo } from "../source/mod.ts";
import { defineCommand, helpText, parseCommand, type Values } from "./command.ts";
import { segmentCommand } from "./options.ts";
import { writeStderr } from "./progress.ts";
import { segmenterOptions } from "./segment.ts";
import { optionsOf } from "./shared_options.ts";

/** Options of `walkcut inspect`. */
export const inspectCommand = defineCommand({
  name: "inspect",
  usage: "IMAGE|VIDEO -o OUT.png [options]",
  summary: "figures: attention of a point, P^k, eigenvectors, the hierarchy",
  notes: "Draws one frame as a page of panels:\n" +
    "  first row    the frame with the point, its segments, what was run\n" +
    "  second row   the point's row of P, P^2, P^3, P^4: where a walk from it is after so many steps, by the\n" +
    "               root of the probability's share of the largest; the one that is cut says so\n" +
    "  third row    Fiedler vectors of the whole frame, of its two parts, of the next segment of the tree;\n" +
    "               white is the value at which it is split, red is above it, grey lies outside the segment\n" +
    "  fourth row   the segments after one, two, three and all levels of cuts",
  positionals: [1, 1],
  options: [
    { name: "output", alias: "o", kind: "path", value: "OUT.png", help: "where the figure goes" },
    {
      name: "point",
      kind: "integers",
      value: "X,Y",
      min: 0,
      help: "the point, in pixels of the frame from the upper left corner",
      default: "the middle",
    },
    {
      name: "frame",
      kind: "integer",
      value: "N",
      min: 0,
      help: "which frame of a video, counted from 0 at --start",
      default: "0",
    },
    ...optionsOf(segmentCommand, "start", "overwrite"),
    ...optionsOf(
      segmentCommand,
      "model",
      "models",
      "device",
      "grid",
      "levels",
      "walk-steps",
      "adjacency",
      "stop",
      "threshold",
      "solver",
      "max-segments",
      "min-area",
      "inversion-steps",
      "timestep",
      "layers",
      "prompt",
    ),
    ...optionsOf(segmentCommand, "ffmpeg", "quiet"),
  ],
});

type InspectValues = Values<typeof inspectCommand.options>;

/** Powers of P whose rows are shown, besides the one that is cut. */
const POWERS = [1, 2, 3, 4];

/** Runs the command; resolves to its exit code. */
export async function inspect(args: readonly string[]): Promise<number> {
  const { values, positionals, help } = parseCommand(inspectCommand, args);
  if (help) {
    console.log(helpText(inspectCommand));
    return ExitCode.Done;
  }
  const output = requireOutput(values.output);
  const claim = { overwrite: values.overwrite === true };
  await claimOutput(output, claim);
  const say = (line: string) => values.quiet || writeStderr(`walkcut: ${line}\n`);
  const { info, frame } = await readFrame(positionals[0]!, values);
  const point = pointOf(values.point, frame);
  // The figure is about the cut: segments are shown as the tree has them.
  const segmenter = await FrameSegmenter.create({ ...segmenterOptions(values), contour: 0 }, say);
  try {
    const powers = powersFor(segmenter.info.walkSteps);
    const inspection = await inspectFrame(segmenter, frame, point, powers);
    const picture = drawInspection(inspection, {
      point,
      walkSteps: segmenter.info.walkSteps,
      lines: captionOf(inspection, segmenter.info, values, info),
    });
    const sink = await openPictureSink(output, { ...claim, info: { ...info, still: true }, size: picture });
    await sink.write(picture);
    await sink.close();
    say(`wrote ${output}, ${picture.width}×${picture.height}`);
    return ExitCode.Done;
  } finally {
    await segmenter.close();
  }
}

function requireOutput(output: string | undefined): string {
  if (output !== undefined && /[^/%]\.png$/i.test(output) && !output.includes("%")) return output;
  throw new UsageError({
    what: output === undefined ? "inspect needs an output" : "A figure is one PNG file",
    ...(output === undefined ? {} : { found: output }),
    advice: "give it as -o OUT.png",
  });
}

/** The frame that was asked for. */
async function readFrame(input: string, values: InspectValues): Promise<{ info: VideoInfo; frame: Frame }> {
  const { frame: wanted = 0, start, ffmpeg } = values;
  const source = await openVideo(input, {
    frames: wanted + 1,
    ...(start === undefined ? {} : { start }),
    ...(ffmpeg === undefined ? {} : { ffmpeg }),
  });
  let frames = 0;
  try {
    for await (const frame of source.frames()) {
      if (frames++ === wanted) return { info: source.info, frame };
    }
  } finally {
    await source.close();
  }
  throw new UsageError({
    what: "There is no such frame",
    found: start === undefined ? wanted : `${wanted} from ${start} s on`,
    advice: frames === 0 ? "check --start and the input" : `the input has ${frames} there`,
  });
}

/** The point that was asked for, or the middle. */
function pointOf(
  asked: readonly number[] | undefined,
  { width, height }: Frame,
): readonly [number, number] {
  const [x, y, ...more] = asked ?? [Math.floor(width / 2), Math.floor(height / 2)];
  if (x !== undefined && y !== undefined && more.length === 0 && x < width && y < height) return [x, y];
  throw new UsageError({
    what: "--point is no pixel of the frame",
    found: asked!.join(","),
    advice: `give X,Y from 0,0 to ${width - 1},${height - 1}`,
  });
}

function powersFor(walkSteps: number): number[] {
  return POWERS.includes(walkSteps) ? POWERS : [...POWERS.slice(0, COLUMNS - 1), walkSteps];
}

function captionOf(
  { segmented: { frame, stats } }: Inspection,
  { device, grid, walkSteps }: SegmenterInfo,
  { model = "embedded", start = 0 }: InspectValues,
  info: VideoInfo,
): string[] {
  const name = model.split(/[\\/]/).at(-1)!;
  return [
    `model ${name}`,
    `device ${device}`,
    `grid ${grid}, N = ${grid ** 2}`,
    `P^${walkSteps} is cut`,
    `solver ${stats.solver}`,
    ...(info.still ? [] : [`time ${(start + ptsSeconds(info, frame.pts)).toFixed(3)} s`]),
  ];
}
