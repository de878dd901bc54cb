/**
 * `deno task fuzz`: the readers of Y4M, raw frames, NUT, NPY and safetensors on random damage.
 *
 * A reader may take what it is given or refuse it with a {@linkcode WalkcutError}; anything else, and
 * whatever takes long or much memory, is a failure, and its input is kept.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { WalkcutError } from "../../lib/errors.ts";
import { Dice, mutate } from "./mutate.ts";
import { type FuzzedReader, readers } from "./readers.ts";

const USAGE = `usage: deno task fuzz [options]

  --minutes M      how long                       (default 1)
  --seed N         the same inputs again          (default another each time)
  --readers A,B    ${readers.map(({ name }) => name).join(", ")}    (default all)
  --out DIR        where inputs that fail go      (default out/fuzz)
`;

/** Longest that an input may take, in milliseconds, whatever else the machine does. */
const LONGEST = 5000;
/** Most that the process may hold, in bytes. */
const MOST_MEMORY = 1.5e9;

/** What a run came to. */
export interface FuzzResult {
  readonly inputs: Readonly<Record<string, number>>;
  readonly refused: number;
  /** Paths of the inputs that failed. */
  readonly failures: readonly string[];
}

/** Settings of {@linkcode fuzz}. */
export interface FuzzOptions {
  readonly seed: number;
  readonly minutes: number;
  /** Most inputs a reader; default: as many as the time allows. */
  readonly most?: number;
  readonly out: string;
  readonly readers: readonly FuzzedReader[];
  readonly tell: (line: string) => void;
}

/** Feeds damaged inputs to each reader in turn until the time is over. */
export async function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  const end = performance.now() + options.minutes * 60_000;
  const inputs: Record<string, number> = {};
  const failures: string[] = [];
  let refused = 0;
  const path = await Deno.makeTempFile({ prefix: "walkcut-fuzz-" });
  try {
    for (let n = 0; n < (options.most ?? Infinity) && performance.now() < end; n++) {
      for (const [r, reader] of options.readers.entries()) {
        const dice = new Dice((options.seed + n * 8 + r) % 2 ** 32);
        const bytes = mutate(dice.pick(reader.samples), dice);
        inputs[reader.name] = (inputs[reader.name] ?? 0) + 1;
        const failure = await tryOn(reader, bytes, path, dice);
        if (failure === "refused") refused++;
        else if (failure !== undefined) {
          await Deno.mkdir(options.out, { recursive: true });
          const kept = `${options.out}/${reader.name}-${options.seed}-${n}`;
          await Deno.writeFile(kept, bytes);
          failures.push(kept);
          options.tell(`${reader.name}: ${failure}; the input is ${kept}`);
        }
      }
    }
  } finally {
    await Deno.remove(path);
  }
  return { inputs, refused, failures };
}

/** Undefined where the reader takes the bytes, `"refused"`, or what went wrong. */
async function tryOn(
  reader: FuzzedReader,
  bytes: Uint8Array<ArrayBuffer>,
  path: string,
  dice: Dice,
): Promise<string | undefined> {
  if (reader.file) await Deno.writeFile(path, bytes);
  const begun = performance.now();
  let outcome: string | undefined;
  try {
    await reader.read(bytes, path, dice);
  } catch (error) {
    if (!(error instanceof WalkcutError)) outcome = error instanceof Error ? error.stack : String(error);
    else if (/\n/.test(error.message)) outcome = `an error of several lines: ${error.message}`;
    else outcome = "refused";
  }
  const took = performance.now() - begun;
  if (took > LONGEST) return `it took ${(took / 1000).toFixed(1)} s`;
  const { rss } = Deno.memoryUsage();
  return rss > MOST_MEMORY ? `it took the process to ${(rss / 1e9).toFixed(1)} GB` : outcome;
}

if (import.meta.main) {
  const values = parseArgs(Deno.args, {
    string: ["minutes", "seed", "readers", "out"],
    boolean: ["help"],
    alias: { help: "h" },
  });
  if (values.help) {
    console.log(USAGE);
    Deno.exit(0);
  }
  const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32));
  const minutes = Number(values.minutes ?? 1);
  const names: readonly string[] = values.readers
    ? String(values.readers).split(",")
    : readers.map(({ name }) => name);
  const unknown = names.find((name) => !readers.some((reader) => reader.name === name));
  if (!(seed >= 0) || !(minutes > 0) || unknown !== undefined) {
    console.error(`fuzz: wrong ${unknown === undefined ? "--seed or --minutes" : `reader: ${unknown}`}`);
    Deno.exit(2);
  }
  console.log(`seed ${seed}`);
  const { inputs, refused, failures } = await fuzz({
    seed,
    minutes,
    out: String(values.out ?? "out/fuzz"),
    readers: readers.filter(({ name }) => names.includes(name)),
    tell: (line) => console.error(line),
  });
  const counts = Object.entries(inputs).map(([name, count]) => `${name} ${count}`).join(", ");
  console.log(`${counts} inputs; ${refused} refused, ${failures.length} failures`);
  Deno.exit(failures.length > 0 ? 1 : 0);
}
