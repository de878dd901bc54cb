import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { diffCutFeatures } from "../lib/cut/peers/diffcut.ts";
import { anchorNodes, diffSeg } from "../lib/cut/peers/diffseg.ts";
import { emerDiff, kMeans } from "../lib/cut/peers/emerdiff.ts";
import { nearestLayer } from "../lib/cut/peers/layer.ts";
import { secondEigenvector } from "../lib/cut/peers/second_eigen.ts";
import { segmentByPeer } from "../lib/cut/peers/segment.ts";
import { symmetricEigen } from "../lib/cut/small_eigen.ts";
import { UsageError } from "../lib/errors.ts";
import { adjustedRand } from "../lib/eval/metrics.ts";
import { FrameSegmenter } from "../lib/frame_segmenter.ts";
import { uniform } from "../lib/random.ts";
import { createCpuWalkDevice } from "../lib/walk/cpu/walk_device.ts";

/** A walk on grid² nodes that mostly stays in its region: four regions, one of them small. */
function regions(grid: number, seed: number) {
  const random = uniform(seed);
  const labels = Uint16Array.from({ length: grid ** 2 }, (_, i) => {
    const [x, y] = [i % grid, Math.floor(i / grid)];
    if (x > grid * 0.6 && y > grid * 0.6) return 3;
    return (x < grid / 2 ? 0 : 1) + (y < grid / 3 && x < grid / 2 ? 2 : 0);
  });
  const n = grid ** 2;
  const p = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    let sum = 0;
    for (let j = 0; j < n; j++) {
      sum += p[i * n + j] = (labels[i] === labels[j] ? 1 : 0.02) * (0.7 + 0.6 * random());
    }
    for (let j = 0; j < n; j++) p[i * n + j]! /= sum;
  }
  return { labels, p, n };
}

/** A layer of attention whose patches attend to those of their own region; queries are one direction a region. */
function layerOf(labels: ArrayLike<number>, regions: number, resolution: number) {
  const headDim = regions;
  const queries = new Float32Array(resolution ** 2 * headDim);
  for (let i = 0; i < resolution ** 2; i++) queries[i * headDim + labels[i]!] = 1;
  return { resolution, heads: 1, headDim, scale: 8, queries, keys: queries };
}

Deno.test("diffSeg() and diffCut() find the regions of a walk that has them", async () => {
  const device = await createCpuWalkDevice();
  const seed = Math.floor(Math.random() * 1e6);
  try {
    const { labels, p, n } = regions(16, seed);
    const walk = await device.fromDense(p, n);
    const layers = [layerOf(labels, 4, 16)];
    for (const method of ["diffseg", "diffcut"] as const) {
      const found = await segmentByPeer(method, layers, walk, device);
      assertEquals(found.segments, 4, `seed ${seed}`);
      assertEquals(adjustedRand(found.labels, labels), 1, `seed ${seed}`);
      assertEquals(found.scores.length, n * found.segments);
      assertEquals(found.leaves.map((leaf) => found.tree[leaf]!.size).reduce((a, b) => a + b), n);
    }
    walk.release();
  } finally {
    await device.close();
  }
});

Deno.test("diffSeg() merges what the definition of the distance merges", async () => {
  const device = await createCpuWalkDevice();
  const seed = Math.floor(Math.random() * 1e6);
  const random = uniform(seed);
  const grid = 6;
  const n = grid ** 2;
  try {
    const p = new Float32Array(n * n);
    for (let i = 0; i < n; i++) {
      const row = Float32Array.from({ length: n }, () => random() ** 4 + 1e-3);
      const sum = row.reduce((a, b) => a + b);
      row.forEach((v, j) => p[i * n + j] = v / sum);
    }
    const walk = await device.fromDense(p, n);
    const row = (m: ArrayLike<number>, i: number) => Array.from({ length: n }, (_, j) => m[i * n + j]!);
    const kl = (x: number[], y: number[]) =>
      x.reduce((sum, v, j) => sum + (v - y[j]!) * Math.log(v / y[j]!), 0) / 2;
    const mean = (list: number[][]) =>
      list[0]!.map((_, j) => list.reduce((s, r) => s + r[j]!, 0) / list.length);
    for (const threshold of [0.3, 0.8, 1.1]) {
      const all = Array.from({ length: n }, (_, i) => row(p, i));
      let maps = anchorNodes(grid, 3).map((a) => mean(all.filter((r) => kl(all[a]!, r) < threshold)));
      for (let pass = 0; pass < 2; pass++) {
        const used = new Set<number>();
        const next: number[][] = [];
        maps.forEach((map, a) => {
          if (used.has(a)) return;
          const near = maps.flatMap((other, b) => kl(map, other) < threshold ? [b] : []);
          near.forEach((b) => used.add(b));
          next.push(mean(near.map((b) => maps[b]!)));
        });
        maps = next;
      }
      const expected = Array.from({ length: n }, (_, i) => {
        const values = maps.map((m) => m[i]!);
        return values.indexOf(Math.max(...values));
      });
      const found = await diffSeg(walk, device, {
        anchors: 3,
        thresholds: [threshold, threshold, threshold],
      });
      assertAlmostEquals(
        adjustedRand(found.labels, expected),
        1,
        1e-9,
        `seed ${seed}, threshold ${threshold}`,
      );
    }
    walk.release();
  } finally {
    await device.close();
  }
});

Deno.test("anchorNodes() lays DiffSeg's published grids", () => {
  const nodes = anchorNodes(64, 16);
  assertEquals(nodes.length, 256);
  assertEquals([nodes[0], nodes[1], nodes.at(-1)], [65, 69, 61 * 64 + 61]);
  assertEquals(anchorNodes(32, 16)[1], 2);
});

Deno.test("secondEigenvector() equals a full decomposition", () => {
  const seed = Math.floor(Math.random() * 1e6);
  const random = uniform(seed);
  for (const n of [2, 3, 9, 60]) {
    const matrix = new Float64Array(n * n);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j <= i; j++) matrix[i * n + j] = matrix[j * n + i] = random();
    }
    const { values, vectors } = symmetricEigen(matrix, n);
    const { theta, vector } = secondEigenvector(
      (x) =>
        Float64Array.from({ length: n }, (_, i) => x.reduce((sum, v, j) => sum + v * matrix[i * n + j]!, 0)),
      vectors.slice(0, n) as Float64Array<ArrayBuffer>,
    );
    assertAlmostEquals(theta, values[1]!, 1e-8, `seed ${seed}, n ${n}`);
    const cosine = vector.reduce((sum, v, i) => sum + v * vectors[n + i]!, 0);
    assertAlmostEquals(Math.abs(cosine), 1, 1e-4, `seed ${seed}, n ${n}`);
  }
});

Deno.test("diffCutFeatures() cuts until τ and interpolates to the grid", () => {
  // Three directions in two strips and a block.
  const side = 8;
  const directions = [[1, 0, 0.1], [0, 1, 0], [0.1, 0, 1]];
  const truth = Uint16Array.from({ length: side ** 2 }, (_, i) => i % side < 4 ? 0 : i < 32 ? 1 : 2);
  const features = Float32Array.from([...truth].flatMap((l) => directions[l]!));
  const same = diffCutFeatures(features, side, 3, side);
  assertEquals(adjustedRand(same.labels, truth), 1);
  const finer = diffCutFeatures(features, side, 3, 2 * side);
  assertEquals(finer.labels.length, 4 * side ** 2);
  const repeated = Uint16Array.from(
    { length: 4 * side ** 2 },
    (_, i) => truth[Math.floor(Math.floor(i / (2 * side)) / 2) * side + Math.floor((i % (2 * side)) / 2)]!,
  );
  assert(adjustedRand(finer.labels, repeated) > 0.99);
  assertEquals(diffCutFeatures(features, side, 3, side, { tau: 0 }).segments, 1);
  // All alike: every split costs about 1.
  assertEquals(diffCutFeatures(new Float32Array(48).fill(0.5), 4, 3, 4).segments, 1);
});

Deno.test("emerDiff() gives the clusters of a layer's queries, at most K of them", async () => {
  const device = await createCpuWalkDevice();
  const seed = Math.floor(Math.random() * 1e6);
  try {
    const { labels } = regions(16, seed);
    const layer = layerOf(labels, 4, 16);
    const found = await emerDiff(layer, device, 16, { masks: 4 });
    assertEquals(found.segments, 4);
    assertEquals(adjustedRand(found.labels, labels), 1);
    assertEquals((await emerDiff(layer, device, 16, { masks: 2 })).segments, 2);
    // Four directions are four clusters, however many are asked for.
    assertEquals((await emerDiff(layer, device, 32)).segments, 4);
    assertEquals((await emerDiff(layer, device, 32)).labels.length, 32 ** 2);
  } finally {
    await device.close();
  }
});

Deno.test("kMeans() ends where each point is in the cluster of the nearest mean", () => {
  const seed = Math.floor(Math.random() * 1e6);
  const random = uniform(seed);
  for (let round = 0; round < 20; round++) {
    const [n, d, k] = [40 + Math.floor(60 * random()), 3, 2 + Math.floor(6 * random())];
    const points = Float32Array.from({ length: n * d }, () => random());
    const labels = kMeans(points, n, k);
    const means = Array.from({ length: k }, (_, c) => {
      const members = [...labels.keys()].filter((i) => labels[i] === c);
      return Array.from(
        { length: d },
        (_, j) => members.reduce((sum, i) => sum + points[i * d + j]!, 0) / members.length,
      );
    });
    const far = (i: number, c: number) =>
      means[c]!.reduce((sum, v, j) => sum + (points[i * d + j]! - v) ** 2, 0);
    for (let i = 0; i < n; i++) {
      const least = Math.min(...means.keys().map((c) => far(i, c)).filter((v) => !Number.isNaN(v)));
      assertAlmostEquals(far(i, labels[i]!), least, 1e-9, `seed ${seed}, round ${round}, point ${i}`);
    }
  }
});

Deno.test("nearestLayer() takes the nearest resolution, the finer of two", () => {
  const layers = [64, 32, 16, 8].map((resolution) => layerOf(new Uint8Array(resolution ** 2), 1, resolution));
  assertEquals(nearestLayer(layers, 32).resolution, 32);
  assertEquals(nearestLayer(layers.slice(2), 32).resolution, 16);
  assertEquals(nearestLayer([layers[3]!, layers[0]!], 23).resolution, 64);
  assertEquals(nearestLayer([layers[2]!, layers[0]!], 32).resolution, 64);
});

/** A picture of soft blobs, moved by some pixels. */
function blobs(index: number, shift: number) {
  const [width, height] = [120, 80];
  const data = new Uint8Array(width * height * 3);
  for (let p = 0; p < width * height; p++) {
    const [x, y] = [(p % width) - shift, Math.floor(p / width)];
    const inside = [[30, 30, 18], [85, 45, 22]].map(([cx, cy, r]) => Math.hypot(x - cx!, y - cy!) < r!);
    const colour = inside[0] ? [200, 60, 40] : inside[1] ? [40, 90, 210] : [150, 160, 150];
    for (let c = 0; c < 3; c++) data[3 * p + c] = colour[c]!;
  }
  return { index, pts: index, width, height, data };
}

Deno.test("FrameSegmenter with a peer's method: ids stay with segments, both devices agree, PAMR follows", async () => {
  for (const method of ["diffseg", "diffcut", "emerdiff"] as const) {
    const firsts: Uint16Array[] = [];
    for (const device of ["cpu", "webgpu"] as const) {
      const segmenter = await FrameSegmenter.create({ method, device, grid: 32, refine: "pamr" });
      try {
        const first = await segmenter.segment(blobs(0, 0));
        const again = await segmenter.segment(blobs(1, 0));
        assertEquals(again.labels, first.labels, `${method} on ${device}`);
        const moved = await segmenter.segment(blobs(2, 3));
        // What the segments of the discs are called before and after.
        for (const [x, y] of [[30, 30], [85, 45]] as const) {
          const at = y * 120 + x;
          if (method !== "emerdiff") {
            assertEquals(moved.labels[at + 3], first.labels[at], `${method} on ${device}`);
          }
        }
        assertEquals(first.stats.warm || moved.stats.warm, false);
        firsts.push(first.labels);
      } finally {
        await segmenter.close();
      }
    }
    const agreement = adjustedRand(firsts[0]!, firsts[1]!);
    assert(agreement > 0.95, `${method}: ${agreement}`);
  }
});

Deno.test("FrameSegmenter refuses the cut's settings with a peer's method", async () => {
  const fails = (options: Parameters<typeof FrameSegmenter.create>[0], word: string) =>
    assertRejects(() => FrameSegmenter.create({ device: "cpu", grid: 32, ...options }), UsageError, word);
  await fails({ method: "diffseg", stop: "manc-ncut" }, "--stop does not apply to --method diffseg");
  await fails({ method: "diffcut", maxSegments: 4 }, "--max-segments");
  await fails({ method: "emerdiff", threshold: 0.4 }, "--threshold");
  await fails({ method: "emerdiff", minArea: 0.1 }, "--min-area");
});
