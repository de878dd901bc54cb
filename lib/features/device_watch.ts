/**
 * What becomes of a WebGPU device while ONNX Runtime uses it: the runtime itself tells the loss of a
 * device, or memory that ran out, as "memory access out of bounds" or not at all.
 *
 * @module
 */
import { DeviceError } from "../errors.ts";

/** Milliseconds that the report of a failure may come after the failure. */
const REPORT_DELAY = 200;

/** What to change where a device is lost, or too small for a network of one graph. */
export const SMALLER = "use --grid 32, or --device cpu";

/** Words of errors that mean that memory ran out or a buffer may not be as large. */
const MEMORY = /out of memory|OutOfMemory|bad_alloc|failed to allocate|allocation failed|not enough memory/i;
const TOO_LARGE = /(buffer|binding).*(greater than|exceeds?|larger than).*(max|limit)/is;

/** A failure of the device. */
interface Failure {
  readonly what: string;
  readonly found: string;
  readonly cause: unknown;
}

/** The first failure of one device. */
class DeviceWatch {
  #failure: Failure | undefined;
  readonly #settled: Promise<unknown>;

  constructor(device: GPUDevice) {
    const reported = new Promise<void>((resolve) => {
      device.addEventListener("uncapturederror", (event) => {
        const { error } = event as GPUUncapturedErrorEvent;
        this.#failure ??= failureOf(error, error instanceof GPUOutOfMemoryError) ??
          failure("The WebGPU device reports an error", error);
        resolve();
      });
    });
    const lost = device.lost.then(({ message, reason }) => {
      this.#failure ??= failure(LOST, message || reason);
    });
    this.#settled = Promise.race([reported, lost]);
  }

  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** Throws what the device reported so far. */
  check(advice: string): void {
    if (this.#failure) throw new DeviceError({ ...this.#failure, advice });
  }

  /** Throws the device's own failure where there is one, else what the words of `error` say, else `error`. */
  async explain(error: unknown, advice: string): Promise<never> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, REPORT_DELAY);
    await Promise.race([this.#settled, promise]);
    clearTimeout(timer);
    this.check(advice);
    const read = failureOf(error);
    throw read ? new DeviceError({ ...read, advice }) : error;
  }
}

const watches = new WeakMap<GPUDevice, DeviceWatch>();

function watchDevice(device: GPUDevice): DeviceWatch {
  let watch = watches.get(device);
  if (!watch) watches.set(device, watch = new DeviceWatch(device));
  return watch;
}

/** True where the device has failed since it was first used here; sessions on it cannot be released. */
export function hasFailed(device: GPUDevice): boolean {
  return watchDevice(device).failed;
}

/**
 * Runs work of ONNX Runtime on a device. A failure of the device is told as such, whether the
 * runtime failed over it or gave results that mean nothing.
 *
 * @param advice what to change where the device is lost or too small.
 * @throws {DeviceError} what the device failed with.
 */
export async function onWatchedDevice<T>(
  device: GPUDevice,
  work: () => Promise<T>,
  advice: string,
): Promise<T> {
  const watch = watchDevice(device);
  let result: T;
  try {
    result = await work();
  } catch (error) {
    return await watch.explain(error, advice);
  }
  watch.check(advice);
  return result;
}

const LOST = "The device was lost while the network ran";

/** Memory that ran out or a lost device, by the words of an error. */
function failureOf(error: unknown, outOfMemory = false): Failure | undefined {
  const message = textOf(error);
  if (/device.*lost|lost.*device/i.test(message)) return failure(LOST, error);
  if (!outOfMemory && !MEMORY.test(message) && !TOO_LARGE.test(message)) return undefined;
  return failure("The network does not fit into the memory of the device", error);
}

function failure(what: string, cause: unknown): Failure {
  return { what, found: textOf(cause).slice(0, 160), cause };
}

function textOf(error: unknown): string {
  return error instanceof Error || error instanceof GPUError ? error.message : String(error);
}
