/**
 * What a stream costs: frames a second, milliseconds by stage, memory, products warm
 * against cold, and the agreement of both, on real clips through the whole program.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { adjustedRand } from "../../lib/eval/metrics.ts";
import { Segmenter, type SegmenterOptions } from "../../lib/segmenter.ts";
import { openVideo } from "../../lib/source/mod.ts";
import { overhead } from "./overhead.ts";
import { warmStart } from "./warm_start.ts";

const CLIPS = ["bottle-detection.mp4", "walk.mkv", "person-bicycle-car-detection.gif"];

const USAGE = `usage: stream [CLIP …] [options]

  --frames N    frames of each clip    (default 100)
  --device D    cpu, webgpu or auto    (default auto)
  --grid G      32 or 64               (default the device's)
  --warm-start  only what a warm start changes by itself: each frame cut warm and cold with one history, on the
                CPU with 32 nodes a side
  --overhead    only what stands around network and cut, beside ffmpeg alone
  --long        the first clip again and again up to 1,000 frames, for memory
`;

interface Run {
  readonly fps: number;
  readonly products: number;
  readonly segments: number;
  readonly ms: Readonly<Record<string, number>>;
  readonly labels: readonly Uint16Array[];
}

/** Prints a line a clip: the stream warm, and the same cold. */
export async function main(args: string[]): Promise<void> {
  const values = parseArgs(args, {
    string: ["frames", "device", "grid"],
    boolean: ["help", "long", "overhead", "warm-start"],
  });
  if (values.help) return console.log(USAGE);
  const clips = values._.length > 0 ? values._ : CLIPS.map((name) => `../shared/clips/${name}`);
  const frames = Number(values.frames ?? 100);
  const options: SegmenterOptions = {
    device: (values.device ?? "auto") as "auto" | "webgpu" | "cpu",
    ...(values.grid ? { grid: Number(values.grid) as 32 | 64 } : {}),
  };
  if (values["warm-start"]) return await warmStart(clips, frames);
  if (values.overhead) return await overhead(clips[0]!, Number(values.frames ?? 300));
  if (values.long) return await memory(clips[0]!, options);
  console.log(
    "| clip | frames/s | ms: network, walk, cut, pixels | products warm | cold | ratio | agreement, mean | least |",
  );
  console.log("|---|---|---|---|---|---|---|---|");
  for (const clip of clips) {
    const warm = await stream(clip, frames, options);
    const cold = await stream(clip, frames, { ...options, warmStart: false });
    const agreements = warm.labels.map((labels, i) => adjustedRand(labels, cold.labels[i]!));
    const agreement = agreements.reduce((sum, own) => sum + own, 0) / agreements.length;
    const { features, walk, cut, upsample } = warm.ms;
    console.log(
      `| ${clip.split("/").at(-1)} | ${warm.fps.toFixed(1)} | ` +
        [features, walk, cut, upsample].map((ms) => ms!.toFixed(0)).join(", ") +
        ` | ${warm.products.toFixed(0)} | ${cold.products.toFixed(0)} | ` +
        `${(warm.products / cold.products).toFixed(2)} | ${agreement.toFixed(3)} | ${
          Math.min(...agreements).toFixed(3)
        } |`,
    );
  }
  await overhead(clips[0]!, 300);
}

/** One clip through the segmenter; the first frame, which is cold in any case, is left out of the means. */
async function stream(clip: string, frames: number, options: SegmenterOptions): Promise<Run> {
  const source = await openVideo(clip, { frames });
  const segmenter = await Segmenter.create(options);
  const ms: Record<string, number> = {};
  const labels: Uint16Array[] = [];
  let [products, segments, begin, count] = [0, 0, 0, 0];
  for await (const item of segmenter.stream(source.frames())) {
    labels.push(item.labels);
    if (labels.length === 1) {
      begin = performance.now();
      continue;
    }
    count++;
    products += item.stats.operatorApplications;
    segments += item.segments.length;
    for (const [stage, time] of Object.entries(item.stats.ms)) ms[stage] = (ms[stage] ?? 0) + time;
  }
  const seconds = (performance.now() - begin) / 1000;
  await segmenter.close();
  await source.close();
  for (const stage of Object.keys(ms)) ms[stage]! /= count;
  return { fps: count / seconds, products: products / count, segments: segments / count, ms, labels };
}

/** Resident memory along 1,000 frames. */
async function memory(clip: string, options: SegmenterOptions): Promise<void> {
  const segmenter = await Segmenter.create(options);
  async function* repeated() {
    for (let index = 0; index < 1000;) {
      const source = await openVideo(clip, {});
      for await (const frame of source.frames()) {
        if (index >= 1000) break;
        yield { ...frame, index: index++ };
      }
      await source.close();
    }
  }
  let done = 0;
  let peak = 0;
  for await (const _ of segmenter.stream(repeated())) {
    done++;
    const { rss } = Deno.memoryUsage();
    peak = Math.max(peak, rss);
    if (done % 100 === 0) {
      console.log(`frame ${done}: ${(rss / 2 ** 20).toFixed(0)} MiB, peak ${(peak / 2 ** 20).toFixed(0)}`);
    }
  }
  await segmenter.close();
}
