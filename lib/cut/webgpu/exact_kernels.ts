/**
 * The WGSL kernels of a recursion by exact products, which read M as it is stored.
 *
 * @module
 */
import bestCode from "../../../shaders/cut_best.wgsl" with { type: "text" };
import placesCode from "../../../shaders/cut_places.wgsl" with { type: "text" };
import rowsGramCode from "../../../shaders/cut_rows_gram.wgsl" with { type: "text" };
import rowsInsideCode from "../../../shaders/cut_rows_inside.wgsl" with { type: "text" };
import rowsWalkCode from "../../../shaders/cut_rows_walk.wgsl" with { type: "text" };
import sortedSumsCode from "../../../shaders/cut_sorted_sums.wgsl" with { type: "text" };
import sweepCode from "../../../shaders/cut_sweep.wgsl" with { type: "text" };
import exactColumnsCode from "../../../shaders/exact_columns.wgsl" with { type: "text" };
import exactDiagonalCode from "../../../shaders/exact_diagonal.wgsl" with { type: "text" };
import exactGateCode from "../../../shaders/exact_gate.wgsl" with { type: "text" };
import exactInsideCode from "../../../shaders/exact_inside.wgsl" with { type: "text" };
import exactKrylovCode from "../../../shaders/exact_krylov.wgsl" with { type: "text" };
import exactOpenCode from "../../../shaders/exact_open.wgsl" with { type: "text" };
import exactRowsCode from "../../../shaders/exact_rows.wgsl" with { type: "text" };
import exactScalesCode from "../../../shaders/exact_scales.wgsl" with { type: "text" };
import exactStepCode from "../../../shaders/exact_step.wgsl" with { type: "text" };
import exactTypesCode from "../../../shaders/exact_types.wgsl" with { type: "text" };
import refineOpenCode from "../../../shaders/refine_open.wgsl" with { type: "text" };
import walkCloseCode from "../../../shaders/walk_close.wgsl" with { type: "text" };
import walkStepCode from "../../../shaders/walk_step.wgsl" with { type: "text" };
import totalCode from "../../../shaders/workgroup_total.wgsl" with { type: "text" };
import { type Precision, withTypes } from "../../walk/webgpu/kernels.ts";
import { MOST_REFINEMENTS, OUT_OF_REACH, REFINED_RESIDUAL } from "../refined_solver.ts";
import {
  type BufferName,
  endOf,
  type Kernel,
  kernel,
  type LevelKernel,
  plainKernel,
  SORTED_SUMS,
  sortKernel,
  SWEEP,
} from "./kernels.ts";

/** What a step of exact products follows. */
const STEP = exactTypesCode + totalCode + exactKrylovCode;

/** Closes a recursion by exact products that nothing calls for. */
export const gateKernel = plainKernel("exact gate", exactGateCode, ["nextGroups", "weak"]);

/** What a level of exact products is cut by: A of M's rows, M itself where it is symmetric, or the walk M (paper, section 3.2). */
export type ExactAdjacency = "dot" | "cosine" | "given" | "walk";

/** Whether the weights are M's own, not those of an adjacency of its rows. */
export function isItself(adjacency: ExactAdjacency): boolean {
  return adjacency === "given" || adjacency === "walk";
}

/** R, and the loops of A; behind the squares of M's rows where A is made of those. */
export function scalesKernel(adjacency: ExactAdjacency, precision: Precision): Kernel {
  if (isItself(adjacency)) {
    return readingKernel("exact diagonal", exactDiagonalCode, precision, ["rows", "loops", "scales"]);
  }
  return plainKernel("exact scales", exactScalesCode, ["loops", "scales"], {
    cosine: Number(adjacency === "cosine"),
  });
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

/** A kernel of a round. */
export interface RoundKernel extends Kernel {
  /** Whose workgroups it takes: the gates' of either product, or one a segment. */
  readonly groups: "columns" | "rows" | "segments";
  /** The iteration that it belongs to; the random walk's left vectors have the second one. */
  readonly side: 0 | 1;
}

/** Iterations of a level: one, or the right vectors' and the left ones'. */
export function sidesOf(adjacency: ExactAdjacency): 1 | 2 {
  return adjacency === "walk" ? 2 : 1;
}

/** Constants of the iteration for the left vectors. */
const LEFT = { left: 1, tolerance: 1e-6, fewest: 2, steady: 0 } as const;

/**
 * A round of exact products, in order.
 *
 * @param constants of the step, where they are not those that find a vector from anywhere.
 */
export function roundKernels(
  precision: Precision,
  adjacency: ExactAdjacency,
  constants: Readonly<Record<string, number>> = {},
): readonly RoundKernel[] {
  const read = (groups: "columns" | "rows", label: string, code: string, buffers: readonly BufferName[]) => ({
    ...readingKernel(`exact ${label}`, exactTypesCode + code, precision, [
      ...buffers,
      "iterates",
      "progress",
    ]),
    groups,
    side: 0,
  } as const);
  const columns = read("columns", "columns", exactColumnsCode, [
    "rows",
    "order",
    "segments",
    "scales",
    "folded",
  ]);
  const inside = read("rows", "inside", exactInsideCode, [
    "rows",
    "order",
    "segments",
    "tiles",
    "scales",
    "places",
  ]);
  if (adjacency === "walk") return [inside, { ...columns, side: 1 }, walkStep(0), walkStep(1)];
  const step = {
    ...plainKernel("exact step", STEP + exactStepCode, [
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
    groups: "segments",
    side: 0,
  } as const;
  if (adjacency === "given") return [inside, step];
  const rows = read("rows", "rows", exactRowsCode, ["rows", "order", "tiles", "scales", "folded"]);
  return [columns, rows, step];
}

function walkStep(side: 0 | 1): RoundKernel {
  const kernel = plainKernel("walk step", STEP + walkStepCode, [
    "order",
    "segments",
    "krylov",
    "iterates",
    "progress",
    "gates",
    "folded",
    "flow",
    "hessenberg",
  ], side === 1 ? LEFT : {});
  return { ...kernel, groups: "segments", side };
}

const walkCloseKernel = kernel("walk close", exactTypesCode + totalCode + walkCloseCode, "segments", [
  "order",
  "segments",
  "pairs",
  "values",
  "state",
  "loops",
  "scales",
  "iterates",
  "progress",
  "flow",
]);

const placesKernel = kernel("places", placesCode, "tiles", ["tiles", "sorted", "places"]);

/** The sweep of a segment's one vector over the rows of M, in order. */
export function rowSweepKernels(precision: Precision, adjacency: ExactAdjacency): readonly LevelKernel[] {
  const read = (label: string, code: string, buffers: readonly BufferName[]): LevelKernel => ({
    ...readingKernel(label, code, precision, [...buffers, "scales"]),
    groups: "tiles",
  });
  const sort = { ...sortKernel, groups: "tiles" } as const;
  if (isItself(adjacency)) {
    return [
      sort,
      placesKernel,
      read("inside sorted sums", rowsInsideCode + sortedSumsCode, SORTED_SUMS),
      read("inside sweep", rowsInsideCode + sweepCode, [...SWEEP, "places"]),
    ];
  }
  return [
    sort,
    read("walk sorted sums", rowsWalkCode + sortedSumsCode, SORTED_SUMS),
    read("walk sweep", rowsWalkCode + rowsGramCode + sweepCode, SWEEP),
  ];
}

/** A level of exact products once its iterations are over, in order. */
export function exactLevelKernels(
  precision: Precision,
  adjacency: ExactAdjacency,
  warm: boolean,
): readonly LevelKernel[] {
  const closing = adjacency === "walk" ? [walkCloseKernel] : [];
  return [...closing, ...rowSweepKernels(precision, adjacency), ...endOf(warm)];
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
