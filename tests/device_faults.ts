/**
 * Runs of the segmenter on a device that breaks. ONNX Runtime is of no use on a thread afterwards, so
 * that each fault has a test file of its own.
 *
 * @module
 */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Progress } from "../lib/cli/progress.ts";
import { labelOutlet, run } from "../lib/cli/run.ts";
import { DeviceError } from "../lib/errors.ts";
import { FrameSegmenter } from "../lib/frame_segmenter.ts";
import type { SegmentedFrame } from "../lib/segmenter.ts";
import { openLabelSink } from "../lib/sink/mod.ts";
import { type Frame, openVideo } from "../lib/source/mod.ts";
import type { Gpu } from "../lib/walk/webgpu/device.ts";
import { ffmpeg, inFolder, names, packetTimes } from "./io_media.ts";

/** From now on every buffer of the device is asked for larger than the device can give. */
export function inflate(device: GPUDevice): void {
  const create = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => create({ ...descriptor, size: 2 ** 40 });
}

/** The device's GPU, which the segmenter keeps to itself. */
function gpuOf(segmenter: FrameSegmenter): Gpu {
  return (segmenter as unknown as { device: { gpu: Gpu } }).device.gpu;
}

/** A run whose device breaks at its third frame: it ends in `line`, and the two frames done can be played. */
export function checkFailingRun(inject: (device: GPUDevice) => void, line: RegExp): Promise<void> {
  return inFolder(async (folder) => {
    const video = `${folder}/clip.mkv`;
    await ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=10:d=1", "-c:v", "ffv1", video);
    const segmenter = await FrameSegmenter.create({ device: "webgpu", grid: 32 });
    const source = await openVideo(video);
    const stream = async function* (frames: AsyncIterable<Frame>): AsyncGenerator<SegmentedFrame> {
      for await (const frame of frames) {
        if (frame.index === 2) inject(gpuOf(segmenter).device);
        yield await segmenter.segment(frame);
      }
    };
    const output = `${folder}/labels.mkv`;
    const { message } = await assertRejects(
      () =>
        run({
          source,
          segmenter: { stream },
          open: async () => [labelOutlet(await openLabelSink(output, { info: source.info }))],
          progress: new Progress({ mode: "none", colour: false }),
          signal: new AbortController().signal,
        }),
      DeviceError,
    );
    assertMatch(message, line);
    assertMatch(message, /the 2 frames done lie in .*labels\.partial\.mkv$/);
    assertEquals(message.includes("\n"), false);
    await segmenter.close();
    await source.close();
    assertEquals(await names(folder), ["clip.mkv", "labels.partial.mkv"]);
    assertEquals((await packetTimes(`${folder}/labels.partial.mkv`)).length, 2);
  });
}
