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

/** Runs of each, alternating; the best counts. */
const ROUNDS = 3;
/** One setting of the encoder for all. */
const ENCODER = ["-c:v", "libx264", "-crf", "18", "-preset", "medium", "-threads", "0"];
/** What the null model's overlay does, in ffmpeg's own filters: RGB, four tinted quarters, and back. */
const TINT = [
  "scale=flags=bilinear+accurate_rnd+full_chroma_int+full_chroma_inp,format=rgb24",
  ...[["0", "0", "red"], ["iw/2", "0", "lime"], ["0", "ih/2", "blue"], ["iw/2", "ih/2", "yellow"]]
    .map(([x, y, colour]) => `drawbox=x=${x}:y=${y}:w=iw/2:h=ih/2:color=${colour}@0.5:t=fill`),
  "scale=flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp,format=yuv420p",
].join(",");

/** Prints both. */
export async function overhead(clip: string, frames: number): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "walkcut-bench-" });
  try {
    const input = `${folder}/in.mp4`;
    const made = ["-vf", "scale=1280:720", "-frames:v", String(frames), ...ENCODER.slice(0, 4)];
    await ffmpeg("-stream_loop", "-1", "-i", clip, "-an", ...made, "-preset", "veryfast", input);
    const ways: Record<string, () => Promise<void>> = {
      "ffmpeg -i in out": () => ffmpeg("-i", input, ...ENCODER, `${folder}/plain.mp4`),
      "ffmpeg -i in -vf TINT out": () => ffmpeg("-i", input, "-vf", TINT, ...ENCODER, `${folder}/tint.mp4`),
      "walkcut --null-model": () => walkcut(input, "--null-model", "-y", "-q", "-o", `${folder}/overlay.mp4`),
    };
    const best: Record<string, number> = {};
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, run] of Object.entries(ways)) {
        const begin = performance.now();
        await run();
        best[name] = Math.min(best[name] ?? Infinity, (performance.now() - begin) / 1000);
      }
    }
    const tint = best["ffmpeg -i in -vf TINT out"]!;
    console.log(
      `\n| 1280x720, ${frames} frames, the start included | frames/s | against TINT |\n|---|---|---|`,
    );
    for (const [name, seconds] of Object.entries(best)) {
      console.log(`| ${name} | ${(frames / seconds).toFixed(1)} | ${(tint / seconds).toFixed(2)} |`);
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

async function ffmpeg(...args: string[]): Promise<void> {
  await execute((await locateFfmpeg()).path, ["-nostdin", "-v", "error", "-y", ...args]);
}

async function walkcut(...args: string[]): Promise<void> {
  const main = new URL("../../main.ts", import.meta.url).pathname;
  // As the task runs it.
  const flags = ["--v8-flags=--min-semi-space-size=1,--max-semi-space-size=1", "--no-check", "-A"];
  await execute(Deno.execPath(), ["run", "-q", ...flags, main, ...args], {
    MALLOC_ARENA_MAX: "1",
    MALLOC_MMAP_THRESHOLD_: "65536",
    MALLOC_TRIM_THRESHOLD_: "65536",
  });
}

async function execute(program: string, args: string[], env: Record<string, string> = {}): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args, env, stdin: "null", stdout: "null" })
    .output();
  if (!success) throw new Error(`${program} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
}
