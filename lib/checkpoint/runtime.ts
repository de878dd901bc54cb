/**
 * Runs the sections of an imported network by ONNX Runtime, on the CPU or on a WebGPU device.
 *
 * @module
 */
import type * as Ort from "onnxruntime-web";
import { DeviceError, oneLine, textOf, UsageError } from "../errors.ts";
import { hasFailed, onWatchedDevice } from "../features/device_watch.ts";
import { loadRuntime } from "../features/runtime.ts";
import type { NetworkDevice } from "../features/session.ts";
import { toFloat32 } from "./dtypes.ts";
import { isInner } from "./graph.ts";
import type { Part, SectionFile } from "./manifest.ts";

/** Where a network computes. */
export interface Backend {
  readonly ort: typeof Ort;
  readonly device: GPUDevice | null;
  /** float16 only where the device has `shader-f16`. */
  readonly halfPrecision: boolean;
}

/** A tensor in main memory or on the device. */
export type Tensor = Ort.Tensor;

/**
 * Bytes of weights above which the CPU loads sections for each run instead of keeping them:
 * WebAssembly has 4 GiB for weights, their packed copies and activations together.
 */
const RESIDENT_BYTES = 1.5 * 2 ** 30;

/** What to change where a device is lost or too small. */
const SMALLER_NETWORK =
  "use --grid 32, import with --precision fp16, lower --inversion-steps, or use --device cpu";

/** ONNX Runtime for the CPU, or for a WebGPU device, which stays the caller's. */
export async function openBackend(where: NetworkDevice): Promise<Backend> {
  const ort = await loadRuntime(where.device);
  if (where.device === "cpu") return { ort, device: null, halfPrecision: false };
  return { ort, device: where.gpu, halfPrecision: where.gpu.features.has("shader-f16") };
}

/** The sections of one network, ready to run. */
export class PartRunner {
  readonly #resident: boolean;
  #sessions: (Ort.InferenceSession | undefined)[];
  #files: readonly SectionFile[];
  readonly #type: "float16" | "float32";

  private constructor(
    readonly folder: string,
    readonly part: Part,
    readonly backend: Backend,
    readonly dimensions: Readonly<Record<string, number>>,
  ) {
    const half = backend.halfPrecision ? part.graphs.float16 : undefined;
    this.#files = half ?? part.graphs.float32;
    this.#type = half === undefined ? "float32" : "float16";
    const bytes = this.#files.reduce((n, { length }) => n + 4 * length, 0);
    this.#resident = backend.device !== null || bytes <= RESIDENT_BYTES;
    this.#sessions = this.#files.map(() => undefined);
  }

  /** Opens a network for pictures whose named dimensions are `dimensions`. */
  static async open(
    folder: string,
    part: Part,
    backend: Backend,
    dimensions: Readonly<Record<string, number>>,
  ): Promise<PartRunner> {
    const runner = new PartRunner(folder, part, backend, dimensions);
    if (!runner.#resident) return runner;
    try {
      for (let i = 0; i < runner.#files.length; i++) await runner.#session(i);
      return runner;
    } catch (error) {
      await runner.close();
      throw error;
    }
  }

  /** The type in which it computes. */
  get type(): "float16" | "float32" {
    return this.#type;
  }

  /**
   * Runs the head, or with `whole` all sections, and gives the outputs in `wanted`. With a device
   * they stay there where `onDevice`. The caller disposes of them.
   */
  async run(
    feeds: Readonly<Record<string, Tensor>>,
    wanted: readonly string[],
    { whole = true, onDevice = false } = {},
  ): Promise<Record<string, Tensor>> {
    const values = new Map<string, Tensor>();
    const results: Record<string, Tensor> = {};
    try {
      for (const [i, { head }] of this.#files.entries()) {
        if (!whole && !head) break;
        const session = await this.#session(i);
        const inputs: Record<string, Tensor> = {};
        for (const name of session.inputNames) inputs[name] = (feeds[name] ?? values.get(name))!;
        const outputs = session.outputNames.filter((name) => wanted.includes(name) || isInner(name));
        if (outputs.length === 0) continue;
        for (const [name, tensor] of Object.entries(await this.#guard(() => session.run(inputs, outputs)))) {
          if (isInner(name)) values.set(name, tensor);
          else results[name] = await this.#place(tensor, onDevice);
        }
        if (!this.#resident) await this.#release(i);
      }
    } catch (error) {
      Object.values(results).forEach((tensor) => tensor.dispose());
      throw error;
    } finally {
      values.forEach((tensor) => tensor.dispose());
    }
    return results;
  }

  /** Frees the sessions. */
  async close(): Promise<void> {
    for (let i = 0; i < this.#sessions.length; i++) await this.#release(i);
  }

  async #place(tensor: Tensor, onDevice: boolean): Promise<Tensor> {
    if (onDevice || tensor.location === "cpu") return tensor;
    const data = await this.#guard(() => tensor.getData(true));
    return new this.backend.ort.Tensor("float32", data as Float32Array, tensor.dims);
  }

  async #session(i: number): Promise<Ort.InferenceSession> {
    return this.#sessions[i] ??= await this.#create(this.#files[i]!);
  }

  async #release(i: number): Promise<void> {
    const session = this.#sessions[i];
    this.#sessions[i] = undefined;
    const { device } = this.backend;
    if (device !== null && hasFailed(device)) return;
    await session?.release();
  }

  async #create(file: SectionFile): Promise<Ort.InferenceSession> {
    const { ort, device } = this.backend;
    const [model, data] = await Promise.all([readWhole(`${this.folder}/${file.file}`), this.#weights(file)]);
    // The runtime's types do not know the option that injects a device.
    const provider = device === null ? "wasm" : { name: "webgpu", device };
    return await this.#guard(() =>
      ort.InferenceSession.create(model, {
        executionProviders: [provider as Ort.InferenceSession.ExecutionProviderConfig],
        externalData: [{ path: this.part.location, data }],
        freeDimensionOverrides: this.dimensions,
        logSeverityLevel: 3,
        ...(device === null ? {} : { preferredOutputLocation: "gpu-buffer" as const }),
      })
    );
  }

  /** Runs work of the runtime; what the device failed with is told in place of the runtime's words. */
  async #guard<T>(work: () => Promise<T>): Promise<T> {
    const { device } = this.backend;
    if (device !== null) return await onWatchedDevice(device, work, SMALLER_NETWORK);
    try {
      return await work();
    } catch (error) {
      throw cpuFailure(error);
    }
  }

  /** The section's weights in the type in which it computes. */
  async #weights({ offset, length }: SectionFile): Promise<Uint8Array<ArrayBuffer>> {
    const { stored, weights } = this.part;
    const itemBytes = stored === "float16" ? 2 : 4;
    const bytes = await readRange(`${this.folder}/${weights.file}`, offset * itemBytes, length * itemBytes);
    if (stored === this.#type) return bytes;
    return new Uint8Array(toFloat32(bytes, "F16").buffer);
  }
}

async function readWhole(path: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await Deno.readFile(path);
  } catch (cause) {
    throw new UsageError({
      what: "Cannot read the imported network",
      found: path,
      advice: "import the checkpoint again",
      cause,
    });
  }
}

async function readRange(path: string, offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  let done = 0;
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    using file = await Deno.open(path);
    if ((await file.stat()).size >= offset + length) {
      bytes = new Uint8Array(length);
      await file.seek(offset, Deno.SeekMode.Start);
      while (done < length) {
        const n = await file.read(bytes.subarray(done));
        if (n === null) break;
        done += n;
      }
      if (done === length) return bytes;
    }
  } catch (cause) {
    throw new UsageError({
      what: "Cannot read the imported weights",
      found: path,
      advice: "import the checkpoint again",
      cause,
    });
  }
  throw new UsageError({
    what: `Cannot read ${oneLine(path)}, it is shorter than the ${offset + length} bytes of its manifest`,
    advice: "import the checkpoint again",
  });
}

/** What a failed session or run on the CPU means for the person. */
export function cpuFailure(error: unknown): unknown {
  const message = textOf(error);
  const memory =
    /out of memory|OutOfMemory|bad_alloc|Failed to allocate|allocation failed|Array buffer allocation/i;
  if (!memory.test(message)) return error;
  return new DeviceError({
    what: "The network does not fit into the 4 GiB of WebAssembly on the CPU",
    found: message.slice(0, 160),
    advice: "use --device webgpu, or --grid 32",
    cause: error,
  });
}
