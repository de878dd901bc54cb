import { assert, assertEquals } from "@std/assert";
import { openGpu, type PipelineSource } from "../lib/walk/webgpu/device.ts";
import { pamrSources } from "../lib/cut/webgpu/pamr.ts";
import { cutSources } from "../lib/cut/webgpu/sources.ts";
import { walkSources } from "../lib/walk/webgpu/kernels.ts";

Deno.test("every shader compiles without a complaint, in f32 and f16", async () => {
  const gpu = await openGpu();
  assert(gpu, "no WebGPU adapter: install mesa-vulkan-drivers");
  try {
    const sources = [
      ...walkSources("f32"),
      ...(gpu.hasF16 ? walkSources("f16") : []),
      ...cutSources(128, "f32"),
      ...(gpu.hasF16 ? cutSources(128, "f16") : []),
      ...pamrSources,
    ];
    for (const source of sources) assertEquals(await complaint(gpu.device, () => gpu.pipeline(source)), "");
    const distinct = new Set(sources.map((s) => s.label + s.entryPoint + JSON.stringify(s.constants ?? {})));
    assertEquals(gpu.pipelineCount, distinct.size);
    gpu.check();
  } finally {
    gpu.close();
  }
});

Deno.test("the error scope of the test above sees a broken shader", async () => {
  const gpu = await openGpu();
  assert(gpu, "no WebGPU adapter: install mesa-vulkan-drivers");
  try {
    const broken: PipelineSource = {
      label: "broken",
      code: "@compute @workgroup_size(1) fn main() { x }",
      entryPoint: "main",
    };
    assert((await complaint(gpu.device, () => gpu.pipeline(broken))).length > 0);
  } finally {
    gpu.close();
  }
});

Deno.test("every shader has a header that names its bindings, workgroup and cost", async () => {
  const folder = new URL("../shaders/", import.meta.url);
  for await (const { name } of Deno.readDir(folder)) {
    if (!name.endsWith(".wgsl")) continue;
    const text = await Deno.readTextFile(new URL(name, folder));
    const header = text.slice(0, text.search(/^(?!\/\/)/m));
    for (const part of ["Bindings:", "Workgroup:", "Cost:"]) {
      assert(header.includes(part), `${name} lacks ${part}`);
    }
  }
});

/** Words that WGSL reserves although naga takes them as names. */
const RESERVED =
  /\b(partial|pass|from|final|filter|shared|common|target|self|set|get|of|match|move|pack|with|ref|mod)\b/;

Deno.test("no shader takes a reserved word for a name", async () => {
  const folder = new URL("../shaders/", import.meta.url);
  for await (const { name } of Deno.readDir(folder)) {
    if (!name.endsWith(".wgsl")) continue;
    const text = await Deno.readTextFile(new URL(name, folder));
    text.split("\n").forEach((line, i) => {
      const word = RESERVED.exec(line.replace(/\/\/.*/, ""))?.[0];
      assertEquals(word, undefined, `${name}:${i + 1}`);
    });
  }
});

/** What the device says about an action, "" for nothing. */
async function complaint(device: GPUDevice, action: () => unknown): Promise<string> {
  device.pushErrorScope("validation");
  action();
  return (await device.popErrorScope())?.message ?? "";
}
