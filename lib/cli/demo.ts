/**
 * `walkcut demo`: a sample scene with known truth, rendered, segmented as a user's
 * file is, and scored.
 *
 * @module
 */
import { ExitCode, WalkcutError } from "../errors.ts";
import { scene, sceneLength, type SceneOptions } from "../eval/scene.ts";
import { TruthScorer } from "../eval/video.ts";
import { locateFfmpeg } from "../ffmpeg/locate.ts";
import { FfmpegProcess } from "../ffmpeg/process.ts";
import { helpText, parseCommand } from "./command.ts";
import { demoCommand } from "./options.ts";
import { writeStderr } from "./progress.ts";
import { segmentInput, type SegmentValues } from "./segment.ts";

const WIDTH = 640;
const HEIGHT = 360;
const FPS = 30;

/** Runs the command; resolves to its exit code. */
export async function demo(args: readonly string[]): Promise<number> {
  const { values, help } = parseCommand(demoCommand, args);
  if (help) {
    console.log(helpText(demoCommand));
    return ExitCode.Done;
  }
  const say = (line: string) => values.quiet || writeStderr(`walkcut: ${line}\n`);
  const folder = values.out ?? "out";
  await Deno.mkdir(folder, { recursive: true });
  const video = `${folder}/scene.mp4`;
  const overlay = `${folder}/scene.overlay.mp4`;
  const options: SceneOptions = {
    width: WIDTH,
    height: HEIGHT,
    fps: FPS,
    seconds: values.seconds ?? 5,
    seed: values.seed ?? 1,
  };
  say(`rendering a scene of ${sceneLength(options)} frames, ${WIDTH}×${HEIGHT}, with sound, to ${video}`);
  await renderScene(video, options, values.ffmpeg);

  say("segmenting it");
  const truth = scene(options);
  const scorer = new TruthScorer(WIDTH, HEIGHT);
  const code = await segmentInput(video, segmentValues(values, overlay), ({ frame, labels }) => {
    const { value } = truth.next();
    if (!value || value.frame.index !== frame.index) {
      throw new WalkcutError({
        what: "The decoded scene has another frame than the truth",
        found: frame.index,
      });
    }
    scorer.add(labels, value.truth);
  });
  if (code !== ExitCode.Done) return code;
  const { frames, miou, jf, switches, fragmentations, tracks } = scorer.result();
  writeStderr(
    `walkcut: against the truth: mIoU ${miou.toFixed(3)} (mean over ${frames} frames), J&F ${
      jf.toFixed(3)
    }, ` +
      `${switches} id changes and ${fragmentations} losses on ${tracks.size} regions\n` +
      `walkcut: the overlay is ${overlay}\n`,
  );
  return ExitCode.Done;
}

type DemoValues = ReturnType<typeof parseCommand<typeof demoCommand.options>>["values"];

function segmentValues({ device, grid, ffmpeg, progress, quiet }: DemoValues, output: string): SegmentValues {
  return {
    output: [output],
    overwrite: true,
    ...(device ? { device } : {}),
    ...(grid ? { grid } : {}),
    ...(ffmpeg === undefined ? {} : { ffmpeg }),
    ...(progress ? { progress } : {}),
    ...(quiet ? { quiet } : {}),
  };
}

/** Encodes the scene with a tone as its sound. */
async function renderScene(path: string, options: SceneOptions, asked: string | undefined): Promise<void> {
  const ffmpeg = await locateFfmpeg(asked);
  const length = sceneLength(options) / FPS;
  const encoder = FfmpegProcess.spawn(ffmpeg, [
    ...["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", `${WIDTH}x${HEIGHT}`, "-r", String(FPS), "-i", "pipe:0"],
    ...["-f", "lavfi", "-i", `sine=frequency=330:sample_rate=48000:duration=${length}`],
    ...["-c:v", "libx264", "-preset", "veryfast", "-crf", "14", "-pix_fmt", "yuv420p", "-c:a", "aac"],
    ...["-metadata", "title=walkcut sample scene", "-y", `file:${path}`],
  ], { role: "encoder", stdin: "piped" });
  try {
    for (const { frame } of scene(options)) await encoder.write(frame.data);
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) {
      await encoder.kill();
      throw error;
    }
  }
  await encoder.closeStdin();
  const { success } = await encoder.ended;
  if (!success) throw encoder.failure(`Cannot write ${path}`);
}
