import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { assign } from "../lib/eval/assignment.ts";
import { allBoundaries, boundaries, boundaryF, davisTolerance, spread } from "../lib/eval/boundary.ts";
import { addCounts, classCounts, classTotals, emptyCounts, IGNORED } from "../lib/eval/classes.ts";
import {
  adaptedRand,
  adjustedRand,
  covering,
  overlap,
  randIndex,
  regionScore,
  variationOfInformation,
} from "../lib/eval/metrics.ts";
import { UsageError, WalkcutError } from "../lib/errors.ts";
import { uniform } from "../lib/random.ts";
import cases from "./data/eval_cases.json" with { type: "json" };

const integers = (random: () => number, count: number, bound: number) =>
  Array.from({ length: count }, () => Math.floor(random() * bound));

/** Fresh partitions of `n` pixels that agree on part of them. */
function partitions(random: () => number, n: number): [number[], number[]] {
  const [ka, kb, share] = [1 + Math.floor(random() * 8), 1 + Math.floor(random() * 8), random()];
  const a = integers(random, n, ka);
  return [a, a.map((label) => random() < share ? label : 100 + Math.floor(random() * kb))];
}

const freshSeed = () => Math.floor(Math.random() * 1e9);

Deno.test("assign() equals SciPy's linear_sum_assignment, ties included", () => {
  cases.assignment.forEach((expected, seed) => {
    const random = uniform(seed);
    const [rows, columns, bound] = integers(random, 3, 12).map((v) => v + 1) as [number, number, number];
    const costs = integers(random, rows * columns, bound);
    [false, true].forEach((maximise, m) => {
      const found = assign(costs, rows, columns, maximise);
      assertEquals([...found.columns], expected[m], `seed ${seed}, ${rows}×${columns}`);
      assertEquals(found.rows.length, Math.min(rows, columns));
    });
  });
});

Deno.test("assign() finds the best of all permutations", () => {
  const seed = freshSeed();
  const random = uniform(seed);
  const best = (costs: number[], n: number, row: number, used: number): number => {
    if (row === n) return 0;
    let least = Infinity;
    for (let c = 0; c < n; c++) {
      if (used & (1 << c)) continue;
      least = Math.min(least, costs[row * n + c]! + best(costs, n, row + 1, used | (1 << c)));
    }
    return least;
  };
  for (let round = 0; round < 30; round++) {
    const n = 1 + Math.floor(random() * 6);
    const costs = Array.from({ length: n * n }, () => random() - 0.5);
    const { rows, columns } = assign(costs, n, n);
    const sum = rows.reduce((total, r, k) => total + costs[r * n + columns[k]!]!, 0);
    assertAlmostEquals(sum, best(costs, n, 0, 0), 1e-9, `seed ${seed}`);
  }
});

Deno.test("assign() refuses what has no answer", () => {
  assertThrows(() => assign([1, NaN], 1, 2), WalkcutError);
  assertThrows(() => assign([Infinity, Infinity], 1, 2), WalkcutError);
  assertEquals(assign([], 0, 3).rows.length, 0);
});

Deno.test("variationOfInformation() and adaptedRand() equal scikit-image's", () => {
  cases.partitions.forEach((expected, index) => {
    const random = uniform(1000 + index);
    const [ka, kb] = integers(random, 2, 9).map((v) => v + 1) as [number, number];
    const a = integers(random, 300, ka).map((v) => v + 1);
    const drawn = integers(random, 300, kb).map((v) => v + 1);
    const b = integers(random, 300, 10).map((v, i) => v < Math.floor(index / 10) ? a[i]! : drawn[i]!);
    const table = overlap(a, b);
    const voi = variationOfInformation(table);
    const rand = adaptedRand(table);
    // scikit-image 0.19 gives recall for precision and the other way round.
    const found = [voi.merge, voi.split, rand.error, rand.recall, rand.precision];
    found.forEach((value, i) => assertAlmostEquals(value, expected[i]!, 1e-9, `case ${index}, value ${i}`));
  });
});

Deno.test("randIndex() and adjustedRand() equal a count over all pairs", () => {
  const seed = freshSeed();
  const random = uniform(seed);
  for (let round = 0; round < 100; round++) {
    const n = 2 + Math.floor(random() * 40);
    const [a, b] = partitions(random, n);
    let [both, inA, inB, neither, all] = [0, 0, 0, 0, 0];
    for (let i = 0; i < n; i++) {
      for (let j = i + 1; j < n; j++) {
        const [sameA, sameB] = [a[i] === a[j], b[i] === b[j]];
        all++;
        if (sameA) inA++;
        if (sameB) inB++;
        if (sameA && sameB) both++;
        if (!sameA && !sameB) neither++;
      }
    }
    const message = `seed ${seed}, round ${round}`;
    assertAlmostEquals(randIndex(overlap(a, b)), (both + neither) / all, 1e-12, message);
    const [expected, most] = [inA * inB / all, (inA + inB) / 2];
    const ari = most === expected ? 1 : (both - expected) / (most - expected);
    assertAlmostEquals(adjustedRand(a, b), ari, 1e-9, message);
    assertAlmostEquals(adjustedRand(a, a), 1, 1e-12, message);
  }
});

Deno.test("covering() equals the best IoU of each region, and is 1 for equal partitions", () => {
  const seed = freshSeed();
  const random = uniform(seed);
  for (let round = 0; round < 100; round++) {
    const [a, b] = partitions(random, 60);
    let sum = 0;
    for (const label of new Set(b)) {
      let best = 0;
      for (const other of new Set(a)) {
        const inter = b.filter((l, i) => l === label && a[i] === other).length;
        const union = b.filter((l, i) => l === label || a[i] === other).length;
        best = Math.max(best, inter / union);
      }
      sum += best * b.filter((l) => l === label).length;
    }
    assertAlmostEquals(covering(overlap(a, b)), sum / 60, 1e-12, `seed ${seed}`);
  }
  const perfect = regionScore([1, 1, 2, 2], [[7, 7, 5, 5], [0, 0, 9, 9]]);
  assertEquals(perfect, { covering: 1, pri: 1, voi: 0 });
});

Deno.test("overlap() leaves the ignored label out and refuses unequal sizes", () => {
  const table = overlap([1, 1, 2, 2], [3, 0, 0, 4], 0);
  assertEquals([table.total, [...table.a], [...table.b]], [2, [1, 2], [3, 4]]);
  assertThrows(() => overlap([1], [1, 2]), UsageError, "1 and 2 pixels");
  assertThrows(() => regionScore([1], []), WalkcutError);
});

Deno.test("classCounts() counts as the published protocol does", () => {
  // Three segments on one of three classes: the best takes it, the others go to absent classes.
  const truth = [0, 0, 0, 0, 0, 0, IGNORED];
  const counts = classCounts([5, 5, 5, 6, 6, 9, 9], truth, 3);
  assertEquals(counts.tp, [3, 0, 0]);
  assertEquals(counts.fn, [3, 0, 0]);
  assertEquals(counts.fp.reduce((a, b) => a + b), 3);
  assertEquals(counts.total, 6);
  // More segments than classes: the surplus is nobody's false positive.
  const many = classCounts([1, 1, 2, 3, 4, 4], [0, 0, 0, 1, 1, 1], 2);
  assertEquals([many.tp, many.fp, many.fn], [[2, 2], [0, 0], [1, 1]]);
  const totals = classTotals(many);
  assertAlmostEquals(totals.accuracy, 4 / 6);
  assertAlmostEquals(totals.miou, 2 / 3);
  assertAlmostEquals(totals.f1, 4 / 5);
  const sum = emptyCounts(2);
  addCounts(sum, many);
  addCounts(sum, many);
  assertAlmostEquals(classTotals(sum).miou, 2 / 3);
  assertEquals(sum.total, 12);
  assertThrows(() => classCounts([1], [1, 2], 3), UsageError);
});

Deno.test("classTotals() leaves out classes that neither occur nor are predicted", () => {
  const counts = classCounts([1, 1, 2, 2], [3, 3, 8, 8], 27);
  assertEquals(classTotals(counts), { accuracy: 1, f1: 1, miou: 1 });
});

Deno.test("boundaries() equals the boundary of each region's own mask", () => {
  const seed = freshSeed();
  const random = uniform(seed);
  const [width, height] = [13, 9];
  for (let round = 0; round < 20; round++) {
    const labels = integers(random, width * height, 3);
    const lists = boundaries(labels, width, height);
    for (const id of new Set(labels)) {
      const at = (x: number, y: number) => labels[y * width + x] === id;
      const expected: number[] = [];
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const [right, down] = [x < width - 1, y < height - 1];
          const differs = (right && at(x, y) !== at(x + 1, y)) || (down && at(x, y) !== at(x, y + 1)) ||
            (right && down && at(x, y) !== at(x + 1, y + 1));
          if (differs) expected.push(y * width + x);
        }
      }
      assertEquals(lists.get(id) ?? [], expected, `seed ${seed}, id ${id}`);
    }
  }
});

Deno.test("spread() marks exactly the pixels within the radius", () => {
  const seed = freshSeed();
  const random = uniform(seed);
  const [width, height] = [31, 17];
  for (const radius of [0, 1, 2, 3.5, 6]) {
    const pixels = integers(random, 4, width * height);
    const mask = new Uint32Array(width * height);
    spread(mask, pixels, width, height, radius, 4);
    for (let p = 0; p < mask.length; p++) {
      const near = pixels.some((q) =>
        Math.hypot(p % width - q % width, Math.floor(p / width) - Math.floor(q / width)) <= radius
      );
      assertEquals(mask[p], near ? 4 : 0, `seed ${seed}, radius ${radius}, pixel ${p}`);
    }
  }
});

/** A map of two labels, the second a rectangle. */
function rectangle(width: number, height: number, x0: number, y0: number, x1: number, y1: number) {
  return Uint16Array.from({ length: width * height }, (_, p) => {
    const [x, y] = [p % width, Math.floor(p / width)];
    return x >= x0 && x < x1 && y >= y0 && y < y1 ? 2 : 1;
  });
}

Deno.test("boundaryF() of hand-made shapes", () => {
  const [w, h] = [40, 30];
  const square = rectangle(w, h, 10, 10, 20, 20);
  const none = new Uint16Array(w * h).fill(1);
  assertEquals(boundaryF(square, [square], w, h, 2).f, 1);
  assertEquals(boundaryF(none, [square], w, h, 2), { precision: 1, recall: 0, f: 0 });
  assertEquals(boundaryF(square, [none], w, h, 2), { precision: 0, recall: 1, f: 0 });
  assertEquals(boundaryF(none, [none], w, h, 2).f, 1);
  // Shifted by two pixels all boundaries are within two of each other; by three the sides that
  // run across the shift are not.
  assertEquals(boundaryF(rectangle(w, h, 12, 10, 22, 20), [square], w, h, 2).f, 1);
  const off = boundaryF(rectangle(w, h, 13, 10, 23, 20), [square], w, h, 2);
  assert(off.f > 0.3 && off.f < 0.8, `${off.f}`);
  // A half-plane against one 5 px away: nothing matches.
  const half = (x: number) => rectangle(w, h, x, 0, w, h);
  assertEquals(boundaryF(half(10), [half(15)], w, h, 2).f, 0);
  // Two annotators, one of whom sees the line: all is right, half is found.
  assertEquals(boundaryF(half(10), [half(10), half(20)], w, h, 2), { precision: 1, recall: 0.5, f: 2 / 3 });
  assertEquals(allBoundaries(half(10), w, h).length, h);
  assertEquals(davisTolerance(854, 480), 8);
});
