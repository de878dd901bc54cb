/**
 * The GPU that `--device` means.
 *
 * @module
 */
import { DeviceError } from "../errors.ts";
import { type Gpu, openGpu } from "./webgpu/device.ts";

/**
 * Opens the GPU for a device word; nothing where the CPU is to be used.
 *
 * @throws {DeviceError} `"webgpu"` where there is no adapter.
 */
export async function chooseGpu(wanted: "auto" | "webgpu" | "cpu"): Promise<Gpu | undefined> {
  if (wanted === "cpu") return undefined;
  // A software adapter is slower than the CPU device (measured), so it must be asked for.
  const gpu = await openGpu({ software: wanted === "webgpu" }).catch((error) => {
    // An adapter that gives no device is as good as none, unless it was asked for.
    if (wanted === "webgpu") throw error;
    return undefined;
  });
  if (wanted === "webgpu" && !gpu) {
    throw new DeviceError({
      what: "Cannot use WebGPU: there is no adapter",
      advice: "use --device cpu, or run `walkcut doctor` to see what is missing",
    });
  }
  return gpu;
}
