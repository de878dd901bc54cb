/**
 * The WGSL kernels of the recursion, and which buffers each of them binds.
 *
 * @module
 */
import checkCode from "../../../shaders/basis_check.wgsl" with { type: "text" };
import choleskyCode from "../../../shaders/basis_cholesky.wgsl" with { type: "text" };
import basisGramCode from "../../../shaders/basis_gram.wgsl" with { type: "text" };
import projectCode from "../../../shaders/basis_project.wgsl" with { type: "text" };
import shortCode from "../../../shaders/basis_short.wgsl" with { type: "text" };
import solveCode from "../../../shaders/basis_solve.wgsl" with { type: "text" };
import blockCode from "../../../shaders/block_types.wgsl" with { type: "text" };
import certificateCheckCode from "../../../shaders/certificate_check.wgsl" with { type: "text" };
import againCode from "../../../shaders/cut_again.wgsl" with { type: "text" };
import bestCode from "../../../shaders/cut_best.wgsl" with { type: "text" };
import commitCode from "../../../shaders/cut_commit.wgsl" with { type: "text" };
import decideCode from "../../../shaders/cut_decide.wgsl" with { type: "text" };
import eigenCode from "../../../shaders/cut_eigen.wgsl" with { type: "text" };
import gramCode from "../../../shaders/cut_gram.wgsl" with { type: "text" };
import gramSumCode from "../../../shaders/cut_gram_sum.wgsl" with { type: "text" };
import heirsCode from "../../../shaders/cut_heirs.wgsl" with { type: "text" };
import holdCode from "../../../shaders/cut_hold.wgsl" with { type: "text" };
import leavesCode from "../../../shaders/cut_leaves.wgsl" with { type: "text" };
import overlapCode from "../../../shaders/cut_overlap.wgsl" with { type: "text" };
import rowsFactorCode from "../../../shaders/cut_rows_factor.wgsl" with { type: "text" };
import rowsGramCode from "../../../shaders/cut_rows_gram.wgsl" with { type: "text" };
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
  basisGroups: 30,
  columns: 31,
  probes: 32,
  gram: 33,
  triangle: 34,
  solution: 35,
  loops: 36,
  keptNodes: 37,
  scales: 38,
  iterates: 39,
  progress: 40,
  gates: 41,
  folded: 42,
  weak: 43,
  places: 44,
  flow: 45,
  hessenberg: 46,
} as const;

/** A buffer of the cut. */
export type BufferName = keyof typeof BINDINGS;

/** Kinds of dispatches of a level, in the order in which `cut_decide.wgsl` writes their workgroups. */
export const GROUPS = ["segments", "tiles", "grams", "gramSums", "candidates", "decision"] as const;

/** A kernel and what it binds. */
export interface Kernel {
  readonly source: PipelineSource;
  readonly buffers: readonly BufferName[];
}

/** A kernel of a level, and which of the level's workgroups it takes. */
export interface LevelKernel extends Kernel {
  readonly groups: (typeof GROUPS)[number];
}

/** A kernel that belongs to no level. */
export function plainKernel(
  label: string,
  code: string,
  buffers: readonly BufferName[],
  constants: Readonly<Record<string, number>> = {},
): Kernel {
  return {
    source: { label: `cut ${label}`, code: typesCode + code, entryPoint: "main", constants },
    buffers,
  };
}

/** A kernel of a level. */
export function kernel(
  label: string,
  code: string,
  groups: LevelKernel["groups"],
  buffers: readonly BufferName[],
  constants: Readonly<Record<string, number>> = {},
): LevelKernel {
  return { ...plainKernel(label, code, buffers, constants), groups };
}

/** Decides whether the basis is renewed. */
export const checkKernel = plainKernel("basis check", checkCode, ["sums", "state", "basisGroups"]);

/** A kernel of the basis's orthonormalisation, and the slot of its workgroups. */
export interface RoundStep {
  readonly kernel: Kernel;
  readonly slot: number;
}

/**
 * One round of the basis's orthonormalisation, in order.
 * Two rounds, as one leaves what f32 lost.
 */
export function renewalKernels(last: boolean): readonly [RoundStep, RoundStep, RoundStep] {
  return [
    { kernel: plainKernel("basis gram", blockCode + basisGramCode, ["columns", "probes", "gram"]), slot: 1 },
    { kernel: plainKernel("basis cholesky", choleskyCode, ["gram", "triangle"]), slot: 2 },
    {
      kernel: plainKernel(
        "basis solve",
        solveCode,
        ["columns", "probes", "gram", "triangle", "solution"],
        { last: Number(last) },
      ),
      slot: 3,
    },
  ];
}

/** F of a renewed basis without another product with M. */
export const projectKernel = plainKernel("basis project", projectCode, [
  "rows",
  "state",
  "columns",
  "gram",
  "triangle",
]);

/** Decides whether that F holds enough. */
export const shortKernel = plainKernel("basis short", shortCode, [
  "sums",
  "state",
  "basisGroups",
  "gram",
  "triangle",
]);

/** Finds the heirs of the last frame's tree. */
export const heirsKernel = kernel("heirs", heirsCode, "segments", [
  "order",
  "segments",
  "heldNodes",
  "heldLabels",
]);

/** The tree as the next frame takes it up; left out where the host tells the next frame. */
export const holdKernel = plainKernel("hold", holdCode, ["state", "tree", "keptNodes"]);

/** Sums of the tiles: the first kernel of a level, and what the check of the basis reads. */
export const sumsKernel = kernel("sums", sumsCode, "tiles", [
  "rows",
  "order",
  "segments",
  "tiles",
  "sums",
  "starts",
  "heldNodes",
  "heldLabels",
  "heldValues",
  "loops",
]);

/** What the kernels bind that a level over F and one over M have in common. */
export const SORTED_SUMS = ["rows", "tiles", "sorted", "sortedSums"] as const;
/** The same of the sweep itself. */
export const SWEEP = ["rows", "segments", "tiles", "values", "sorted", "sortedSums", "cuts"] as const;

/** Sorts each segment by a vector. */
export const sortKernel = kernel("sort", sortCode, "candidates", [
  "order",
  "segments",
  "tiles",
  "values",
  "sorted",
]);

const decideKernel = kernel("decide", bestCode + decideCode, "decision", [
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
]);

const commitKernel = kernel("commit", commitCode, "tiles", [
  "order",
  "segments",
  "tiles",
  "values",
  "sorted",
  "byDepth",
]);

const overlapKernel = kernel("overlap", bestCode + overlapCode, "candidates", [
  "segments",
  "tiles",
  "sorted",
  "cuts",
  "heldNodes",
  "heldLabels",
]);

/** How every level ends, in order: what a warm one compares with the last frame's cuts, then decides. */
export function endOf(warm: boolean): LevelKernel[] {
  return warm ? [overlapKernel, decideKernel, commitKernel] : [decideKernel, commitKernel];
}

/**
 * One level of the recursion over F up to its candidates' cuts, in order; {@linkcode endOf} follows.
 *
 * @param warm whether it starts from the last frame's tree.
 */
export function levelKernels(warm: boolean): readonly LevelKernel[] {
  return warm ? [heirsKernel, ...FACTOR_KERNELS] : FACTOR_KERNELS;
}

const FACTOR_KERNELS: readonly LevelKernel[] = [
  sumsKernel,
  kernel("gram", blockCode + gramCode, "grams", [
    "rows",
    "order",
    "segments",
    "tiles",
    "sums",
    "degrees",
    "grams",
  ]),
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
  sortKernel,
  kernel("sorted sums", rowsFactorCode + sortedSumsCode, "candidates", SORTED_SUMS),
  kernel("sweep", rowsFactorCode + rowsGramCode + sweepCode, "candidates", SWEEP),
];

/** Counts the segments whose certificate fails by a residual above a tolerance or else; `width` is the block's row length. */
export function certificateCheckKernel(width: number, tolerance: number): Kernel {
  const buffers = ["order", "state", "tree", "byDepth", "block", "keptNodes", "weak"] as const;
  return plainKernel("certificate check", certificateCheckCode, buffers, { width, tolerance });
}

/** Begins the recursion anew with a renewed basis, where a certificate fails. */
export const againKernel = plainKernel("again", againCode, [
  "segments",
  "tiles",
  "state",
  "tree",
  "nextGroups",
  "basisGroups",
  "weak",
]);

/** Labels, and the block of the certificate; `width` is the block's row length. */
export function leavesKernel(width: number): Kernel {
  const buffers = ["order", "state", "tree", "byDepth", "labels", "block"] as const;
  return plainKernel("leaves", leavesCode, buffers, { width });
}
