import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { decode } from "fast-png";
import { FrameSegmenter } from "../lib/frame_segmenter.ts";
import { inspectFrame, type Inspection, nodeAt } from "../lib/inspect_frame.ts";
import { gaussian, uniform } from "../lib/random.ts";
import {
  colourOn,
  GAP,
  HEAT,
  LABEL_HEIGHT,
  PANEL_SIDE,
  panelPlace,
  panelSize,
  scaled,
} from "../lib/render/figure.ts";
import { drawInspection } from "../lib/render/inspection.ts";
import { letter } from "../lib/render/lettering.ts";
import type { Picture } from "../lib/sink/sink.ts";
import type { Frame } from "../lib/source/frame.ts";
import { main } from "../main.ts";
import { ffmpeg, inFolder, names } from "./io_media.ts";

const POWERS = [1, 2, 3, 4];

/** Four fields of noisy colour. */
function fields(seed: number, width = 96, height = 64): Frame {
  const noise = gaussian(3 * width * height, seed);
  const data = Uint8Array.from(noise, (x, i) => {
    const [column, row] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    const field = (column < width / 3 ? 0 : 1) + (row < height / 2 ? 0 : 2);
    return [[200, 60, 50], [60, 170, 70], [50, 70, 200], [210, 200, 80]][field]![i % 3]! + 6 * x;
  });
  return { index: 0, pts: 0, width, height, data };
}

async function inspected(
  frame: Frame,
  point: readonly [number, number],
): Promise<{ inspection: Inspection; dense: Float32Array }> {
  const segmenter = await FrameSegmenter.create({ device: "cpu", grid: 32 });
  try {
    let dense = new Float32Array();
    const data = frame.data.slice();
    await segmenter.segment({ ...frame, data }, async ({ walk }) => {
      dense = await walk.dense();
    });
    return { inspection: await inspectFrame(segmenter, frame, point, POWERS), dense };
  } finally {
    await segmenter.close();
  }
}

Deno.test("inspectFrame() gives rows of P^k, a tree's vectors and its levels", async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const frame = fields(seed);
  const [x, y] = [Math.floor(uniform(seed)() * 96), 20];
  const { inspection: { node, rows, vectors, levels, segmented }, dense } = await inspected(frame, [x, y]);
  const n = 32 * 32;
  assertEquals(node, Math.floor(20 / 2) * 32 + Math.floor(x / 3));
  // Row i of P^k is e_iᵀ·P·…·P, here in float64 from P itself.
  let expected = new Float64Array(n);
  expected[node] = 1;
  for (const [i, { k, row }] of rows.entries()) {
    assertEquals(k, POWERS[i]);
    const next = new Float64Array(n);
    expected.forEach((p, from) => {
      if (p > 0) { for (let to = 0; to < n; to++) next[to]! += p * dense[from * n + to]!; }
    });
    expected = next;
    assertAlmostEquals(row.reduce((a, b) => a + b), 1, 1e-3, `seed ${seed}`);
    const worst = row.reduce((most, p, j) => Math.max(most, Math.abs(p - expected[j]!)), 0);
    assert(worst < 1e-5 * Math.max(...expected), `seed ${seed}: P^${k} is off by ${worst}`);
  }
  assert(segmented.segments.length >= 3, `seed ${seed}`);
  // A split segment's parts are the sides of its vector.
  for (const { node: { children, size, splitValue }, vector, inside } of vectors) {
    assertEquals(inside.reduce((a, b) => a + b), size);
    if (!children) continue;
    const [left, right] = children.map((child) => vectors[child]!.inside);
    inside.forEach((here, i) => {
      assertEquals(left![i]! + right![i]!, here, `seed ${seed}`);
      if (here) assertEquals(left![i], vector[i]! <= splitValue ? 1 : 0, `seed ${seed}`);
    });
  }
  assertLevels(levels, segmented.segments, seed);
  assertEquals(levels[0]!.segments, 2);
});

/** Each level splits segments of the one above, and knows every id that is shown. */
function assertLevels(
  levels: Inspection["levels"],
  segments: readonly { readonly id: number }[],
  seed: number,
): void {
  assertEquals(levels.map(({ depth }) => depth), levels.map((_, i) => i + 1));
  levels.forEach(({ segments: count, idOf }, i) => {
    for (const { id } of segments) assert(idOf.has(id), `id ${id}, seed ${seed}`);
    for (const on of idOf.values()) assertEquals(idOf.get(on), on, `seed ${seed}`);
    assertEquals(new Set(idOf.values()).size, count, `seed ${seed}`);
    const above = levels[i - 1]?.idOf;
    if (above) { for (const [id, on] of idOf) assertEquals(above.get(id), above.get(on), `seed ${seed}`); }
  });
}

Deno.test("inspectFrame() has the parts of a leaf that stand apart together on every level", async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const noise = gaussian(3 * 96 * 64, seed);
  // Four small squares of one colour: too near to be cut apart, too far to be one region.
  const data = Uint8Array.from(noise, (x, i) => {
    const [column, row] = [Math.floor(i / 3) % 96, Math.floor(i / 3 / 96)];
    const [across, down] = [(column - 33) % 18, (row - 16) % 16];
    const square = column >= 33 && column < 63 && row >= 16 && row < 40 && across < 9 && down < 8;
    return (square ? [210, 60, 50] : [60, 90, 160])[i % 3]! + 6 * x;
  });
  const frame = { index: 0, pts: 0, width: 96, height: 64, data };
  const { inspection: { levels, vectors, segmented: { labels, segments } } } = await inspected(frame, [0, 0]);
  assertLevels(levels, segments, seed);
  // Each square's middle is a segment of its own; on the last level they are the leaf that they share.
  const middles = [20, 36].flatMap((y) => [37, 55].map((x) => [x, y] as const));
  const ids = middles.map(([x, y]) => labels[y * 96 + x]!);
  const leaf = vectors.find(({ node, inside }) => !node.children && inside[nodeAt(frame, middles[0]!, 32)])!;
  for (const middle of middles) assertEquals(leaf.inside[nodeAt(frame, middle, 32)], 1, `seed ${seed}`);
  assertEquals(new Set(ids).size, 4, `seed ${seed}`);
  assertEquals(new Set(ids.map((id) => levels.at(-1)!.idOf.get(id))).size, 1, `seed ${seed}`);
});

/** The colour of a page's pixel. */
function pixelOf({ width, data }: Picture, x: number, y: number): number[] {
  return [...data.subarray(3 * (y * width + x), 3 * (y * width + x) + 3)];
}

Deno.test("drawInspection() puts each panel in its place, its cells in the colours of their values", async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const frame = fields(seed);
  const point = [5, 60] as const;
  const { inspection } = await inspected(frame, point);
  const page = drawInspection(inspection, { point, walkSteps: 2, lines: ["model embedded"] });
  const { width, height } = panelSize(96, 64);
  assertEquals([width, height], [PANEL_SIDE, 213]);
  assertEquals(page.width, 4 * PANEL_SIDE + 5 * GAP);
  assertEquals(page.height, 4 * (LABEL_HEIGHT + 213 + GAP) + GAP);
  assertEquals(page.data.length, 3 * page.width * page.height);
  const small = scaled(frame, width, height);
  const corner = panelPlace(0, 0, height);
  assertEquals(pixelOf(page, corner.left + 300, corner.top + 10), [
    ...small.data.subarray(3 * (10 * width + 300), 3 * (10 * width + 300) + 3),
  ]);
  inspection.rows.forEach(({ row }, column) => {
    const { left, top } = panelPlace(1, column, height);
    const most = Math.max(...row);
    const random = uniform(seed + column);
    for (let i = 0; i < 40; i++) {
      const [x, y] = [Math.floor(random() * width), Math.floor(random() * height)];
      // The ring round the point covers what lies under it.
      if (Math.hypot(x - 5.5 * width / 96, y - 60.5 * height / 64) < 10) continue;
      const node = nodeAt({ width, height }, [x + 0.5, y + 0.5], 32);
      assertEquals(
        pixelOf(page, left + x, top + y),
        colourOn(HEAT, Math.sqrt(row[node]! / most)),
        `seed ${seed}`,
      );
    }
  });
});

Deno.test("colourOn() is lighter for what is more", () => {
  const light = Array.from({ length: 101 }, (_, i) => {
    const [r, g, b] = colourOn(HEAT, i / 100);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  });
  assert(light.every((y, i) => i === 0 || y > light[i - 1]!), String(light));
});

Deno.test("scaled() keeps the mean of what it shrinks, and repeats what it enlarges", () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const random = uniform(seed);
  const image = { width: 24, height: 12, data: Uint8Array.from({ length: 864 }, () => 256 * random()) };
  const mean = (data: Uint8Array) => data.reduce((a, b) => a + b) / data.length;
  const half = scaled(image, 8, 4);
  assertAlmostEquals(mean(half.data), mean(image.data), 0.5, `seed ${seed}`);
  assertEquals(scaled(scaled(image, 48, 36), 24, 12).data, image.data, `seed ${seed}`);
});

Deno.test("letter() draws every sign that labels use, each another shape", () => {
  const signs = "0123456789abcdefghijklmnopqrstuvwxyzNPC.,:^/-=<>()%";
  const shapes = [...signs].map((sign) => {
    const dots: string[] = [];
    letter(sign, 0, 0, 1, (x, y) => dots.push(`${x},${y}`));
    assert(dots.length > 0, sign);
    return dots.join(" ");
  });
  assertEquals(new Set(shapes).size, signs.length);
  let count = 0;
  letter("a", 0, 0, 2, () => count++);
  assertEquals(count, 4 * shapes[signs.indexOf("a")]!.split(" ").length);
});

Deno.test("walkcut inspect writes one figure of a video's frame, and says in one line what it cannot do", () =>
  inFolder(async (folder) => {
    const video = `${folder}/clip.mkv`;
    await ffmpeg("-f", "lavfi", "-i", "testsrc2=s=120x90:r=10:d=0.5", "-c:v", "ffv1", video);
    const errors: string[] = [];
    const told = console.error;
    console.error = (line: string) => errors.push(line);
    const run = (...args: string[]) => main(["inspect", ...args, "--device", "cpu", "-q"]);
    const failed = async (pattern: RegExp, ...args: string[]) => {
      errors.length = 0;
      assertEquals(await run(...args), 2, args.join(" "));
      assertEquals(errors.length, 1);
      assertMatch(errors[0]!, pattern);
      assertEquals(errors[0]!.includes("\n"), false);
    };
    try {
      const out = `${folder}/figure.png`;
      assertEquals(await run(video, "-o", out, "--start", "0.1", "--frame", "2", "--grid", "32"), 0);
      const { width, height, channels } = decode(await Deno.readFile(out));
      assertEquals(width, 4 * PANEL_SIDE + 5 * GAP);
      assert(height > 3 * (LABEL_HEIGHT + 240) && channels === 3);
      assertEquals(await names(folder), ["clip.mkv", "figure.png"]);
      const other = `${folder}/other.png`;
      await failed(/inspect needs an output; give it as -o OUT\.png/, video);
      await failed(/one PNG file: .*\.jpg/, video, "-o", `${folder}/a.jpg`);
      await failed(/one PNG file: .*%06d/, video, "-o", `${folder}/%06d.png`);
      await failed(/The output exists/, video, "-o", out);
      await failed(/no pixel of the frame: 120,3; give X,Y from 0,0 to 119,89/, ...[
        video,
        "-o",
        other,
        "--point",
        "120,3",
      ]);
      await failed(/no pixel of the frame: 7;/, video, "-o", other, "--point", "7");
      await failed(/no such frame: 9; the input has 5 there/, video, "-o", other, "--frame", "9");
      await failed(/no such model: nowhere/i, video, "-o", other, "--model", "nowhere");
      assertEquals(await names(folder), ["clip.mkv", "figure.png"]);
    } finally {
      console.error = told;
    }
  }));

Deno.test("walkcut inspect marks the power that is cut, whichever it is", async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const { inspection } = await inspected(fields(seed), [10, 10]);
  const caption = { point: [10, 10] as const, lines: [] };
  const [second, third] = [2, 3].map((walkSteps) => drawInspection(inspection, { ...caption, walkSteps }));
  // Only the labels of the second row differ.
  const { top } = panelPlace(1, 0, panelSize(96, 64).height);
  const rows = new Set<number>();
  second!.data.forEach((v, i) => v !== third!.data[i] && rows.add(Math.floor(i / 3 / second!.width)));
  assert(rows.size > 0);
  for (const row of rows) assert(row >= top - LABEL_HEIGHT && row < top, `row ${row}`);
});
