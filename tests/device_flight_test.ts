import { assert, assertEquals } from "@std/assert";
import { scene } from "../lib/eval/scene.ts";
import type { AttentionLayer, FeatureNetwork } from "../lib/features/network.ts";
import { openModel } from "../lib/features/open_model.ts";
import { FrameSegmenter } from "../lib/frame_segmenter.ts";
import type { SegmentedFrame } from "../lib/segmenter.ts";
import type { Frame } from "../lib/source/mod.ts";
import type { Gpu } from "../lib/walk/webgpu/device.ts";
import { newSeed } from "./device_matrices.ts";

/** A segmenter on the device whose queries and keys come from the CPU, where the network is quick. */
async function openSegmenter(
  layersOf: (frame: Frame) => readonly AttentionLayer[],
): Promise<{ segmenter: FrameSegmenter; gpu: Gpu }> {
  const segmenter = await FrameSegmenter.create({ device: "webgpu", grid: 32 });
  const { network, device } = segmenter as unknown as { network: FeatureNetwork; device: { gpu: Gpu } };
  network.evaluate = async (frame) => {
    // ONNX Runtime gives the thread back as well.
    await new Promise((resolve) => setTimeout(resolve));
    return { layers: layersOf(frame), unetEvals: 1 };
  };
  return { segmenter, gpu: device.gpu };
}

Deno.test("FrameSegmenter gives the same with frames in flight, the next one submitted before a readback is done", async () => {
  const seed = newSeed() % 1000;
  const frames: Frame[] = [];
  for (const { frame } of scene({ seed, width: 320, height: 180, fps: 15 })) {
    if (frames.push(frame) === 7) break;
  }
  const network = await openModel("embedded", { device: "cpu" }, { grid: 32 });
  const layers: (readonly AttentionLayer[])[] = [];
  for (const frame of frames) {
    const found = (await network.evaluate(frame)).layers;
    layers.push(found.map((layer) => ({
      ...layer,
      queries: (layer.queries as Float32Array<ArrayBuffer>).slice(),
      keys: (layer.keys as Float32Array<ArrayBuffer>).slice(),
    })));
  }
  await network.close();
  const open = () => openSegmenter((frame) => layers[frames.indexOf(frame)]!);

  const { segmenter: alone } = await open();
  const expected: SegmentedFrame[] = [];
  for (const frame of frames) expected.push(await alone.segment(frame));
  await alone.close();

  const { segmenter, gpu } = await open();
  const events: string[] = [];
  gpu.onEvent = ({ kind, label }) => events.push(`${kind} ${label}`);
  const found = await Promise.all(frames.map((frame) => segmenter.segment(frame)));
  gpu.onEvent = undefined;
  await segmenter.close();

  found.forEach(({ labels, segments, stats }, i) => {
    const message = `frame ${i}, scene ${seed}`;
    const other = expected[i]!;
    assertEquals(segments, other.segments, message);
    assert(labels.every((id, at) => id === other.labels[at]), message);
    assertEquals(stats.traceShare, other.stats.traceShare, message);
    assertEquals(other.stats.ahead, undefined, message);
  });
  // From the third frame on a frame's cut follows the last one's.
  const followed = found.slice(1, -1).filter(({ stats }) => stats.recertified === 0);
  const kept = found.filter(({ stats }) => stats.ahead === "kept");
  assertEquals(kept.length, followed.length, `scene ${seed}`);
  assert(kept.length >= 2, `${kept.length} kept, scene ${seed}`);
  if (followed.length < frames.length - 2) return;
  // The second frame is the first that is warm: nothing could be submitted ahead of it.
  const warm = events.slice(events.indexOf("mapped cut") + 1);
  const each = ["submit walk", "map cut", "submit cut", "mapped cut"];
  const ahead = Array.from({ length: frames.length - 3 }, () => each).flat();
  const first = ["submit walk", "submit cut", "map cut", "submit cut", "mapped cut"];
  assertEquals(warm, [...first, ...ahead, "map cut", "mapped cut"], `scene ${seed}`);
});
