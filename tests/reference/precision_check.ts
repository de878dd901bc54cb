/**
 * What storing and estimating costs: the root's Fiedler vector and NCut, and every T, against float64.
 *
 * ```sh
 * deno run --allow-read --allow-env --allow-sys --allow-run=ffmpeg tests/reference/precision_check.ts 4
 * ```
 *
 * @module
 */
import { cutWalk } from "../../lib/cut/cut_walk.ts";
import { releaseBasis } from "../../lib/cut/webgpu/cut_on_device.ts";
import { createCpuWalkDevice } from "../../lib/walk/cpu/walk_device.ts";
import type { WalkDevice } from "../../lib/walk/walk.ts";
import { openGpu } from "../../lib/walk/webgpu/device.ts";
import { createWebGpuWalkDevice } from "../../lib/walk/webgpu/walk_device.ts";
import { denseAdjacency, denseNcut, densePower, denseResidual, denseTotal, submatrix } from "./dense.ts";
import { pooled, type RealWalk, realWalks } from "./real_walk.ts";

/** Errors of one picture's cut against float64. */
export interface PrecisionCheck {
  readonly solver: string;
  /** ‖Bx − θx‖/θ of the root's vector, in float64. */
  readonly residual: number;
  /** |NCut as told / NCut of the same parts in float64 − 1|, of the root. */
  readonly ncut: number;
  /** Largest |T as told / T − 1| among segments of 16 nodes and more. */
  readonly total: number;
}

/** Cuts P^k on a device and holds what it says against float64. */
export async function checkPrecision(
  device: WalkDevice,
  { matrix, n }: RealWalk,
  steps: number,
  power?: "form" | "apply",
): Promise<PrecisionCheck> {
  const a = denseAdjacency(densePower(Float64Array.from(matrix), n, steps), n, "dot");
  const walk = await device.fromDense(matrix.slice(), n);
  const { segmentation: { tree, labels, leaves, stats }, state } = await cutWalk(walk, {
    steps,
    ...(power ? { power } : {}),
    stop: { kind: "manc-ncut" },
    maxSegments: 0,
    minPart: 1,
  });
  walk.release();
  const under = (id: number): number[] => tree[id]!.children?.flatMap(under) ?? [leaves.indexOf(id)];
  const nodesOf = (id: number) => {
    const own = new Set(under(id));
    return [...labels.keys()].filter((i) => own.has(labels[i]!));
  };
  let total = 0;
  for (const { id, threshold } of tree) {
    const nodes = nodesOf(id);
    const m = nodes.length;
    if (m < 16) continue;
    total = Math.max(total, Math.abs(threshold * (m - 1) / denseTotal(submatrix(a, n, nodes), m) - 1));
  }
  const [root] = tree;
  const exact = root!.children ? denseNcut(a, n, new Set(nodesOf(root!.children[0]))) : root!.ncut;
  return {
    solver: stats.solver,
    residual: denseResidual(a, n, state.tree.nodes[0]!.vector),
    ncut: Math.abs(root!.ncut / exact - 1),
    total,
  };
}

if (import.meta.main) {
  const pictures = Number(Deno.args[0] ?? 4);
  const walks = (await realWalks(1, pictures)).map((walk) => pooled(walk, 1, 2));
  console.log("largest of all pictures, N = 512\nstored  device  k  power  residual  NCut     T");
  for (const [device, precision] of [["cpu", "f32"], ["webgpu", "f32"], ["webgpu", "f16"]] as const) {
    const gpu = device === "webgpu" ? await openGpu() : undefined;
    if (device === "webgpu" && !gpu) continue;
    const opened = gpu ? await createWebGpuWalkDevice(gpu, { precision }) : await createCpuWalkDevice();
    for (
      const [steps, power] of [[1, "form"], [2, "form"], [2, "apply"], [3, "form"], [3, "apply"]] as const
    ) {
      const found: PrecisionCheck[] = [];
      for (const walk of walks) found.push(await checkPrecision(opened, walk, steps, power));
      const worst = (pick: (check: PrecisionCheck) => number) =>
        Math.max(...found.map(pick)).toExponential(1);
      const figures = [worst((c) => c.residual), worst((c) => c.ncut), worst((c) => c.total)];
      const solvers = [...new Set(found.map(({ solver }) => solver))].join(" and ");
      console.log(
        `${precision}     ${device.padEnd(6)}  ${steps}  ${power.padEnd(5)}  ${
          figures.join("   ")
        }  ${solvers}`,
      );
    }
    if (gpu) releaseBasis(gpu);
    await opened.close();
  }
}
