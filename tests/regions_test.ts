import { assert, assertEquals } from "@std/assert";
import { CELLS, findRegions, type RegionSettings, regionsOfNodes } from "../lib/cut/regions.ts";
import type { Segmentation } from "../lib/cut/segmentation.ts";
import { readPicture } from "../lib/eval/picture.ts";
import { FrameSegmenter } from "../lib/frame_segmenter.ts";
import { uniform } from "../lib/random.ts";
import type { Frame } from "../lib/source/frame.ts";

const PLAIN: RegionSettings = { contour: 8, minArea: 0, maxSegments: 0 };

/** A picture whose leaf and colour at a place are told by `at`, in shares of the frame. */
function picture(
  width: number,
  height: number,
  at: (u: number, v: number) => { leaf: number; rgb: readonly [number, number, number] },
): { frame: Frame; labels: Uint16Array } {
  const data = new Uint8Array(width * height * 3);
  const labels = new Uint16Array(width * height);
  for (let y = 0, p = 0; y < height; y++) {
    for (let x = 0; x < width; x++, p++) {
      const { leaf, rgb } = at((x + 0.5) / width, (y + 0.5) / height);
      labels[p] = leaf;
      data.set(rgb, 3 * p);
    }
  }
  return { frame: { index: 0, pts: 0, width, height, data }, labels };
}

const within = (u: number, v: number, x: number, y: number, r: number) => Math.hypot(u - x, v - y) < r;

Deno.test("findRegions() parts what looks alike and stands apart", () => {
  const { frame, labels } = picture(321, 240, (u, v) => {
    const inside = within(u, v, 0.25, 0.5, 0.15) || within(u, v, 0.75, 0.5, 0.15);
    return { leaf: inside ? 1 : 0, rgb: inside ? [200, 40, 40] : [40, 60, 160] };
  });
  const { pixels, count, leaves } = findRegions(labels, frame, PLAIN);
  assertEquals(count, 3);
  assertEquals(leaves.toSorted(), [0, 1, 1]);
  const at = (u: number, v: number) => pixels[Math.floor(v * 240) * 321 + Math.floor(u * 321)]!;
  assert(at(0.25, 0.5) !== at(0.75, 0.5));
  for (let p = 0; p < pixels.length; p++) assertEquals(leaves[pixels[p]!], labels[p], `pixel ${p}`);
});

Deno.test("findRegions() joins what no contour parts, and keeps what one does", () => {
  // The leaves halve a sky that brightens slowly; below lies ground of another colour.
  const sky = (u: number) => [120 + 30 * u, 160 + 30 * u, 220] as const;
  const { frame, labels } = picture(
    320,
    200,
    (u, v) =>
      v > 0.6
        ? { leaf: 2, rgb: [90, 70, 40] }
        : { leaf: u < 0.5 ? 0 : 1, rgb: sky(u).map(Math.round) as [number, number, number] },
  );
  const { pixels, count } = findRegions(labels, frame, PLAIN);
  assertEquals(count, 2);
  assertEquals(pixels[0], pixels[319]);
  assert(pixels[0] !== pixels[199 * 320]);
  assertEquals(findRegions(labels, frame, { ...PLAIN, contour: 0.01 }).count, 3);
});

Deno.test("findRegions() counts the same regions however the leaves are numbered", () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const next = uniform(seed);
  const blobs = Array.from({ length: 8 }, (_, k) => ({
    x: next(),
    y: next(),
    r: 0.06 + 0.1 * next(),
    leaf: 1 + k % 4,
    rgb: [255 * next(), 255 * next(), 255 * next()].map(Math.round) as [number, number, number],
  }));
  const names = [0, 1, 2, 3, 4].toSorted(() => next() - 0.5);
  const draw = (name: (leaf: number) => number) =>
    picture(200, 150, (u, v) => {
      const blob = blobs.findLast(({ x, y, r }) => within(u, v, x, y, r));
      return { leaf: name(blob?.leaf ?? 0), rgb: blob?.rgb ?? [128, 128, 128] };
    });
  const plain = draw((leaf) => leaf), renamed = draw((leaf) => names[leaf]!);
  const one = findRegions(plain.labels, plain.frame, PLAIN);
  const other = findRegions(renamed.labels, renamed.frame, PLAIN);
  assertEquals(other.pixels, one.pixels, `seed ${seed}`);
  assertEquals(other.leaves, one.leaves.map((leaf) => names[leaf]!), `seed ${seed}`);
});

Deno.test("findRegions() gives specks to what surrounds them, or to what they were", () => {
  // A speck of a third leaf on the border of two.
  const { frame, labels } = picture(256, 256, (u, v) => {
    if (within(u, v, 0.49, 0.5, 0.015)) return { leaf: 2, rgb: [250, 250, 250] };
    return u < 0.5 ? { leaf: 0, rgb: [200, 30, 30] } : { leaf: 1, rgb: [30, 30, 200] };
  });
  const speck = Math.floor(0.5 * CELLS) * CELLS + Math.floor(0.487 * CELLS);
  const first = findRegions(labels, frame, PLAIN);
  assertEquals(first.count, 2);
  assertEquals(first.cells[speck], first.cells[0]);
  // Where the right half had it in the last frame, it stays there.
  const last = first.cells.map((region) => region + 1);
  for (let cell = 0; cell < last.length; cell++) {
    if (within((cell % CELLS + 0.5) / CELLS, (Math.floor(cell / CELLS) + 0.5) / CELLS, 0.49, 0.5, 0.02)) {
      last[cell] = first.cells[CELLS - 1]! + 1;
    }
  }
  const second = findRegions(labels, frame, PLAIN, { last: { cells: last, ages: new Map() } });
  assertEquals(second.cells[speck], second.cells[CELLS - 1]);
});

Deno.test("findRegions() leans towards the last frame where a contrast is near the bound", () => {
  // Two halves whose contrast lies a little above, then a little below the bound.
  const halves = (step: number) =>
    picture(CELLS, CELLS, (u) => {
      const grey = Math.round(u < 0.5 ? 100 : 100 + step);
      return { leaf: u < 0.5 ? 0 : 1, rgb: [grey, grey, grey] };
    });
  const count = (step: number, cells?: Uint16Array, age = 20) => {
    const { frame, labels } = halves(step);
    const last = cells && { cells, ages: new Map([[7, age], [9, age]]) };
    return findRegions(labels, frame, PLAIN, { last }).count;
  };
  const apart = Uint16Array.from({ length: CELLS * CELLS }, (_, c) => c % CELLS < CELLS / 2 ? 7 : 9);
  const joined = new Uint16Array(CELLS * CELLS).fill(7);
  const steps = Array.from({ length: 20 }, (_, i) => 12 + i);
  const firstOf = (last?: Uint16Array, age?: number) => steps.find((step) => count(step, last, age) === 2)!;
  assert(firstOf(apart) < firstOf(), `${firstOf(apart)} ${firstOf()}`);
  assert(firstOf() < firstOf(joined), `${firstOf()} ${firstOf(joined)}`);
  // The more so the longer they have stood, and not at all after a single frame.
  assertEquals([firstOf(apart, 1), firstOf(joined, 1)], [firstOf(), firstOf()]);
  assert(firstOf(joined, 5) > firstOf() && firstOf(joined, 5) < firstOf(joined), `${firstOf(joined, 5)}`);
  assertEquals(firstOf(joined, 9), firstOf(joined, 100));
});

Deno.test("findRegions() asks the more contrast of a boundary the more alike the walk finds its sides", () => {
  const { frame, labels } = picture(CELLS, CELLS, (u) => {
    const grey = u < 0.5 ? 100 : 130;
    return { leaf: u < 0.5 ? 0 : 1, rgb: [grey, grey, grey] };
  });
  // Rows of M that point along the axis of their leaf, and by `mix` along the other's; so the scores.
  const walk = (mix: number, side: number) => {
    const length = Math.hypot(1, mix);
    const nodes = Uint16Array.from({ length: side * side }, (_, i) => i % side < side / 2 ? 0 : 1);
    const scores = Float32Array.from(
      { length: 2 * nodes.length },
      (_, i) => (nodes[i >> 1] === i % 2 ? 1 : 2 * mix / length ** 2) * length,
    );
    return { scores, labels: nodes, segments: 2 };
  };
  for (const side of [16, 32]) {
    const least = [0, 0.1, 0.3, 0.9].map((mix) => {
      const bounds = Array.from({ length: 80 }, (_, i) => 0.5 * (i + 1));
      return bounds.find((contour) =>
        findRegions(labels, frame, { ...PLAIN, contour }, { walk: walk(mix, side) }).count === 1
      )!;
    });
    // The contour up to which the boundary stands falls with the likeness.
    for (let i = 1; i < least.length; i++) assert(least[i]! < least[i - 1]!, `${least} at ${side}²`);
  }
});

Deno.test("findRegions() keeps to the bounds on number and area", () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const next = uniform(seed);
  const colours = Array.from(
    { length: 25 },
    () => [next(), next(), next()].map((c) => Math.round(255 * c)) as [number, number, number],
  );
  const { frame, labels } = picture(200, 200, (u, v) => {
    const leaf = Math.floor(5 * u) + 5 * Math.floor(5 * v);
    return { leaf, rgb: colours[leaf]! };
  });
  for (const maxSegments of [1, 2, 7, 24]) {
    const { count, pixels } = findRegions(labels, frame, { ...PLAIN, contour: 1e-6, maxSegments });
    assertEquals(count, maxSegments, `seed ${seed}`);
    assertEquals(new Set(pixels).size, maxSegments, `seed ${seed}`);
  }
  const { cells, count } = findRegions(labels, frame, { ...PLAIN, contour: 1e-6, minArea: 0.1 });
  for (let region = 0; region < count; region++) {
    assert(cells.filter((r) => r === region).length >= 0.1 * CELLS * CELLS, `seed ${seed}`);
  }
});

Deno.test("findRegions() and regionsOfNodes() take frames of any size", () => {
  for (const [width, height] of [[1, 1], [20, 200], [40, 2], [129, 127]] as const) {
    const { frame, labels } = picture(width, height, (u) => ({
      leaf: u < 0.5 ? 0 : 1,
      rgb: u < 0.5 ? [0, 0, 0] : [255, 255, 255],
    }));
    const { cells, pixels, count } = findRegions(labels, frame, PLAIN);
    assertEquals(count, width === 1 ? 1 : 2);
    assertEquals(pixels.length, width * height);
    for (const grid of [32, 64]) {
      const nodes = regionsOfNodes(cells, count, grid);
      assertEquals(new Set(nodes).size, count);
      assertEquals(nodes[0], cells[0]);
      assertEquals(nodes.at(-1), cells.at(-1));
    }
  }
});

Deno.test("FrameSegmenter joins by contour, and by likeness after one step of the walk", async () => {
  const folder = new URL("../../shared/images/bsds-tune100/images/", import.meta.url);
  const names = await Array.fromAsync(Deno.readDir(folder), ({ name }) => name).catch(() => []);
  if (names.length === 0) return console.log("skipped: no ../shared/images");
  const start = Math.floor(Math.random() * names.length);
  const frames = await Promise.all(
    Array.from(
      { length: 5 },
      (_, i) => readPicture(new URL(names[(start + i) % names.length]!, folder).pathname),
    ),
  );
  for (const walkSteps of [1, 2]) {
    const open = (contour?: object) =>
      FrameSegmenter.create({
        device: "cpu",
        grid: 32,
        warmStart: false,
        sceneCut: 1,
        walkSteps,
        ...contour,
      });
    const [whole, cut] = [await open(), await open({ contour: 0 })];
    for (const frame of frames) {
      const { segments } = await whole.segment(frame);
      let walk: Segmentation | undefined, ids: readonly number[] = [];
      const { labels } = await cut.segment(frame, (seen) => {
        [walk, ids] = [seen.segmentation, seen.ids];
        return Promise.resolve();
      });
      const leaves = labels.map((id) => ids.indexOf(id));
      const regions = findRegions(leaves, frame, PLAIN, walkSteps === 1 ? { walk: walk! } : {});
      assertEquals(segments.length, regions.count, `k = ${walkSteps}, pictures from ${start}`);
    }
    await Promise.all([whole.close(), cut.close()]);
  }
});
