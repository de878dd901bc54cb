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
import rowsWalkCode from "../../../shaders/cut_rows_walk.wgsl" with { type: "text" };
import sortCode from "../../../shaders/cut_sort.wgsl" with { type: "text" };
import sortedSumsCode from "../../../shaders/cut_sorted_sums.wgsl" with { type: "text" };
import sumsCode from "../../../shaders/cut_sums.wgsl" with { type: "text" };
import sweepCode from "../../../shaders/cut_sweep.wgsl" with { type: "text" };
import typesCode from "../../../shaders/cut_types.wgsl" with { type: "text" };
import valuesCode from "../../../shaders/cut_values.wgsl" with { type: "text" };
import exactColumnsCode from "../../../shaders/exact_columns.wgsl" with { type: "text" };
import exactGateCode from "../../../shaders/exact_gate.wgsl" with { type: "text" };
import exactOpenCode from "../../../shaders/exact_open.wgsl" with { type: "text" };
import exactRowsCode from "../../../shaders/exact_rows.wgsl" with { type: "text" };
import exactScalesCode from "../../../shaders/exact_scales.wgsl" with { type: "text" };
import exactStepCode from "../../../shaders/exact_step.wgsl" with { type: "text" };
import exactTypesCode from "../../../shaders/exact_types.wgsl" with { type: "text" };
import refineOpenCode from "../../../shaders/refine_open.wgsl" with { type: "text" };
import type { PipelineSource } from "../../walk/webgpu/device.ts";
import { type Precision, withTypes } from "../../walk/webgpu/kernels.ts";
import { MOST_REFINEMENTS, OUT_OF_REACH, REFINED_RESIDUAL } from "../refined_solver.ts";

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

function plainKernel(
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

function kernel(
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
const SORTED_SUMS = ["rows", "tiles", "sorted", "sortedSums"] as const;
const SWEEP = ["rows", "segments", "tiles", "values", "sorted", "sortedSums", "cuts"] as const;

const sortKernel = kernel("sort", sortCode, "candidates", ["order", "segments", "tiles", "values", "sorted"]);

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
  kernel("sweep", rowsFactorCode + sweepCode, "candidates", SWEEP),
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

/** Closes a recursion by exact products that nothing calls for. */
export const gateKernel = plainKernel("exact gate", exactGateCode, ["nextGroups", "weak"]);

/** R, and the loops of A. */
export function scalesKernel(cosine: boolean): Kernel {
  return plainKernel("exact scales", exactScalesCode, ["loops", "scales"], { cosine: Number(cosine) });
}

/** Opens a level of exact products. */
export const openKernel = kernel("exact open", exactTypesCode + exactOpenCode, "tiles", [
  "order",
  "segments",
  "tiles",
  "krylov",
  "state",
  "heldNodes",
  "heldLabels",
  "heldValues",
  "iterates",
  "progress",
  "gates",
]);

/** Opens the refinement of a level's vectors. */
export const refineKernel = kernel(
  "refine open",
  exactTypesCode + bestCode + refineOpenCode,
  "segments",
  [
    "order",
    "segments",
    "krylov",
    "pairs",
    "values",
    "cuts",
    "state",
    "heldNodes",
    "iterates",
    "progress",
    "gates",
  ],
  { reach: OUT_OF_REACH },
);

/** Constants of the steps that refine a vector. */
export const REFINEMENT = { placed: 1, most: MOST_REFINEMENTS, tolerance: REFINED_RESIDUAL } as const;

/**
 * A round of exact products, in order.
 *
 * @param constants of the step, where they are not those that find a vector from anywhere.
 */
export function roundKernels(
  precision: Precision,
  constants: Readonly<Record<string, number>> = {},
): Record<"columns" | "rows" | "step", Kernel> {
  const read = (label: string, code: string, buffers: readonly BufferName[]) =>
    readingKernel(`exact ${label}`, exactTypesCode + code, precision, buffers);
  return {
    columns: read("columns", exactColumnsCode, [
      "rows",
      "order",
      "segments",
      "scales",
      "iterates",
      "progress",
      "folded",
    ]),
    rows: read("rows", exactRowsCode, ["rows", "order", "tiles", "scales", "iterates", "progress", "folded"]),
    step: plainKernel("exact step", exactTypesCode + exactStepCode, [
      "order",
      "segments",
      "krylov",
      "pairs",
      "values",
      "state",
      "loops",
      "iterates",
      "progress",
      "gates",
    ], constants),
  };
}

/** The sweep of a segment's one vector over the rows of M, in order. */
export function walkSweepKernels(precision: Precision): readonly LevelKernel[] {
  const read = (label: string, code: string, buffers: readonly BufferName[]): LevelKernel => ({
    ...readingKernel(`walk ${label}`, rowsWalkCode + code, precision, [...buffers, "scales"]),
    groups: "tiles",
  });
  return [
    { ...sortKernel, groups: "tiles" },
    read("sorted sums", sortedSumsCode, SORTED_SUMS),
    read("sweep", sweepCode, SWEEP),
  ];
}

/** A level of exact products once its vectors are there, in order. */
export function exactLevelKernels(precision: Precision, warm: boolean): readonly LevelKernel[] {
  return [...walkSweepKernels(precision), ...endOf(warm)];
}

/** A kernel that reads M as it is stored. */
function readingKernel(
  label: string,
  code: string,
  precision: Precision,
  buffers: readonly BufferName[],
): Kernel {
  const { source } = plainKernel(`${label} ${precision}`, code, buffers);
  return { source: { ...source, code: withTypes(source.code, { Left: precision }) }, buffers };
}

/** Labels, and the block of the certificate; `width` is the block's row length. */
export function leavesKernel(width: number): Kernel {
  const buffers = ["order", "state", "tree", "byDepth", "labels", "block"] as const;
  return plainKernel("leaves", leavesCode, buffers, { width });
}

/** Every pipeline of the cut, over M in one precision; tests compile them all. */
export function cutSources(width: number, precision: Precision): PipelineSource[] {
  const renewal = [false, true].flatMap(renewalKernels).map((step) => step.kernel);
  const kernels = [
    checkKernel,
    ...renewal,
    projectKernel,
    shortKernel,
    ...levelKernels(true),
    ...endOf(true),
    refineKernel,
    leavesKernel(width),
    holdKernel,
    ...[false, true].map(scalesKernel),
    openKernel,
    certificateCheckKernel(width, 1e-4),
    againKernel,
    gateKernel,
    ...Object.values(roundKernels(precision)),
    roundKernels(precision, REFINEMENT).step,
    ...exactLevelKernels(precision, true),
  ];
  return kernels.map((k) => k.source);
}
