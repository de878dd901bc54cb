import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { DenseGram } from "../lib/cut/adjacency.ts";
import { bipartitionCost, globalMinCut, minCutCost } from "../lib/cut/min_cut.ts";
import { OperatorSolver } from "../lib/cut/operator.ts";
import { uniform } from "../lib/random.ts";
import { denseAdjacency, denseTotal, stoerWagner } from "./reference/dense.ts";
import { freshSeed, randomWalkMatrix } from "./reference/graphs.ts";

/** A random symmetric graph; sparse, clustered, integer-valued or skewed by turns. */
function randomGraph(n: number, seed: number): Float64Array<ArrayBuffer> {
  const next = uniform(seed);
  const w = new Float64Array(n * n);
  const sizes = Array.from({ length: n }, () => 0.1 + next() ** 3);
  for (let i = 0; i < n; i++) {
    w[i * n + i] = next() * 5;
    for (let j = 0; j < i; j++) {
      const same = i % 3 === j % 3;
      const value = [
        next(),
        (same ? 1 : 0.02) * next(),
        Math.floor(next() * 4),
        sizes[i]! * sizes[j]! * next(),
        next() < 0.3 ? next() : 0,
      ][seed % 5]!;
      w[i * n + j] = w[j * n + i] = value;
    }
  }
  return w;
}

function cutWeight(w: Float64Array, n: number, side: Uint32Array): number {
  const inside = new Set(side);
  let sum = 0;
  for (const i of side) for (let j = 0; j < n; j++) if (!inside.has(j)) sum += w[i * n + j]!;
  return sum;
}

Deno.test("globalMinCut() equals Stoer and Wagner's on 200 random graphs up to 120 nodes", () => {
  const seed = freshSeed();
  for (let round = 0; round < 200; round++) {
    const n = 2 + (seed + 41 * round) % 119;
    const w = randomGraph(n, seed + round);
    const { value, side } = globalMinCut(w, n);
    assertAlmostEquals(value, stoerWagner(w, n), 1e-9 * n, `seed ${seed}, round ${round}, n ${n}`);
    assertAlmostEquals(cutWeight(w, n, side), value, 1e-9 * n, `seed ${seed}, round ${round}: its side`);
    assert(side.length >= 1 && side.length * 2 <= n, `seed ${seed}, round ${round}: ${side.length} of ${n}`);
  }
});

Deno.test("globalMinCut() finds a cut that is not a single node", () => {
  const seed = freshSeed();
  for (let round = 0; round < 30; round++) {
    const n = 20 + round;
    const next = uniform(seed + round);
    const w = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < i; j++) w[i * n + j] = w[j * n + i] = (i % 2 === j % 2 ? 1 : 0.001) * (1 + next());
    }
    const { value, side } = globalMinCut(w, n);
    assertAlmostEquals(value, stoerWagner(w, n), 1e-9, `seed ${seed}`);
    assertEquals(new Set(Array.from(side, (i) => i % 2)).size, 1, `seed ${seed}`);
    assertEquals(side.length, Math.floor(n / 2), `seed ${seed}`);
  }
});

Deno.test("globalMinCut() is 0 on a disconnected graph and does not change its input", () => {
  const n = 7;
  const w = new Float64Array(n * n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) if (i % 2 === j % 2) w[i * n + j] = 1;
  const before = w.slice();
  const { value, side } = globalMinCut(w, n);
  assertEquals([value, [...side]], [0, [1, 3, 5]]);
  assertEquals(w, before);
  assertEquals(globalMinCut(new Float64Array(9), 3).value, 0);
  assertThrows(() => globalMinCut(new Float64Array(1), 1), RangeError);
});

Deno.test("minCutCost() is the scaled minimum cut, or a bound under the threshold where that is enough", async () => {
  const seed = freshSeed();
  let bounds = 0;
  let kept = 0;
  for (let round = 0; round < 40; round++) {
    const n = 2 + (seed + 13 * round) % 25;
    // Scaled down, small segments stay whole, which no bound proves.
    const p = randomWalkMatrix(n, seed + round).map((v) => v * (round % 2 ? 1 : 0.1));
    const gram = new DenseGram(p, n, "dot");
    const nodes = Uint32Array.from({ length: n }, (_, i) => i);
    const [proposal] = await new OperatorSolver(gram).propose([{ nodes }]);
    const a = denseAdjacency(Float64Array.from(p), n, "dot");
    const total = denseTotal(a, n);
    const scaled = stoerWagner(a, n) / total;
    const threshold = total / (n - 1);
    let asked = false;
    const cost = await minCutCost(proposal!, threshold, (set) => {
      asked = true;
      return gram.weights(set);
    });
    if (Math.abs(scaled - threshold) > 1e-6) {
      assertEquals(cost < threshold, scaled < threshold, `seed ${seed}, round ${round}`);
    }
    if (asked) assertAlmostEquals(cost, scaled, 1e-6, `seed ${seed}, round ${round}`);
    else assert(cost >= scaled - 1e-9 && cost < threshold, `seed ${seed}, round ${round}`);
    if (!asked) bounds++;
    if (!(cost < threshold)) kept++;
    const parts = bipartitionCost(proposal!);
    assertAlmostEquals(parts, cutWeight(a, n, proposal!.left) / total, 1e-5, `seed ${seed}`);
    assert(parts >= scaled - 1e-6, `seed ${seed}, round ${round}: no cut is under the minimum`);
  }
  assert(bounds > 0 && kept > 0, `seed ${seed}: ${bounds} by bound, ${kept} kept`);
});

Deno.test("minCutCost() leaves one node whole and takes apart nodes without ties", async () => {
  const none = () => Promise.resolve(new Float64Array(4));
  assertEquals(await minCutCost({ nodes: Uint32Array.of(3), total: 0 }, 0, none), NaN);
  assertEquals(await minCutCost({ nodes: Uint32Array.of(3, 4), total: 0 }, 0, none), -Infinity);
  assertEquals(bipartitionCost({ nodes: Uint32Array.of(3), total: 0 }), NaN);
});

Deno.test("globalMinCut() finds the planted cut of a dense graph of 4096 nodes", () => {
  const n = 4096;
  const seed = freshSeed();
  const next = uniform(seed);
  const side = Uint8Array.from({ length: n }, () => Number(next() < 0.4));
  const noise = Float32Array.from({ length: 4093 }, () => 0.5 + next());
  const w = new Float32Array(n * n);
  let planted = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      // Sums of powers of two and few digits: what crosses is known without rounding.
      const same = side[i] === side[j];
      const weight = Math.fround((same ? 1 : 2 ** -13) * noise[(i * 31 + j * 17) % 4093]!);
      w[i * n + j] = w[j * n + i] = weight;
      if (!same) planted += weight;
    }
  }
  const { value, side: found } = globalMinCut(w, n);
  assertAlmostEquals(value, planted, 1e-6 * planted, `seed ${seed}`);
  assertEquals(new Set(Array.from(found, (i) => side[i])).size, 1, `seed ${seed}`);
  assertEquals(found.length, side.filter((s) => s === side[found[0]!]).length, `seed ${seed}`);
  // A node that hardly hangs on is the cheaper cut.
  for (let j = 0; j < n; j++) w[7 * n + j] = w[j * n + 7] = w[7 * n + j]! * 0.01;
  const alone = globalMinCut(w, n);
  assertEquals([...alone.side], [7], `seed ${seed}`);
});
