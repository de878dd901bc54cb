/**
 * The WebGPU device: opened once, errors made loud, pipelines and buffers kept.
 *
 * Deno leaves uncaptured errors silent and the results zero. Here the first one
 * is remembered and thrown as a {@linkcode DeviceError} by the next call.
 *
 * @module
 */
import { DeviceError, textOf } from "../../errors.ts";
import { BufferPool } from "./buffer_pool.ts";

/** What the device was asked to do so far; tests and `--stats` read it. */
export interface Counters {
  /** Compute dispatches, indirect ones included. */
  dispatches: number;
  /** Calls of `queue.submit`. */
  submissions: number;
  /** Calls of `mapAsync`. */
  readbacks: number;
  /** Bytes copied to the device. */
  bytesUp: number;
  /** Bytes copied back. */
  bytesDown: number;
}

/** A step of a submission's life: handed to the queue, its `mapAsync` called, that done. */
export interface GpuEvent {
  readonly kind: "submit" | "map" | "mapped";
  /** The submission's name. */
  readonly label: string;
}

/** The text of a compute kernel, and what becomes of it. */
export interface PipelineSource {
  /** Label of the pipeline and its module, and with the rest its key. */
  readonly label: string;
  readonly code: string;
  readonly entryPoint: string;
  readonly constants?: Readonly<Record<string, number>>;
}

/** Limits that the kernels and ONNX Runtime want as large as the adapter has them. */
const WANTED_LIMITS = [
  "maxBindGroups",
  "maxBufferSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupStorageSize",
  "maxComputeWorkgroupsPerDimension",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
] as const;

const WANTED_FEATURES: readonly GPUFeatureName[] = ["shader-f16", "timestamp-query"];

/** An open WebGPU device with its caches. */
export class Gpu {
  readonly device: GPUDevice;
  /** The adapter's name for itself. */
  readonly description: string;
  /** True for a software device. */
  readonly isFallback: boolean;
  /** True where f16 arithmetic and storage exist. */
  readonly hasF16: boolean;
  /** True where passes can be timed. */
  readonly hasTimestamps: boolean;
  readonly counters: Counters = { dispatches: 0, submissions: 0, readbacks: 0, bytesUp: 0, bytesDown: 0 };
  readonly pool: BufferPool;
  /** Told of every submission and readback as they happen; tests look at their order. */
  onEvent: ((event: GpuEvent) => void) | undefined;
  readonly #pipelines = new Map<string, GPUComputePipeline>();
  #failure: DeviceError | undefined;
  #closed = false;

  constructor(device: GPUDevice, info: { description: string; isFallback: boolean }) {
    this.device = device;
    this.description = info.description;
    this.isFallback = info.isFallback;
    this.hasF16 = device.features.has("shader-f16");
    this.hasTimestamps = device.features.has("timestamp-query");
    this.pool = new BufferPool(device);
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.#failure ??= failureOf((event as GPUUncapturedErrorEvent).error);
    });
    device.lost.then((info) => {
      if (this.#closed) return;
      this.#failure ??= new DeviceError({
        what: "The WebGPU device was lost",
        found: info.message || info.reason,
        advice: "run again, with --grid 32, or with --device cpu",
      });
    });
  }

  /** Largest storage buffer that a kernel can bind, in bytes. */
  get maxBinding(): number {
    const { maxStorageBufferBindingSize, maxBufferSize } = this.device.limits;
    return Math.min(maxStorageBufferBindingSize, maxBufferSize);
  }

  /**
   * Throws what went wrong since the last call.
   * @throws {DeviceError} an error that nothing captured, or the loss of the device.
   */
  check(): void {
    if (this.#closed) throw new DeviceError({ what: "The WebGPU device is closed" });
    if (this.#failure) throw this.#failure;
  }

  /** Tells {@linkcode onEvent}. */
  tell(kind: GpuEvent["kind"], label: string): void {
    this.onEvent?.({ kind, label });
  }

  /** Remembers a failure that a promise reported. */
  fail(cause: unknown): DeviceError {
    this.#failure ??= cause instanceof DeviceError ? cause : new DeviceError({
      what: "The WebGPU device failed",
      found: textOf(cause),
      advice: "run again, or with --device cpu",
      cause,
    });
    return this.#failure;
  }

  /** The pipeline of a kernel, compiled on first use. */
  pipeline(source: PipelineSource): GPUComputePipeline {
    const constants = source.constants ?? {};
    const key = [source.label, source.entryPoint, JSON.stringify(constants)].join("|");
    const known = this.#pipelines.get(key);
    if (known) return known;
    const module = this.device.createShaderModule({ label: source.label, code: source.code });
    const pipeline = this.device.createComputePipeline({
      label: key,
      layout: "auto",
      compute: { module, entryPoint: source.entryPoint, constants: { ...constants } },
    });
    this.#pipelines.set(key, pipeline);
    return pipeline;
  }

  /** Number of pipelines compiled so far. */
  get pipelineCount(): number {
    return this.#pipelines.size;
  }

  /** Destroys the device with all that it holds. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.pool.clear();
    this.#pipelines.clear();
    this.device.destroy();
  }
}

/**
 * Opens the adapter that the system prefers.
 *
 * @param software whether one without hardware will do.
 * @returns nothing where there is no adapter.
 * @throws {DeviceError} where the adapter refuses a device.
 */
export async function openGpu({ software = true } = {}): Promise<Gpu | undefined> {
  quietGlProbe();
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter || adapter.info.isFallbackAdapter && !software) return undefined;
  const requiredLimits: Record<string, number> = {};
  for (const name of WANTED_LIMITS) requiredLimits[name] = adapter.limits[name];
  const requiredFeatures = WANTED_FEATURES.filter((name) => adapter.features.has(name));
  try {
    const device = await adapter.requestDevice({ label: "walkcut", requiredFeatures, requiredLimits });
    return new Gpu(device, {
      description: adapter.info.description || adapter.info.vendor || "unnamed adapter",
      isFallback: adapter.info.isFallbackAdapter,
    });
  } catch (cause) {
    throw new DeviceError({
      what: "The WebGPU adapter gives no device",
      found: textOf(cause),
      advice: "run with --device cpu",
      cause,
    });
  }
}

/**
 * wgpu's probe of OpenGL complains on stderr when XDG_RUNTIME_DIR is unset. Any
 * folder silences it. Can go when wgpu no longer probes GL beside Vulkan.
 */
function quietGlProbe(): void {
  if (Deno.build.os !== "linux") return;
  const name = "XDG_RUNTIME_DIR";
  if (Deno.permissions.querySync({ name: "env", variable: name }).state !== "granted") return;
  if (!Deno.env.get(name)) Deno.env.set(name, "/tmp");
}

function failureOf(error: GPUError): DeviceError {
  if (error instanceof GPUOutOfMemoryError) {
    return new DeviceError({
      what: "The WebGPU device is out of memory",
      found: error.message,
      // https://github.com/denoland/deno/issues/35195
      advice:
        "use --grid 32 or --device cpu; GPUs with a small BAR refuse large buffers although memory is free",
    });
  }
  return new DeviceError({
    what: "The WebGPU device reports an error",
    found: error.message,
    advice: "run with --device cpu",
  });
}
