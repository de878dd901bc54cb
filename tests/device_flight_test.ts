import { assert, assertEquals } from "@std/assert";
import { scene } from "../lib/eval/scene.ts";
import type { AttentionLayer, FeatureNetwork } from "../lib/features/network.ts";
import { openModel } from "../lib/features/open_model.ts";
import { FrameSegmenter } from "../lib/frame_segmenter.ts";
import type { SegmentedFrame } from "../lib/segmenter.ts";
import type { Frame } from "../lib/source/mod.ts";
import type { Gpu } from "../lib/walk/webgpu/device.ts";
import { newSeed } from "./device_matrices.ts";

/** Frames between cold starts. */
const KEYFRAME = 5;

/** A segmenter on the device whose queries and keys come from the CPU, where the network is quick. */
async function openSegmenter(
  layersOf: (frame: Frame) => readonly AttentionLayer[],
): Promise<{ segmenter: FrameSegmenter; gpu: Gpu; most: () => number }> {
  const segmenter = await FrameSegmenter.create({ device: "webgpu", grid: 32, keyframe: KEYFRAME });
  const { network, device } = segmenter as unknown as { network: FeatureNetwork; device: { gpu: Gpu } };
  network.evaluate = async (frame) => {
    // ONNX Runtime gives the thread back as well.
    await new Promise((resolve) => setTimeout(resolve));
    return { layers: layersOf(frame), unetEvals: 1 };
  };
  // Most bytes that our own buffers took at once.
  let [bytes, most] = [0, 0];
  const { device: raw } = device.gpu;
  const create = raw.createBuffer.bind(raw);
  raw.createBuffer = (descriptor) => {
    const buffer = create(descriptor);
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      bytes -= descriptor.size;
      destroy();
    };
    most = Math.max(most, bytes += descriptor.size);
    return buffer;
  };
  return { segmenter, gpu: device.gpu, most: () => most };
}

Deno.test("FrameSegmenter gives the same with frames in flight, the next one submitted before a readback is done", async () => {
  const seed = newSeed() % 1000;
  const frames: Frame[] = [];
  for (const { frame } of scene({ seed, width: 320, height: 180, fps: 15 })) {
    if (frames.push(frame) === KEYFRAME + 3) break;
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

  const { segmenter: alone, most: mostOfOne } = await open();
  const expected: SegmentedFrame[] = [];
  for (const frame of frames) expected.push(await alone.segment(frame));
  const mostAlone = mostOfOne();
  await alone.close();

  const { segmenter, gpu, most: mostOfTwo } = await open();
  const events: string[] = [];
  gpu.onEvent = ({ kind, label }) => events.push(`${kind} ${label}`);
  const found = await Promise.all(frames.map((frame) => segmenter.segment(frame)));
  gpu.onEvent = undefined;
  const most = mostOfTwo();
  await segmenter.close();

  found.forEach(({ labels, segments, stats }, i) => {
    const message = `frame ${i}, scene ${seed}`;
    const other = expected[i]!;
    assertEquals(segments, other.segments, message);
    assert(labels.every((id, at) => id === other.labels[at]), message);
    assertEquals(stats.traceShare, other.stats.traceShare, message);
    assertEquals(other.stats.ahead, undefined, message);
  });
  // A cold frame leaves nothing that a pass can follow; each other's next one is cut ahead.
  found.forEach(({ stats }, i) => {
    const last = found[i - 1];
    const follows = stats.warm && last?.stats.warm === true;
    const verdict = !follows ? undefined : last.stats.recertified === 0 ? "kept" : "discarded";
    assertEquals([stats.warm, stats.ahead], [i % KEYFRAME > 0, verdict], `frame ${i}, scene ${seed}`);
  });
  // Each of them was submitted while the last one's readback was asked for and not done.
  let waiting = false;
  let ahead = 0;
  for (const event of events) {
    if (event.endsWith(" cut")) waiting = event === "map cut" || (waiting && event !== "mapped cut");
    if (event === "submit cut" && waiting) ahead++;
  }
  assertEquals(ahead, found.filter(({ stats }) => stats.ahead).length, `scene ${seed}`);
  // The device held little more for two frames than for one: a second walk, and what is read back.
  const walk = 4 * 32 ** 4;
  assert(most <= mostAlone + 2 * walk, `${most} bytes, one at a time ${mostAlone}, scene ${seed}`);
});
