/**
 * The cut of a walk on whichever device holds it.
 *
 * @module
 */
import type { Walk } from "../walk/walk.ts";
import { WebGpuWalk } from "../walk/webgpu/walk_device.ts";
import { cutFrame, type CutResult, type CutSettings, type CutState, withPower } from "./cut_frame.ts";
import { cutOnDevice, type PassChain } from "./webgpu/cut_on_device.ts";

/**
 * {@linkcode cutFrame}, with the whole recursion on the GPU where the walk lies there and it can.
 *
 * @param chain where the frames next to this one are under way as well.
 */
export function cutWalk(
  walk: Walk,
  settings: CutSettings,
  last?: CutState,
  chain?: PassChain,
): Promise<CutResult> {
  return withPower(walk, settings, last, async (m, own) => {
    const onDevice = m instanceof WebGpuWalk ? await cutOnDevice(m, own, last, chain) : undefined;
    return onDevice ?? await cutFrame(m, own, last);
  }, (k) => chain?.formed() ?? walk.power(k));
}
