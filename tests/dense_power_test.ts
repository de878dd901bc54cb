import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import type { CutSettings } from "../lib/cut/cut_frame.ts";
import { cutWalk } from "../lib/cut/cut_walk.ts";
import { cheaperPower, expectedVectors, formingProducts } from "../lib/cut/power.ts";
import { allowedPositions, ascending } from "../lib/cut/sweep.ts";
import { releaseBasis } from "../lib/cut/webgpu/cut_on_device.ts";
import { createCpuWalkDevice } from "../lib/walk/cpu/walk_device.ts";
import type { Product, Walk, WalkDevice } from "../lib/walk/walk.ts";
import { openGpu } from "../lib/walk/webgpu/device.ts";
import { createWebGpuWalkDevice } from "../lib/walk/webgpu/walk_device.ts";
import { adjustedRand, denseAdjacency, densePower, denseRecursion } from "./reference/dense.ts";
import { freshSeed, randomWalkMatrix } from "./reference/graphs.ts";
import { PlainWalk } from "./reference/plain_walk.ts";

const SETTINGS: CutSettings = { steps: 1, stop: { kind: "manc-ncut" }, maxSegments: 0, minPart: 1 };

/** A walk that counts what is asked of it. */
class CountingWalk implements Walk {
  readonly powers: number[] = [];
  /** Letters of the words times the columns they were applied to. */
  vectors = 0;
  private constructor(private readonly walk: Walk, private readonly parent?: CountingWalk) {}

  static of(matrix: Float32Array<ArrayBuffer>, n: number): CountingWalk {
    return new CountingWalk(new PlainWalk(matrix, n));
  }

  get n(): number {
    return this.walk.n;
  }

  products(list: readonly Product[]) {
    for (const { word, columns } of list) (this.parent ?? this).vectors += word.length * columns;
    return this.walk.products(list);
  }

  dense() {
    return this.walk.dense();
  }

  async power(k: number): Promise<Walk> {
    (this.parent ?? this).powers.push(k);
    return new CountingWalk(await this.walk.power(k), this.parent ?? this);
  }

  release(): void {}
}

async function onBothDevices(run: (device: WalkDevice) => Promise<void>): Promise<void> {
  const gpu = await openGpu();
  assert(gpu, "no WebGPU adapter: install mesa-vulkan-drivers");
  for (
    const device of [await createCpuWalkDevice(), await createWebGpuWalkDevice(gpu, { precision: "f32" })]
  ) {
    try {
      await run(device);
      if (device.kind === "webgpu") releaseBasis(gpu);
    } finally {
      await device.close();
    }
  }
}

Deno.test("formingProducts() counts repeated squaring, and cheaperPower() takes the smaller count", () => {
  assertEquals([1, 2, 3, 4, 5, 6, 7, 8].map(formingProducts), [0, 1, 2, 2, 3, 3, 4, 3]);
  for (let k = 2; k <= 8; k++) {
    for (const vectors of [1, 100, 1000, 5000]) {
      for (const n of [16, 1024, 4096]) {
        const formed = formingProducts(k) * n + vectors;
        assertEquals(cheaperPower(n, k, vectors), formed < k * vectors ? "form" : "apply");
      }
    }
  }
  // A warm frame needs few products, and is never worth N of them.
  assertEquals(cheaperPower(1024, 8, expectedVectors(1024, { rank: 96, leaves: 10 })), "apply");
  assertEquals(cheaperPower(1024, 8, expectedVectors(1024)), "form");
});

Deno.test("cutWalk() forms P^k or applies P k times as power says, and counts both", async () => {
  const seed = freshSeed();
  const n = 90;
  const matrix = randomWalkMatrix(n, seed, "points");
  for (const solver of ["factor", "operator"] as const) {
    for (const steps of [2, 3, 8]) {
      const message = `seed ${seed}, ${solver}, k ${steps}`;
      const settings: CutSettings = { ...SETTINGS, solver, steps };
      const formed = CountingWalk.of(matrix, n);
      const { segmentation: a } = await cutWalk(formed, { ...settings, power: "form" });
      assertEquals(formed.powers, [steps], message);
      assertEquals([a.stats.power, a.stats.matrixProducts], ["form", formingProducts(steps)], message);
      const applied = CountingWalk.of(matrix, n);
      const { segmentation: b } = await cutWalk(applied, { ...settings, power: "apply" });
      assertEquals([applied.powers, b.stats.power, b.stats.matrixProducts], [[], "apply", 0], message);
      if (solver === "factor") {
        assertEquals(a.stats.operatorApplications, formed.vectors, message);
        assertEquals(b.stats.operatorApplications, applied.vectors, message);
        // The same work with M, each product of which costs k with P.
        assertLessOrEqual(Math.abs(applied.vectors / steps / formed.vectors - 1), 0.25, message);
      }
      assertLessOrEqual(0.98, adjustedRand(a.labels, b.labels), message);
      const own = CountingWalk.of(matrix, n);
      const { segmentation: c } = await cutWalk(own, settings);
      const expected = solver === "operator" ? "form" : cheaperPower(n, steps, expectedVectors(n));
      assertEquals(c.stats.power, expected, message);
      assertEquals(own.powers, expected === "form" ? [steps] : [], message);
    }
  }
});

Deno.test("cutWalk() tries N evenly spaced thresholds, or all of them", async () => {
  const seed = freshSeed();
  const n = 90;
  const matrix = randomWalkMatrix(n, seed, "points");
  for (const solver of ["factor", "operator"] as const) {
    for (const thresholds of [1, 3, 10]) {
      const message = `seed ${seed}, ${solver}, ${thresholds} thresholds`;
      const settings: CutSettings = {
        ...SETTINGS,
        solver,
        stop: { kind: "ncut", threshold: 2 },
        maxSegments: 2,
      };
      const walk = new PlainWalk(matrix, n);
      const { segmentation, state } = await cutWalk(walk, { ...settings, thresholds });
      const y = state.tree.nodes[0]!.vector;
      const order = ascending(y);
      const allowed = allowedPositions(y, order, 1, thresholds);
      const { splitValue, ncut } = segmentation.tree[0]!;
      assertLessOrEqual(allowed.reduce((sum, v) => sum + v, 0), thresholds, message);
      assertEquals(allowed[order.findIndex((i) => y[i]! > splitValue)], 1, message);
      const exact = await cutWalk(walk, settings);
      assertLessOrEqual(exact.segmentation.tree[0]!.ncut, ncut + 1e-6, message);
    }
  }
});

Deno.test("cutWalk() takes every solver, adjacency and stop with k = 1 … 8 on both devices", async () => {
  const seed = freshSeed();
  const n = 40;
  const matrix = randomWalkMatrix(n, seed, "blocks");
  const stops = [
    { kind: "manc-ncut" },
    { kind: "manc-mincut" },
    { kind: "manc-mincut=bipartition" },
    { kind: "ncut", threshold: 0.6 },
  ] as const;
  await onBothDevices(async (device) => {
    const walk = await device.fromDense(matrix, n);
    let round = 0;
    for (let steps = 1; steps <= 8; steps++) {
      for (const adjacency of ["dot", "cosine", "walk"] as const) {
        for (const stop of stops) {
          const solver = (["auto", "factor", "operator"] as const)[round++ % 3]!;
          const settings: CutSettings = {
            ...SETTINGS,
            steps,
            adjacency,
            stop,
            solver,
            maxSegments: 6,
            minPart: 2,
          };
          const { segmentation: { labels, segments, tree, stats } } = await cutWalk(walk, settings);
          const message = `seed ${seed}, ${device.kind}, k ${steps}, ${adjacency}, ${stop.kind}, ${solver}`;
          assert(segments >= 1 && segments <= 6, message);
          assert(tree.every(({ size }) => size >= 2), message);
          assertEquals(new Set(labels).size, segments, message);
          if (solver === "operator") assertEquals(stats.solver, "operator", message);
        }
      }
      const a = denseAdjacency(densePower(Float64Array.from(matrix), n, steps), n, "dot");
      const expected = denseRecursion(a, n, 0.6);
      const settings: CutSettings = { ...SETTINGS, steps, stop: { kind: "ncut", threshold: 0.6 } };
      const { segmentation } = await cutWalk(walk, settings);
      assertLessOrEqual(
        0.98,
        adjustedRand(segmentation.labels, expected),
        `seed ${seed}, ${device.kind}, k ${steps}`,
      );
    }
    walk.release();
  });
});
