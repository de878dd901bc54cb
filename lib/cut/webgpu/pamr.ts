/**
 * Pixel-adaptive mask refinement on a WebGPU device.
 *
 * @module
 */
import pamrCode from "../../../shaders/pamr.wgsl" with { type: "text" };
import { DeviceError } from "../../errors.ts";
import type { Frame } from "../../source/frame.ts";
import type { Gpu, PipelineSource } from "../../walk/webgpu/device.ts";
import { Recorder } from "../../walk/webgpu/recorder.ts";
import {
  neighbourOffsets,
  PAMR_DILATIONS,
  PAMR_ITERATIONS,
  type PamrOptions,
  shrink,
  type SmallFrame,
} from "../pamr.ts";

/** Masks that are refined at once. */
const CHUNK = 16;
/** Pixels a workgroup. */
const GROUP = 64;
/** Most workgroups along an axis, as WebGPU guarantees. */
const MOST_GROUPS = 65_535;

function kernel(entryPoint: string): PipelineSource {
  return { label: "pamr", code: pamrCode, entryPoint };
}

/** Every pipeline of the refinement; tests compile them all. */
export const pamrSources: readonly PipelineSource[] = ["weigh", "refine", "choose"].map(kernel);

/**
 * What {@linkcode pamr} does, on a GPU.
 *
 * @param labels `[height, width]` of the frame.
 * @returns labels of the same size; a segment may vanish, none is new.
 * @throws {DeviceError} If the weights are larger than the device can bind, or it fails.
 */
export async function pamrOnDevice(
  gpu: Gpu,
  frame: Pick<Frame, "width" | "height" | "data">,
  labels: Uint16Array<ArrayBuffer>,
  { iterations = PAMR_ITERATIONS, dilations = PAMR_DILATIONS, maxPixels }: PamrOptions = {},
): Promise<Uint16Array<ArrayBuffer>> {
  const small = shrink(frame, labels, maxPixels);
  const pixels = small.width * small.height;
  const full = frame.width * frame.height;
  const offsets = neighbourOffsets(dilations);
  const chunk = Math.min(CHUNK, Math.floor(gpu.maxBinding / (4 * pixels)));
  if (4 * offsets.length * pixels > gpu.maxBinding || chunk < 1) {
    throw new DeviceError({
      what: "The weights of --refine pamr are larger than the device can bind",
      found: `${4 * offsets.length * pixels} bytes`,
      advice: "run with --device cpu",
    });
  }
  const recorder = new Recorder(gpu, "pamr");
  const [weigh, refine, choose] = pamrSources.map((source) => gpu.pipeline(source));
  const hold = (size: number, label: string) => recorder.temporary(4 * size, `pamr ${label}`);
  const rgb = hold(3 * pixels, "colours");
  recorder.upload(rgb, small.rgb);
  const places = hold(2 * offsets.length, "offsets");
  // Two's complement: the kernel reads them as signed.
  recorder.upload(places, Uint32Array.from(offsets.flat()));
  const weights = hold(offsets.length * pixels, "weights");
  const [best, chosen] = [hold(full, "best"), hold(full, "chosen")];
  const sizes = (masks: number, firstMask: number) =>
    recorder.uniform([
      ...[small.width, small.height, offsets.length, { f32: 9 * dilations.length }],
      ...[masks, firstMask, frame.width, frame.height, small.factor],
    ]);
  const groups = Math.ceil(pixels / GROUP);
  recorder.dispatch(weigh!, { 0: sizes(0, 0), 1: rgb, 2: places, 3: weights }, [groups]);
  for (let first = 0; first < small.ids.length; first += chunk) {
    const masks = Math.min(chunk, small.ids.length - first);
    // Each chunk has buffers of its own: uploads of a submission come before all of its commands.
    let [before, after] = [hold(masks * pixels, "masks"), hold(masks * pixels, "masks")];
    recorder.upload(before, sharesOf(small, first, masks));
    const uniform = sizes(masks, first);
    for (let i = 0; i < iterations; i++) {
      recorder.dispatch(
        refine!,
        { 0: uniform, 2: places, 3: weights, 4: before, 5: after },
        [groups, 1, masks],
      );
      [before, after] = [after, before];
    }
    const wide = Math.ceil(full / GROUP);
    recorder.dispatch(
      choose!,
      { 0: uniform, 4: before, 6: best, 7: chosen },
      [Math.min(wide, MOST_GROUPS), Math.ceil(wide / MOST_GROUPS)],
    );
  }
  recorder.read(chosen, 0, 4 * full);
  const { data } = await recorder.finish();
  return Uint16Array.from(new Uint32Array(data[0]!), (mask) => small.ids[mask]!);
}

/** Masks of consecutive labels, `[masks, pixels]`. */
function sharesOf(small: SmallFrame, first: number, masks: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(masks * small.width * small.height);
  for (let m = 0; m < masks; m++) out.set(small.share(small.ids[first + m]!), m * small.width * small.height);
  return out;
}
