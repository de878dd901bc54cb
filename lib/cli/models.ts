/**
 * `walkcut models`: list, import and verify networks.
 *
 * @module
 */
import { DIFFUSION_FORMAT, MANIFEST_FILE, readManifest } from "../checkpoint/manifest.ts";
import { importCheckpoint } from "../checkpoint/import_checkpoint.ts";
import { findModel, modelNames, modelsFolder } from "../checkpoint/store.ts";
import { TOLERANCE, verify } from "../checkpoint/verify.ts";
import { ExitCode, InterruptedError, UsageError } from "../errors.ts";
import type { NetworkDevice } from "../features/session.ts";
import { chooseGpu } from "../walk/choose_gpu.ts";
import { defineCommand, helpText, nearest, parseCommand } from "./command.ts";
import { Interrupts } from "./interrupts.ts";
import { segmentCommand } from "./options.ts";
import { progressMode, writeStderr } from "./progress.ts";
import { optionsOf, ungrouped } from "./shared_options.ts";

const modelsOption = ungrouped(optionsOf(segmentCommand, "models"))[0]!;

/** Options of `walkcut models`, for help and completions. */
export const modelsCommand = defineCommand({
  name: "models",
  usage: "list|import|verify [options]",
  summary: "list, import and verify networks",
  notes: "models list [--json]                       the embedded network and the imported ones\n" +
    "models import FOLDER [--name N]            import a Stable Diffusion checkpoint (diffusers' layout)\n" +
    "models verify NAME --reference FILE        compare an imported network with known activations",
  positionals: [1, 2],
  words: ["list", "import", "verify"],
  options: [modelsOption],
});

const listCommand = defineCommand({
  name: "models list",
  usage: "[options]",
  summary: "list the embedded network and the imported ones",
  positionals: [0, 0],
  options: [
    modelsOption,
    { name: "json", kind: "flag", help: "one JSON line a network, with sizes and sources" },
  ],
});

const importCommand = defineCommand({
  name: "models import",
  usage: "FOLDER [options]",
  summary: "import a Stable Diffusion checkpoint in diffusers' layout",
  positionals: [1, 1],
  options: [
    { name: "name", kind: "text", value: "NAME", help: "name of the network", default: "the folder's" },
    {
      name: "precision",
      kind: "choice",
      choices: ["fp16", "fp32"],
      help: "type in which weights are stored",
      default: "fp16",
    },
    {
      name: "prompt",
      kind: "text",
      value: "TEXT",
      help: "text that conditions the network",
      default: "none, as in the paper",
    },
    modelsOption,
    ...ungrouped(optionsOf(segmentCommand, "quiet")),
  ],
});

const verifyCommand = defineCommand({
  name: "models verify",
  usage: "NAME --reference FILE [options]",
  summary: "compare an imported network with activations that another program computed",
  positionals: [1, 1],
  options: [
    {
      name: "reference",
      kind: "path",
      value: "FILE",
      help: "safetensors with sample, context, image and tT.eps, tT.MODULE.to_q, tT.MODULE.to_k, vae_mean",
    },
    ...ungrouped(optionsOf(segmentCommand, "device")),
    modelsOption,
  ],
});

const subcommands = { list, import: importModel, verify: verifyModel } as const;

/** Runs `walkcut models …` and gives the exit code. */
export async function models(args: string[]): Promise<number> {
  const [word, ...rest] = args;
  if (word === undefined || word === "--help" || word === "-h") {
    const help = helpText(modelsCommand);
    if (word === undefined) {
      throw new UsageError({ what: "models needs a word", advice: "list, import or verify" });
    }
    console.log(help);
    return ExitCode.Done;
  }
  if (!Object.hasOwn(subcommands, word)) {
    const near = nearest(word, Object.keys(subcommands));
    throw new UsageError({
      what: "models has no such word",
      found: word,
      advice: near ? `did you mean ${near}?` : "it is list, import or verify",
    });
  }
  return await subcommands[word as keyof typeof subcommands](rest);
}

async function list(args: string[]): Promise<number> {
  const { values, help } = parseCommand(listCommand, args);
  if (help) return printHelp(helpText(listCommand));
  const folder = modelsFolder(values.models);
  if (!values.json) writeStderr(`models folder: ${folder}\n`);
  print(values.json ? JSON.stringify({ name: "embedded" }) : "embedded");
  for (const name of await modelNames(folder)) {
    const description = await describe(`${folder}/${name}`);
    print(values.json ? JSON.stringify({ name, ...description }) : `${name}  ${description.summary}`);
  }
  return ExitCode.Done;
}

/** What the list says of a network; one that cannot be read is listed with the reason. */
async function describe(folder: string): Promise<{ summary: string } & Record<string, unknown>> {
  try {
    const { format } = JSON.parse(await Deno.readTextFile(`${folder}/${MANIFEST_FILE}`));
    if (format !== DIFFUSION_FORMAT) return { folder, format, summary: String(format) };
    const { precision, unet, vae, texts, source, conditions } = await readManifest(folder);
    const bytes = [unet, vae, ...texts].reduce((sum, { weights }) => sum + weights.bytes, 0);
    const summary = `Stable Diffusion, ${(unet.parameters / 1e6).toFixed(1)} M weights, ${precision}, ${
      (bytes / 1e6).toFixed(0)
    } MB, from ${source.folder}`;
    return {
      folder,
      format,
      precision,
      parameters: unet.parameters,
      bytes,
      source,
      prompt: conditions.prompt,
      summary,
    };
  } catch (error) {
    return { folder, summary: `cannot be used: ${(error as Error).message}` };
  }
}

async function importModel(args: string[]): Promise<number> {
  const { values, positionals, help } = parseCommand(importCommand, args);
  if (help) return printHelp(helpText(importCommand));
  const source = positionals[0]!;
  const quiet = values.quiet === true;
  const note = (line: string) => quiet || writeStderr(`${line}\n`);
  using interrupts = new Interrupts();
  const report = shareReporter(progressMode("auto", quiet) === "bar", quiet);
  try {
    const folder = await importCheckpoint({
      folder: source,
      models: modelsFolder(values.models),
      name: values.name ?? await folderName(source),
      precision: values.precision ?? "fp16",
      prompt: values.prompt ?? "",
      onProgress: report,
      onNote: note,
      signal: interrupts.signal,
    });
    note(`imported: ${folder}`);
    return ExitCode.Done;
  } catch (error) {
    if (!interrupts.signal.aborted) throw error;
    throw new InterruptedError({ what: "The import was interrupted, nothing was kept", cause: error });
  }
}

/** The last part of a folder's real path, so that `.` has a name too. */
async function folderName(folder: string): Promise<string> {
  try {
    return (await Deno.realPath(folder)).split(/[\\/]/).at(-1)!;
  } catch (cause) {
    throw new UsageError({ what: "Cannot import, there is no such folder", found: folder, cause });
  }
}

/** Tells the share that is done: on a terminal in place, else each tenth as a line. */
function shareReporter(terminal: boolean, quiet: boolean): (share: number) => void {
  let told = -1;
  return (share) => {
    const percent = Math.floor(100 * share);
    if (quiet || percent === told || !terminal && Math.floor(percent / 10) === Math.floor(told / 10)) return;
    told = percent;
    writeStderr(
      terminal ? `\rimporting ${percent} %${percent === 100 ? "\n" : ""}` : `importing ${percent} %\n`,
    );
  };
}

async function verifyModel(args: string[]): Promise<number> {
  const { values, positionals, help } = parseCommand(verifyCommand, args);
  if (help) return printHelp(helpText(verifyCommand));
  const name = positionals[0]!;
  const folder = await findModel(name, modelsFolder(values.models));
  if (folder === undefined) {
    throw new UsageError({
      what: "There is no such network",
      found: name,
      advice: "see walkcut models list",
    });
  }
  if (values.reference === undefined) {
    throw new UsageError({
      what: "models verify needs --reference FILE",
      advice: "see walkcut models verify --help",
    });
  }
  const { precision } = await readManifest(folder);
  const { where, close } = await openDevice(values.device ?? "auto");
  try {
    let worst = { tensor: "", maximum: 0, relative: 0 };
    let tensors = 0;
    for await (const comparison of verify(folder, values.reference, where)) {
      print(JSON.stringify(comparison));
      tensors++;
      if (comparison.relative >= worst.relative) worst = comparison;
    }
    const tolerance = TOLERANCE[precision];
    const passed = worst.relative <= tolerance;
    print(
      JSON.stringify({
        worst: worst.tensor,
        relative: worst.relative,
        tolerance,
        tensors,
        device: where.device,
        passed,
      }),
    );
    return passed ? ExitCode.Done : ExitCode.Failed;
  } finally {
    close();
  }
}

/** The device by its name; `auto` takes a hardware adapter, else the CPU. */
async function openDevice(
  name: "auto" | "webgpu" | "cpu",
): Promise<{ where: NetworkDevice; close: () => void }> {
  const gpu = await chooseGpu(name);
  if (gpu === undefined) return { where: { device: "cpu" }, close: () => {} };
  return { where: { device: "webgpu", gpu: gpu.device }, close: () => gpu.close() };
}

function print(line: string): void {
  console.log(line);
}

function printHelp(text: string): number {
  print(text);
  return ExitCode.Done;
}
