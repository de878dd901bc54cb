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
const EVERY = 20;

/** What the program holds at a frame. */
interface Sample {
  readonly frame: number;
  /** Resident, in KiB. */
  readonly memory: number;
  readonly files: number;
  readonly children: number;
}

/** Prints ten rows, the memory late in the run against the memory early in it, and by how much it grows. */
export async function main(args: string[]): Promise<void> {
  const values = parseArgs(args, { string: ["frames", "grid"], boolean: ["help"] });
  if (values.help) return console.log(USAGE);
  const frames = Number(values.frames ?? 10_000);
  const folder = await Deno.makeTempDir({ prefix: "walkcut-soak-" });
  try {
    await makeClip(`${folder}/clip.mkv`, frames);
    const samples = await run(folder, String(values.grid ?? 32));
    report(samples, frames);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Prints what the samples of a run of `frames` frames come to. */
function report(samples: readonly Sample[], frames: number): void {
  const step = frames / 10;
  console.log("| frames | MiB resident, mean and span | open files | children |\n|---|---|---|---|");
  for (let i = 0; i < 10; i++) {
    const [from, to] = [i * step, (i + 1) * step];
    const { mean, least, most } = memoryOf(samples, from, to);
    const span = (key: "files" | "children") => {
      const values = within(samples, from, to).map((sample) => sample[key]);
      return [...new Set([Math.min(...values), Math.max(...values)])].join("–");
    };
    console.log(
      `| ${Math.round(from)}–${Math.round(to)} | ${mib(mean)} (${mib(least)}–${mib(most)}) | ` +
        `${span("files")} | ${span("children")} |`,
    );
  }
  // What is taken once (code that is compiled, buffers, the allocator's pools) is taken by then.
  const [early, late] = [
    memoryOf(samples, 0.05 * frames, 0.15 * frames),
    memoryOf(samples, 0.9 * frames, frames),
  ];
  const { slope, error } = slopeOf(within(samples, 0.05 * frames, frames));
  console.log(
    `\nmemory in the last tenth of the frames (from ${Math.round(0.9 * frames)}) is ` +
      `${(100 * late.mean / early.mean).toFixed(2)} % of that around frame ${Math.round(0.1 * frames)} ` +
      `(from ${Math.round(0.05 * frames)} to ${Math.round(0.15 * frames)}); ` +
      `at most ${mib(Math.max(...samples.map(({ memory }) => memory)))} MiB\n` +
      `slope: ${(1000 * slope / 1024).toFixed(3)} ± ${
        (1000 * error / 1024).toFixed(3)
      } MiB a thousand frames, ` +
      `${(100 * 1000 * slope / early.mean).toFixed(3)} ± ${(100 * 1000 * error / early.mean).toFixed(3)} %`,
  );
}

function within(samples: readonly Sample[], from: number, to: number): readonly Sample[] {
  return samples.filter(({ frame }) => frame > from && frame <= to);
}

/** Garbage comes and goes between two looks: the mean of many is what is held. In KiB. */
function memoryOf(samples: readonly Sample[], from: number, to: number) {
  const values = within(samples, from, to).map(({ memory }) => memory);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, least: Math.min(...values), most: Math.max(...values) };
}

/** Blocks of samples whose means are taken for independent of each other: garbage stays for a while. */
const BLOCKS = 20;

/** Least squares through the means of blocks of samples: KiB a frame, and its standard error. */
export function slopeOf(
  samples: readonly Pick<Sample, "frame" | "memory">[],
): { slope: number; error: number } {
  const size = Math.max(1, Math.floor(samples.length / BLOCKS));
  const blocks: { x: number; y: number }[] = [];
  for (let i = 0; i + size <= samples.length; i += size) {
    const block = samples.slice(i, i + size);
    const mean = (key: "frame" | "memory") => block.reduce((sum, sample) => sum + sample[key], 0) / size;
    blocks.push({ x: mean("frame"), y: mean("memory") });
  }
  const n = blocks.length;
  const [meanX, meanY] = [
    blocks.reduce((sum, { x }) => sum + x, 0) / n,
    blocks.reduce((sum, { y }) => sum + y, 0) / n,
  ];
  const xx = blocks.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0);
  const slope = blocks.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0) / xx;
  const left = blocks.reduce((sum, { x, y }) => sum + (y - meanY - slope * (x - meanX)) ** 2, 0);
  return { slope, error: Math.sqrt(left / (n - 2) / xx) };
}

function mib(kib: number): string {
  return (kib / 1024).toFixed(1);
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
      if (frame < (samples.at(-1)?.frame ?? 0) + EVERY) continue;
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
