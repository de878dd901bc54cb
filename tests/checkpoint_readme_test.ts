import { assert, assertEquals } from "@std/assert";
import { GraphBuilder, int } from "../lib/features/onnx.ts";
import { fixture } from "./checkpoint_make.ts";
import { ffmpeg, inFolder, names } from "./io_media.ts";

const MAIN = new URL("../main.ts", import.meta.url).pathname;

/** The text of the first block of a language under a heading of models/README.md. */
async function blockOf(heading: string, language: string): Promise<string> {
  const page = await Deno.readTextFile(new URL("../models/README.md", import.meta.url));
  return new RegExp(`## ${heading}.*?\`\`\`${language}\\n(.*?)\`\`\``, "s").exec(page)![1]!;
}

/** Runs the lines of a shell block in `folder`, which is the models folder too; gives what they printed. */
async function runLines(folder: string, block: string, names: Record<string, string>): Promise<string[]> {
  const printed: string[] = [];
  for (const line of block.trim().split("\n")) {
    const [program, ...words] = line.split(" ");
    assertEquals(program, "walkcut");
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", MAIN, ...words.map((word) => names[word] ?? word)],
      cwd: folder,
      env: { WALKCUT_MODELS: `${folder}/models` },
    }).output();
    assert(success, `${line}: ${new TextDecoder().decode(stderr)}`);
    printed.push(...new TextDecoder().decode(stdout).trim().split("\n"));
  }
  return printed.filter((line) => line !== "");
}

async function makeClip(folder: string): Promise<string> {
  const clip = `${folder}/clip.mkv`;
  await ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=10:d=0.3", "-c:v", "ffv1", clip);
  return clip;
}

Deno.test({
  name: "the worked example of models/README.md runs",
  ignore: fixture === undefined,
  fn: () =>
    inFolder(async (folder) => {
      const lines = await runLines(folder, await blockOf("Worked example", "sh"), {
        $CHECKPOINT: fixture!,
        $REFERENCE: `${fixture}/reference.safetensors`,
        $CLIP: await makeClip(folder),
      });
      assertEquals(lines[0], "embedded");
      assert(lines[1]!.startsWith("example  Stable Diffusion, 2.4 M weights, fp32"), lines[1]);
      assertEquals(JSON.parse(lines.at(-1)!).passed, true);
      assertEquals(await names(folder), ["clip.mkv", "figure.png", "models", "overlay.mkv"]);
    }),
});

/** Means of R×R patches of a picture of `size` pixels as queries and keys. */
function patchNetwork(size: number, resolutions: readonly number[]): Uint8Array<ArrayBuffer> {
  const graph = new GraphBuilder("patches");
  const picture = graph.input("picture", [1, 3, size, size]);
  for (const resolution of resolutions) {
    const patch = size / resolution;
    const means = graph.op("AveragePool", [picture], {
      kernel_shape: int([patch, patch]),
      strides: int([patch, patch]),
    });
    const columns = graph.op("Reshape", [means, graph.indices([3, resolution ** 2])]);
    const rows = graph.op("Transpose", [columns], { perm: int([1, 0]) });
    for (const name of ["q", "k"]) graph.output(`${name}${resolution}`, rows, [resolution ** 2, 3]);
  }
  return graph.build();
}

Deno.test("the other network of models/README.md runs", () =>
  inFolder(async (folder) => {
    const heading = "Another attention network";
    const manifest = await blockOf(heading, "json");
    const { input, layers } = JSON.parse(manifest);
    const graph = patchNetwork(
      input.size["32"],
      layers.map(({ resolution }: { resolution: number }) => resolution),
    );
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", graph)).toHex();
    await Deno.mkdir(`${folder}/models/mine`, { recursive: true });
    await Deno.writeFile(`${folder}/models/mine/mine.onnx`, graph);
    await Deno.writeTextFile(`${folder}/models/mine/manifest.json`, manifest.replace("HASH", hash));
    await runLines(folder, await blockOf(heading, "sh"), { $CLIP: await makeClip(folder) });
    assertEquals(await names(folder), ["clip.mkv", "models", "overlay.mkv"]);
  }));
