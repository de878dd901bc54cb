/**
 * `deno task bench soak`: many frames through the whole program, and what it holds meanwhile: memory, open
 * files, children. Linux only.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { locateFfmpeg } from "../../lib/ffmpeg/locate.ts";

const USAGE = `usage: soak [options]

  --frames N    frames of the synthetic clip, 160×90    (default 10000)
  --grid G      32 or 64                                (default 32)
`;

/** Frames between two looks at the process. */
const EVERY = 100;

/** What the program holds at a frame. */
interface Sample {
  readonly frame: number;
  /** Resident, in KiB. */
  readonly memory: number;
  readonly files: number;
  readonly children: number;
}

/** Prints a row a thousand frames, and the last against the first. */
export async function main(args: string[]): Promise<void> {
  const values = parseArgs(args, { string: ["frames", "grid"], boolean: ["help"] });
  if (values.help) return console.log(USAGE);
  const frames = Number(values.frames ?? 10_000);
  const folder = await Deno.makeTempDir({ prefix: "walkcut-soak-" });
  try {
    await makeClip(`${folder}/clip.mkv`, frames);
    const samples = await run(folder, String(values.grid ?? 32));
    const step = Math.max(EVERY, frames / 10);
    const rows = Array.from({ length: Math.floor(frames / step) }, (_, i) => around(samples, (i + 1) * step));
    console.log(
      "| frame | MiB resident (median of the frames before) | open files | children |\n|---|---|---|---|",
    );
    for (const { frame, memory, files, children } of rows) {
      console.log(`| ${frame} | ${(memory / 1024).toFixed(1)} | ${files} | ${children} |`);
    }
    const [first, last] = [rows[0]!, rows.at(-1)!];
    console.log(
      `\nmemory at frame ${last.frame} is ${
        (100 * last.memory / first.memory).toFixed(1)
      } % of that at frame ` +
        `${first.frame}; at most ${(Math.max(...samples.map(({ memory }) => memory)) / 1024).toFixed(1)} MiB`,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Medians of the samples of the 500 frames up to `frame`, since garbage comes and goes. */
function around(samples: readonly Sample[], frame: number): Sample {
  const near = samples.filter((sample) => sample.frame <= frame && sample.frame > frame - 5 * EVERY);
  const median = (key: keyof Sample) =>
    near.map((sample) => sample[key]).sort((a, b) => a - b)[Math.floor(near.length / 2)] ?? NaN;
  return { frame, memory: median("memory"), files: median("files"), children: median("children") };
}

async function makeClip(path: string, frames: number): Promise<void> {
  const { path: ffmpeg } = await locateFfmpeg();
  const { success } = await new Deno.Command(ffmpeg, {
    args: [
      ...["-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25"],
      ...[
        "-frames:v",
        String(frames),
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        path,
      ],
    ],
  }).output();
  if (!success) throw new Error("ffmpeg cannot make the clip");
}

/** Runs the program as its task does, which sets the allocator and V8. */
async function run(folder: string, grid: string): Promise<Sample[]> {
  const clip = `${folder}/clip.mkv`;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["task", "-q", "walkcut", clip, "--device", "cpu", "--grid", grid, "-o", `${folder}/out.mp4`],
      ...["--labels", `${folder}/labels.mkv`, "--progress", "json"],
    ],
    stderr: "piped",
  }).spawn();
  const samples: Sample[] = [];
  let rest = "";
  let pid: number | undefined;
  for await (const part of child.stderr.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + part).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (!line.startsWith("{")) {
        console.log(line);
        continue;
      }
      const { frame } = JSON.parse(line) as { frame: number };
      if (frame < (samples.length + 1) * EVERY) continue;
      pid ??= await programOn(clip);
      samples.push({ frame, ...await look(pid) });
    }
  }
  const { code } = await child.status;
  if (code !== 0) throw new Error(`the program ended with ${code}`);
  return samples;
}

/** The process that V8's flags tell from the task runner. */
async function programOn(clip: string): Promise<number> {
  const pids = (await shell(`grep -laF -- '${clip}' /proc/[0-9]*/cmdline`)).match(/\d+/g) ?? [];
  for (const pid of pids) {
    if ((await shell(`tr '\\0' '\\n' < /proc/${pid}/cmdline`)).includes("\n--v8-flags")) return Number(pid);
  }
  throw new Error("the program is not among the processes");
}

async function look(pid: number): Promise<Omit<Sample, "frame">> {
  const text = await shell(
    `grep VmRSS /proc/${pid}/status; ls /proc/${pid}/fd | wc -l; cat /proc/${pid}/task/*/children | wc -w`,
  );
  const [memory, files, children] = text.match(/\d+/g)?.map(Number) ?? [];
  return { memory: memory ?? NaN, files: files ?? NaN, children: children ?? NaN };
}

/** Deno reads /proc only with every permission. */
async function shell(script: string): Promise<string> {
  const { stdout } = await new Deno.Command("sh", { args: ["-c", script], stderr: "null" }).output();
  return new TextDecoder().decode(stdout);
}
