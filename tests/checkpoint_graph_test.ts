import { assert, assertEquals, assertRejects } from "@std/assert";
import { importCheckpoint } from "../lib/checkpoint/import_checkpoint.ts";
import { readManifest } from "../lib/checkpoint/manifest.ts";
import { attentionChunks, GraphBuilder } from "../lib/checkpoint/graph.ts";
import { writeModel } from "../lib/checkpoint/onnx_file.ts";
import { cutSections } from "../lib/checkpoint/sections.ts";
import { openBackend } from "../lib/checkpoint/runtime.ts";
import { openSafetensors, readFloat32, writeSafetensors } from "../lib/checkpoint/safetensors.ts";
import { encodeFor } from "../lib/checkpoint/text.ts";
import { compare, verify } from "../lib/checkpoint/verify.ts";
import { UsageError, WalkcutError } from "../lib/errors.ts";
import {
  fixture,
  freshSeed,
  makeCheckpoint,
  randomNumbers,
  TINY_TEXT as TEXT,
  TINY_UNET,
  XL_TEXTS,
  XL_UNET,
} from "./checkpoint_make.ts";
import { matrix, readWeights, textReference, unetReference } from "./checkpoint_reference.ts";

/** Configs that differ in what the variants of Stable Diffusion differ in. */
const VARIANTS: Record<string, Record<string, unknown>> = {
  "SD 1.x": TINY_UNET,
  "SD 2.x": {
    ...TINY_UNET,
    attention_head_dim: [2, 4, 8, 8],
    use_linear_projection: true,
    upcast_attention: true,
  },
  SDXL: XL_UNET,
  "SSD-1B": {
    ...XL_UNET,
    mid_block_type: "UNetMidBlock2D",
    transformer_layers_per_block: [1, [2], [1]],
    reverse_transformer_layers_per_block: [[1, 3], [2, 1], 1],
  },
};

async function withImport<T>(
  parts: Parameters<typeof makeCheckpoint>[1],
  seed: number,
  prompt: string,
  use: (source: string, folder: string, models: string) => Promise<T>,
): Promise<T> {
  const root = await Deno.makeTempDir();
  try {
    await makeCheckpoint(`${root}/source`, parts, seed);
    const folder = await importCheckpoint({
      folder: `${root}/source`,
      models: `${root}/models`,
      name: "random",
      precision: "fp32",
      prompt,
      onProgress: () => {},
      onNote: () => {},
      // Small enough that every network is cut into several sections.
      maxWeights: 20_000,
    });
    return await use(`${root}/source`, folder, `${root}/models`);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

function requireClose(
  what: string,
  found: ArrayLike<number>,
  expected: ArrayLike<number>,
  limit = 1e-4,
): void {
  const { relative } = compare(what, found, expected);
  assert(relative <= limit, `${what}: relative error ${relative}`);
}

Deno.test({
  name: "unetReference() is what diffusers computes",
  ignore: fixture === undefined,
  fn: async () => {
    const file = await openSafetensors(`${fixture}/reference.safetensors`);
    const source = await openSafetensors(`${fixture}/unet/diffusion_pytorch_model.safetensors`);
    try {
      const weights = await readWeights(source);
      const config = JSON.parse(await Deno.readTextFile(`${fixture}/unet/config.json`));
      const outputs = unetReference(weights, config, {
        sample: matrix(4, 1024, await readFloat32(file, "sample")),
        timestep: 301,
        context: matrix(7, 32, await readFloat32(file, "context")),
      });
      assertEquals(outputs.size, 33);
      for (const [name, { data }] of outputs) {
        requireClose(name, data, await readFloat32(file, `t301.${name}`), 2e-5);
      }
    } finally {
      file.close();
      source.close();
    }
  },
});

for (const [variant, unet] of Object.entries(VARIANTS)) {
  Deno.test(`importCheckpoint() makes a network like ${variant}'s that computes what its definition says`, async () => {
    const seed = freshSeed();
    console.log(`seed ${seed}`);
    await withImport({ unet }, seed, "", async (source, folder) => {
      const { unet: part } = await readManifest(folder);
      assert(part.graphs.float32.length > 2, "the UNet is cut into sections");
      const random = randomNumbers(seed + 1);
      const numbers = (n: number) => Float32Array.from({ length: n }, random);
      const side = 8;
      const inputs = {
        sample: numbers(4 * side * side),
        context: numbers(5 * 24),
        text_embeds: numbers(20),
        time_ids: Float32Array.of(64, 64, 0, 3, 128, 96),
      };
      const names = ["eps", ...part.layers.flatMap(({ name }) => [`${name}.to_q`, `${name}.to_k`])];
      const weights = await openSafetensors(`${source}/unet/diffusion_pytorch_model.safetensors`);
      const expected = unetReference(await readWeights(weights), unet, {
        sample: matrix(4, side * side, inputs.sample),
        timestep: 417,
        context: matrix(5, 24, inputs.context),
        textEmbeds: inputs.text_embeds,
        timeIds: inputs.time_ids,
      });
      weights.close();
      assertEquals(new Set(expected.keys()), new Set(names));
      // Through the command's own path: a reference's file, compared tensor by tensor.
      const reference = `${folder}/reference.safetensors`;
      const conditions = {
        text_embeds: { shape: [1, 20], data: inputs.text_embeds },
        time_ids: { shape: [1, 6], data: inputs.time_ids },
      };
      const given = {
        sample: { shape: [1, 4, side, side], data: inputs.sample },
        context: { shape: [1, 5, 24], data: inputs.context },
        ...(part.textWidth === null ? {} : conditions),
      };
      const outputs = Object.fromEntries(
        names.map((name) => {
          const data = Float32Array.from(expected.get(name)!.data);
          return [`t417.${name}`, { shape: [data.length], data }];
        }),
      );
      const compared: string[] = [];
      const check = async (inputs: typeof given) => {
        await writeSafetensors(reference, { ...inputs, ...outputs });
        for await (const { tensor, relative } of verify(folder, reference, { device: "cpu" })) {
          assert(relative <= 1e-4, `${variant} ${tensor}, seed ${seed}: relative error ${relative}`);
          compared.push(tensor);
        }
      };
      await check(given);
      assertEquals(new Set(compared), new Set(names.map((name) => `t417.${name}`)));
      if (part.textWidth === null) return;
      const { time_ids: _, ...incomplete } = given as typeof given & typeof conditions;
      await assertRejects(() => check(incomplete), UsageError, "lacks inputs: time_ids");
      const narrow = { ...given, text_embeds: { shape: [1, 19], data: numbers(19) } };
      await assertRejects(() => check(narrow), UsageError, "text_embeds must be [1, 20]: [1, 19]");
      const wide = { ...given, context: { shape: [1, 5, 25], data: numbers(125) } };
      await assertRejects(
        () => check(wide),
        WalkcutError,
        "Cannot run the network on the reference's inputs",
      );
    });
  });
}

Deno.test("attentionChunks() cuts attention that the CPU's kernel cannot count", async () => {
  assertEquals(attentionChunks(4096, 40, "float32"), 1);
  assertEquals(attentionChunks(4096, 64, "float16"), 1);
  const [tokens, channels] = [4096, 64];
  const chunks = attentionChunks(tokens, channels, "float32");
  assertEquals(chunks, 2);
  const g = new GraphBuilder("float32");
  const [q, k, v] = ["q", "k", "v"].map((name) => g.input(name, [1, tokens, channels]));
  g.output("y", g.attention(q!, k!, v!, 1, { chunks }));
  const [section] = cutSections(g.build(), () => true);
  const { ort } = await openBackend({ device: "cpu" });
  const session = await ort.InferenceSession.create(writeModel(section!, "float32", new Map(), 0, ""));
  // Equal keys attend to all values alike; the last query alone sees one key above the others.
  const tensor = (f: (row: number, column: number) => number) =>
    new ort.Tensor(
      "float32",
      Float32Array.from({ length: tokens * channels }, (_, i) => f(Math.floor(i / channels), i % channels)),
      [1, tokens, channels],
    );
  const { y } = await session.run({
    q: tensor((row, column) => row === tokens - 1 && column === 0 ? 400 : 0),
    k: tensor((row, column) => row === 7 && column === 0 ? 1 : 0),
    v: tensor((row, column) => row === 7 ? 10 + column : column),
  });
  await session.release();
  const data = y!.data as Float32Array;
  const expected = Float32Array.from(
    data,
    (_, i) => i % channels + (i < data.length - channels ? 10 / tokens : 10),
  );
  requireClose("attention in parts", data, expected);
});

Deno.test("importCheckpoint() stores what CLIP's text encoder gives for the prompt", async () => {
  const seed = freshSeed();
  console.log(`seed ${seed}`);
  await withImport({ texts: [TEXT] }, seed, "a cat!", async (source, folder) => {
    const stored = await openSafetensors(`${folder}/conditions.safetensors`);
    const weights = await openSafetensors(`${source}/text_encoder/model.safetensors`);
    const vocabulary = JSON.parse(await Deno.readTextFile(`${source}/tokenizer/vocab.json`));
    const end = vocabulary["<|endoftext|>"];
    const spelled = ["<|startoftext|>", "a</w>", "c", "a", "t</w>", "!</w>"];
    const ids = [...spelled.map((token) => vocabulary[token]), end, end, end];
    const { last } = textReference(await readWeights(weights), TEXT, ids, 6);
    assertEquals(stored.tensors.get("context")!.shape, [1, 9, 24]);
    requireClose(`context, seed ${seed}`, await readFloat32(stored, "context"), last.data);
    const notes: string[] = [];
    // At the start of a run another prompt is encoded by the same encoder.
    const manifest = await readManifest(folder);
    assertEquals(manifest.texts.map((text) => [text.folder, text.width, text.positions]), [[
      "text_encoder",
      24,
      9,
    ]]);
    const { context } = await encodeFor(folder, manifest, "Cat", 24, (line) => notes.push(line));
    const others = ["<|startoftext|>", "c", "a", "t</w>"].map((token) => vocabulary[token]);
    const other = textReference(await readWeights(weights), TEXT, [...others, end, end, end, end, end], 4);
    assertEquals(notes, []);
    await encodeFor(folder, manifest, "eight letters", 24, (line) => notes.push(line));
    assertEquals(notes, ["the prompt is longer than 7 tokens: its end is left out"]);
    requireClose(`context of another prompt, seed ${seed}`, context!.data, other.last.data);
    stored.close();
    weights.close();
  });
});

Deno.test("importCheckpoint() joins SDXL's two text encoders before their last layers", async () => {
  const seed = freshSeed();
  console.log(`seed ${seed}`);
  const [first, second] = XL_TEXTS;
  await withImport({ unet: XL_UNET, texts: XL_TEXTS }, seed, "", async (source, folder) => {
    const stored = await openSafetensors(`${folder}/conditions.safetensors`);
    const vocabulary = JSON.parse(await Deno.readTextFile(`${source}/tokenizer/vocab.json`));
    const end = vocabulary["<|endoftext|>"];
    const ids = [vocabulary["<|startoftext|>"], ...Array(8).fill(end)];
    const halves = [];
    for (const [name, config] of [["text_encoder", first], ["text_encoder_2", second]] as const) {
      const weights = await openSafetensors(`${source}/${name}/model.safetensors`);
      halves.push(textReference(await readWeights(weights), config, ids, 1));
      weights.close();
    }
    const [a, b] = halves.map(({ hidden }) => hidden.at(-1)!);
    const expected = Array.from({ length: 9 }, (_, i) => [
      ...a!.data.subarray(8 * i, 8 * i + 8),
      ...b!.data.subarray(16 * i, 16 * i + 16),
    ]).flat();
    requireClose(`context, seed ${seed}`, await readFloat32(stored, "context"), expected);
    requireClose(
      `text_embeds, seed ${seed}`,
      await readFloat32(stored, "text_embeds"),
      halves[1]!.pooled!.data,
    );
    stored.close();
  });
});
