import { assert, assertAlmostEquals, assertEquals, assertLessOrEqual } from "@std/assert";
import { cutFrame, type CutSettings, type CutState, walkScores } from "../lib/cut/cut_frame.ts";
import { cutWalk } from "../lib/cut/cut_walk.ts";
import { HYSTERESIS } from "../lib/cut/stop.ts";
import { cutExactlyOnDevice } from "../lib/cut/webgpu/exact_on_device.ts";
import { exactDispatchesOf } from "../lib/cut/webgpu/exact_recursion.ts";
import { LARGE_ROOM, USUAL_ROOM } from "../lib/cut/webgpu/layout.ts";
import { adjustedRand } from "../lib/eval/metrics.ts";
import { Tally } from "../lib/walk/tally.ts";
import { blockWalk, disturbed, gridWalk, newSeed, withDevice } from "./device_matrices.ts";
import {
  denseAdjacency,
  denseFiedler,
  denseNcut,
  densePower,
  denseResidual,
  denseSweep,
  denseTotal,
  submatrix,
} from "./reference/dense.ts";
import { randomWalkMatrix } from "./reference/graphs.ts";

const SETTINGS: CutSettings = {
  steps: 1,
  solver: "operator",
  stop: { kind: "manc-ncut" },
  maxSegments: 0,
  minPart: 1,
};

Deno.test("cutExactlyOnDevice() makes the tree that exact products make on the host, cold and warm, with one readback a frame", async () => {
  const seed = newSeed();
  await withDevice(async (device) => {
    const cases: readonly [n: number, groups: number, own: Partial<CutSettings>][] = [
      [150, 4, {}],
      [333, 9, { steps: 2 }],
      [333, 9, { steps: 3, adjacency: "cosine", stop: { kind: "ncut", threshold: 0.4 } }],
      [420, 16, { thresholds: 20, minPart: 3 }],
      [420, 16, { maxSegments: 5 }],
    ];
    for (const [n, groups, own] of cases) {
      const settings = { ...SETTINGS, ...own };
      const { steps, maxSegments } = settings;
      let matrix = blockWalk(n, groups, seed + n);
      let onHost: Awaited<ReturnType<typeof cutFrame>> | undefined;
      let last: Awaited<ReturnType<typeof cutWalk>> | undefined;
      for (let frame = 0; frame < 3; frame++) {
        const message = `seed ${seed}, n ${n}, ${JSON.stringify(own)}, frame ${frame}`;
        const walk = await device.fromDense(matrix, n);
        const before = { ...device.counters };
        const found = await cutExactlyOnDevice(walk, settings, last?.state);
        assert(found, message);
        const after = { ...device.counters };
        const forming = steps === 1 ? 0 : found.segmentation.stats.matrixProducts!;
        assertEquals(after.readbacks - before.readbacks, 1, message);
        assertEquals(after.submissions - before.submissions, 1 + Math.min(1, forming), message);
        const room = settings.stop.kind === "ncut" ? LARGE_ROOM : USUAL_ROOM;
        const taken = { ...room, leaves: maxSegments || room.leaves };
        const dispatches = exactDispatchesOf(n, taken, frame > 0);
        assertEquals(after.dispatches - before.dispatches, dispatches + forming, message);
        onHost = await cutFrame(walk, settings, onHost?.state);
        walk.release();
        const { labels, segments, stats, scores } = found.segmentation;
        assertEquals([stats.solver, stats.warm, stats.recertified], ["operator", frame > 0, 0], message);
        assertLessOrEqual(stats.residual, 1e-4, message);
        const agreement = adjustedRand(labels, onHost.segmentation.labels);
        const close = found.segmentation.tree.some(({ ncut, threshold }) =>
          Math.abs(ncut / threshold - 1) < 1e-3
        );
        assert(agreement >= 0.999 || close, `agreement ${agreement}, ${segments} segments, ${message}`);
        if (agreement === 1) {
          // A vector's sign decides which part is the left one.
          const { scores: expected, labels: names } = onHost.segmentation;
          const own = new Map(Array.from(names, (name, i) => [name, labels[i]!]));
          const largest = expected.reduce((most, score) => Math.max(most, score), 0);
          expected.forEach((score, at) => {
            const [node, leaf] = [Math.floor(at / segments), at % segments];
            assertAlmostEquals(scores[node * segments + own.get(leaf)!]!, score, 1e-4 * largest, message);
          });
        }
        last = found;
        matrix = disturbed(matrix, n, 0.05, seed + frame);
      }
    }
  });
});

Deno.test("cutExactlyOnDevice() finds each segment's cut as dense float64 does, from the sums of its products", async () => {
  const seed = newSeed();
  let held = 0;
  await withDevice(async (device) => {
    for (let round = 0; round < 12; round++) {
      const n = 40 + (seed + 31 * round) % 90;
      const [steps, adjacency] = [1 + round % 3, round % 2 ? "cosine" : "dot"] as const;
      const matrix = round % 3 ? blockWalk(n, 6, seed + round) : randomWalkMatrix(n, seed + round, "points");
      const a = denseAdjacency(densePower(Float64Array.from(matrix), n, steps), n, adjacency);
      const walk = await device.fromDense(matrix, n);
      const settings = { ...SETTINGS, steps, adjacency, stop: { kind: "ncut", threshold: 0.6 } } as const;
      const found = await cutExactlyOnDevice(walk, settings, undefined);
      walk.release();
      // Cuts of next to no weight are the host's.
      if (!found) continue;
      held++;
      const { tree, leaves, labels } = found.segmentation;
      const below = (at: number): number[] => tree[at]!.children?.flatMap(below) ?? [leaves.indexOf(at)];
      for (const { id, children, ncut, lambda2, residual } of tree) {
        if (!children) continue;
        const message = `seed ${seed}, round ${round}, n ${n}, k ${steps}, ${adjacency}, node ${id}`;
        const inside = new Set(below(id));
        const nodes = Uint32Array.from([...labels.keys()].filter((i) => inside.has(labels[i]!)));
        const own = submatrix(a, n, nodes);
        const m = nodes.length;
        const { theta, y } = denseFiedler(own, m);
        assertAlmostEquals(1 - lambda2, theta, 1e-5, message);
        const vector = Float32Array.from(nodes, (i) => found.state.tree.nodes[id]!.vector[i]!);
        const error = denseResidual(own, m, vector);
        assertLessOrEqual(error, 1e-4, message);
        assertAlmostEquals(residual, error, 2e-5, `${message}: residual`);
        const best = denseSweep(own, m, y).ncut;
        assertLessOrEqual(ncut, 1.001 * best + 5e-6, message);
        const left = new Set(below(children[0]));
        const part = new Set([...nodes.keys()].filter((i) => left.has(labels[nodes[i]!]!)));
        assertAlmostEquals(ncut, denseNcut(own, m, part), 1e-5, `${message}: NCut of its parts`);
      }
      const { threshold } = (await recut(device, matrix, n, { ...settings, stop: { kind: "manc-ncut" } }))!;
      assertAlmostEquals(threshold, denseTotal(a, n) / (n - 1), 2e-5 * denseTotal(a, n) / n, `seed ${seed}`);
    }
  });
  assert(held >= 8, `seed ${seed}: ${held} of 12`);
});

/** The root of a cut; its threshold is T/(n − 1). */
async function recut(
  device: Parameters<Parameters<typeof withDevice>[0]>[0],
  matrix: Float32Array<ArrayBuffer>,
  n: number,
  settings: CutSettings,
) {
  const walk = await device.fromDense(matrix, n);
  const found = await cutExactlyOnDevice(walk, { ...settings, maxSegments: 1 }, undefined);
  walk.release();
  return found?.segmentation.tree[0];
}

Deno.test("cutExactlyOnDevice() cuts a walk that is stored as f16", async () => {
  const seed = newSeed();
  const n = 260;
  const matrix = blockWalk(n, 7, seed);
  const trees: Uint16Array[] = [];
  for (const precision of ["f32", "f16"] as const) {
    await withDevice(async (device) => {
      const walk = await device.fromDense(matrix.slice(), n);
      const found = await cutExactlyOnDevice(walk, { ...SETTINGS, steps: 2 }, undefined);
      walk.release();
      assert(found, `seed ${seed}, ${precision}`);
      trees.push(found.segmentation.labels);
    }, { precision });
  }
  assertLessOrEqual(0.99, adjustedRand(trees[0]!, trees[1]!), `seed ${seed}`);
});

Deno.test("cutExactlyOnDevice() lets history move the threshold, and keeps the sides of a cut", async () => {
  const seed = newSeed();
  const n = 200;
  await withDevice(async (device) => {
    const matrix = blockWalk(n, 4, seed);
    const walk = await device.fromDense(matrix, n);
    const cold = await cutExactlyOnDevice(walk, SETTINGS, undefined);
    assert(cold, `seed ${seed}`);
    const warm = await cutExactlyOnDevice(walk, SETTINGS, cold.state);
    walk.release();
    assert(warm, `seed ${seed}`);
    assertEquals(warm.segmentation.labels, cold.segmentation.labels, `seed ${seed}`);
    warm.segmentation.tree.forEach(({ threshold, children }, i) => {
      const before = cold.segmentation.tree[i]!.threshold;
      const moved = before * (children ? 1 + HYSTERESIS : 1 - HYSTERESIS);
      assertAlmostEquals(threshold, moved, 1e-4 * before, `seed ${seed}, node ${i}`);
    });
    const products = [cold, warm].map((cut) => cut.segmentation.stats.operatorApplications);
    assert(products[1]! < products[0]!, `seed ${seed}: ${products[1]} products warm, ${products[0]} cold`);
  });
});

Deno.test("cutWalk() leaves to the host what exact products on the device cannot cut", async () => {
  const seed = newSeed();
  const n = 160;
  const matrix = blockWalk(n, 6, seed);
  const unit = new Float32Array(n * n);
  // Nodes that are tied to nothing but themselves: each wants a leaf of its own.
  for (let i = 0; i < n; i++) unit[i * n + i] = 1;
  const hollow = matrix.slice();
  hollow.fill(0, 5 * n, 6 * n);
  const cases: readonly [name: string, matrix: Float32Array<ArrayBuffer>, own: Partial<CutSettings>][] = [
    ["more leaves than it holds", unit, { stop: { kind: "ncut", threshold: 2 } }],
    ["a node without weight", hollow, {}],
    ["the random walk's vector", matrix, { adjacency: "walk" }],
    ["a minimum cut", matrix, { stop: { kind: "manc-mincut=bipartition" } }],
    ["a power that is applied", matrix, { steps: 2, power: "apply" }],
  ];
  await withDevice(async (device) => {
    for (const [name, p, own] of cases) {
      const settings = { ...SETTINGS, ...own };
      const walk = await device.fromDense(p.slice(), n);
      assertEquals(await cutExactlyOnDevice(walk, settings, undefined), undefined, name);
      const found = await cutWalk(walk, settings);
      const expected = await cutFrame(walk, settings);
      walk.release();
      assertEquals(found.segmentation.labels, expected.segmentation.labels, `${name}, seed ${seed}`);
    }
  });
  await withDevice(async (device) => {
    const walk = await device.fromDense(matrix, n);
    assert(walk.matrix.bands.length > 1);
    assertEquals(await cutExactlyOnDevice(walk, SETTINGS, undefined), undefined, "several bands");
    walk.release();
  }, { precision: "f32", maxBand: 64 * 192 * 4 });
});

Deno.test("cutWalk() refines a cold factor's vectors within the frame's one readback", async () => {
  const seed = newSeed();
  const side = 24;
  await withDevice(async (device) => {
    const walk = await device.fromDense(gridWalk(side, seed), side * side);
    const settings = { ...SETTINGS, solver: "factor" } as const;
    const before = device.counters.readbacks;
    const { segmentation: { stats, labels }, state } = await cutWalk(walk, settings);
    const message = `seed ${seed}: ${JSON.stringify(stats)}`;
    assertEquals(device.counters.readbacks - before, 1, message);
    assert(stats.solver === "factor" && stats.recertified > 0, message);
    assertLessOrEqual(stats.residual, 1e-4, message);
    const expected = await cutFrame(walk, SETTINGS);
    walk.release();
    assertLessOrEqual(0.99, adjustedRand(labels, expected.segmentation.labels), message);
    // The next frame starts from the factor, and from no history but this tree.
    assert(state.basis && !state.exact, message);
  });
});

Deno.test("what the host cuts by exact products it cuts from one readback of M, warm or cold", async () => {
  const seed = newSeed();
  const n = 150;
  const kinds: readonly Partial<CutSettings>[] = [
    { adjacency: "walk" },
    { adjacency: "walk", steps: 2 },
    { stop: { kind: "manc-mincut" } },
  ];
  await withDevice(async (device) => {
    for (const kind of kinds) {
      const settings: CutSettings = { ...SETTINGS, maxSegments: 8, ...kind };
      let last: CutState | undefined;
      for (let frame = 0; frame < 2; frame++) {
        const message = `${JSON.stringify(kind)}, frame ${frame}, seed ${seed}`;
        const walk = await device.fromDense(blockWalk(n, 5, seed), n);
        const before = device.counters.readbacks;
        const { segmentation: { labels, segments, scores, stats }, state } = await cutWalk(
          walk,
          settings,
          last,
        );
        assertEquals(device.counters.readbacks - before, 1, message);
        assertEquals(stats.warm, frame > 0, message);
        const expected = await walkScores(new Tally(walk), settings.steps, labels, segments);
        scores.forEach((score, at) => assertLessOrEqual(Math.abs(score - expected[at]!), 1e-5, message));
        walk.release();
        last = state;
      }
    }
  });
});
