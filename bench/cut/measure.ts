/**
 * Cuts one walk cold and warm, counting what is done.
 *
 * @module
 */
import type { CutResult, CutSettings, CutState } from "../../lib/cut/cut_frame.ts";
import { cutWalk } from "../../lib/cut/cut_walk.ts";
import { gaussian } from "../../lib/random.ts";
import type { Product, Walk, WalkDevice } from "../../lib/walk/walk.ts";
import type { Counters } from "../../lib/walk/webgpu/device.ts";
import { WebGpuWalkDevice } from "../../lib/walk/webgpu/walk_device.ts";
import type { WalkPair } from "./walks.ts";

/** What a device can do, measured in the same run. */
export interface Limits {
  /** Bytes a millisecond that a copy reads and writes. */
  readonly bandwidth: number;
  /** Operations a millisecond of products with a wide block. */
  readonly arithmetic: number;
}

/** One way of cutting a walk. */
export interface Measured {
  readonly start: "cold" | "warm";
  /** Median wall clock. */
  readonly ms: number;
  /** Milliseconds by stage, of the same repetition: the GPU's timestamps where it has them. */
  readonly stages: Readonly<Record<string, number>>;
  readonly products: number;
  readonly dispatches: number;
  readonly readbacks: number;
  /** Bytes that the products read and write, and those between main memory and the device. */
  readonly bytes: number;
  readonly operations: number;
  readonly solver: string;
  readonly rank: number;
  readonly labels: Uint16Array;
  readonly segments: number;
}

/** Columns that a pass over P serves at once: the width of the kernels' blocks. */
const COLUMNS_A_PASS = { cpu: 128, webgpu: 32 } as const;

/** Width of the block that measures the arithmetic. */
const WIDE = 128;

/** Runs before those that count: so many, or for so long. */
const WARM_UP = { runs: 20, ms: 1000 } as const;

/** Cuts a pair's second walk on a device; warm from the cut of its first. */
export async function measure(
  device: WalkDevice,
  pair: WalkPair,
  steps: number,
  repeats: number,
): Promise<Measured[]> {
  const settings: CutSettings = { steps, stop: { kind: "manc-ncut" }, maxSegments: 0, minPart: 1 };
  const before = await device.fromDense(pair.before, pair.n);
  const { state } = await cutWalk(before, settings);
  before.release();
  const now = await device.fromDense(pair.now, pair.n);
  try {
    const cold = await median(repeats, () => once(device, now, settings, undefined));
    // Warm runs are short, and there are many of them in a stream.
    return [cold, await median(2 * repeats + 1, () => once(device, now, settings, state))];
  } finally {
    now.release();
  }
}

/** Bandwidth and arithmetic of a device. */
export async function limitsOf(device: WalkDevice, pair: WalkPair): Promise<Limits> {
  const walk = await device.fromDense(pair.now, pair.n);
  const block = gaussian(pair.n * WIDE, 1);
  const multiply = () => walk.products([{ block, columns: WIDE, word: "ntnt" }]);
  await multiply();
  const ms = await fastest(3, multiply);
  walk.release();
  return { bandwidth: await bandwidthOf(device), arithmetic: 8 * pair.n ** 2 * WIDE / ms };
}

async function bandwidthOf(device: WalkDevice): Promise<number> {
  const bytes = 64 << 20;
  if (device instanceof WebGpuWalkDevice) {
    const { gpu } = device;
    const [from, to] = [0, 1].map(() => gpu.pool.acquire("matrix", bytes, "bandwidth")) as [
      GPUBuffer,
      GPUBuffer,
    ];
    const copies = 8;
    const ms = await fastest(3, async () => {
      const encoder = gpu.device.createCommandEncoder({ label: "bandwidth" });
      for (let i = 0; i < copies; i++) encoder.copyBufferToBuffer(from, 0, to, 0, bytes);
      gpu.device.queue.submit([encoder.finish()]);
      await gpu.device.queue.onSubmittedWorkDone();
    });
    gpu.pool.release(from);
    gpu.pool.release(to);
    return 2 * bytes * copies / ms;
  }
  const [from, to] = [new Float32Array(bytes / 4).fill(1), new Float32Array(bytes / 4).fill(1)];
  return 2 * bytes / await fastest(5, () => to.set(from));
}

async function fastest(times: number, run: () => unknown): Promise<number> {
  let best = Infinity;
  for (let i = 0; i < times; i++) {
    const begin = performance.now();
    await run();
    best = Math.min(best, performance.now() - begin);
  }
  return best;
}

async function median(times: number, run: () => Promise<Measured>): Promise<Measured> {
  // What a stream does for thousands of frames is compiled after the first ones; the peers' libraries are from the start.
  const begin = performance.now();
  for (let i = 0; i < WARM_UP.runs && performance.now() - begin < WARM_UP.ms; i++) await run();
  const runs: Measured[] = [];
  for (let i = 0; i < times; i++) runs.push(await run());
  return runs.sort((a, b) => a.ms - b.ms)[times >> 1]!;
}

async function once(
  device: WalkDevice,
  walk: Walk,
  settings: CutSettings,
  state: CutState | undefined,
): Promise<Measured> {
  const counters = device instanceof WebGpuWalkDevice ? device.counters : undefined;
  const from = { ...counters };
  const spent = (name: keyof Counters) => counters ? counters[name] - from[name]! : 0;
  const timed = counters ? undefined : new TimedWalk(walk);
  const begin = performance.now();
  const result: CutResult & { readonly times?: readonly { stage: string; ms: number }[] } = await cutWalk(
    timed ?? walk,
    settings,
    state,
  );
  const ms = performance.now() - begin;
  const { segmentation: { stats, labels, segments } } = result;
  const { n } = walk;
  const formed = stats.matrixProducts ?? 0;
  const operations = 2 * n ** 2 * (stats.operatorApplications + n * formed);
  const width = COLUMNS_A_PASS[device.kind];
  const bytes = timed?.bytes ??
    passBytes(n, stats.operatorApplications + n * formed, width) + spent("bytesUp") + spent("bytesDown");
  const stages = timed
    ? { products: timed.ms, rest: ms - timed.ms }
    : Object.fromEntries((result.times ?? []).map(({ stage, ms }) => [stage, ms]));
  return {
    start: state ? "warm" : "cold",
    ms,
    stages,
    products: stats.operatorApplications,
    dispatches: spent("dispatches"),
    readbacks: spent("readbacks"),
    bytes,
    operations,
    solver: stats.solver,
    rank: stats.rank,
    labels,
    segments,
  };
}

/** Bytes of products with so many columns in all: P once a block, the block itself in and out. */
function passBytes(n: number, columns: number, width: number): number {
  return 4 * (n ** 2 * Math.ceil(columns / width) + 2 * n * columns);
}

/** A walk in main memory that times its products and counts their bytes. */
class TimedWalk implements Walk {
  ms = 0;
  bytes = 0;

  constructor(private readonly walk: Walk, private readonly parent?: TimedWalk) {}

  get n(): number {
    return this.walk.n;
  }

  products(list: readonly Product[]): Promise<Float32Array<ArrayBuffer>[]> {
    // Blocks of one word are multiplied together.
    const columns = new Map<string, number>();
    for (const product of list) {
      columns.set(product.word, (columns.get(product.word) ?? 0) + product.columns);
    }
    for (const [word, count] of columns) {
      this.count(word.length * passBytes(this.n, count, COLUMNS_A_PASS.cpu));
    }
    return this.time(() => this.walk.products(list));
  }

  dense(): Promise<Float32Array<ArrayBuffer>> {
    this.count(8 * this.n ** 2);
    return this.time(() => this.walk.dense());
  }

  async power(k: number): Promise<Walk> {
    for (let rest = k, count = -1; rest > 0; rest >>= 1) {
      for (count += (rest & 1) + Number(rest > 1); count > 0; count--) {
        this.count(passBytes(this.n, this.n, COLUMNS_A_PASS.cpu));
      }
    }
    return new TimedWalk(await this.time(() => this.walk.power(k)), this.parent ?? this);
  }

  release(): void {
    this.walk.release();
  }

  private count(bytes: number): void {
    (this.parent ?? this).bytes += bytes;
  }

  private async time<T>(run: () => Promise<T>): Promise<T> {
    const begin = performance.now();
    const result = await run();
    (this.parent ?? this).ms += performance.now() - begin;
    return result;
  }
}
