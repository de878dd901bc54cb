import { assert, assertAlmostEquals, assertEquals, assertLessOrEqual } from "@std/assert";
import { DenseAdjacency } from "../lib/cut/adjacency.ts";
import {
  cutFrame,
  cutGraph,
  type CutSettings,
  type CutState,
  type GraphCut,
  walkScores,
} from "../lib/cut/cut_frame.ts";
import { cutWalk } from "../lib/cut/cut_walk.ts";
import { OperatorSolver } from "../lib/cut/operator.ts";
import type { Segmentation } from "../lib/cut/segmentation.ts";
import { HYSTERESIS } from "../lib/cut/stop.ts";
import { cutExactlyOnDevice, cutGivenOnDevice } from "../lib/cut/webgpu/exact_on_device.ts";
import { exactDispatchesOf } from "../lib/cut/webgpu/exact_recursion.ts";
import { LARGE_ROOM, USUAL_ROOM } from "../lib/cut/webgpu/layout.ts";
import { adjustedRand } from "../lib/eval/metrics.ts";
import { Tally } from "../lib/walk/tally.ts";
import {
  blockWalk,
  disturbed,
  gridWalk,
  newSeed,
  reversible,
  roundWalk,
  withDevice,
} from "./device_matrices.ts";
import {
  denseAdjacency,
  denseAlignment,
  denseFiedler,
  denseFlow,
  denseModeResidual,
  denseNcut,
  densePower,
  denseResidual,
  denseSweep,
  denseTotal,
  LONG,
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
    // No groups: a walk that goes round.
    const cases: readonly [n: number, groups: number, own: Partial<CutSettings>][] = [
      [150, 4, {}],
      [333, 9, { steps: 2 }],
      [333, 9, { steps: 3, adjacency: "cosine", stop: { kind: "ncut", threshold: 0.4 } }],
      [420, 16, { thresholds: 20, minPart: 3 }],
      [420, 16, { maxSegments: 5 }],
      [420, 16, { adjacency: "walk" }],
      [333, 9, { adjacency: "walk", steps: 2, thresholds: 30, minPart: 2 }],
      [270, 0, { adjacency: "walk" }],
    ];
    let cuts = 0;
    for (const [n, groups, own] of cases) {
      const settings = { ...SETTINGS, ...own };
      const { steps, maxSegments } = settings;
      const blocks = groups > 0 ? blockWalk(n, groups, seed + n) : roundWalk(n, seed);
      // Of the random walk of blocks a disturbed reversible one: it has no bulk of modes that are nearly tied.
      const unlike = own.adjacency === "walk" && groups > 0;
      let matrix = unlike ? disturbed(reversible(blocks, n), n, 0.1, seed) : blocks;
      let onHost: Awaited<ReturnType<typeof cutFrame>> | undefined;
      let last: Awaited<ReturnType<typeof cutWalk>> | undefined;
      for (let frame = 0; frame < 3; frame++) {
        const message = `seed ${seed}, n ${n}, ${JSON.stringify(own)}, frame ${frame}`;
        const walk = await device.fromDense(matrix, n);
        const before = { ...device.counters };
        const found = await cutExactlyOnDevice(walk, settings, last?.state);
        // Modes that 48 directions do not tell apart are the host's.
        if (!found && unlike) {
          walk.release();
          break;
        }
        assert(found, message);
        cuts++;
        const after = { ...device.counters };
        const forming = steps === 1 ? 0 : found.segmentation.stats.matrixProducts!;
        assertEquals(after.readbacks - before.readbacks, 1, message);
        assertEquals(after.submissions - before.submissions, 1 + Math.min(1, forming), message);
        const { adjacency = "dot", stop } = settings;
        const room = stop.kind === "ncut" || adjacency === "walk" ? LARGE_ROOM : USUAL_ROOM;
        const taken = { ...room, leaves: maxSegments || room.leaves };
        const dispatches = exactDispatchesOf(n, taken, frame > 0, adjacency);
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
    assert(cuts >= 21, `seed ${seed}: ${cuts} of 24 frames`);
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
      for (const { id, node: { ncut, lambda2, residual }, nodes, parts } of cutsIn(found)) {
        const message = `seed ${seed}, round ${round}, n ${n}, k ${steps}, ${adjacency}, node ${id}`;
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
        assertAlmostEquals(ncut, denseNcut(own, m, parts), 1e-5, `${message}: NCut of its parts`);
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

Deno.test("cutExactlyOnDevice() finds each segment's cut by the random walk as dense float64 does", async () => {
  const seed = newSeed();
  let [held, pairs] = [0, 0];
  await withDevice(async (device) => {
    for (let round = 0; round < 12; round++) {
      const n = 40 + (seed + 31 * round) % 90;
      const steps = 1 + Math.floor(round / 3) % 3;
      const matrix = [
        randomWalkMatrix(n, seed + round, "points"),
        blockWalk(n, 6, seed + round),
        roundWalk(n, seed + round),
      ][round % 3]!;
      const m = densePower(Float64Array.from(matrix), n, steps);
      const walk = await device.fromDense(matrix, n);
      const settings = { ...SETTINGS, steps, adjacency: "walk" } as const;
      const found = await cutExactlyOnDevice(walk, settings, undefined);
      walk.release();
      // Cuts of next to no weight are the host's.
      if (!found) continue;
      for (const { id, nodes, parts, node } of cutsIn(found)) {
        const message = `seed ${seed}, round ${round}, n ${n}, k ${steps}, node ${id}`;
        const inner = submatrix(m, n, nodes);
        const { flow, walk, second: { vector, value, roundness, isClear } } = denseFlow(inner, nodes.length);
        const x = Float64Array.from(nodes, (i) => found.state.tree.nodes[id]!.vector[i]!);
        assertLessOrEqual(denseModeResidual(walk, nodes.length, x, roundness > 0), 1e-4, message);
        assertAlmostEquals(node.ncut, denseNcut(flow, nodes.length, parts), 2e-5, `${message}: NCut`);
        const threshold = denseTotal(flow, nodes.length) / (nodes.length - 1);
        assertAlmostEquals(node.threshold, threshold, 1e-4 * threshold, `${message}: T`);
        if (!isClear) continue;
        if (roundness > 0) pairs++;
        if (roundness < LONG) assertLessOrEqual(1 - 1e-5, denseAlignment(x, vector), `${message}: axis`);
        held++;
        assertAlmostEquals(1 - node.lambda2, value, 1e-5, message);
        const best = denseSweep(flow, nodes.length, vector).ncut;
        assertLessOrEqual(node.ncut, 1.001 * best + 5e-6, `${message}: ${best}`);
      }
    }
  });
  assert(held >= 12 && pairs >= 3, `seed ${seed}: ${held} cuts, ${pairs} of complex pairs`);
});

/** The segments that were cut: their nodes, and the places of the left part's among them. */
function cutsIn(
  { segmentation: { tree, leaves, labels } }: { segmentation: Omit<Segmentation, "scores"> },
) {
  const below = (at: number): number[] => tree[at]!.children?.flatMap(below) ?? [leaves.indexOf(at)];
  return tree.flatMap((node) => {
    if (!node.children) return [];
    const [inside, left] = [new Set(below(node.id)), new Set(below(node.children[0]))];
    const nodes = Uint32Array.from([...labels.keys()].filter((i) => inside.has(labels[i]!)));
    const parts = new Set([...nodes.keys()].filter((i) => left.has(labels[nodes[i]!]!)));
    return [{ id: node.id, node, nodes, parts }];
  });
}

Deno.test("cutGivenOnDevice() cuts an adjacency as exact products on the host and dense float64 do, with one readback", async () => {
  const seed = newSeed();
  let held = 0;
  for (const precision of ["f32", "f16"] as const) {
    await withDevice(async (device) => {
      for (let round = 0; round < 6; round++) {
        const n = 60 + (seed + 41 * round) % 120;
        const scale = [1, 1e-6, 3e4][round % 3]!;
        const walk = blockWalk(n, 3 + round, seed + round);
        const a = Float32Array.from(walk, (v, at) => {
          const [i, j] = [Math.floor(at / n), at % n];
          return scale * (v + walk[j * n + i]!);
        });
        // The stop of the paper depends on the scale of the weights.
        const settings: CutSettings = { ...SETTINGS, stop: { kind: "ncut", threshold: 0.5 } };
        const dense = new DenseAdjacency(a, n);
        const graph = {
          n,
          solver: new OperatorSolver(dense),
          weights: (nodes: Uint32Array) => dense.weights(nodes),
        };
        let last: GraphCut | undefined;
        let onHost: GraphCut | undefined;
        for (let frame = 0; frame < 2; frame++) {
          const message = `seed ${seed}, ${precision}, round ${round}, n ${n}, frame ${frame}`;
          const given = await device.fromDense(a.slice(), n);
          const before = { ...device.counters };
          const found = await cutGivenOnDevice(given, settings, last?.state);
          const after = { ...device.counters };
          given.release();
          if (!found) break;
          held++;
          assertEquals(after.readbacks - before.readbacks, 1, message);
          const dispatches = exactDispatchesOf(n, LARGE_ROOM, frame > 0, "given");
          assertEquals(after.dispatches - before.dispatches, dispatches, message);
          onHost = await cutGraph(graph, settings, onHost?.state);
          assertEquals(adjustedRand(found.graph.labels, onHost.graph.labels), 1, message);
          assertLessOrEqual(found.graph.stats.residual, 1e-4, message);
          if (precision === "f32") {
            for (const { id, node, nodes, parts } of cutsIn({ segmentation: found.graph })) {
              const own = submatrix(Float64Array.from(a), n, nodes);
              const ncut = denseNcut(own, nodes.length, parts);
              assertAlmostEquals(node.ncut, ncut, 1e-5, `${message}, node ${id}`);
              const best = denseSweep(own, nodes.length, denseFiedler(own, nodes.length).y).ncut;
              assertLessOrEqual(node.ncut, 1.001 * best + 5e-6, `${message}, node ${id}`);
            }
          }
          last = found;
        }
      }
    }, { precision });
  }
  assert(held >= 16, `seed ${seed}: ${held} of 24`);
});

Deno.test("cutExactlyOnDevice() cuts a walk that is stored as f16", async () => {
  const seed = newSeed();
  const n = 260;
  const matrix = reversible(blockWalk(n, 7, seed), n);
  const trees: Uint16Array[] = [];
  for (const precision of ["f32", "f16"] as const) {
    await withDevice(async (device) => {
      for (const adjacency of ["dot", "walk"] as const) {
        const walk = await device.fromDense(matrix.slice(), n);
        const found = await cutExactlyOnDevice(walk, { ...SETTINGS, steps: 2, adjacency }, undefined);
        walk.release();
        assert(found, `seed ${seed}, ${precision}, ${adjacency}`);
        trees.push(found.segmentation.labels);
      }
    }, { precision });
  }
  for (const kind of [0, 1]) {
    assertLessOrEqual(0.99, adjustedRand(trees[kind]!, trees[kind + 2]!), `seed ${seed}`);
  }
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
    ["a node that the random walk never leaves", hollow, { adjacency: "walk" }],
    ["a random walk by powers that are applied", matrix, { adjacency: "walk", steps: 2, power: "apply" }],
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
    { stop: { kind: "manc-mincut" } },
    { adjacency: "cosine", stop: { kind: "manc-mincut" } },
    { adjacency: "walk", steps: 2, stop: { kind: "manc-mincut" } },
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

Deno.test("cutWalk() cuts walks of fewer than 256 nodes by exact products, with one readback, unless a factor is asked for", async () => {
  const seed = newSeed();
  await withDevice(async (device) => {
    for (
      const [n, solver] of [[3, "auto"], [90, "auto"], [255, "auto"], [256, "auto"], [90, "factor"]] as const
    ) {
      for (const steps of [1, 2]) {
        const message = `seed ${seed}, n ${n}, k ${steps}, ${solver}`;
        const walk = await device.fromDense(blockWalk(n, Math.min(n, 4), seed), n);
        const before = device.counters.readbacks;
        const { segmentation: { stats, labels } } = await cutWalk(walk, { ...SETTINGS, steps, solver });
        const taken = device.counters.readbacks - before;
        const small = n < 256 && solver === "auto";
        assertEquals(stats.solver, small ? "operator" : "factor", message);
        if (solver === "auto") assertEquals(taken, 1, message);
        const expected = await cutFrame(walk, { ...SETTINGS, steps, solver });
        walk.release();
        assertEquals(expected.segmentation.stats.solver, stats.solver, message);
        assertLessOrEqual(0.999, adjustedRand(labels, expected.segmentation.labels), message);
      }
    }
  });
});
