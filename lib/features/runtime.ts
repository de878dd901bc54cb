/**
 * Loads ONNX Runtime for a device.
 *
 * @module
 */
import type * as Ort from "onnxruntime-web";

/**
 * ONNX Runtime on one wasm thread (`cpu`) or with the WebGPU provider (`webgpu`). The two live side
 * by side in one process.
 */
export async function loadRuntime(device: "cpu" | "webgpu"): Promise<typeof Ort> {
  forgetLocation();
  if (device === "webgpu") {
    const ort = await import("onnxruntime-web/jspi");
    // The web bundles cannot start threads here: their workers come from blob: URLs.
    ort.env.wasm.numThreads = 1;
    return ort as typeof Ort;
  }
  const ort = await import("onnxruntime-web");
  // With more threads one first run in two never returns on a busy machine (Deno 2.9.6): the main
  // thread spins while its pthread waits. Frames are worked on in parallel instead.
  ort.env.wasm.numThreads = 1;
  return ort;
}

/**
 * Removes `location` inside a Worker, where ONNX Runtime would resolve its files against it and
 * fail with "Invalid URL".
 */
function forgetLocation(): void {
  if ("WorkerGlobalScope" in globalThis) delete (globalThis as { location?: unknown }).location;
}
