import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { globalMinCut } from "../lib/cut/min_cut.ts";
import { RandomWalkSolver } from "../lib/cut/random_walk.ts";
import {
  denseFlow,
  denseNcut,
  densePower,
  denseSweep,
  denseTotal,
  rowSums,
  stoerWagner,
  submatrix,
} from "./reference/dense.ts";
import { freshSeed, randomSegments, randomWalkMatrix } from "./reference/graphs.ts";

Deno.test("RandomWalkSolver finds the second eigenvector and the best NCut of the walk, k = 1 … 5", async () => {
  const seed = freshSeed();
  let held = 0;
  for (let round = 0; round < 40; round++) {
    const n = 6 + (seed + 17 * round) % 50;
    const k = 1 + round % 5;
    // "noise" has complex second eigenvalues, which have no real eigenvector to find.
    const p = randomWalkMatrix(n, seed + round, round % 2 ? "points" : "blocks");
    const power = densePower(Float64Array.from(p), n, k);
    const solver = new RandomWalkSolver(Float32Array.from(power), n);
    const segments = randomSegments(n, 1 + round % 3, seed + round);
    const proposals = await solver.propose(segments.map((nodes) => ({ nodes })));
    proposals.forEach((proposal, s) => {
      const nodes = segments[s]!;
      const m = nodes.length;
      if (m < 2) return;
      const message = `seed ${seed}, round ${round}, k ${k}, segment ${s} of ${m}`;
      const inner = submatrix(power, n, nodes);
      const { flow, second, value } = denseFlow(inner, m);
      const d = rowSums(inner, m);
      const walk = inner.map((v, at) => v / d[Math.floor(at / m)]!);
      const residual = rowSums(walk.map((v, at) => v * second[at % m]!), m)
        .reduce((sum, v, i) => sum + (v - value * second[i]!) ** 2, 0);
      assertAlmostEquals(proposal.total, denseTotal(flow, m), 1e-3 * m, `${message}: T`);
      const places = new Map(Array.from(nodes, (node, i) => [node, i]));
      const left = new Set(Array.from(proposal.left, (node) => places.get(node)!));
      assertAlmostEquals(proposal.ncut, denseNcut(flow, m, left), 1e-3, `${message}: its own NCut`);
      // The reference has no real second eigenvector either where its own residual says so.
      if (Math.sqrt(residual) > 1e-9) return;
      held++;
      assert(proposal.residual <= 1e-4, `${message}: residual ${proposal.residual}`);
      assertAlmostEquals(
        proposal.theta,
        value,
        1e-3,
        `${message}: θ ${proposal.theta}, reference ${value}, residual ${proposal.residual}`,
      );
      const best = denseSweep(flow, m, second).ncut;
      assert(proposal.ncut <= 1.001 * best + 5e-6, `${message}: NCut ${proposal.ncut}, reference ${best}`);
    });
  }
  assert(held >= 40, `seed ${seed}: ${held} segments with a real second eigenvector`);
});

Deno.test("RandomWalkSolver splits walks that are not connected, and survives rows that leave", async () => {
  const n = 12;
  const p = new Float32Array(n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) if (i % 2 === j % 2) p[i * n + j] = 1 / 6;
  const all = Uint32Array.from({ length: n }, (_, i) => i);
  const [proposal] = await new RandomWalkSolver(p, n).propose([{ nodes: all }]);
  assert(proposal!.ncut < 1e-5, `${proposal!.ncut}`);
  assertEquals(new Set(Array.from(proposal!.left, (i) => i % 2)).size, 1);
  // Node 0 goes to 1 and nowhere else; without 1 nothing of its row is left.
  const chain = new Float32Array(n * n);
  for (let i = 0; i < n; i++) chain[i * n + (i + 1) % n] = 1;
  for (
    const nodes of [
      Uint32Array.of(0),
      Uint32Array.of(0, 2),
      Uint32Array.of(0, 2, 4, 6),
      Uint32Array.of(0, 1, 5),
    ]
  ) {
    const [found] = await new RandomWalkSolver(chain, n).propose([{ nodes }]);
    assertEquals(found!.left.length + found!.right.length, nodes.length);
    if (nodes.length > 1) assert(found!.ncut >= 0 && found!.left.length > 0 && found!.right.length > 0);
  }
});

Deno.test("RandomWalkSolver.weights() is the flow whose T and least degree it reports", async () => {
  const seed = freshSeed();
  const n = 30;
  const solver = new RandomWalkSolver(randomWalkMatrix(n, seed, "points"), n);
  for (const nodes of randomSegments(n, 3, seed)) {
    const [proposal] = await solver.propose([{ nodes }]);
    const m = nodes.length;
    if (m < 2) continue;
    const w = Float64Array.from(await solver.weights(nodes));
    assertAlmostEquals(denseTotal(w, m), proposal!.total, 1e-6 * m, `seed ${seed}`);
    const least = Math.min(...rowSums(w, m).map((d, i) => d - w[i * m + i]!));
    assertAlmostEquals(least, proposal!.leastDegree!, 1e-6, `seed ${seed}`);
    assertAlmostEquals(globalMinCut(w, m).value, stoerWagner(w, m), 1e-9, `seed ${seed}`);
  }
});
