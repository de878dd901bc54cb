import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { cutFrame, type CutSettings } from "../lib/cut/cut_frame.ts";
import { gram, orthonormalise } from "../lib/cut/blocks.ts";
import { continueFactor, ENOUGH_TRACE, sketchFactor, STALE_TRACE } from "../lib/cut/factor.ts";
import { FactorSolver } from "../lib/cut/factor_solver.ts";
import { symmetricEigen } from "../lib/cut/small_eigen.ts";
import { ascending } from "../lib/cut/sweep.ts";
import { HYSTERESIS, thresholdOf } from "../lib/cut/stop.ts";
import { gaussian, uniform } from "../lib/random.ts";
import { Tally } from "../lib/walk/tally.ts";
import { randomWalkMatrix } from "./reference/graphs.ts";
import { multiply, PlainWalk } from "./reference/plain_walk.ts";

const newSeed = () => Math.floor(Math.random() * 2 ** 31);

/** A row-stochastic matrix of `blocks` groups that hardly see each other, and the group of each node. */
function blockWalk(n: number, blocks: number, leak: number, seed: number) {
  const next = uniform(seed);
  const truth = Uint16Array.from({ length: n }, (_, i) => Math.floor(i * blocks / n));
  const order = Array.from({ length: n }, (_, i) => i).sort(() => next() - 0.5);
  const group = Uint16Array.from(order, (i) => truth[i]!);
  const matrix = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    let sum = 0;
    for (let j = 0; j < n; j++) {
      sum += matrix[i * n + j] = (group[i] === group[j] ? 1 : leak) * (0.5 + next());
    }
    for (let j = 0; j < n; j++) matrix[i * n + j]! /= sum;
  }
  return { walk: new PlainWalk(matrix, n), group };
}

/** A = M·Mᵀ in float64. */
function adjacency(matrix: Float32Array, n: number): Float64Array {
  const a = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      for (let c = 0; c < n; c++) a[i * n + j]! += matrix[i * n + c]! * matrix[j * n + c]!;
    }
  }
  return a;
}

/** NCut of {left, right} by its definition. */
function ncutOf(a: Float64Array, n: number, left: Uint32Array, right: Uint32Array): number {
  const weight = (s: Iterable<number>, t: Uint32Array) => {
    let sum = 0;
    for (const i of s) for (const j of t) sum += a[i * n + j]!;
    return sum;
  };
  const cut = weight(left, right);
  return cut / (weight(left, left) + cut) + cut / (weight(right, right) + cut);
}

const settings: CutSettings = {
  steps: 1,
  solver: "factor",
  stop: { kind: "manc-ncut" },
  maxSegments: 0,
  minPart: 1,
};

function sameGrouping(labels: Uint16Array, group: Uint16Array): boolean {
  const seen = new Map<number, number>();
  return labels.every((label, i) => {
    if (!seen.has(label)) seen.set(label, group[i]!);
    return seen.get(label) === group[i];
  }) && new Set(labels).size === new Set(group).size;
}

/** Holds an eigendecomposition against its matrix. */
function checkEigen(matrix: Float64Array, n: number, message: string): void {
  const { values, vectors } = symmetricEigen(matrix, n);
  for (let i = 0; i < n; i++) {
    if (i > 0) assertLessOrEqual(values[i]!, values[i - 1]!);
    for (let j = 0; j < n; j++) {
      let rebuilt = 0;
      let inner = 0;
      for (let k = 0; k < n; k++) {
        rebuilt += values[k]! * vectors[k * n + i]! * vectors[k * n + j]!;
        inner += vectors[i * n + k]! * vectors[j * n + k]!;
      }
      assertLessOrEqual(Math.abs(rebuilt - matrix[i * n + j]!), 1e-12 * n, message);
      assertLessOrEqual(Math.abs(inner - (i === j ? 1 : 0)), 1e-12 * n, message);
    }
  }
}

Deno.test("symmetricEigen() reconstructs the matrix from orthonormal vectors", () => {
  for (const n of [1, 2, 5, 40]) {
    const seed = newSeed();
    const next = uniform(seed);
    const matrix = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j <= i; j++) matrix[i * n + j] = matrix[j * n + i] = next() - 0.5;
    }
    checkEigen(matrix, n, `seed ${seed}, n ${n}`);
  }
});

Deno.test("symmetricEigen() takes matrices most of whose spectrum is rounding", () => {
  const seed = newSeed();
  const next = uniform(seed);
  const n = 200;
  for (let round = 0; round < 8; round++) {
    const points = Array.from({ length: n }, () => [next(), next()] as const);
    const matrix = Float64Array.from({ length: n * n }, (_, at) => {
      const [[x, y], [u, v]] = [points[Math.floor(at / n)]!, points[at % n]!];
      return Math.exp(-5 * ((x - u) ** 2 + (y - v) ** 2));
    });
    checkEigen(matrix, n, `seed ${seed}, round ${round}`);
  }
});

Deno.test("sketchFactor() tells how much of the trace it holds", async () => {
  const seed = newSeed();
  const n = 160;
  const { walk } = blockWalk(n, 5, 0.05, seed);
  const a = adjacency(await walk.dense(), n);
  let trace = 0;
  for (let i = 0; i < n; i++) trace += a[i * n + i]!;
  const tally = new Tally(walk);
  const factor = await sketchFactor(tally, 1, { seed });
  let held = 0;
  for (const value of factor.rows) held += value * value;
  assertLessOrEqual(Math.abs(held / trace - factor.traceShare), 0.02, `seed ${seed}`);
  // F·Fᵀ is a projection of A: never above it.
  for (let i = 0; i < n; i++) {
    let own = 0;
    for (let c = 0; c < factor.rank; c++) own += factor.rows[i * factor.rank + c]! ** 2;
    assertLessOrEqual(own, a[i * n + i]! * (1 + 1e-4), `seed ${seed}`);
  }
});

Deno.test("continueFactor() takes one pass over P where the walk has hardly changed", async () => {
  const seed = newSeed();
  const { walk } = blockWalk(128, 4, 0.05, seed);
  const cold = new Tally(walk);
  const factor = await sketchFactor(cold, 1, { seed });
  const warm = new Tally(walk);
  const next = await continueFactor(warm, 1, factor, seed);
  assertEquals(warm.applications, factor.rank + 8, `seed ${seed}`);
  assert(
    warm.applications <= cold.applications / 2,
    `${warm.applications} of ${cold.applications}, seed ${seed}`,
  );
  assert(next.traceShare >= ENOUGH_TRACE, `seed ${seed}`);
});

Deno.test("continueFactor() tries a stale basis again ever more seldom", async () => {
  const seed = newSeed();
  const { walk } = blockWalk(128, 4, 0.05, seed);
  const other = blockWalk(128, 5, 0.05, seed + 1).walk;
  const factor = await sketchFactor(new Tally(walk), 1, { seed });
  const calm = await continueFactor(new Tally(walk), 1, factor, seed);
  assertEquals(calm.renewals, undefined, `seed ${seed}`);
  // A basis of nothing but noise is stale whatever the walk.
  const noise = orthonormalise(gaussian(128 * factor.rank, seed), 128, factor.rank);
  const stale = { ...factor, basis: noise.basis };
  const first = await continueFactor(new Tally(other), 1, stale, seed);
  assertEquals(first.renewals, { left: 1, wait: 1 }, `seed ${seed}`);
  const again = await continueFactor(
    new Tally(other),
    1,
    { ...stale, renewals: { left: 0, wait: 2 } },
    seed,
  );
  assertEquals(again.renewals, { left: 4, wait: 4 }, `seed ${seed}`);
  // Until then the last F is where it starts: one pass more, and none for the basis itself.
  const tally = new Tally(other);
  const next = await continueFactor(tally, 1, again, seed);
  const rank = again.rows.length / 128;
  assert(tally.applications >= rank + next.rank && tally.applications <= 2 * rank + 8, `seed ${seed}`);
  assert(next.renewals!.left <= 4 && next.renewals!.wait === 4, `seed ${seed}`);
});

Deno.test("continueFactor() renews a basis that has moved by one product a column more", async () => {
  const seed = newSeed();
  const [n, rounds] = [96, 12];
  let short = 0;
  for (let round = 0; round < rounds; round++) {
    const message = `seed ${seed}, round ${round}`;
    const walk = new PlainWalk(randomWalkMatrix(n, seed + round, "points"), n);
    const { rank, basis, rows } = await sketchFactor(new Tally(walk), 1, { seed });
    const noise = gaussian(n * rank, seed + round);
    const moved = orthonormalise(basis.map((v, i) => v + 0.025 * noise[i]!), n, rank).basis;
    const tally = new Tally(walk);
    const factor = await continueFactor(tally, 1, { basis: moved, rows }, seed);
    // Probes may take the basis for worse than it is, and then there is a pass more, or for good enough.
    if (tally.applications > 2 * (rank + 8) || !factor.renewals) continue;
    short++;
    assertEquals(factor.renewals, { left: 1, wait: 1 }, message);
    assert(factor.traceShare >= STALE_TRACE, `${message}: ${factor.traceShare}`);
    const a = adjacency(await walk.dense(), n);
    let [trace, held, error, size] = [0, 0, 0, 0];
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        let own = 0;
        for (let c = 0; c < factor.rank; c++) {
          own += factor.rows[i * factor.rank + c]! * factor.rows[j * factor.rank + c]!;
        }
        if (i === j) held += own;
        error += (a[i * n + j]! - own) ** 2;
        size += a[i * n + j]! ** 2;
      }
      trace += a[i * n + i]!;
    }
    assert(error <= 0.03 ** 2 * size, `${message}: F·Fᵀ is off by ${Math.sqrt(error / size)} of A`);
    assertLessOrEqual(Math.abs(held / trace - factor.traceShare), 0.05, message);
    gram(factor.basis, n, factor.rank).forEach((v, at) => {
      const one = at % (factor.rank + 1) === 0 ? 1 : 0;
      assertLessOrEqual(Math.abs(v - one), 2e-3, `${message}: the basis is not orthonormal at ${at}`);
    });
  }
  assert(short > 0, `seed ${seed}: none of ${rounds} were renewed by one product a column`);
});

Deno.test("ascending() orders as comparing does: equal values, both zeros and the smallest numbers too", () => {
  const seed = newSeed();
  const next = uniform(seed);
  for (let round = 0; round < 50; round++) {
    const values = Float32Array.from({ length: 1 + round * 7 }, () => {
      const kind = Math.floor(5 * next());
      return [0, -0, 1e-42 * (next() - 0.5), Math.round(9 * (next() - 0.5)), 1e30 * (next() - 0.5)][kind]!;
    });
    const expected = Array.from(values.keys()).sort((a, b) => values[a]! - values[b]! || a - b);
    assertEquals([...ascending(values)], expected, `seed ${seed}, round ${round}`);
  }
});

Deno.test("FactorSolver proposes the best threshold of its vector, by the definition of NCut", async () => {
  for (let round = 0; round < 8; round++) {
    const seed = newSeed();
    const n = 60;
    const { walk } = blockWalk(n, 3, 0.1 + 0.1 * round, seed);
    // At full rank F·Fᵀ is A itself.
    const factor = await sketchFactor(new Tally(walk), 1, { seed });
    const rows = factor.rows;
    const a = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        for (let c = 0; c < factor.rank; c++) {
          a[i * n + j]! += rows[i * factor.rank + c]! * rows[j * factor.rank + c]!;
        }
      }
    }
    const nodes = Uint32Array.from({ length: n }, (_, i) => i).filter((i) => i % 7 !== 0);
    const [proposal] = await new FactorSolver(factor).propose([{ nodes }]);
    const { left, right, vector, ncut, splitValue } = proposal!;
    assertEquals([...left, ...right].sort((x, y) => x - y), [...nodes]);
    nodes.forEach((node, i) => assertEquals(left.includes(node), vector[i]! <= splitValue));
    assertLessOrEqual(Math.abs(ncutOf(a, n, left, right) - ncut), 1e-5, `seed ${seed}`);
    const order = [...nodes.keys()].sort((x, y) => vector[x]! - vector[y]!);
    for (let p = 1; p < order.length; p++) {
      const low = Uint32Array.from(order.slice(0, p), (i) => nodes[i]!);
      const high = Uint32Array.from(order.slice(p), (i) => nodes[i]!);
      assert(ncutOf(a, n, low, high) >= ncut - 1e-5, `threshold ${p} is better, seed ${seed}`);
    }
  }
});

Deno.test("FactorSolver finds the second eigenvector of the normalised adjacency", async () => {
  const seed = newSeed();
  const n = 80;
  const { walk } = blockWalk(n, 3, 0.2, seed);
  const factor = await sketchFactor(new Tally(walk), 1, { seed });
  const nodes = Uint32Array.from({ length: n }, (_, i) => i);
  const [proposal] = await new FactorSolver(factor).propose([{ nodes }]);
  const b = new Float64Array(n * n);
  const degrees = new Float64Array(n);
  const r = factor.rank;
  const entry = (i: number, j: number) => {
    let sum = 0;
    for (let c = 0; c < r; c++) sum += factor.rows[i * r + c]! * factor.rows[j * r + c]!;
    return sum;
  };
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) degrees[i]! += entry(i, j);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) b[i * n + j] = entry(i, j) / Math.sqrt(degrees[i]! * degrees[j]!);
  }
  const { values } = symmetricEigen(b, n);
  assertLessOrEqual(Math.abs(values[0]! - 1), 1e-6, `seed ${seed}`);
  assertLessOrEqual(Math.abs(proposal!.theta - values[1]!), 1e-5, `seed ${seed}`);
  assertLessOrEqual(proposal!.residual, 1e-4, `seed ${seed}`);
});

Deno.test("cutFrame() finds separate groups, whatever the order of the nodes", async () => {
  for (const blocks of [2, 3, 5]) {
    const seed = newSeed();
    const { walk, group } = blockWalk(150, blocks, 0.02, seed);
    const { segmentation } = await cutFrame(walk, settings);
    assert(sameGrouping(segmentation.labels, group), `${blocks} blocks, seed ${seed}`);
    assertEquals(segmentation.segments, blocks);
    // Each node scores best in its own segment.
    segmentation.labels.forEach((label, i) => {
      const scores = segmentation.scores.subarray(i * blocks, (i + 1) * blocks);
      assertEquals(scores.indexOf(Math.max(...scores)), label, `seed ${seed}`);
    });
  }
});

Deno.test("cutFrame() certifies each accepted cut by its exact NCut", async () => {
  const seed = newSeed();
  const n = 120;
  const { walk } = blockWalk(n, 4, 0.1, seed);
  const { segmentation } = await cutFrame(walk, settings);
  const a = adjacency(await walk.dense(), n);
  for (const node of segmentation.tree) {
    if (!node.children) continue;
    const under = (id: number): number[] => {
      const { children } = segmentation.tree[id]!;
      return children ? [...under(children[0]), ...under(children[1])] : [segmentation.leaves.indexOf(id)];
    };
    const nodesOf = (id: number) => {
      const leaves = new Set(under(id));
      return Uint32Array.from(
        [...segmentation.labels.keys()].filter((i) => leaves.has(segmentation.labels[i]!)),
      );
    };
    const [left, right] = [nodesOf(node.children[0]), nodesOf(node.children[1])];
    assertEquals(left.length + right.length, node.size);
    const exact = ncutOf(a, n, left, right);
    let total = 0;
    const all = [...left, ...right];
    all.forEach((i, at) => all.slice(0, at).forEach((j) => total += a[i * n + j]!));
    assertLessOrEqual(exact, total / (node.size - 1), `seed ${seed}`);
    assertLessOrEqual(Math.abs(exact - node.ncut), 0.03, `seed ${seed}`);
  }
});

Deno.test("cutFrame() started warm keeps the partition at half the products or less", async () => {
  const seed = newSeed();
  const { walk, group } = blockWalk(200, 4, 0.02, seed);
  // P applied in both, so that the counts are of the same products.
  const applied = { ...settings, steps: 2, power: "apply" } as const;
  const cold = await cutFrame(walk, applied);
  assert(sameGrouping(cold.segmentation.labels, group), `seed ${seed}`);
  const matrix = (await walk.dense()).slice();
  const next = uniform(seed + 1);
  for (let i = 0; i < matrix.length; i++) matrix[i]! *= 1 + 0.02 * (next() - 0.5);
  const warm = await cutFrame(new PlainWalk(matrix, 200), applied, cold.state);
  assert(sameGrouping(warm.segmentation.labels, group), `seed ${seed}`);
  assert(warm.segmentation.stats.warm && !cold.segmentation.stats.warm);
  const [few, many] = [warm, cold].map(({ segmentation }) => segmentation.stats.operatorApplications);
  assert(few! <= many! / 2, `${few} of ${many}, seed ${seed}`);
});

Deno.test("cutFrame() keeps to maxSegments and to minPart", async () => {
  const seed = newSeed();
  const { walk } = blockWalk(150, 5, 0.02, seed);
  const bounded = await cutFrame(walk, { ...settings, maxSegments: 3 });
  assertEquals(bounded.segmentation.segments, 3, `seed ${seed}`);
  const coarse = await cutFrame(walk, { ...settings, minPart: 40 });
  assert(coarse.segmentation.leaves.every((id) => coarse.segmentation.tree[id]!.size >= 40), `seed ${seed}`);
});

Deno.test("thresholdOf() counts each edge once and bends to a segment's history", () => {
  const proposal = { total: 50, nodes: new Uint32Array(101) };
  assertEquals(thresholdOf({ kind: "manc-ncut" }, proposal), 0.5);
  assertEquals(thresholdOf({ kind: "ncut", threshold: 0.3 }, proposal), 0.3);
  assertEquals(thresholdOf({ kind: "manc-ncut" }, proposal, true), 0.5 * (1 + HYSTERESIS));
  assertEquals(thresholdOf({ kind: "manc-ncut" }, proposal, false), 0.5 * (1 - HYSTERESIS));
});

Deno.test("multiply() of the plain walk is what the definition says", () => {
  const matrix = Float32Array.of(1, 2, 3, 4);
  assertEquals([...multiply(matrix, 2, Float32Array.of(1, 1), 1, false)], [3, 7]);
  assertEquals([...multiply(matrix, 2, Float32Array.of(1, 1), 1, true)], [4, 6]);
});
