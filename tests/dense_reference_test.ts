import { assert, assertLessOrEqual } from "@std/assert";
import type { CutSettings } from "../lib/cut/cut_frame.ts";
import { cutWalk } from "../lib/cut/cut_walk.ts";
import { releaseBasis } from "../lib/cut/webgpu/cut_on_device.ts";
import { createCpuWalkDevice } from "../lib/walk/cpu/walk_device.ts";
import type { WalkDevice } from "../lib/walk/walk.ts";
import { openGpu } from "../lib/walk/webgpu/device.ts";
import { createWebGpuWalkDevice } from "../lib/walk/webgpu/walk_device.ts";
import {
  type Dense,
  denseAdjacency,
  denseFiedler,
  denseFlow,
  denseModeResidual,
  denseNcut,
  densePower,
  denseResidual,
  denseSweep,
} from "./reference/dense.ts";
import { freshSeed, randomWalkMatrix } from "./reference/graphs.ts";
import { checkPartition } from "./reference/partition_check.ts";
import { checkPrecision } from "./reference/precision_check.ts";
import { pooled, realWalks } from "./reference/real_walk.ts";

/** What float32, or a tie between two eigenvectors, may add to an NCut. */
const ROUNDING = 5e-6;

const ADJACENCIES = ["dot", "cosine", "walk"] as const;

type Kind = (typeof ADJACENCIES)[number];

/** What the dense reference says of a graph. */
interface Expected {
  /** What is cut. */
  readonly weights: Dense;
  readonly best: number;
  /** ‖Bx − θx‖/θ of a vector, in the method's own terms. */
  residual(y: ArrayLike<number>): number;
}

/** Nothing where the reference has no second vector of its own. */
function reference(matrix: Float32Array, n: number, k: number, kind: Kind): Expected | undefined {
  const power = densePower(Float64Array.from(matrix), n, k);
  if (kind !== "walk") {
    const weights = denseAdjacency(power, n, kind);
    const best = denseSweep(weights, n, denseFiedler(weights, n).y).ncut;
    return { weights, best, residual: (y) => denseResidual(weights, n, y) };
  }
  const { flow, walk, second: { vector, roundness, isClear } } = denseFlow(power, n);
  if (!isClear) return undefined;
  const residual = (y: ArrayLike<number>) => denseModeResidual(walk, n, Float64Array.from(y), roundness > 0);
  return { weights: flow, best: denseSweep(flow, n, vector).ncut, residual };
}

/** Cuts a graph in two on a device and holds it against the reference. */
async function check(
  device: WalkDevice,
  matrix: Float32Array<ArrayBuffer>,
  n: number,
  settings: Pick<CutSettings, "steps" | "adjacency">,
  { weights, best, residual }: Expected,
  message: string,
): Promise<void> {
  const walk = await device.fromDense(matrix.slice(), n);
  const { segmentation: { labels, stats, tree }, state } = await cutWalk(walk, {
    ...settings,
    stop: { kind: "ncut", threshold: 2 },
    maxSegments: 2,
    minPart: 1,
  });
  walk.release();
  // Of a graph without structure θ is next to nothing, and relative to it nothing is small.
  const error = residual(state.tree.nodes[0]!.vector) * Math.min(1, Math.abs(1 - tree[0]!.lambda2) / 1e-3);
  assertLessOrEqual(error, 1e-4, `${message}, ${stats.solver}: residual ${error}`);
  const ncut = denseNcut(weights, n, new Set([...labels.keys()].filter((i) => labels[i] === 0)));
  assert(ncut <= 1.001 * best + ROUNDING, `${message}, ${stats.solver}: NCut ${ncut}, reference ${best}`);
}

async function onBothDevices(run: (devices: readonly WalkDevice[]) => Promise<void>): Promise<void> {
  const gpu = await openGpu();
  assert(gpu, "no WebGPU adapter: install mesa-vulkan-drivers");
  const devices = [await createCpuWalkDevice(), await createWebGpuWalkDevice(gpu, { precision: "f32" })];
  try {
    await run(devices);
    releaseBasis(gpu);
  } finally {
    for (const device of devices) await device.close();
  }
}

Deno.test("cutWalk() finds what dense float64 finds on 200 random graphs, on both devices", async () => {
  const seed = freshSeed();
  console.log(`seed ${seed}`);
  let held = 0;
  await onBothDevices(async (devices) => {
    for (let round = 0; round < 200; round++) {
      const n = 8 + (seed + 37 * round) % 60;
      const adjacency = ADJACENCIES[round % 3]!;
      const steps = 1 + Math.floor(round / 3) % 5;
      const matrix = randomWalkMatrix(n, seed + round);
      const expected = reference(matrix, n, steps, adjacency);
      if (!expected) continue;
      held++;
      for (const device of devices) {
        const message = `seed ${seed}, round ${round}: n ${n}, k ${steps}, ${adjacency}, ${device.kind}`;
        await check(device, matrix, n, { steps, adjacency }, expected, message);
      }
    }
  });
  assert(held >= 150, `seed ${seed}: ${held} graphs`);
});

Deno.test("cutWalk() finds what dense float64 finds on graphs that once misled it, on both devices", async () => {
  // Two pairs of cuts of next to no weight, which sums in f32 mix up; a vector beside a complex pair.
  const cases: readonly [n: number, seed: number, steps: number, adjacency: Kind][] = [
    [18, 1574881054, 1, "cosine"],
    [21, 1439075965, 2, "dot"],
    [65, 65776125, 1, "walk"],
  ];
  await onBothDevices(async (devices) => {
    for (const [n, seed, steps, adjacency] of cases) {
      const matrix = randomWalkMatrix(n, seed);
      const expected = reference(matrix, n, steps, adjacency);
      assert(expected, `graph ${seed}`);
      for (const device of devices) {
        const message = `graph ${seed}: n ${n}, k ${steps}, ${adjacency}, ${device.kind}`;
        await check(device, matrix, n, { steps, adjacency }, expected, message);
      }
    }
  });
});

Deno.test("cutWalk() finds what dense float64 finds on the walks of pictures, on both devices", async () => {
  const from = freshSeed() % 100;
  console.log(`picture ${from}`);
  await onBothDevices(async (devices) => {
    for (const sharpness of [1, 4]) {
      for (const walk of await realWalks(sharpness, 1, from)) {
        const small = pooled(walk, 2, 2);
        const large = pooled(walk, 1, 2);
        for (let steps = 1; steps <= 5; steps++) {
          for (const adjacency of ADJACENCIES) {
            for (const { name, matrix, n } of steps === 3 && adjacency === "dot" ? [small, large] : [small]) {
              const expected = reference(matrix, n, steps, adjacency);
              if (!expected) continue;
              for (const device of devices) {
                const message =
                  `${name}, sharpness ${sharpness}, n ${n}, k ${steps}, ${adjacency}, ${device.kind}`;
                await check(device, matrix, n, { steps, adjacency }, expected, message);
              }
            }
          }
        }
      }
    }
  });
});

Deno.test("cutFrame() partitions the walks of pictures as the dense recursion does", async () => {
  const from = freshSeed() % 100;
  const device = await createCpuWalkDevice();
  const agreements: number[] = [];
  try {
    for (const sharpness of [1, 4]) {
      for (const walk of await realWalks(sharpness, 4, from)) {
        const small = pooled(walk, 2, 2);
        for (const steps of [1, 2, 3]) {
          const { agreement, ties, segmentation } = await checkPartition(device, small, {
            steps,
            stop: { kind: "manc-ncut" },
            maxSegments: 0,
            minPart: 1,
          });
          agreements.push(agreement);
          const message = `${small.name}, sharpness ${sharpness}, k ${steps}: ${agreement}, ` +
            `${segmentation.segments} segments, ties ${ties}`;
          assert(agreement >= 0.95 || ties.every((tie) => Math.abs(tie) <= 1e-3), message);
        }
      }
    }
  } finally {
    await device.close();
  }
  if (agreements.length === 0) return;
  const mean = agreements.reduce((sum, v) => sum + v, 0) / agreements.length;
  assertLessOrEqual(0.99, mean, `picture ${from}: ${agreements}`);
});

Deno.test("cutWalk() keeps its precision with P in f32 and f16, and T exact where M is at hand", async () => {
  const seed = freshSeed();
  const n = 150;
  const walk = { name: "points", n, matrix: randomWalkMatrix(n, seed, "points") };
  const gpu = await openGpu();
  assert(gpu, "no WebGPU adapter: install mesa-vulkan-drivers");
  const devices = [
    { precision: "f32", device: await createCpuWalkDevice() },
    { precision: "f16", device: await createWebGpuWalkDevice(gpu, { precision: "f16" }) },
  ];
  for (const { precision, device } of devices) {
    try {
      for (const steps of [1, 3]) {
        const { residual, ncut, total } = await checkPrecision(device, walk, steps);
        const message = `seed ${seed}, ${precision}, k ${steps}`;
        assertLessOrEqual(residual, precision === "f16" ? 3e-4 : 1e-4, message);
        assertLessOrEqual(ncut, precision === "f16" ? 2e-4 : 1e-5, message);
        const exact = device.kind === "cpu" && steps === 1;
        assertLessOrEqual(total, exact ? 1e-5 : 3e-3, message);
      }
      if (device.kind === "webgpu") releaseBasis(gpu);
    } finally {
      await device.close();
    }
  }
});
