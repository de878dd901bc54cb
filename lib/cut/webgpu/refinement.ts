/**
 * The vectors of a warm recursion over the factor improved by a few exact products, a level at a time.
 *
 * @module
 */
import type { Recorder } from "../../walk/webgpu/recorder.ts";
import { isRefined, MOST_REFINEMENTS } from "../refined_solver.ts";
import { REFINEMENT, roundKernels, rowSweepKernels, scalesKernel } from "./exact_kernels.ts";
import { fitsExactly, MULTIPLIED_OFFSET, type roundWords, workgroupsOf } from "./exact_recursion.ts";
import type { Kernel } from "./kernels.ts";
import {
  bindingsOf,
  type LevelBuffers,
  levelBuffers,
  type LevelPlan,
  levelSettings,
  type LevelStep,
  slotOf,
} from "./level_buffers.ts";

/** Rounds of a level: the degrees, then the products of the vectors. */
const ROUNDS = 1 + MOST_REFINEMENTS;

/** Dispatches of a level: its opening, the rounds, the sweep. */
export const REFINEMENT_DISPATCHES = 1 + 3 * ROUNDS + rowSweepKernels("f32", "dot").length;

/** Whether the device refines: where the CPU does, of a matrix in one piece. */
export function refines({ walk, settings: { steps }, held }: LevelPlan): boolean {
  return held !== undefined && isRefined(walk.n, steps) && fitsExactly(walk);
}

/** Binds the refinement of all levels, and records what comes before the first. */
export class Refinement {
  /** The rounds and the sweep that follows, by the parity of the level; offsets are those of its first level. */
  readonly #steps: LevelStep[][];
  readonly #gates: GPUBuffer;

  constructor(
    private readonly recorder: Recorder,
    plan: LevelPlan,
    buffers: LevelBuffers<keyof ReturnType<typeof roundWords> | "krylov" | "sortedSums">,
  ) {
    const { walk: { gpu, n, matrix } } = plan;
    const gates = this.#gates = buffers.shared.gates;
    recorder.clear(gates);
    // M's rows, where the levels have those of F.
    const shape = { rank: matrix.size, width: matrix.size, probes: 0, candidates: 1 } as const;
    const whole = recorder.uniform(levelSettings({ ...plan, shape }, 0));
    const scales = scalesKernel("dot", matrix.precision);
    const nodes = [Math.ceil(n / 256)] as const;
    recorder.dispatch(gpu.pipeline(scales.source), bindingsOf(scales, whole, buffers.shared), nodes);
    const kernels = roundKernels(matrix.precision, "dot", REFINEMENT);
    this.#steps = [0, 1].map((parity) => {
      const level = { ...buffers.shared, ...levelBuffers(buffers, parity), rows: matrix.bands[0]!.buffer };
      const bound = (kernel: Kernel, groups: GPUBuffer, offset: number): LevelStep => ({
        kernel: recorder.bind(gpu.pipeline(kernel.source), bindingsOf(kernel, whole, level)),
        groups,
        offset,
      });
      const own = buffers.groups[parity]!;
      const round = kernels.map((kernel) => bound(kernel, ...workgroupsOf(kernel, gates, own, parity)));
      const sweep = rowSweepKernels(matrix.precision, "dot").map((kernel) =>
        bound(kernel, own, slotOf(parity, kernel.groups))
      );
      return [...Array.from({ length: ROUNDS }, () => round).flat(), ...sweep];
    });
  }

  /** What refines a level once it is opened, between its candidates' sweep and its end. */
  level(depth: number): LevelStep[] {
    const later = slotOf(depth, "segments") - slotOf(depth % 2, "segments");
    return this.#steps[depth % 2]!.map((step) =>
      step.groups === this.#gates ? step : { ...step, offset: step.offset + later }
    );
  }

  /** Asks for Σ |S| over all products. */
  read(): void {
    this.recorder.read(this.#gates, MULTIPLIED_OFFSET, 4);
  }
}
