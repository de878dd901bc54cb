import { assert, assertEquals } from "@std/assert";
import { adjustedRand } from "../lib/eval/metrics.ts";
import { scene } from "../lib/eval/scene.ts";
import { FrameSegmenter } from "../lib/frame_segmenter.ts";
import type { SegmentedFrame } from "../lib/segmenter.ts";

/** The first frames of a scene, on one device. */
async function segmentScene(device: "cpu" | "webgpu", seed: number): Promise<SegmentedFrame[]> {
  const segmenter = await FrameSegmenter.create({ device, grid: 32 });
  try {
    const results: SegmentedFrame[] = [];
    for (const { frame } of scene({ seed, grade: "middle", width: 320, height: 180, seconds: 2 })) {
      results.push(await segmenter.segment(frame));
      if (results.length === 4) break;
    }
    return results;
  } finally {
    await segmenter.close();
  }
}

/** Pixels from which a segment is surely kept: twice the bound of a speck, at which rounding decides. */
const SURE_AREA = 2 * 0.002 * 320 * 180;

function sureIds(segments: SegmentedFrame["segments"]): number[] {
  return segments.filter(({ area }) => area >= SURE_AREA).map(({ id }) => id);
}

Deno.test("FrameSegmenter gives the same segments and ids on CPU and WebGPU, warm for fewer products", async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const onCpu = await segmentScene("cpu", seed);
  const onGpu = await segmentScene("webgpu", seed);
  for (const [i, { labels, segments, stats }] of onCpu.entries()) {
    const other = onGpu[i]!;
    const agreement = adjustedRand(labels, other.labels);
    assert(agreement >= 0.98, `frame ${i}: adjusted Rand index ${agreement}, seed ${seed}`);
    assertEquals(sureIds(other.segments), sureIds(segments), `frame ${i}, seed ${seed}`);
    assertEquals(stats.warm, i > 0);
    if (i === 0) continue;
    for (const frames of [onCpu, onGpu]) {
      const [cold, warm] = [frames[0]!.stats.operatorApplications, frames[i]!.stats.operatorApplications];
      assert(warm < cold, `frame ${i}: ${warm} products warm, ${cold} cold, seed ${seed}`);
    }
  }
});
