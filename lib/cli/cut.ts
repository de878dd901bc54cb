/**
 * `walkcut cut`: Normalised Cuts on any square non-negative matrix; JSON on stdout.
 *
 * @module
 */
import { DenseAdjacency, WalkGram } from "../cut/adjacency.ts";
import { cutGraph, type CutSettings, type CutState } from "../cut/cut_frame.ts";
import { cutWalk } from "../cut/cut_walk.ts";
import type { HeldNode, HeldTree } from "../cut/held_tree.ts";
import { OperatorSolver } from "../cut/operator.ts";
import { cutGivenOnDevice } from "../cut/webgpu/exact_on_device.ts";
import { fitsExactly } from "../cut/webgpu/exact_recursion.ts";
import type { Segmentation } from "../cut/segmentation.ts";
import { needsCuts } from "../cut/stop.ts";
import { ExitCode, UsageError } from "../errors.ts";
import { readSquareNpy } from "../npy.ts";
import { spelledStats } from "../sink/lines.ts";
import { chooseGpu } from "../walk/choose_gpu.ts";
import { createCpuWalkDevice } from "../walk/cpu/walk_device.ts";
import type { WalkDevice } from "../walk/walk.ts";
import { createWebGpuWalkDevice, WebGpuWalk } from "../walk/webgpu/walk_device.ts";
import { helpText, parseCommand, type Values } from "./command.ts";
import { cutCommand } from "./options.ts";
import { thresholdsOf } from "./cut_words.ts";

/** Largest number of nodes. */
const MOST_NODES = 16_384;

/** Entries of a symmetric matrix may differ by this share of the larger. */
const ASYMMETRY = 1e-4;

type Cut = Omit<Segmentation, "scores">;

type CutValues = Values<typeof cutCommand.options>;

/** What is done to P on its way to an adjacency, and so has no meaning for one that is given. */
const OF_THE_WALK = ["walk-steps", "power", "adjacency", "solver"] as const;

/** Runs the command; resolves to its exit code. */
export async function cut(args: string[]): Promise<number> {
  const { values, positionals, help } = parseCommand(cutCommand, args);
  if (help) {
    console.log(helpText(cutCommand));
    return ExitCode.Done;
  }
  checkTogether(values);
  const path = positionals[0]!;
  const begin = performance.now();
  const { n, data } = await readSquareNpy(path, MOST_NODES);
  if (n < 2) {
    throw new UsageError({ what: `Cannot cut ${path}: it has one node`, advice: "two are the least" });
  }
  checkEntries(path, data, n);
  const rows = values.rows ?? "stochastic";
  const settings = cutSettings(values, n);
  const state = values.init === undefined ? undefined : await readInit(values.init, n);
  const read = performance.now();
  const { result, device } = rows === "adjacency"
    ? await cutAdjacency(path, data, n, settings, values.device ?? "auto", state)
    : await cutStochastic(data, n, settings, values.device ?? "auto", state);
  const end = performance.now();
  console.log(JSON.stringify(described(n, result, device, { read: read - begin, cut: end - read })));
  return ExitCode.Done;
}

/** Options that need or exclude each other. */
function checkTogether(values: CutValues): void {
  const { stop, threshold, rows } = values;
  if (stop === "ncut" && threshold === undefined) {
    throw new UsageError({ what: "--stop ncut needs a threshold", advice: "give --threshold T" });
  }
  if (stop !== undefined && stop !== "ncut" && threshold !== undefined) {
    throw new UsageError({
      what: `--threshold has no meaning for --stop ${stop}`,
      advice: "give --stop ncut, or leave --threshold out",
    });
  }
  const stray = rows === "adjacency" && OF_THE_WALK.find((name) => values[name] !== undefined);
  if (stray) {
    throw new UsageError({
      what: `--${stray} has no meaning with --rows adjacency`,
      found: values[stray]!,
      advice: "the matrix is cut as it is; leave one of them out",
    });
  }
}

function cutSettings(values: CutValues, n: number): CutSettings {
  const { threshold, adjacency, solver, power, stop = "manc-ncut" } = values;
  const thresholds = thresholdsOf(values.thresholds);
  return {
    steps: values["walk-steps"] ?? 1,
    stop: threshold === undefined ? { kind: stop as "manc-ncut" } : { kind: "ncut", threshold },
    maxSegments: values["max-segments"] ?? 0,
    minPart: Math.max(1, Math.round((values["min-area"] ?? 0) * n)),
    ...(adjacency ? { adjacency } : {}),
    ...(solver ? { solver } : {}),
    ...(power ? { power } : {}),
    ...(thresholds === undefined ? {} : { thresholds }),
  };
}

function checkEntries(path: string, data: Float32Array, n: number): void {
  for (let i = 0; i < n; i++) {
    let sum = 0;
    for (let j = 0; j < n; j++) {
      const value = data[i * n + j]!;
      if (!(value >= 0 && value < Infinity)) {
        throw new UsageError({
          what: `Cannot cut ${path}: entry (${i}, ${j}) is no finite non-negative number`,
          found: value,
          advice: "give weights ≥ 0",
        });
      }
      sum += value;
    }
    if (!(sum > 0)) {
      throw new UsageError({
        what: `Cannot cut ${path}: a row is empty`,
        found: i,
        advice: "leave that node out",
      });
    }
  }
}

type WantedDevice = "auto" | "webgpu" | "cpu";

/** A walk: rows are normalised and P^k cut on a device. */
async function cutStochastic(
  data: Float32Array<ArrayBuffer>,
  n: number,
  settings: CutSettings,
  wanted: WantedDevice,
  state: CutState | undefined,
): Promise<{ result: Cut; device: string }> {
  for (let i = 0; i < n; i++) {
    const row = data.subarray(i * n, (i + 1) * n);
    let sum = 0;
    for (const value of row) sum += value;
    for (let j = 0; j < n; j++) row[j]! /= sum;
  }
  return await onDevice(wanted, async (device) => {
    const walk = await device.fromDense(data, n);
    const { segmentation } = await cutWalk(walk, settings, state);
    walk.release();
    return segmentation;
  });
}

/** Opens the device, cuts, and closes it. */
async function onDevice(
  wanted: WantedDevice,
  run: (device: WalkDevice) => Promise<Cut>,
): Promise<{ result: Cut; device: string }> {
  const gpu = await chooseGpu(wanted);
  const device = gpu ? await createWebGpuWalkDevice(gpu) : await createCpuWalkDevice();
  try {
    return { result: await run(device), device: device.kind };
  } finally {
    await device.close();
  }
}

/** The adjacency itself, by exact products. */
async function cutAdjacency(
  path: string,
  data: Float32Array<ArrayBuffer>,
  n: number,
  settings: CutSettings,
  wanted: WantedDevice,
  state: CutState | undefined,
): Promise<{ result: Cut; device: string }> {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      const [a, b] = [data[i * n + j]!, data[j * n + i]!];
      if (Math.abs(a - b) <= ASYMMETRY * Math.max(a, b)) continue;
      throw new UsageError({
        what: `Cannot cut ${path} as an adjacency: entries (${i}, ${j}) and (${j}, ${i}) differ`,
        found: `${a} and ${b}`,
        advice: "give a symmetric matrix, or leave --rows adjacency out",
      });
    }
  }
  return await onDevice(wanted, async (device) => {
    const walk = device.kind === "webgpu" ? await device.fromDense(data, n) : undefined;
    try {
      const onGpu = walk instanceof WebGpuWalk ? await cutGivenOnDevice(walk, settings, state) : undefined;
      if (onGpu) return onGpu.graph;
      const dense = new DenseAdjacency(data, n);
      // What the device did not cut for want of digits is cut with all of them.
      const isTried = walk instanceof WebGpuWalk && fitsExactly(walk) && !needsCuts(settings.stop);
      const adjacency = walk && !isTried ? WalkGram.ofAdjacency(walk, dense.loops) : dense;
      const solver = new OperatorSolver(adjacency, settings);
      const weights = (nodes: Uint32Array) => dense.weights(nodes);
      return (await cutGraph({ n, solver, weights }, settings, state)).graph;
    } finally {
      walk?.release();
    }
  });
}

/** The command's JSON; segments are numbered from 1, as labels are. */
function described(
  n: number,
  { labels, leaves, tree, stats }: Cut,
  device: string,
  ms: Record<string, number>,
) {
  return {
    n,
    labels: Array.from(labels, (leaf) => leaf + 1),
    segments: leaves.map((node, leaf) => {
      const { size, ncut, threshold, minCut } = tree[node]!;
      return { id: leaf + 1, size, ncut, threshold, ...(minCut === undefined ? {} : { mincut: minCut }) };
    }),
    tree: tree.map(({ id, parent, size, ncut, lambda2, residual, splitValue }) => ({
      id,
      parent,
      size,
      ncut,
      lambda2,
      residual,
      split_value: splitValue,
    })),
    ...spelledStats(stats),
    device,
    ms: Object.fromEntries(Object.entries(ms).map(([stage, time]) => [stage, Math.round(time * 10) / 10])),
  };
}

/** What an earlier output leaves to this run: its tree, each cut as +1 and −1 on its two sides. */
async function readInit(path: string, n: number): Promise<CutState> {
  const wrong = (found: string, cause?: unknown) =>
    new UsageError({
      what: `Cannot start from ${path}: it is no output of walkcut cut for this matrix`,
      found,
      advice: "leave --init out",
      cause,
    });
  let value: { labels?: unknown; segments?: unknown; tree?: unknown };
  try {
    value = JSON.parse(await Deno.readTextFile(path));
  } catch (cause) {
    throw wrong(cause instanceof SyntaxError ? "no JSON" : "it cannot be read", cause);
  }
  const { labels, segments, tree } = value;
  if (!Array.isArray(labels) || labels.length !== n) throw wrong(`labels of another number than ${n}`);
  if (!Array.isArray(segments) || !Array.isArray(tree) || tree.length === 0) {
    throw wrong("no segments or tree");
  }
  const whole = (x: unknown) => Number.isInteger(x) && (x as number) >= 1 && (x as number) <= segments.length;
  if (!labels.every(whole)) throw wrong("a label without a segment");
  if (!tree.every((node, i) => Number.isInteger(node?.parent) && node.parent < i)) {
    throw wrong("a broken tree");
  }
  const held = heldTree(Uint16Array.from(labels, (label) => label - 1), tree.map(({ parent }) => parent));
  if (held.nodes[0]!.leaves.length !== segments.length) throw wrong("a tree of other leaves");
  return { basis: undefined, tree: held, age: 0 };
}

/** Leaves are numbered from left to right, as the output has them. */
function heldTree(labels: Uint16Array<ArrayBuffer>, parents: readonly number[]): HeldTree {
  const children = parents.map((_, id) => parents.flatMap((parent, child) => parent === id ? [child] : []));
  let leaves = 0;
  const under = new Map<number, number[]>();
  const visit = (id: number): number[] => {
    const found = children[id]!.length === 0 ? [leaves++] : children[id]!.flatMap(visit);
    under.set(id, found);
    return found;
  };
  visit(0);
  const nodes = parents.map((_, id): HeldNode => {
    const inside = under.get(id) ?? [];
    const side = new Map(
      children[id]!.flatMap((child, c) => under.get(child)!.map((leaf) => [leaf, c ? 1 : -1])),
    );
    return {
      leaves: inside,
      size: labels.reduce((sum, leaf) => sum + (inside.includes(leaf) ? 1 : 0), 0),
      leftLeaves: under.get(children[id]![0]!)?.length ?? 0,
      vector: Float32Array.from(labels, (leaf) => side.get(leaf) ?? 0),
    };
  });
  return { labels, nodes };
}
