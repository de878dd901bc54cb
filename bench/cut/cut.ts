/**
 * What a frame's cut costs, cold and warm, on the CPU and on WebGPU, beside its peers on
 * the same walk in the same run.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { releaseBasis } from "../../lib/cut/webgpu/cut_on_device.ts";
import { UsageError } from "../../lib/errors.ts";
import { adjustedRand } from "../../lib/eval/metrics.ts";
import { chooseGpu } from "../../lib/walk/choose_gpu.ts";
import { createCpuWalkDevice } from "../../lib/walk/cpu/walk_device.ts";
import { createWebGpuWalkDevice } from "../../lib/walk/webgpu/walk_device.ts";
import { type Limits, limitsOf, measure, type Measured } from "./measure.ts";
import { type Peer, type PeerResult, PEERS, runPeers } from "./peers.ts";
import { walksOf } from "./walks.ts";

const USAGE = `usage: cut [FILE …] [options]

  FILE            clips and pictures whose frames give the walks   (default: one of each of ../shared)
  --sizes N,…     nodes: squares, at most 4096                     (default 256,1024,4096; 1024 at most
                  on a software GPU)
  --steps K,…     powers of the walk                               (default 1,2,3)
  --device D      cpu, webgpu or both                              (default both)
  --repeats R     cold runs whose median is told                   (default 3)
  --peers P,…     dense, eigsh, lobpcg, or none                    (default all, beside the CPU)
  --python FILE   a Python with NumPy and SciPy                    (default python3)
  --json FILE     everything that was measured
`;

const FILES = ["../shared/clips/bottle-detection.mp4", "../shared/images/bsds-tune100/images/100080.jpg"];

/** Most nodes on a software GPU unless sizes are asked for. */
const MOST_ON_FALLBACK = 1024;

interface Settings {
  readonly files: readonly string[];
  readonly sizes: readonly number[];
  readonly sizesGiven: boolean;
  readonly steps: readonly number[];
  readonly devices: readonly ("cpu" | "webgpu")[];
  readonly repeats: number;
  readonly peers: readonly Peer[];
  readonly python: string;
  readonly json: string | undefined;
}

/** One walk and power on one device. */
interface Row {
  readonly n: number;
  readonly steps: number;
  readonly source: string;
  readonly device: string;
  readonly limits: Limits;
  readonly runs: readonly Measured[];
  readonly peers: readonly PeerResult[];
}

/** Runs the bench; `args` as on the command line. */
export async function main(args: string[]): Promise<void> {
  const settings = parse(args);
  if (!settings) return console.log(USAGE);
  const rows: Row[] = [];
  for (const kind of settings.devices) {
    for (const row of await onDevice(kind, settings)) rows.push(row);
  }
  printRatios(rows.filter(({ peers }) => peers.length > 0));
  if (settings.json !== undefined) {
    const plain = (_: string, value: unknown) =>
      value instanceof Uint16Array || value instanceof Float32Array ? undefined : value;
    await Deno.writeTextFile(settings.json, JSON.stringify(rows, plain, 2) + "\n");
  }
}

async function onDevice(kind: "cpu" | "webgpu", settings: Settings): Promise<Row[]> {
  const gpu = kind === "webgpu" ? await chooseGpu("webgpu") : undefined;
  const device = gpu ? await createWebGpuWalkDevice(gpu) : await createCpuWalkDevice();
  console.log(`\n${device.description}`);
  console.log(
    "| N | k | walk of | start | ms | by stage | solver, rank | products | dispatches, readbacks | MB moved | " +
      "of bandwidth | of arithmetic | segments |",
  );
  console.log("|" + "---|".repeat(13));
  const rows: Row[] = [];
  try {
    const most = gpu?.isFallback && !settings.sizesGiven ? MOST_ON_FALLBACK : Infinity;
    for (const n of settings.sizes.filter((size) => size <= most)) {
      const pairs = await walksOf(settings.files, n);
      const limits = await limitsOf(device, pairs[0]!);
      for (const steps of settings.steps) {
        for (const pair of pairs) {
          const runs = await measure(device, pair, steps, settings.repeats);
          const ours = { n, steps, source: pair.source, device: device.kind, limits, runs };
          for (const run of runs) console.log(line(ours, run));
          const peers = device.kind === "webgpu" || settings.peers.length === 0
            ? []
            : await runPeers(pair, steps, settings.peers, settings.python);
          rows.push({ ...ours, peers });
        }
      }
      const { bandwidth, arithmetic } = limits;
      console.log(
        `N = ${n}: a copy moves ${(bandwidth / 1e6).toFixed(1)} GB/s, products with 128 columns run at ` +
          `${(arithmetic / 1e6).toFixed(1)} GFLOP/s`,
      );
    }
  } finally {
    if (gpu) releaseBasis(gpu);
    await device.close();
  }
  return rows;
}

function line({ n, steps, source, limits }: Omit<Row, "peers">, run: Measured): string {
  const share = (floor: number) => `${(100 * floor / run.ms).toFixed(0)} %`;
  const stages = Object.entries(run.stages).map(([stage, ms]) => `${stage} ${ms.toFixed(1)}`).join(", ");
  const cells = [
    n,
    steps,
    source,
    run.start,
    run.ms.toFixed(1),
    stages || "-",
    `${run.solver}, ${run.rank}`,
    run.products,
    `${run.dispatches}, ${run.readbacks}`,
    (run.bytes / 1e6).toFixed(0),
    share(run.bytes / limits.bandwidth),
    share(run.operations / limits.arithmetic),
    run.segments,
  ];
  return `| ${cells.join(" | ")} |`;
}

/** How many times longer a peer takes, and how far its partition agrees. */
function printRatios(rows: readonly Row[]): void {
  if (rows.length === 0) return;
  console.log(
    "\nPeers on the CPU: (a) a dense eigendecomposition a node, (b) eigsh on products, (c) LOBPCG on products; " +
      "milliseconds of forming + recursion, × ours cold, × ours warm, adjusted Rand index with ours cold",
  );
  const methods = rows[0]!.peers.map(({ method }) => method);
  console.log(
    `| N | k | walk of | ours: cold, warm | ${methods.map((m) => `(${PEERS[m]}) ${m}`).join(" | ")} |`,
  );
  console.log("|" + "---|".repeat(4 + methods.length));
  for (const { n, steps, source, runs, peers } of rows) {
    const [cold, warm] = [runs[0]!, runs[1]!];
    const cells = peers.map(({ formed, recursion, labels }) => {
      const total = formed + recursion;
      return `${formed.toFixed(0)} + ${recursion.toFixed(0)}, ${(total / cold.ms).toFixed(1)}×, ` +
        `${(total / warm.ms).toFixed(1)}×, ${adjustedRand(cold.labels, labels).toFixed(3)}`;
    });
    console.log(
      `| ${[n, steps, source, `${cold.ms.toFixed(1)}, ${warm.ms.toFixed(1)}`, ...cells].join(" | ")} |`,
    );
  }
}

/** The options checked; nothing where help was asked for. */
function parse(args: string[]): Settings | undefined {
  const values: Record<string, unknown> = parseArgs(args, {
    string: ["sizes", "steps", "device", "repeats", "peers", "python", "json"],
    boolean: ["help"],
    unknown: (arg: string) => {
      if (!arg.startsWith("-")) return true;
      throw new UsageError({ what: "Unknown option of the bench", found: arg, advice: "see --help" });
    },
  });
  const text = (name: string) => values[name] === undefined ? undefined : String(values[name]);
  if (values.help) return undefined;
  const wrong = (name: string, advice: string) =>
    new UsageError({ what: `--${name} is not what the bench takes`, found: text(name) ?? "nothing", advice });
  const numbers = (name: "sizes" | "steps" | "repeats", known: (x: number) => boolean, advice: string) => {
    const given = text(name);
    if (given === undefined) return undefined;
    const list = given.split(",").map(Number);
    if (!list.every((x) => Number.isInteger(x) && known(x))) throw wrong(name, advice);
    return list;
  };
  const square = (n: number) => n >= 64 && n <= 4096 && Number.isInteger(Math.sqrt(n));
  const sizes = numbers("sizes", square, "give squares of 8 … 32 or 64, e.g. 256,1024,4096");
  const repeats = numbers("repeats", (x) => x >= 1, "give a whole number >= 1") ?? [3];
  const device = text("device") ?? "both";
  const peers = text("peers") ?? Object.keys(PEERS).join(",");
  if (!["cpu", "webgpu", "both"].includes(device)) throw wrong("device", "give cpu, webgpu or both");
  const chosen = peers === "none" ? [] : peers.split(",");
  if (!chosen.every((peer): peer is Peer => peer in PEERS)) {
    throw wrong("peers", `choose among ${Object.keys(PEERS).join(", ")}, or none`);
  }
  const files = (values._ as unknown[]).map(String);
  return {
    files: files.length > 0 ? files : FILES,
    sizes: sizes ?? [256, 1024, 4096],
    sizesGiven: sizes !== undefined,
    steps: numbers("steps", (k) => k >= 1 && k <= 8, "give powers of 1 … 8") ?? [1, 2, 3],
    devices: device === "both" ? ["cpu", "webgpu"] : [device as "cpu" | "webgpu"],
    repeats: repeats[0]!,
    peers: chosen,
    python: text("python") ?? "python3",
    json: text("json"),
  };
}
