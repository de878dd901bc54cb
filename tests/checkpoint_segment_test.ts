import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { readNpy } from "../lib/npy.ts";
import { openGpu } from "../lib/walk/webgpu/device.ts";
import { main } from "../main.ts";
import { fixture, freshSeed, makeCheckpoint, XL_TEXTS, XL_UNET } from "./checkpoint_make.ts";
import { ffmpeg, inFolder, names } from "./io_media.ts";

const MAIN = new URL("../main.ts", import.meta.url).pathname;
const GRID = 32;
const NODES = GRID ** 2;

/** What the command line gave: P, ids on the grid and statistics of each frame. */
interface Segmented {
  readonly walks: Float32Array[];
  readonly stats: { readonly unet_evals: number; readonly segments: number }[];
}

/** Calls `body` with a folder that is the models folder too, and a clip of two moving frames. */
function withModels(body: (folder: string, clip: string) => Promise<void>): Promise<void> {
  return inFolder(async (folder) => {
    const clip = `${folder}/clip.mkv`;
    await ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=10:d=0.2", "-c:v", "ffv1", clip);
    const before = Deno.env.get("WALKCUT_MODELS");
    Deno.env.set("WALKCUT_MODELS", `${folder}/models`);
    try {
      await body(folder, clip);
    } finally {
      if (before === undefined) Deno.env.delete("WALKCUT_MODELS");
      else Deno.env.set("WALKCUT_MODELS", before);
    }
  });
}

/** Imports by a process of its own: a Worker cannot use ONNX Runtime that its parent has loaded before. */
async function importTo(folder: string, source: string): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...[
        "run",
        "--no-prompt",
        "--allow-read",
        "--allow-write",
        "--allow-env",
        "--allow-sys",
        MAIN,
        "models",
      ],
      ...["import", source, "--name", "tiny", "--precision", "fp32", "--models", `${folder}/models`, "-q"],
    ],
  }).output();
  assert(success, new TextDecoder().decode(stderr));
}

/** Segments the clip by `walkcut segment` and reads what it wrote. */
async function segment(folder: string, clip: string, ...args: string[]): Promise<Segmented> {
  const out = await Deno.makeTempDir({ dir: folder });
  const code = await main([
    ...[clip, "-o", `${out}/overlay.mkv`, "--stats", `${out}/stats.jsonl`, "--dump", `${out}/dump`, "-q"],
    ...["--model", "tiny", "--grid", String(GRID), ...args],
  ]);
  assertEquals(code, 0, args.join(" "));
  const walks: Float32Array[] = [];
  for (const frame of await names(`${out}/dump`)) {
    const { data } = await readNpy(`${out}/dump/${frame}/P.npy`);
    walks.push(Float32Array.from(data));
  }
  const lines = (await Deno.readTextFile(`${out}/stats.jsonl`)).trim().split("\n");
  assertEquals(await names(out), ["dump", "overlay.mkv", "stats.jsonl"]);
  return { walks, stats: lines.map((line) => JSON.parse(line)) };
}

/** Share of the walks' mass in which two runs differ, over all frames. */
function difference(a: Segmented, b: Segmented): number {
  const moved = a.walks.map((walk, frame) =>
    walk.reduce((sum, p, i) => sum + Math.abs(p - b.walks[frame]![i]!), 0) / 2 / NODES
  );
  return Math.max(...moved);
}

Deno.test({
  name: "walkcut segments a clip with sd1-tiny, inverted or not, with and without reuse, on cpu and webgpu",
  ignore: fixture === undefined,
  fn: () =>
    withModels(async (folder, clip) => {
      const gpu = await openGpu();
      assert(gpu !== undefined, "the test needs a WebGPU adapter; a software one will do");
      gpu.close();
      await importTo(folder, fixture!);
      const cpu = (...args: string[]) => segment(folder, clip, "--device", "cpu", ...args);
      const reused = await cpu();
      const inverted = await cpu("--no-reuse-noise", "--inversion-steps", "10");
      const clean = await cpu("--inversion-steps", "0");
      const onGpu = await segment(folder, clip, "--device", "webgpu", "--inversion-steps", "10");
      const cleanOnGpu = await segment(folder, clip, ...[
        "--device",
        "webgpu",
        "--inversion-steps",
        "0",
        "--no-reuse-noise",
      ]);
      const all = { reused, inverted, clean, onGpu, cleanOnGpu };
      assertEquals(
        Object.values(all).map(({ stats }) => stats.map((frame) => frame.unet_evals)),
        [[11, 1], [11, 11], [1, 1], [11, 1], [1, 1]],
      );
      for (const [name, { walks, stats }] of Object.entries(all)) {
        assertEquals(walks.map((walk) => walk.length), [NODES ** 2, NODES ** 2]);
        assert(stats.every(({ segments }) => segments >= 1), name);
        for (let i = 0; i < NODES; i += 97) {
          const row = walks[1]!.subarray(i * NODES, (i + 1) * NODES);
          assertAlmostEquals(row.reduce((a, b) => a + b), 1, 1e-3, name);
        }
      }
      // A key frame is the same with and without reuse; the frame behind it has moved.
      assertEquals(reused.walks[0], inverted.walks[0]);
      assert(difference(reused, inverted) > 1e-6);
      assert(difference(reused, clean) > 1e-3);
      const parity = [difference(reused, onGpu), difference(clean, cleanOnGpu)];
      assert(Math.max(...parity) < 1e-3, `cpu and webgpu differ by ${parity} of the walk's mass`);
    }),
});

Deno.test("walkcut segments with a network like SDXL's, its prompt and its layers chosen at run time", () =>
  withModels(async (folder, clip) => {
    const seed = freshSeed();
    await makeCheckpoint(`${folder}/source`, { unet: XL_UNET, texts: XL_TEXTS }, seed);
    await importTo(folder, `${folder}/source`);
    // What the run needs of the text encoders lies in the network's own folder.
    await Deno.remove(`${folder}/source`, { recursive: true });
    const run = (...args: string[]) =>
      segment(folder, clip, "--device", "cpu", "--inversion-steps", "1", ...args);
    const plain = await run();
    const same = await run("--prompt", " ");
    const other = await run("--prompt", "a cat");
    const all = await run("--layers", "all");
    assertEquals(plain.stats.map((frame) => frame.unet_evals), [2, 1]);
    assert(difference(plain, same) < 1e-6, `seed ${seed}: white space is the empty prompt`);
    assert(difference(plain, other) > 1e-6, `seed ${seed}: the prompt must matter`);
    assert(difference(plain, all) > 1e-4, `seed ${seed}: the layers must matter`);
  }));

Deno.test("scene cuts and key frames are inverted in full, the frames behind them reuse the noise", () =>
  withModels(async (folder) => {
    const clip = `${folder}/cut.mkv`;
    const part = (colour: string, d: number) => ["-f", "lavfi", "-i", `color=${colour}:s=96x64:r=10:d=${d}`];
    await ffmpeg(
      ...part("black", 0.1),
      ...part("white", 0.2),
      "-filter_complex",
      "concat=n=2",
      "-c:v",
      "ffv1",
      clip,
    );
    await makeCheckpoint(`${folder}/source`, {}, freshSeed());
    await importTo(folder, `${folder}/source`);
    const elsewhere = `${folder}/elsewhere`;
    await Deno.rename(`${folder}/models`, elsewhere);
    const evals = async (...args: string[]) => {
      const few = ["--device", "cpu", "--inversion-steps", "2", "--max-segments", "1", "--models", elsewhere];
      const { stats } = await segment(folder, clip, ...few, ...args);
      return stats.map((frame) => frame.unet_evals);
    };
    assertEquals(await evals(), [3, 3, 1]);
    assertEquals(await evals("--scene-cut", "1", "--keyframe", "2"), [3, 1, 3]);
  }));

Deno.test("options of diffusion networks are refused where they would change nothing", () =>
  withModels(async (folder, clip) => {
    await makeCheckpoint(`${folder}/source`, {}, freshSeed());
    await importTo(folder, `${folder}/source`);
    const cases = [
      ["embedded", "--inversion-steps", "3"],
      ["embedded", "--timestep", "3"],
      ["embedded", "--no-reuse-noise"],
      ["embedded", "--layers", "all"],
      ["embedded", "--prompt", "a cat"],
      ["tiny", "--prompt", "a cat"],
    ];
    const told = console.error;
    const lines: string[] = [];
    console.error = (line: string) => lines.push(line);
    try {
      for (const [model, ...args] of cases) {
        const out = `${folder}/out.mkv`;
        assertEquals(await main([clip, "-o", out, "-q", "--device", "cpu", "--model", model!, ...args]), 2);
        const name = args[0]!.replace("no-", "");
        const what = model === "tiny"
          ? "Cannot encode --prompt"
          : `${name} is for diffusion networks: embedded`;
        assertMatch(lines.at(-1)!, new RegExp(what));
      }
      assertEquals(lines.length, cases.length);
      assertEquals((await names(folder)).includes("out.mkv"), false);
    } finally {
      console.error = told;
    }
  }));
