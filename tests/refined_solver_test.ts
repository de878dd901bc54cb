import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { WalkGram } from "../lib/cut/adjacency.ts";
import { certify } from "../lib/cut/certify.ts";
import { cutFrame, type CutSettings } from "../lib/cut/cut_frame.ts";
import { type Factor, sketchFactor, withDiagonal } from "../lib/cut/factor.ts";
import { FactorSolver } from "../lib/cut/factor_solver.ts";
import { branchesOf, cutsOf, grow, labelNodes, leavesOf } from "../lib/cut/grow.ts";
import { MOST_REFINEMENTS, REFINED_RESIDUAL, RefinedSolver } from "../lib/cut/refined_solver.ts";
import type { Solver } from "../lib/cut/solver.ts";
import { Tally } from "../lib/walk/tally.ts";
import type { Product } from "../lib/walk/walk.ts";
import { denseAdjacency, denseNcut, denseResidual, denseTotal, submatrix } from "./reference/dense.ts";
import { freshSeed, peakedWalk } from "./reference/graphs.ts";
import { PlainWalk } from "./reference/plain_walk.ts";

const SETTINGS: CutSettings = {
  steps: 1,
  stop: { kind: "ncut", threshold: 0.6 },
  maxSegments: 8,
  minPart: 1,
};

/** A walk that notes the blocks it is multiplied with. */
class NotedWalk extends PlainWalk {
  readonly noted: Product[] = [];

  override products(list: readonly Product[]): Promise<Float32Array<ArrayBuffer>[]> {
    this.noted.push(...list);
    return super.products(list);
  }
}

/** A peaked walk, and a factor that holds too little of it. */
async function shortFactor(n: number, seed: number): Promise<{ walk: NotedWalk; factor: Factor }> {
  const matrix = peakedWalk(n, seed);
  const walk = new NotedWalk(matrix, n);
  const estimated = await sketchFactor(new Tally(walk), 1, { maxRank: 96, seed });
  const squares = Float32Array.from({ length: n }, (_, i) => {
    return matrix.subarray(i * n, (i + 1) * n).reduce((sum, v) => sum + v * v, 0);
  });
  walk.noted.length = 0;
  return { walk, factor: withDiagonal(estimated, squares) };
}

const growWith = (solver: Solver, n: number) =>
  grow(solver, Uint32Array.from({ length: n }, (_, i) => i), SETTINGS, undefined);

Deno.test("RefinedSolver's vectors have the residuals that float64 finds, far below the factor's own", async () => {
  const seed = freshSeed();
  const n = 240;
  const { walk, factor } = await shortFactor(n, seed);
  const a = denseAdjacency(Float64Array.from(walk.matrix), n, "dot");
  const exact = (nodes: Uint32Array, vector: Float32Array) =>
    denseResidual(submatrix(a, n, nodes), nodes.length, vector);
  const plain = await growWith(new FactorSolver(factor), n);
  const own = cutsOf(plain).map(({ branch: { proposal: { nodes, vector } } }) => exact(nodes, vector));
  const root = await growWith(
    new RefinedSolver(factor, WalkGram.withLoops(walk, 1, factor.diagonal), SETTINGS),
    n,
  );
  const refined = cutsOf(root).map(({ branch: { proposal: { nodes, vector, residual } } }) => {
    const found = exact(nodes, vector);
    assertLessOrEqual(Math.abs(found - residual), 1e-4 + 1e-3 * found, `${nodes.length} nodes, seed ${seed}`);
    return found;
  });
  assert(refined.length > 2, `${refined.length} cuts, seed ${seed}`);
  const mean = (values: number[]) => values.reduce((x, y) => x + y, 0) / values.length;
  const message = `${own.map((v) => v.toExponential(1))} to ${refined.map((v) => v.toExponential(1))}`;
  assert(mean(own) > 3 * REFINED_RESIDUAL, `the factor is too good: ${message}, seed ${seed}`);
  assertLessOrEqual(mean(refined), mean(own) / 3, `${message}, seed ${seed}`);
});

Deno.test("RefinedSolver.certificates() are those of certify() and of float64", async () => {
  const seed = freshSeed();
  const n = 240;
  const { walk, factor } = await shortFactor(n, seed);
  const a = denseAdjacency(Float64Array.from(walk.matrix), n, "dot");
  const solver = new RefinedSolver(factor, WalkGram.withLoops(walk, 1, factor.diagonal), SETTINGS);
  const root = await growWith(solver, n);
  const cuts = cutsOf(root);
  const found = solver.certificates(root);
  const leaves = leavesOf(root).length;
  const other = await certify(new Tally(walk), 1, cuts, labelNodes(root, n), leaves, factor.diagonal);
  const near = (x: number, y: number, message: string) =>
    assertLessOrEqual(Math.abs(x - y), 1e-5 + 1e-4 * Math.abs(y), `${message}, seed ${seed}`);
  cuts.forEach(({ branch: { proposal: { nodes, left } } }, c) => {
    const m = nodes.length;
    const sub = submatrix(a, n, nodes);
    const inLeft = new Set(left);
    const positions = new Set(nodes.keys().filter((i) => inLeft.has(nodes[i]!)));
    near(found.cuts[c]!.ncut, other.cuts[c]!.ncut, `NCut of ${m}`);
    near(found.cuts[c]!.ncut, denseNcut(sub, m, positions), `NCut of ${m} in float64`);
    near(found.cuts[c]!.total, denseTotal(sub, m), `T of ${m}`);
    near(found.cuts[c]!.residual, other.cuts[c]!.residual, `residual of ${m}`);
  });
  found.totals.forEach((total, leaf) => near(total, other.totals[leaf]!, `T of leaf ${leaf}`));
});

Deno.test("RefinedSolver multiplies one indicator a pair of parts, and each vector a few times at most", async () => {
  const seed = freshSeed();
  const n = 240;
  const { walk, factor } = await shortFactor(n, seed);
  const solver = new RefinedSolver(factor, WalkGram.withLoops(walk, 1, factor.diagonal), SETTINGS);
  const root = await growWith(solver, n);
  let indicators = 0;
  let vectors = 0;
  for (const { block, columns, word } of walk.noted) {
    assertEquals(word, "tn");
    for (let c = 0; c < columns; c++) {
      const column = block.filter((_, at) => at % columns === c);
      if (column.every((v) => v === 0 || v === 1)) indicators++;
      else vectors++;
    }
  }
  const cuts = cutsOf(root).length;
  assertEquals(indicators, 1 + cuts, `seed ${seed}`);
  assert(
    vectors >= cuts && vectors <= MOST_REFINEMENTS * branchesOf(root).length,
    `${vectors}, seed ${seed}`,
  );
  assertEquals(solver.applications, 2 * (indicators + vectors), `seed ${seed}`);
});

Deno.test("cutFrame() refines the vectors of a carried factor, and asks for no certificate besides", async () => {
  const seed = freshSeed();
  const n = 240;
  const { walk } = await shortFactor(n, seed);
  const settings: CutSettings = { ...SETTINGS, solver: "factor" };
  const cold = await cutFrame(walk, settings);
  walk.noted.length = 0;
  const { segmentation: { tree, stats } } = await cutFrame(walk, settings, cold.state);
  const cuts = tree.filter(({ children }) => children).length;
  // A·1 of each pair of parts and A·y of each vector are all that is left of certificates.
  const words = walk.noted.filter(({ word }) => word === "tn");
  const columns = words.reduce((sum, product) => sum + product.columns, 0);
  assert(stats.recertified > 0 || columns <= 1 + cuts + MOST_REFINEMENTS * tree.length, `seed ${seed}`);
  assertEquals(stats.warm, true);
  assertEquals(
    stats.operatorApplications,
    walk.noted.reduce((sum, product) => sum + product.columns * product.word.length, 0),
    `seed ${seed}`,
  );
});
