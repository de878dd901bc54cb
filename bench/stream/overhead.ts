/**
 * What stands around network and cut: frames of 720p through decoder, overlay and encoder beside ffmpeg alone,
 * and the share of a real run that is spent outside network and cut.
 *
 * @module
 */
import { parseCommand } from "../../lib/cli/command.ts";
import { segmentCommand } from "../../lib/cli/options.ts";
import { segmentInput } from "../../lib/cli/segment.ts";
import { locateFfmpeg } from "../../lib/ffmpeg/locate.ts";
import { USUAL_MEMORY } from "../../lib/ffmpeg/process.ts";

/** Runs of each, alternating; the best counts. */
const ROUNDS = 3;
/** One setting of the encoder for all. */
const ENCODER = ["-c:v", "libx264", "-crf", "18", "-preset", "medium", "-threads", "0"];
/** What the null model's overlay does, as one would write it for ffmpeg: four quarters tinted in YUV. */
const TINT = [["0", "0", "red"], ["iw/2", "0", "lime"], ["0", "ih/2", "blue"], ["iw/2", "ih/2", "yellow"]]
  .map(([x, y, colour]) => `drawbox=x=${x}:y=${y}:w=iw/2:h=ih/2:color=${colour}@0.5:t=fill`)
  .join(",");

/** What one run took, in seconds: by the clock, and of all processors in it and its children. */
interface Cost {
  readonly wall: number;
  readonly cpu: number;
}

/** Prints both. */
export async function overhead(clip: string, frames: number): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "walkcut-bench-" });
  try {
    const input = `${folder}/in.mp4`;
    const made = ["-vf", "scale=1280:720", "-frames:v", String(frames), ...ENCODER.slice(0, 4)];
    await ffmpeg("-stream_loop", "-1", "-i", clip, "-an", ...made, "-preset", "veryfast", input);
    const ways: Record<string, () => Promise<Cost>> = {
      "ffmpeg -i in out": () => ffmpeg("-i", input, ...ENCODER, `${folder}/plain.mp4`),
      "ffmpeg -i in -vf TINT out": () => ffmpeg("-i", input, "-vf", TINT, ...ENCODER, `${folder}/tint.mp4`),
      "walkcut --null-model": () => walkcut(input, "--null-model", "-y", "-q", "-o", `${folder}/overlay.mp4`),
    };
    const best: Record<string, Cost> = {};
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, run] of Object.entries(ways)) {
        const { wall, cpu } = await run();
        const before = best[name] ?? { wall, cpu };
        best[name] = { wall: Math.min(wall, before.wall), cpu: Math.min(cpu, before.cpu) };
      }
    }
    const tint = best["ffmpeg -i in -vf TINT out"]!;
    console.log(
      `\n1280x720, ${frames} frames, the start included; processor time is that of all processes.\n`,
    );
    console.log(
      "| | frames/s | against TINT | ms of processor a frame | against TINT |\n|---|---|---|---|---|",
    );
    for (const [name, { wall, cpu }] of Object.entries(best)) {
      console.log(
        `| ${name} | ${(frames / wall).toFixed(1)} | ${(tint.wall / wall).toFixed(2)} | ` +
          `${(1000 * cpu / frames).toFixed(1)} | ${(tint.cpu / cpu).toFixed(2)} |`,
      );
    }
    console.log(`\nTINT: ${TINT}`);
    await share(clip, Math.min(frames, 60), folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The whole program on the CPU, written as MP4: the share of its time in which no stage of the segmenter is at work. */
async function share(clip: string, frames: number, folder: string): Promise<void> {
  const { values } = parseCommand(segmentCommand, [
    ...[clip, "--device", "cpu", "--frames", String(frames), "-q", "-y", "-o", `${folder}/real.mp4`],
  ]);
  let [begin, inside, count] = [0, 0, 0];
  await segmentInput(clip, values, ({ stats }) => {
    // The first frame is cold, and starts the clock.
    if (count++ === 0) begin = performance.now();
    else inside += stats.ms.total;
  });
  const all = performance.now() - begin;
  console.log(
    `\nThe real pipeline on the CPU, ${count} frames: ${
      (all / (count - 1)).toFixed(0)
    } ms a frame, of which ` +
      `${(100 * (1 - inside / all)).toFixed(1)} % outside network and cut`,
  );
}

async function ffmpeg(...args: string[]): Promise<Cost> {
  return await execute((await locateFfmpeg()).path, ["-nostdin", "-v", "error", "-y", ...args]);
}

async function walkcut(...args: string[]): Promise<Cost> {
  const main = new URL("../../main.ts", import.meta.url).pathname;
  // As the task runs it.
  const flags = ["--v8-flags=--min-semi-space-size=1,--max-semi-space-size=1", "--no-check", "-A"];
  return await execute(Deno.execPath(), ["run", "-q", ...flags, main, ...args], SMALL_MEMORY);
}

/** The settings of the tasks. */
const SMALL_MEMORY = {
  MALLOC_ARENA_MAX: "1",
  MALLOC_MMAP_THRESHOLD_: "65536",
  MALLOC_TRIM_THRESHOLD_: "65536",
};
async function execute(
  program: string,
  args: string[],
  // The bench itself may run with those of the tasks.
  env: Readonly<Record<string, string>> = USUAL_MEMORY,
): Promise<Cost> {
  const begin = performance.now();
  // The shell's own clock counts the processes that a child has waited for.
  const timed = ["-c", `TIMEFORMAT="%U %S"; time "$@"`, "bash", program, ...args];
  const { success, stderr } = await new Deno.Command("bash", {
    ...{ args: timed, env, stdin: "null", stdout: "null" },
  }).output();
  const said = new TextDecoder().decode(stderr).trim();
  if (!success) throw new Error(`${program} ${args.join(" ")}: ${said}`);
  const [user, system] = said.split("\n").at(-1)!.split(" ").map(Number);
  return { wall: (performance.now() - begin) / 1000, cpu: user! + system! };
}
