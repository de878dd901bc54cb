/**
 * The sources of every pipeline of the cut.
 *
 * @module
 */
import type { PipelineSource } from "../../walk/webgpu/device.ts";
import type { Precision } from "../../walk/webgpu/kernels.ts";
import {
  type ExactAdjacency,
  exactLevelKernels,
  gateKernel,
  openKernel,
  refineKernel,
  REFINEMENT,
  roundKernels,
  scalesKernel,
} from "./exact_kernels.ts";
import {
  againKernel,
  certificateCheckKernel,
  checkKernel,
  endOf,
  holdKernel,
  leavesKernel,
  levelKernels,
  projectKernel,
  renewalKernels,
  shortKernel,
} from "./kernels.ts";

const ADJACENCIES: readonly ExactAdjacency[] = ["dot", "cosine", "given", "walk"];

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
    ...ADJACENCIES.map((adjacency) => scalesKernel(adjacency, precision)),
    openKernel,
    certificateCheckKernel(width, 1e-4),
    againKernel,
    gateKernel,
    ...ADJACENCIES.flatMap((adjacency) => [
      ...roundKernels(precision, adjacency),
      ...exactLevelKernels(precision, adjacency, true),
    ]),
    ...roundKernels(precision, "dot", REFINEMENT),
  ];
  return kernels.map((k) => k.source);
}
