import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { DeviceError } from "../lib/errors.ts";
import { onWatchedDevice } from "../lib/features/device_watch.ts";
import { openGpu } from "../lib/walk/webgpu/device.ts";
import { checkFailingRun } from "./device_faults.ts";

Deno.test("a run over a lost device ends in one line that says what to change, its output playable", () =>
  checkFailingRun(
    (device) => device.destroy(),
    /^The device was lost while the network ran: .*; use --grid 32, or --device cpu/,
  ));

Deno.test("onWatchedDevice() tells a device's failure with its advice, and other errors as they are", async () => {
  const gpu = await openGpu();
  assert(gpu !== undefined, "the test needs a WebGPU adapter; a software one will do");
  const { device } = gpu;
  const told = (error: Error) =>
    assertRejects(() => onWatchedDevice(device, () => Promise.reject(error), "ADVICE"));
  const other = new RangeError("an index");
  assertEquals(await told(other), other);
  assertEquals(await onWatchedDevice(device, () => Promise.resolve(7), "ADVICE"), 7);
  for (
    const [words, pattern] of [
      ["Not enough memory: Out of memory", /memory of the device: .*; ADVICE$/],
      ["failed to allocate a buffer: std::bad_alloc", /memory of the device: .*; ADVICE$/],
      ["WebGPU device lost (2): gone", /device was lost.*; ADVICE$/],
    ] as const
  ) {
    const error = await told(new Error(words));
    assert(error instanceof DeviceError);
    assertMatch(error.message, pattern);
  }
  // Results of a device that failed meanwhile mean nothing, though nothing was thrown.
  await assertRejects(
    () =>
      onWatchedDevice(device, async () => {
        device.createBuffer({ size: 2 ** 40, usage: GPUBufferUsage.STORAGE });
        await device.queue.onSubmittedWorkDone();
      }, "ADVICE"),
    DeviceError,
    "memory of the device",
  );
  gpu.close();
});

Deno.test("onWatchedDevice() tells that its device was destroyed, whatever the runtime says", async () => {
  const gpu = await openGpu();
  const { device } = gpu!;
  await assertRejects(
    () =>
      onWatchedDevice(device, () => {
        device.destroy();
        return Promise.reject(new WebAssembly.RuntimeError("memory access out of bounds"));
      }, "ADVICE"),
    DeviceError,
    "The device was lost while the network ran",
  );
  gpu!.close();
});
