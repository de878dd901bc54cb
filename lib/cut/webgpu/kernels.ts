/**
 * The WGSL kernels of the recursion, and which buffers each of them binds.
 *
 * @module
 */
import commitCode from "../../../shaders/cut_commit.wgsl" with { type: "text" };
import decideCode from "../../../shaders/cut_decide.wgsl" with { type: "text" };
import eigenCode from "../../../shaders/cut_eigen.wgsl" with { type: "text" };
import gramCode from "../../../shaders/cut_gram.wgsl" with { type: "text" };
import gramSumCode from "../../../shaders/cut_gram_sum.wgsl" with { type: "text" };
import heirsCode from "../../../shaders/cut_heirs.wgsl" with { type: "text" };
import leavesCode from "../../../shaders/cut_leaves.wgsl" with { type: "text" };
import sortCode from "../../../shaders/cut_sort.wgsl" with { type: "text" };
import sortedSumsCode from "../../../shaders/cut_sorted_sums.wgsl" with { type: "text" };
import sumsCode from "../../../shaders/cut_sums.wgsl" with { type: "text" };
import sweepCode from "../../../shaders/cut_sweep.wgsl" with { type: "text" };
import typesCode from "../../../shaders/cut_types.wgsl" with { type: "text" };
import valuesCode from "../../../shaders/cut_values.wgsl" with { type: "text" };
import type { PipelineSource } from "../../walk/webgpu/device.ts";

/** Binding number of each buffer, the same in every kernel of the cut. */
export const BINDINGS = {
  rows: 1,
  order: 2,
  segments: 3,
  tiles: 4,
  sums: 5,
  starts: 6,
  degrees: 7,
  grams: 8,
  matrices: 9,
  krylov: 10,
  vectors: 11,
  pairs: 12,
  values: 13,
  sorted: 14,
  sortedSums: 15,
  cuts: 16,
  state: 17,
  tree: 18,
  nextSegments: 19,
  nextTiles: 20,
  nextGroups: 21,
  productGroups: 22,
  heldNodes: 23,
  heldLabels: 24,
  heldValues: 25,
  byDepth: 26,
  labels: 27,
  block: 28,
  rotations: 29,
} as const;

/** A buffer of the cut. */
export type BufferName = keyof typeof BINDINGS;

/** Kinds of dispatches of a level, in the order in which `cut_decide.wgsl` writes their workgroups. */
export const GROUPS = ["segments", "tiles", "grams", "gramSums", "candidates", "decision"] as const;

/** A kernel of the recursion. */
export interface Kernel {
  readonly source: PipelineSource;
  readonly buffers: readonly BufferName[];
  readonly groups: (typeof GROUPS)[number];
}

function kernel(
  label: string,
  code: string,
  groups: Kernel["groups"],
  buffers: readonly BufferName[],
): Kernel {
  return { source: { label: `cut ${label}`, code: typesCode + code, entryPoint: "main" }, buffers, groups };
}

/** Finds the heirs of the last frame's tree; left out when cold. */
export const heirsKernel = kernel("heirs", heirsCode, "segments", [
  "order",
  "segments",
  "heldNodes",
  "heldLabels",
]);

/** One level of the recursion, in order. */
export const LEVEL_KERNELS: readonly Kernel[] = [
  kernel("sums", sumsCode, "tiles", [
    "rows",
    "order",
    "segments",
    "tiles",
    "sums",
    "starts",
    "heldNodes",
    "heldLabels",
    "heldValues",
  ]),
  kernel("gram", gramCode, "grams", ["rows", "order", "segments", "tiles", "sums", "degrees", "grams"]),
  kernel("gram sum", gramSumCode, "gramSums", ["segments", "grams", "matrices"]),
  kernel("eigen", eigenCode, "segments", [
    "segments",
    "sums",
    "starts",
    "matrices",
    "krylov",
    "vectors",
    "pairs",
    "rotations",
  ]),
  kernel("values", valuesCode, "candidates", ["rows", "order", "tiles", "degrees", "vectors", "values"]),
  kernel("sort", sortCode, "candidates", ["order", "segments", "tiles", "values", "sorted"]),
  kernel("sorted sums", sortedSumsCode, "candidates", ["rows", "tiles", "sorted", "sortedSums"]),
  kernel("sweep", sweepCode, "candidates", [
    "rows",
    "segments",
    "tiles",
    "values",
    "sorted",
    "sortedSums",
    "cuts",
  ]),
  kernel("decide", decideCode, "decision", [
    "segments",
    "pairs",
    "values",
    "sorted",
    "cuts",
    "state",
    "tree",
    "nextSegments",
    "nextTiles",
    "nextGroups",
    "productGroups",
    "heldNodes",
  ]),
  kernel("commit", commitCode, "tiles", ["order", "segments", "tiles", "values", "sorted", "byDepth"]),
];

/** Labels, and the block of the certificate; `width` is the block's row length. */
export function leavesKernel(width: number): Kernel {
  const { source, ...rest } = kernel("leaves", leavesCode, "decision", [
    "order",
    "state",
    "tree",
    "byDepth",
    "labels",
    "block",
  ]);
  return { ...rest, source: { ...source, constants: { width } } };
}
