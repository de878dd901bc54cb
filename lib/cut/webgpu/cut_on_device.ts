/**
 * A frame's cut on the GPU: the same tree as the CPU's factor solver grows, read back once.
 *
 * The basis of the factor stays on the device, which makes it when cold and renews it where it holds too
 * little of the trace.
 *
 * @module
 */
import { takeColumns } from "../../walk/block.ts";
import { forward, Tally } from "../../walk/tally.ts";
import type { Walk } from "../../walk/walk.ts";
import type { StageTime } from "../../walk/webgpu/recorder.ts";
import { BLOCK_ALIGNMENT } from "../../walk/webgpu/kernels.ts";
import type { WebGpuWalk } from "../../walk/webgpu/walk_device.ts";
import { judge } from "../certify.ts";
import {
  type CutResult,
  type CutSettings,
  type CutState,
  flatten,
  hold,
  needsExact,
  walkScores,
} from "../cut_frame.ts";
import { COLD_RESIDUAL, confirmTree, WARM_RESIDUAL } from "../confirm.ts";
import { ENOUGH_TRACE, type Factor, PROBES, sketchFactor } from "../factor.ts";
import { type Branch, cutsOf, labelNodes } from "../grow.ts";
import type { HeldTree } from "../held_tree.ts";
import type { Proposal } from "../solver.ts";
import { type Outcome, Pass } from "./pass.ts";
import {
  type DeviceNode,
  type DeviceTree,
  type HeldTables,
  largestRank,
  MAX_DEPTH,
  MAX_HELD_LEAVES,
} from "./recursion.ts";
import { widened } from "./resident_basis.ts";

export { releaseBasis } from "./resident_basis.ts";

/** A frame cut on the device, and the GPU's time by stage where it can be measured. */
export interface DeviceCut extends CutResult {
  readonly times: readonly StageTime[];
}

/** Share of the trace that a sketch must miss for more columns to find it. */
const LEAST_MISSING = 1e-3;

/** What links a frame's cut with those of the frames next to it, where they are under way as well. */
export interface PassChain {
  /** P^k where it was formed ahead; whoever asks releases it. */
  formed(): Promise<Walk> | undefined;
  /** The pass that was submitted ahead of the last frame's outcome, if it starts from what that left. */
  take(walk: WebGpuWalk, last: CutState): Pass | undefined;
  /** Told of the pass that the next frame's may follow, once its outcome is asked for. */
  running(pass: Pass): void;
  /** Told of the state whose tree is the one that a pass left on the device. */
  kept(pass: Pass, state: CutState): void;
}

/**
 * Cuts one frame on the GPU; takes the place of `cutFrame` where it can.
 *
 * It reads back once, warm or cold, whatever the depth of the tree, and again only where a certificate
 * fails: then exact products take the segment over; or where a cold basis is too small.
 * @returns nothing where `cutFrame` has to cut: the settings ask for exact products, the factor holds
 *   too little of the trace, or the tree wants more than 64 leaves, 16 levels or a rank that the device cannot hold.
 */
export async function cutOnDevice(
  walk: WebGpuWalk,
  settings: CutSettings,
  last?: CutState,
  chain?: PassChain,
): Promise<DeviceCut | undefined> {
  const { solver = "auto" } = settings;
  if (needsExact(settings) || (solver === "auto" && last?.exact)) return undefined;
  const tally = new Tally(walk);
  const age = last ? last.age + 1 : 0;
  const tables = last ? heldTables(last.tree) : undefined;
  if (last && !tables) return undefined;
  const ahead = last && chain?.take(walk, last);
  const first = ahead ??
    (last?.basis && Pass.submit(walk, settings, last.basis, { held: tables, keep: chain !== undefined }));
  const reading = first?.outcome(last!.basis!);
  if (first) chain?.running(first);
  const tried = await reading;
  tally.applications += tried?.applications ?? 0;
  const warm = tried !== undefined && tried.traceShare >= ENOUGH_TRACE;
  // Nothing to start from, or not even the renewed basis is enough: a new one.
  const pass = warm ? tried : await coldPass(tally, walk, settings, tables);
  if (!pass || pass.tree.overflow) return undefined;
  if (solver === "auto" && pass.traceShare < ENOUGH_TRACE) return undefined;
  const { tree, traceShare, basis } = pass;
  const { root, places } = branchesFrom(tree, last?.tree);
  const cuts = cutsOf(root);
  const certificates = judge(
    cuts,
    labelNodes(root, walk.n),
    tree.leaves,
    loopsOf(tree),
    takeColumns(tree.certificate, walk.n, tree.width, 0, tree.leaves),
    vectorImages(tree, cuts.map(({ branch }) => places.get(branch)!)),
  );
  tally.applications += 2 * settings.steps * (tree.leaves + cuts.length);
  const diagonal = loopsOf(tree);
  const { residual, recertified } = await confirmTree(
    {
      tally,
      steps: settings.steps,
      settings,
      held: last?.tree,
      diagonal,
      factor: () => factorOf(tally, settings.steps, basis, diagonal, traceShare),
      tolerance: last?.basis ? WARM_RESIDUAL : COLD_RESIDUAL,
      traceShare,
    },
    root,
    certificates,
  );
  const labels = labelNodes(root, walk.n);
  const shape = flatten(root);
  const state: CutState = { basis: pass.next, tree: hold(root, labels), age };
  if (first && warm && recertified === 0) chain?.kept(first, state);
  return {
    segmentation: {
      ...shape,
      labels,
      scores: leafScores(tree, labels, shape.segments) ??
        await walkScores(tally, settings.steps, labels, shape.segments),
      stats: {
        solver: "factor",
        warm: last !== undefined,
        rank: basis.length / walk.n,
        traceShare,
        operatorApplications: tally.applications,
        residual,
        recertified,
        power: "apply",
        matrixProducts: 0,
      },
    },
    state,
    times: tree.times,
  };
}

/**
 * Columns of a sketch by the steps that M stands for, the last for all beyond: enough for most pictures' vectors
 * to come out below {@linkcode COLD_RESIDUAL}. M's spectrum falls the faster the more steps there are.
 */
const SKETCH_WIDTHS = [384, 256, 128] as const;

/** Share of the trace below which a wider sketch is not worth a try. */
const HOPELESS = 0.6;

/**
 * A pass with a new basis, which the device makes itself within the one readback; where that is too
 * small there follows a wider one. A walk of too few nodes for the widest gets the host's.
 */
async function coldPass(
  tally: Tally,
  walk: WebGpuWalk,
  settings: CutSettings,
  held: HeldTables | undefined,
): Promise<Outcome | undefined> {
  const least = settings.solver === "factor" ? 0 : HOPELESS;
  for (const width of sketchWidths(walk, settings.steps)) {
    const pass = await Pass.sketch(walk, settings, width, held).sketched();
    tally.applications += pass.applications;
    const { traceShare } = pass;
    if (traceShare >= ENOUGH_TRACE || traceShare < least || width === SKETCH_WIDTHS[0]) return pass;
  }
  return await hostPass(tally, walk, settings, held);
}

/** Widths of the sketches that the device can make, in the order in which they are tried. */
function sketchWidths(walk: WebGpuWalk, steps: number): number[] {
  const first = Math.min(steps * walk.exponent, SKETCH_WIDTHS.length) - 1;
  const most = Math.min(largestRank(walk) + PROBES, walk.n / 2);
  const widths = SKETCH_WIDTHS.map((width) => Math.min(width, most - most % BLOCK_ALIGNMENT));
  const fit = widths.slice(0, first + 1).filter((width) => width >= SKETCH_WIDTHS[2]);
  return [...new Set(fit)].reverse();
}

/** A pass with a basis that the host finds, of any rank. */
async function hostPass(
  tally: Tally,
  walk: WebGpuWalk,
  settings: CutSettings,
  held: HeldTables | undefined,
): Promise<Outcome | undefined> {
  const { basis: found, rank, traceShare: share } = await sketchFactor(tally, settings.steps);
  // Where M has hardly more directions, further columns would be filled by rounding alone.
  const whole = share > 1 - LEAST_MISSING;
  const basis = whole ? found : widened(found, walk.n, rank);
  const pass = await Pass.submit(walk, settings, basis, { held, renew: !whole })?.outcome(basis);
  tally.applications += pass?.applications ?? 0;
  return pass;
}

/** The last tree as tables; nothing where it is too large for the device. */
export function heldTables({ labels, nodes }: HeldTree): HeldTables | undefined {
  const ranges = nodes.map(({ leaves }) => ({ low: leaves[0]!, high: leaves[leaves.length - 1]! + 1 }));
  if (ranges[0]!.high > MAX_HELD_LEAVES) return undefined;
  const depths = ranges.map((own, i) =>
    ranges.filter((other, j) => j !== i && other.low <= own.low && other.high >= own.high).length
  );
  const n = labels.length;
  const rows = Math.max(...depths) + 1;
  if (rows > MAX_DEPTH * 2) return undefined;
  const table = new Uint32Array(nodes.length * 8);
  const values = new Float32Array(rows * n);
  nodes.forEach(({ size, split, vector }, i) => {
    const { low, high } = ranges[i]!;
    table.set([low, high, size, Number(split), depths[i]!], i * 8);
    for (let node = 0; node < n; node++) {
      if (labels[node]! >= low && labels[node]! < high) values[depths[i]! * n + node] = vector[node]!;
    }
  });
  return { nodes: table, count: nodes.length, labels: Uint32Array.from(labels), values };
}

/** The device's tree as branches. */
function branchesFrom(
  tree: DeviceTree,
  held: HeldTree | undefined,
): { root: Branch; places: Map<Branch, number> } {
  const branches = tree.nodes.map((node): Branch => {
    const proposal = proposalOf(tree, node);
    return {
      proposal,
      cost: proposal.ncut,
      threshold: node.threshold,
      held: node.heir >= 0 ? held?.nodes[node.heir] : undefined,
    };
  });
  tree.nodes.forEach(({ child }, i) => {
    if (child > 0) branches[i]!.parts = [branches[child]!, branches[child + 1]!];
  });
  return { root: branches[0]!, places: new Map(branches.map((branch, i) => [branch, i])) };
}

function proposalOf(tree: DeviceTree, node: DeviceNode): Proposal {
  const { begin, size, position, depth } = node;
  const part = (from: number, to: number) => tree.order.slice(begin + from, begin + to).sort();
  const nodes = part(0, size);
  const from = depth * tree.order.length;
  return {
    nodes,
    vector: Float32Array.from(nodes, (i) => tree.values[from + i]!),
    theta: node.theta,
    residual: node.residual,
    ncut: node.ncut,
    splitValue: position > 0 ? node.splitValue : NaN,
    left: part(0, position),
    right: part(position, size),
    total: Math.max(0, (node.weight - node.loops) / 2),
  };
}

/** A_ii of each node; where the probes estimate it each node gets its leaf's mean. */
function loopsOf({ loops, nodes, labels }: DeviceTree): Float32Array<ArrayBuffer> {
  if (loops) return loops;
  const leaves = nodes.filter(({ child }) => child === 0).sort((a, b) => a.begin - b.begin);
  return Float32Array.from(labels, (leaf) => leaves[leaf]!.loops / leaves[leaf]!.size);
}

/** The factor of a basis that lies on the device, for what a certificate sent back. */
async function factorOf(
  tally: Tally,
  steps: number,
  basis: Float32Array<ArrayBuffer>,
  diagonal: Float32Array<ArrayBuffer>,
  traceShare: number,
): Promise<Factor> {
  const { n } = tally.walk;
  const rank = basis.length / n;
  const [rows] = await tally.products([{ block: basis, columns: rank, word: forward(steps) }]);
  return { n, rank, rows: rows!, basis, diagonal, traceShare };
}

/** A·Y with the columns in the order of `cuts`, given as places in the tree. */
function vectorImages(
  { nodes, certificate, width, leaves, order }: DeviceTree,
  cuts: readonly number[],
): Float32Array<ArrayBuffer> {
  // The device numbers cuts as their nodes lie in the tree.
  const numbers = new Map(
    nodes.flatMap(({ child }, place) => child > 0 ? [place] : []).map((place, i) => [place, i]),
  );
  const columns = cuts.map((place) => leaves + numbers.get(place)!);
  const out = new Float32Array(order.length * columns.length);
  for (let i = 0; i < order.length; i++) {
    columns.forEach((column, c) => out[i * columns.length + c] = certificate[i * width + column]!);
  }
  return out;
}

/**
 * score_s(i) = ⟨M_i, Σ_S M⟩ / ‖Σ_S M‖ from the exact A·H.
 *
 * @param labels the leaves in the end, `[N]`.
 * @returns nothing where a failed certificate changed them: they are no sums of the columns.
 */
function leafScores(
  { certificate, width, labels: before, leaves: columns }: DeviceTree,
  labels: Uint16Array,
  leaves: number,
): Float32Array<ArrayBuffer> | undefined {
  const n = labels.length;
  const joined = new Int32Array(columns).fill(-1);
  for (let i = 0; i < n; i++) {
    const leaf = before[i]!;
    if (joined[leaf]! >= 0 && joined[leaf] !== labels[i]) return undefined;
    joined[leaf] = labels[i]!;
  }
  const scores = new Float32Array(n * leaves);
  const weights = new Float64Array(leaves);
  for (let i = 0; i < n; i++) {
    for (let c = 0; c < columns; c++) scores[i * leaves + joined[c]!]! += certificate[i * width + c]!;
    weights[labels[i]!]! += scores[i * leaves + labels[i]!]!;
  }
  const lengths = weights.map((weight) => Math.sqrt(weight) || 1);
  for (let i = 0; i < n; i++) {
    for (let s = 0; s < leaves; s++) scores[i * leaves + s]! /= lengths[s]!;
  }
  return scores;
}
