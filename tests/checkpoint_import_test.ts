import { assert, assertEquals, assertRejects } from "@std/assert";
import { models } from "../lib/cli/models.ts";
import { importCheckpoint, requireRoom } from "../lib/checkpoint/import_checkpoint.ts";
import { openDiffusionNetwork } from "../lib/checkpoint/diffusion_network.ts";
import { readManifest } from "../lib/checkpoint/manifest.ts";
import { modelNames } from "../lib/checkpoint/store.ts";
import { InterruptedError, UsageError, WalkcutError } from "../lib/errors.ts";
import { fixture, freshSeed, makeCheckpoint, TINY_UNET } from "./checkpoint_make.ts";

interface Line {
  readonly tensor?: string;
  readonly relative: number;
  readonly tensors?: number;
  readonly passed?: boolean;
}

/** Runs `walkcut models …` and gives its code and what it printed. */
async function run(...args: string[]): Promise<{ code: number; lines: string[] }> {
  const lines: string[] = [];
  const log = console.log;
  console.log = (line: string) => lines.push(line);
  try {
    return { code: await models(args), lines };
  } finally {
    console.log = log;
  }
}

async function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir();
  try {
    return await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function importTo(
  models: string,
  folder: string,
  options: Partial<Parameters<typeof importCheckpoint>[0]> = {},
) {
  return importCheckpoint({
    folder,
    models,
    name: "net",
    precision: "fp32",
    prompt: "",
    onProgress: () => {},
    onNote: () => {},
    ...options,
  });
}

/** The error of an import that must fail, after which nothing may be left. */
async function refusal(
  root: string,
  options: Partial<Parameters<typeof importCheckpoint>[0]> = {},
): Promise<string> {
  const error = await assertRejects(
    () => importTo(`${root}/models`, `${root}/source`, options),
    WalkcutError,
  );
  assertEquals(error.message.split("\n").length, 1);
  assertEquals(await entries(`${root}/models`), [], error.message);
  assertEquals((await entries(root)).filter((name) => name !== "models"), ["source"]);
  return error.message;
}

async function entries(folder: string): Promise<string[]> {
  try {
    return (await Array.fromAsync(Deno.readDir(folder), ({ name }) => name)).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

async function edit(path: string, change: (json: Record<string, unknown>) => void): Promise<void> {
  const json = JSON.parse(await Deno.readTextFile(path));
  change(json);
  await Deno.writeTextFile(path, JSON.stringify(json));
}

/** Rewrites the header of a safetensors file, its data as they are. */
async function editHeader(
  path: string,
  change: (header: Record<string, { shape: number[] }>) => void,
): Promise<void> {
  const bytes = await Deno.readFile(path);
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  change(header);
  const text = new TextEncoder().encode(JSON.stringify(header));
  const result = new Uint8Array(8 + text.length + bytes.length - 8 - length);
  new DataView(result.buffer).setBigUint64(0, BigInt(text.length), true);
  result.set(text, 8);
  result.set(bytes.subarray(8 + length), 8 + text.length);
  await Deno.writeFile(path, result);
}

for (
  const [precision, device, limit] of [
    ["fp32", "cpu", 1e-3],
    ["fp32", "webgpu", 1e-3],
    ["fp16", "cpu", 2e-2],
    [
      "fp16",
      "webgpu",
      2e-2,
    ],
  ] as const
) {
  Deno.test({
    name: `models verify finds sd1-tiny imported in ${precision} right on ${device}`,
    ignore: fixture === undefined,
    fn: () =>
      withFolder(async (folder) => {
        const imported = await run(
          "import",
          fixture!,
          "--models",
          folder,
          "--precision",
          precision,
          "--quiet",
        );
        assertEquals(imported.code, 0);
        const reference = `${fixture}/reference.safetensors`;
        const { code, lines } = await run(
          "verify",
          "sd1-tiny",
          "--reference",
          reference,
          "--models",
          folder,
          "--device",
          device,
        );
        const found: Line[] = lines.map((line) => JSON.parse(line));
        const [compared, summary] = [found.slice(0, -1), found.at(-1)!];
        // Three timesteps of 16 layers' queries and keys and of ε, and the VAE's mean.
        assertEquals(compared.length, 3 * 33 + 1);
        assertEquals(new Set(compared.map(({ tensor }) => tensor)).size, 100);
        for (const { tensor, relative } of compared) assert(relative <= limit, `${tensor}: ${relative}`);
        assertEquals([code, summary.passed, summary.tensors], [0, true, 100]);
      }),
  });
}

Deno.test({
  name: "models verify fails where an activation or the weights are others",
  ignore: fixture === undefined,
  fn: () =>
    withFolder(async (folder) => {
      await run("import", fixture!, "--models", folder, "--precision", "fp32", "--quiet");
      const args = ["sd1-tiny", "--models", folder, "--device", "cpu", "--reference"];
      const others = `${folder}/others.safetensors`;
      const bytes = await Deno.readFile(`${fixture}/reference.safetensors`);
      // One number of ε at the first timestep: the first tensor of the file.
      const start = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
      new DataView(bytes.buffer).setFloat32(start, 50, true);
      await Deno.writeFile(others, bytes);
      const { code, lines } = await run("verify", ...args, others);
      const found = lines.map((line) => JSON.parse(line));
      assertEquals([code, found.at(-1).passed], [1, false]);
      assertEquals(found.slice(0, -1).filter(({ relative }) => relative > 1e-3).length, 1);
      const weights = `${folder}/sd1-tiny/unet.weights`;
      await Deno.truncate(weights, 1000);
      await assertRejects(
        () => run("verify", ...args, others),
        WalkcutError,
        "unet.weights is not its manifest's",
      );
      await assertRejects(
        () => openDiffusionNetwork(`${folder}/sd1-tiny`, { device: "cpu" }, { grid: 32 }),
        UsageError,
        "it is shorter than the",
      );
    }),
});

Deno.test("models list tells names, sources and what cannot be used", () =>
  withFolder(async (root) => {
    await makeCheckpoint(`${root}/my checkpoint`, {}, freshSeed());
    const folder = `${root}/models`;
    assertEquals((await run("list", "--models", folder)).lines, ["embedded"]);
    await assertRejects(
      () => run("import", `${root}/my checkpoint`, "--models", folder),
      UsageError,
      "use letters",
    );
    await run("import", `${root}/my checkpoint`, "--models", folder, "--name", "mine", "--quiet");
    await Deno.mkdir(`${folder}/broken`);
    await Deno.writeTextFile(`${folder}/broken/manifest.json`, '{"format":"walkcut-diffusion/1"}');
    const { lines } = await run("list", "--models", folder, "--json");
    const found = lines.map((line) => JSON.parse(line));
    assertEquals(found.map(({ name }) => name), ["embedded", "broken", "mine"]);
    assert(found[1].summary.startsWith("cannot be used: "), found[1].summary);
    assertEquals(found[2].source.files.length, 5);
    const mode = (await Deno.stat(`${folder}/mine`)).mode! & 0o777;
    assertEquals(mode & 0o500, 0o500);
    await assertRejects(
      () => run("verify", "nothing", "--models", folder),
      UsageError,
      "no such network: nothing",
    );
    await assertRejects(() => run("verify", "mine", "--models", folder), UsageError, "needs --reference");
    await assertRejects(() => run("lits"), UsageError, "did you mean list?");
    await assertRejects(() => run("import", `${root}/nowhere`), UsageError, "there is no such folder");
    await assertRejects(
      () => importTo(folder, `${root}/my checkpoint`, { name: "mine" }),
      UsageError,
      "already",
    );
  }));

Deno.test("importCheckpoint() refuses a bad checkpoint with one line and leaves nothing", () =>
  withFolder(async (root) => {
    const seed = freshSeed();
    const source = `${root}/source`;
    const weights = `${source}/unet/diffusion_pytorch_model.safetensors`;
    const config = `${source}/unet/config.json`;
    const cases: [RegExp, () => Promise<unknown>][] = [
      [
        /its weights are pickled.*: diffusion_pytorch_model.bin; get diffusion_pytorch_model.safetensors/,
        async () => {
          await Deno.rename(weights, `${source}/unet/diffusion_pytorch_model.bin`);
        },
      ],
      [/there are no weights: .*vae/, () => Deno.remove(`${source}/vae/diffusion_pytorch_model.safetensors`)],
      [/no unet folder/, () => Deno.rename(`${source}/unet`, `${source}/UNET`)],
      [
        /config cannot be read: .*scheduler_config.json/,
        () => Deno.remove(`${source}/scheduler`, { recursive: true }),
      ],
      [/config is not JSON/, () => Deno.writeTextFile(config, "{")],
      [/truncated/, async () => await Deno.truncate(weights, (await Deno.stat(weights)).size - 10)],
      [/tensor is missing: conv_in.bias/, () => editHeader(weights, (h) => delete h["conv_in.bias"])],
      [/conv_in.weight must have the shape \[16,4,3,3\] .*: \[16,4,9\]/, () =>
        editHeader(weights, (h) => {
          h["conv_in.weight"]!.shape = [16, 4, 9];
        })],
      [
        /unknown type .*: StrangeBlock2D/,
        () =>
          edit(config, (c) => c.up_block_types = [...TINY_UNET.up_block_types.slice(0, 3), "StrangeBlock2D"]),
      ],
      [/take and give the VAE's 4 channels: 9 and 4/, () => edit(config, (c) => c.in_channels = 9)],
      [/its text encoders must give 24 channels: 16/, async () => {
        const text = {
          architectures: ["CLIPTextModel"],
          vocab_size: 100,
          max_position_embeddings: 8,
          hidden_size: 16,
          intermediate_size: 16,
          num_attention_heads: 2,
          num_hidden_layers: 1,
        };
        await makeCheckpoint(source, { texts: [text] }, seed);
      }],
    ];
    for (const [pattern, spoil] of cases) {
      await Deno.remove(source, { recursive: true }).catch(() => {});
      await makeCheckpoint(source, {}, seed);
      await spoil();
      const message = await refusal(root);
      assert(pattern.test(message), message);
    }
    await Deno.remove(source, { recursive: true });
    await makeCheckpoint(source, {}, seed);
    assert(/give a network this name: \.\.\/out;/.test(await refusal(root, { name: "../out" })));
    assert(/no text encoder/.test(await refusal(root, { prompt: "a cat" })));
  }));

Deno.test("importCheckpoint() refuses a weight that float16 cannot hold", () =>
  withFolder(async (root) => {
    await makeCheckpoint(`${root}/source`, {}, freshSeed());
    const path = `${root}/source/vae/diffusion_pytorch_model.safetensors`;
    const bytes = await Deno.readFile(path);
    const start = bytes.length -
      4 * Math.floor((bytes.length - 8 - Number(new DataView(bytes.buffer).getBigUint64(0, true))) / 4);
    // The first tensor's first weight.
    new DataView(bytes.buffer).setFloat32(start, 1e5, true);
    await Deno.writeFile(path, bytes);
    assert(
      /in fp16, whose numbers end at 65504: 100000; import it with --precision fp32/.test(
        await refusal(root, { precision: "fp16" }),
      ),
    );
    const folder = await importTo(`${root}/models`, `${root}/source`);
    assertEquals((await readManifest(folder)).precision, "fp32");
  }));

Deno.test("importCheckpoint() that is interrupted leaves nothing", () =>
  withFolder(async (root) => {
    await makeCheckpoint(`${root}/source`, {}, freshSeed());
    const controller = new AbortController();
    const onProgress = (share: number) =>
      share > 0.3 && controller.abort(new InterruptedError({ what: "Interrupted" }));
    assertEquals(await refusal(root, { signal: controller.signal, onProgress }), "Interrupted");
  }));

/** Starts an import in a process of its own that stops for good when a third is done. */
async function startHalfImport(models: string, folder: string) {
  const script = `
    import { importCheckpoint } from ${
    JSON.stringify(import.meta.resolve("../lib/checkpoint/import_checkpoint.ts"))
  };
    const forever = new Int32Array(new SharedArrayBuffer(4));
    await importCheckpoint({
      folder: Deno.args[1], models: Deno.args[0], name: "half", precision: "fp32", prompt: "", onNote: () => {},
      onProgress: (share) => { if (share > 0.3) { console.log("half"); Atomics.wait(forever, 0, 0); } },
    });`;
  const file = `${models}.ts`;
  await Deno.writeTextFile(file, script);
  const config = new URL("../deno.json", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--config", config, file, models, folder],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.getReader();
  assertEquals(new TextDecoder().decode((await reader.read()).value), "half\n");
  await reader.cancel();
  return child;
}

Deno.test("importCheckpoint() removes what a killed import left, and only that", () =>
  withFolder(async (root) => {
    await makeCheckpoint(`${root}/source`, {}, freshSeed());
    const models = `${root}/models`;
    const child = await startHalfImport(models, `${root}/source`);
    try {
      assertEquals(await modelNames(models), []);
      await importTo(models, `${root}/source`, { name: "first" });
      assertEquals((await entries(models)).length, 2, "the import that is under way is left alone");
    } finally {
      child.kill("SIGKILL");
      await child.status;
    }
    assertEquals(await modelNames(models), ["first"]);
    await importTo(models, `${root}/source`, { name: "second" });
    assertEquals(await entries(models), ["first", "second"]);
  }));

Deno.test({
  name: "models import says in one line that a write failed, and leaves nothing",
  ignore: Deno.build.os === "windows",
  fn: () =>
    withFolder(async (root) => {
      await makeCheckpoint(`${root}/source`, {}, freshSeed());
      const script = `
        import { models } from ${JSON.stringify(import.meta.resolve("../lib/cli/models.ts"))};
        await models(["import", Deno.args[0], "--models", Deno.args[1], "--precision", "fp32"])
          .catch((error) => console.log(error.name + ": " + error.message));`;
      await Deno.writeTextFile(`${root}/run.ts`, script);
      const config = new URL("../deno.json", import.meta.url).pathname;
      const deno =
        `"${Deno.execPath()}" run -A --no-check --config "${config}" "${root}/run.ts" "${root}/source" "${root}/models"`;
      // A limit on the size of files stands for a full disk: writes behind 100 KiB fail.
      const { stdout } = await new Deno.Command("bash", {
        args: ["-c", `trap '' XFSZ; ulimit -f 100; exec ${deno}`],
        stderr: "null",
      }).output();
      const text = new TextDecoder().decode(stdout).trim();
      assert(
        /^WalkcutError: Cannot write .*unet\.weights: .*; make room there, or give another folder with --models$/
          .test(text),
        text,
      );
      assertEquals(await entries(`${root}/models`), []);
    }),
});

Deno.test("requireRoom() says how much is needed and how much is free", async () => {
  await requireRoom(".", 1);
  const error = await assertRejects(
    () => requireRoom(".", 2 ** 60),
    WalkcutError,
    "too little room for 115292",
  );
  assert(/: \d+ MB free; make room there/.test(error.message), error.message);
});
