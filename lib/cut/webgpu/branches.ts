/**
 * The device's tree as the rest of the cut knows it.
 *
 * @module
 */
import type { StageTime } from "../../walk/webgpu/recorder.ts";
import { type CutResult, type CutState, flatten, type GraphCut, hold } from "../cut_frame.ts";
import { type Branch, labelNodes } from "../grow.ts";
import { type HeldTree, wasCut } from "../held_tree.ts";
import type { CutStats } from "../segmentation.ts";
import type { Proposal } from "../solver.ts";
import type { StopRule } from "../stop.ts";
import type { DeviceNode, DeviceTree } from "./device_tree.ts";

/** A frame cut on the device, and the GPU's time by stage where it can be measured. */
export interface DeviceCut extends CutResult {
  readonly times: readonly StageTime[];
}

/** What a frame's cut is besides its tree. */
interface CutParts {
  readonly stats:
    & Omit<CutStats, "warm" | "power" | "matrixProducts">
    & Partial<Pick<CutStats, "power" | "matrixProducts">>;
  readonly last: CutState | undefined;
  /** The basis that the next frame starts from; none where exact products cut this one. */
  readonly basis?: Float32Array<ArrayBuffer>;
  readonly stop?: StopRule;
  /** Default those of the tree's certificate. */
  readonly scores?: Float32Array<ArrayBuffer>;
}

/** A frame's cut from the tree that was read back and the branches that were made of it. */
export function deviceCut(tree: DeviceTree, root: Branch, parts: CutParts): DeviceCut {
  const { graph, state } = deviceGraph(tree, root, parts);
  const { scores = leafScores(tree, graph.labels, graph.segments)! } = parts;
  return { segmentation: { ...graph, scores }, state, times: tree.times };
}

/** {@linkcode deviceCut} of what has no rows, and so no scores. */
export function deviceGraph(
  tree: DeviceTree,
  root: Branch,
  { stats, last, basis, stop }: Omit<CutParts, "scores">,
): GraphCut {
  const labels = labelNodes(root, tree.order.length);
  return {
    graph: {
      ...flatten(root, stop),
      labels,
      stats: { warm: last !== undefined, power: "apply", matrixProducts: 0, ...stats },
    },
    state: {
      basis,
      tree: hold(root, labels),
      age: last ? last.age + 1 : 0,
      ...(basis ? {} : { exact: true }),
    },
  };
}

/** The device's tree as branches. */
export function branchesFrom(
  tree: DeviceTree,
  held: HeldTree | undefined,
): { root: Branch; places: Map<Branch, number> } {
  const branches = tree.nodes.map((node): Branch => {
    const proposal = proposalOf(tree, node);
    const heir = node.heir >= 0 ? held?.nodes[node.heir] : undefined;
    return {
      proposal,
      cost: proposal.ncut,
      threshold: node.threshold,
      held: heir,
      history: wasCut(held, heir, proposal),
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

/** A·Y with the columns in the order of `cuts`, given as places in the tree. */
export function vectorImages(
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
export function leafScores(
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
