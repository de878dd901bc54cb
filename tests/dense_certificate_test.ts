import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { confirmTree } from "../lib/cut/confirm.ts";
import { cutFrame, type CutSettings } from "../lib/cut/cut_frame.ts";
import { sketchFactor } from "../lib/cut/factor.ts";
import { FactorSolver } from "../lib/cut/factor_solver.ts";
import { branchesOf, grow, labelNodes } from "../lib/cut/grow.ts";
import { uniform } from "../lib/random.ts";
import { Tally } from "../lib/walk/tally.ts";
import {
  adjustedRand,
  denseAdjacency,
  denseNcut,
  denseRecursion,
  denseResidual,
  denseTotal,
  submatrix,
} from "./reference/dense.ts";
import { freshSeed, peakedWalk, randomWalkMatrix } from "./reference/graphs.ts";
import { PlainWalk } from "./reference/plain_walk.ts";

const SETTINGS: CutSettings = {
  steps: 1,
  stop: { kind: "ncut", threshold: 0.6 },
  maxSegments: 0,
  minPart: 1,
};

Deno.test("cutFrame() improves by exact products what a factor that is too small proposed, and counts it", async () => {
  const seed = freshSeed();
  const n = 320;
  const matrix = peakedWalk(n, seed);
  const a = denseAdjacency(Float64Array.from(matrix), n, "dot");
  const settings: CutSettings = { ...SETTINGS, solver: "factor", maxSegments: 6 };
  const { segmentation, state } = await cutFrame(new PlainWalk(matrix, n), settings);
  const { tree, labels, leaves, stats } = segmentation;
  assertEquals(stats.solver, "factor");
  assertLessOrEqual(stats.traceShare, 0.95, `seed ${seed}`);
  assert(stats.recertified > 0, `seed ${seed}`);
  assertLessOrEqual(stats.residual, 1e-4, `seed ${seed}`);
  const under = (id: number): number[] => tree[id]!.children?.flatMap(under) ?? [leaves.indexOf(id)];
  for (const { id, children, ncut, threshold, residual } of tree) {
    if (!children) continue;
    const nodes = [...labels.keys()].filter((i) => under(id).includes(labels[i]!));
    const sub = submatrix(a, n, nodes);
    const m = nodes.length;
    const left = new Set(nodes.flatMap((node, i) => under(children[0]).includes(labels[node]!) ? [i] : []));
    const message = `seed ${seed}, node ${id} of ${m}`;
    assertLessOrEqual(Math.abs(denseNcut(sub, m, left) - ncut), 1e-4, message);
    assert(ncut < threshold, message);
    const y = nodes.map((i) => state.tree.nodes[id]!.vector[i]!);
    assertLessOrEqual(denseResidual(sub, m, y), 1.1e-4, message);
    assertLessOrEqual(residual, 1e-4, message);
  }
});

Deno.test("confirmTree() gives a segment whose cut is refuted to exact products", async () => {
  const seed = freshSeed();
  const n = 120;
  const matrix = randomWalkMatrix(n, seed, "points");
  const walk = new PlainWalk(matrix, n);
  const tally = new Tally(walk);
  const factor = await sketchFactor(tally, 1);
  const nodes = Uint32Array.from({ length: n }, (_, i) => i);
  // A root that is cut in two at random, at an NCut that is not its own.
  const root = await grow(new FactorSolver(factor), nodes, { ...SETTINGS, maxSegments: 1 }, undefined);
  const next = uniform(seed);
  const side = nodes.map(() => Number(next() < 0.5));
  root.proposal = {
    ...root.proposal,
    ncut: 0.01,
    left: nodes.filter((i) => side[i] === 0),
    right: nodes.filter((i) => side[i] === 1),
  };
  const whole = (of: Uint32Array<ArrayBuffer>) =>
    grow(new FactorSolver(factor), of, { ...SETTINGS, maxSegments: 1 }, undefined);
  root.parts = [await whole(root.proposal.left), await whole(root.proposal.right)];
  const spent = tally.applications;
  const { recertified, residual } = await confirmTree({
    tally,
    steps: 1,
    settings: SETTINGS,
    held: undefined,
    diagonal: factor.diagonal,
    factor: () => Promise.resolve(factor),
    tolerance: 1e-4,
    traceShare: factor.traceShare,
  }, root);
  assertEquals(recertified, 1, `seed ${seed}`);
  assert(tally.applications > spent, `seed ${seed}`);
  assertLessOrEqual(residual, 1e-4, `seed ${seed}`);
  const a = denseAdjacency(Float64Array.from(matrix), n, "dot");
  const agreement = adjustedRand(labelNodes(root, n), denseRecursion(a, n, 0.6));
  assertLessOrEqual(0.99, agreement, `seed ${seed}`);
  for (const { proposal: { total, nodes: own } } of branchesOf(root)) {
    const m = own.length;
    if (m < 2) continue;
    assertLessOrEqual(Math.abs(total / denseTotal(submatrix(a, n, own), m) - 1), 0.05, `seed ${seed}`);
  }
});
