import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { DenseAdjacency, DenseGram, WalkGram } from "../lib/cut/adjacency.ts";
import { OperatorSolver } from "../lib/cut/operator.ts";
import type { Proposal } from "../lib/cut/solver.ts";
import { allowedPositions, ascending } from "../lib/cut/sweep.ts";
import { gaussian } from "../lib/random.ts";
import {
  type Dense,
  denseAdjacency,
  denseFiedler,
  denseNcut,
  densePower,
  denseResidual,
  denseSweep,
  denseTotal,
  rowSums,
  submatrix,
} from "./reference/dense.ts";
import { freshSeed, randomSegments, randomWalkMatrix } from "./reference/graphs.ts";
import { PlainWalk } from "./reference/plain_walk.ts";

/** What float32, or a tie between two eigenvectors, may add to an NCut. */
const ROUNDING = 5e-6;

/** Holds a proposal against the dense eigenvector and the sweep of it. */
function check(a: Dense, n: number, proposal: Proposal, message: string, rounding = ROUNDING): void {
  const sub = submatrix(a, n, proposal.nodes);
  const m = proposal.nodes.length;
  const { theta, y } = denseFiedler(sub, m);
  const residual = denseResidual(sub, m, proposal.vector) * Math.min(1, proposal.theta / 1e-3);
  assert(residual <= 1.05e-4, `${message}: residual ${residual}`);
  assert(Math.abs(proposal.residual) <= 1.05e-4, `${message}: reported residual ${proposal.residual}`);
  assertAlmostEquals(
    proposal.theta,
    Math.max(0, theta),
    1e-5,
    `${message}: θ ${proposal.theta}, not ${theta}`,
  );
  assertAlmostEquals(proposal.total, denseTotal(sub, m), 1e-5 * m, `${message}: T`);
  const best = denseSweep(sub, m, y).ncut;
  assert(proposal.ncut <= 1.001 * best + rounding, `${message}: NCut ${proposal.ncut}, reference ${best}`);
  const places = new Map(Array.from(proposal.nodes, (node, i) => [node, i]));
  const left = new Set(Array.from(proposal.left, (node) => places.get(node)!));
  assertAlmostEquals(proposal.ncut, denseNcut(sub, m, left), 1e-5, `${message}: NCut of its own parts`);
  assertEquals(proposal.left.length + proposal.right.length, m, message);
  proposal.nodes.forEach((_, i) => {
    assertEquals(left.has(i), proposal.vector[i]! <= proposal.splitValue, `${message}: split value`);
  });
  const d = rowSums(sub, m);
  let size = 0;
  for (let i = 0; i < m; i++) size += d[i]! * proposal.vector[i]! ** 2;
  assertAlmostEquals(size, 1, 1e-4, `${message}: yᵀDy`);
}

Deno.test("OperatorSolver finds what dense float64 finds on random graphs, dot and cosine, k = 1 … 5", async () => {
  const seed = freshSeed();
  for (let round = 0; round < 60; round++) {
    const n = 2 + (seed + 37 * round) % 70;
    const steps = 1 + round % 5;
    const kind = round % 2 ? "cosine" : "dot";
    const p = randomWalkMatrix(n, seed + round);
    const walk = new PlainWalk(p, n);
    const a = denseAdjacency(densePower(Float64Array.from(p), n, steps), n, kind);
    const nodes = Uint32Array.from({ length: n }, (_, i) => i);
    for (const power of ["form", "apply"] as const) {
      const solver = await OperatorSolver.create(walk, { steps, adjacency: kind, power });
      const [proposal] = await solver.propose([{ nodes }]);
      check(
        a,
        n,
        proposal!,
        `seed ${seed}, round ${round}: n ${n}, k ${steps}, ${kind}, ${power}`,
      );
      assert(solver.applications > 0);
    }
  }
});

Deno.test("OperatorSolver finds an eigenvector in which its first start has hardly any part", async () => {
  // On these points in four clusters the start lies across λ2 = 0.0020, and a single iteration ends at λ3 = 0.0039.
  const n = 66, seed = 18366262;
  const matrix = randomWalkMatrix(n, seed, "points");
  const a = denseAdjacency(Float64Array.from(matrix), n, "cosine");
  const solver = new OperatorSolver(new DenseGram(matrix, n, "cosine"));
  const [proposal] = await solver.propose([{ nodes: Uint32Array.from({ length: n }, (_, i) => i) }]);
  check(a, n, proposal!, `seed ${seed}`);
});

Deno.test("OperatorSolver solves all segments of a level at once as if each were alone", async () => {
  const seed = freshSeed();
  for (let round = 0; round < 12; round++) {
    const n = 30 + (seed + 31 * round) % 90;
    const p = randomWalkMatrix(n, seed + round);
    const a = denseAdjacency(Float64Array.from(p), n, "dot");
    const segments = randomSegments(n, 1 + round, seed + round);
    for (const power of ["form", "apply"] as const) {
      const solver = await OperatorSolver.create(new PlainWalk(p, n), { steps: 1, adjacency: "dot", power });
      const proposals = await solver.propose(segments.map((nodes) => ({ nodes })));
      proposals.forEach((proposal, s) => {
        assertEquals(proposal.nodes, segments[s]);
        if (proposal.nodes.length > 1) {
          check(a, n, proposal, `seed ${seed}, round ${round}, segment ${s}, ${power}`);
        } else assertEquals([proposal.ncut, proposal.right.length], [NaN, 0]);
      });
    }
  }
});

Deno.test("OperatorSolver counts the same products for a level of 1 and of 32 segments", async () => {
  const seed = freshSeed();
  const n = 192;
  const p = randomWalkMatrix(n, seed, "noise");
  const adjacency = new DenseGram(p, n, "dot");
  const z = Float64Array.from(gaussian(n, seed));
  const costs = [];
  for (const count of [1, 32]) {
    const before = adjacency.applications;
    for (let i = 0; i < 10; i++) await adjacency.apply(randomSegments(n, count, seed), z);
    costs.push(adjacency.applications - before);
  }
  assertEquals(costs[0], 20);
  assert(Math.abs(costs[1]! - costs[0]!) <= 1, `seed ${seed}: ${costs}`);
});

Deno.test("OperatorSolver does not depend on the order of the nodes", async () => {
  const seed = freshSeed();
  const n = 80;
  const p = randomWalkMatrix(n, seed, "points");
  const order = ascending(gaussian(n, seed));
  const q = new Float32Array(n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) q[i * n + j] = p[order[i]! * n + order[j]!]!;
  const nodes = Uint32Array.from({ length: n }, (_, i) => i);
  const solve = async (m: Float32Array<ArrayBuffer>) =>
    (await new OperatorSolver(new DenseGram(m, n, "dot"), { tolerance: 1e-7 }).propose([{ nodes }]))[0]!;
  const [a, b] = [await solve(p), await solve(q)];
  assertAlmostEquals(a.theta, b.theta, 1e-6, `seed ${seed}`);
  assertAlmostEquals(a.ncut, b.ncut, 1e-5, `seed ${seed}`);
});

Deno.test("OperatorSolver takes fewer products from a near start, and ends at the same cut", async () => {
  const seed = freshSeed();
  const n = 150;
  const p = randomWalkMatrix(n, seed, "points");
  const nodes = Uint32Array.from({ length: n }, (_, i) => i);
  const cold = new OperatorSolver(new DenseGram(p, n, "dot"));
  const [first] = await cold.propose([{ nodes }]);
  const warm = new OperatorSolver(new DenseGram(p, n, "dot"));
  const [second] = await warm.propose([{ nodes, start: first!.vector, hold: true }]);
  assert(
    warm.applications < cold.applications,
    `seed ${seed}: ${warm.applications}, ${cold.applications} cold`,
  );
  assertAlmostEquals(first!.ncut, second!.ncut, 1e-4, `seed ${seed}`);
});

Deno.test("OperatorSolver cuts disconnected graphs at nothing, whatever the blocks", async () => {
  for (const blocks of [2, 3, 10, 100]) {
    const n = blocks * 3;
    const p = new Float32Array(n * n);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) if (i % blocks === j % blocks) p[i * n + j] = 1 / 3;
    }
    for (const power of ["form", "apply"] as const) {
      const solver = await OperatorSolver.create(new PlainWalk(p, n), { steps: 1, adjacency: "dot", power });
      let level = [Uint32Array.from({ length: n }, (_, i) => i)];
      const leaves: string[] = [];
      while (level.length > 0) {
        const proposals = await solver.propose(level.map((nodes) => ({ nodes })));
        level = [];
        for (const { ncut, left, right, nodes } of proposals) {
          if (ncut < 0.01) level.push(left, right);
          else leaves.push([...new Set(Array.from(nodes, (i) => i % blocks))].join() + ` ${nodes.length}`);
        }
      }
      assertEquals(
        leaves.sort(),
        Array.from({ length: blocks }, (_, b) => `${b} 3`).sort(),
        `${blocks}, ${power}`,
      );
    }
  }
});

Deno.test("OperatorSolver holds on where everything is equal and in segments of 1, 2 and 3 nodes", async () => {
  for (const n of [1, 2, 3, 40]) {
    const p = new Float32Array(n * n).fill(1 / n);
    const nodes = Uint32Array.from({ length: n }, (_, i) => i);
    const [proposal] = await new OperatorSolver(new DenseGram(p, n, "dot")).propose([{ nodes }]);
    if (n === 1) assertEquals(proposal!.ncut, NaN);
    else {
      assert(proposal!.ncut >= 0.99, `n ${n}: NCut ${proposal!.ncut}`);
      assert(proposal!.residual <= 1e-4, `n ${n}: ${proposal!.residual}`);
      assert(proposal!.left.length > 0 && proposal!.right.length > 0);
    }
  }
});

Deno.test("OperatorSolver on a given adjacency cuts off nodes that nothing ties to their segment", async () => {
  const n = 6;
  const a = new Float32Array(n * n);
  for (let i = 0; i < 5; i++) for (let j = 0; j < 5; j++) if (i !== j) a[i * n + j] = 1;
  const [proposal] = await new OperatorSolver(new DenseAdjacency(a, n))
    .propose([{ nodes: Uint32Array.from({ length: n }, (_, i) => i) }]);
  assertEquals(proposal!.ncut, 0);
  assertEquals([proposal!.left.length, proposal!.right.length].sort(), [1, 5]);
  assert([...proposal!.left, ...proposal!.right].length === n);
});

Deno.test("OperatorSolver on a given adjacency equals the dense reference", async () => {
  const seed = freshSeed();
  for (let round = 0; round < 10; round++) {
    const n = 10 + 7 * round;
    const w = Float32Array.from(gaussian(n * n, seed + round), (v) => Math.abs(v) ** 3);
    for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) w[i * n + j] = w[j * n + i]!;
    const [proposal] = await new OperatorSolver(new DenseAdjacency(w, n))
      .propose([{ nodes: Uint32Array.from({ length: n }, (_, i) => i) }]);
    check(Float64Array.from(w), n, proposal!, `seed ${seed}, round ${round}`);
  }
});

Deno.test("WalkGram.sweep() proves the same best threshold as DenseGram.sweep()", async () => {
  const seed = freshSeed();
  for (let round = 0; round < 10; round++) {
    const n = 60 + 50 * round;
    const p = randomWalkMatrix(n, seed + round);
    const dense = new DenseGram(p, n, round % 2 ? "cosine" : "dot");
    const walk = await WalkGram.create(new PlainWalk(p, n), 1, round % 2 ? "cosine" : "dot");
    const segments = randomSegments(n, 1 + round % 3, seed + round);
    const degrees = await dense.apply(segments, new Float64Array(n).fill(1));
    const jobs = segments.map((nodes) => {
      const values = gaussian(nodes.length, seed + round);
      // Half of the sweeps have one good threshold, the others hardly any difference.
      if (round % 4 < 2) {
        nodes.forEach((node, i) => values[i] = values[i]! * 0.3 + node % (2 + (seed + round) % 4));
      }
      const order = ascending(values);
      return {
        sorted: Uint32Array.from(order, (i) => nodes[i]!),
        degrees: Float64Array.from(order, (i) => degrees[nodes[i]!]!),
        allowed: allowedPositions(values, order, 1 + round % 4, undefined),
      };
    });
    const [a, b] = [await dense.sweep(jobs), await walk.sweep(jobs)];
    a.forEach((exact, s) => {
      assertAlmostEquals(b[s]!.ncut, exact.ncut, 2e-5, `seed ${seed}, round ${round}, segment ${s}`);
      assertAlmostEquals(b[s]!.cut, exact.cut, 1e-3, `seed ${seed}, round ${round}, segment ${s}`);
    });
  }
});

Deno.test("allowedPositions() cuts only between different values, or where a spaced threshold falls", () => {
  const values = Float32Array.of(0, 0, 1, 1, 3, 10);
  const order = ascending(values);
  assertEquals([...allowedPositions(values, order, 1, undefined)], [0, 0, 1, 0, 1, 1, 0]);
  assertEquals([...allowedPositions(values, order, 2, undefined)], [0, 0, 1, 0, 1, 0, 0]);
  // Thresholds 2, 4, 6, 8 of [0, 10].
  assertEquals([...allowedPositions(values, order, 1, 4)], [0, 0, 0, 0, 1, 1, 0]);
});
