import { assert, assertEquals } from "@std/assert";
import { OverlapMatcher } from "../lib/eval/overlap_matcher.ts";
import { scene } from "../lib/eval/scene.ts";
import { FrameSegmenter } from "../lib/frame_segmenter.ts";
import { gaussian, uniform } from "../lib/random.ts";
import type { Frame } from "../lib/source/frame.ts";
import { LabelHold } from "../lib/track/label_hold.ts";

const WIDTH = 256, HEIGHT = 160;
/** Cells a side of the map that the hold works on, as its docblock says. */
const CELLS = 128;

type Rgb = readonly [number, number, number];

/** Labels from a rule. */
function draw(label: (x: number, y: number) => number): Uint16Array<ArrayBuffer> {
  return Uint16Array.from({ length: WIDTH * HEIGHT }, (_, p) => label(p % WIDTH, Math.floor(p / WIDTH)));
}

/** A picture of labels in given colours, with a camera's noise. */
function picture(labels: Uint16Array, colours: readonly Rgb[], noise: number, seed: number): Frame {
  const data = new Uint8ClampedArray(3 * labels.length);
  const error = gaussian(data.length, seed);
  for (let i = 0; i < data.length; i++) {
    data[i] = colours[labels[Math.floor(i / 3)]! - 1]![i % 3]! + noise * error[i]!;
  }
  return { index: 0, pts: 0, width: WIDTH, height: HEIGHT, data: new Uint8Array(data.buffer) };
}

function settled(hold: LabelHold, frame: Frame, labels: Uint16Array): Uint16Array {
  const out = labels.slice();
  hold.settle(frame, out);
  return out;
}

/** Pixels where two label maps differ. */
function differences(a: ArrayLike<number>, b: ArrayLike<number>): number[] {
  return Array.from({ length: a.length }, (_, p) => p).filter((p) => a[p] !== b[p]);
}

const freshSeed = () => Math.floor(Math.random() * 2 ** 31);

/** A left and a right half; the border is `shift` pixels off the middle. */
const halves = (shift: number) => draw((x) => x < WIDTH / 2 + shift ? 1 : 2);

Deno.test("LabelHold.settle() gives still pictures constant labels whatever border and specks do", () => {
  const seed = freshSeed(), random = uniform(seed);
  // Both colours are near each other in one half of the runs, so that they do not tell which label is right.
  for (const contrast of [8, 90]) {
    const hold = new LabelHold();
    const colours: Rgb[] = [[100, 110, 90], [100 + contrast, 110, 90 - contrast], [100, 110, 90]];
    const truth = halves(0);
    for (let t = 0; t < 40; t++) {
      const labels = halves(t % 4 === 0 ? 0 : Math.floor(random() * 9) - 4);
      // A region that blinks, far from any border.
      if (t > 0 && random() < 0.5 && t % 8 !== 0) {
        for (let p = 0; p < labels.length; p++) {
          if (p % WIDTH < 60 && p < 60 * WIDTH) labels[p] = 3;
        }
      }
      const shown = settled(hold, picture(truth, colours, 1, seed + t), labels);
      assertEquals(differences(shown, truth).length, 0, `frame ${t}, contrast ${contrast}, seed ${seed}`);
    }
  }
});

Deno.test("LabelHold.settle() takes a drift of the light for no movement", () => {
  const seed = freshSeed(), random = uniform(seed);
  const hold = new LabelHold();
  const truth = halves(0);
  for (let t = 0; t < 50; t++) {
    // By a quarter up and down, which is up to 40 levels.
    const light = 1 + 0.25 * Math.sin(2 * Math.PI * t / 50);
    const colours = [[140, 110, 90], [60, 110, 160]].map((c) => c.map((v) => light * v)) as unknown as Rgb[];
    // Never right again, so that its cells are in dispute from the first frame to the last.
    const labels = halves(t === 0 ? 0 : 4 + Math.floor(5 * random()));
    const shown = settled(hold, picture(truth, colours, 1, seed + t), labels);
    assertEquals(differences(shown, truth).length, 0, `frame ${t}, seed ${seed}`);
  }
});

Deno.test("LabelHold.settle() takes a new label that stays, all of it at once, and soon where colours are for it", () => {
  const seed = freshSeed();
  const frames = (contrast: number, labelsAtFirst: Uint16Array, labelsThen: Uint16Array) => {
    const hold = new LabelHold();
    const colours: Rgb[] = [[100, 100, 100], [100 + contrast, 100, 100]];
    const show = (t: number, labels: Uint16Array) =>
      settled(hold, picture(labelsThen, colours, 1, seed + t), labels);
    show(0, labelsAtFirst);
    for (let t = 1; t < 100; t++) {
      const shown = show(t, labelsThen);
      if (differences(shown, labelsThen).length === 0) return t;
      assertEquals(differences(shown, labelsAtFirst).length, 0, `frame ${t}, seed ${seed}`);
    }
    return Infinity;
  };
  const alike = frames(0, halves(0), halves(30));
  assert(alike > 4 && alike <= 30, `${alike} frames, seed ${seed}`);
  // The first frame's label was wrong, and its colour says so.
  assertEquals(frames(100, halves(-30), halves(0)), 1, `seed ${seed}`);
});

Deno.test("LabelHold.settle() holds or takes a change as a whole, though some of its cells are at rest", () => {
  const seed = freshSeed();
  const inside = (x: number, y: number) => x >= 40 && x < 120 && y >= 40 && y < 120;
  const before = halves(0), after = draw((x, y) => inside(x, y) ? 2 : x < WIDTH / 2 ? 1 : 2);
  const [wide, high] = [WIDTH / CELLS, HEIGHT / CELLS];
  for (const [share, kept] of [[0.1, true], [0.5, false]] as const) {
    const random = uniform(seed);
    const moved = Array.from({ length: CELLS * CELLS }, () => random() < share);
    const colours: Rgb[] = [[90, 90, 90], [95, 90, 90], [150, 90, 90]];
    const hold = new LabelHold();
    settled(hold, picture(before, colours, 1, seed), before);
    const seen = draw((x, y) => {
      const change = inside(x, y) && moved[Math.floor(y / high) * CELLS + Math.floor(x / wide)];
      return change ? 3 : before[y * WIDTH + x]!;
    });
    const shown = settled(hold, picture(seen, colours, 1, seed + 1), after);
    assertEquals(differences(shown, kept ? before : after).length, 0, `${share} moved, seed ${seed}`);
  }
});

Deno.test("LabelHold.settle() takes no label while those that are proposed are not one and the same", () => {
  const seed = freshSeed(), random = uniform(seed);
  const hold = new LabelHold();
  const alike: Rgb = [90, 90, 90];
  const at = (middle: number) => draw((x) => x < 90 ? 1 : x < 160 ? middle : x < 210 ? 2 : 3);
  for (let t = 0; t < 40; t++) {
    const frame = picture(at(1), [alike, alike, alike], 1, seed + t);
    const shown = settled(
      hold,
      frame,
      at(t === 0 ? 1 : t % 5 === 0 ? 2 : t % 5 === 1 || random() < 0.5 ? 3 : 2),
    );
    assertEquals(differences(shown, at(1)).length, 0, `frame ${t}, seed ${seed}`);
  }
});

Deno.test("LabelHold.settle() holds a label that its colour is for against another for longer, not for ever", () => {
  const seed = freshSeed();
  const colours: Rgb[] = [[60, 60, 60], [160, 60, 60]];
  const truth = halves(0);
  const hold = new LabelHold();
  settled(hold, picture(truth, colours, 1, seed), truth);
  let held = 0;
  while (
    held < 200 &&
    differences(settled(hold, picture(truth, colours, 1, seed + held), halves(20)), truth).length === 0
  ) held++;
  assert(held > 30 && held < 200, `${held} frames, seed ${seed}`);
});

Deno.test("LabelHold.settle() leaves no trail behind what moves beyond the cells that it touches", () => {
  const seed = freshSeed(), random = uniform(seed);
  for (let run = 0; run < 4; run++) {
    const hold = new LabelHold();
    const dark = 40 + 60 * random(), contrast = 40 + 80 * random();
    const colours: Rgb[] = [[dark, dark, dark], [dark + contrast, dark, dark + contrast / 2]];
    const [dx, dy] = [6 * random() - 3, 4 * random() - 2];
    for (let t = 0; t < 15; t++) {
      const [cx, cy] = [WIDTH / 2 + dx * (t - 7), HEIGHT / 2 + dy * (t - 7)];
      const labels = draw((x, y) => Math.hypot(x - cx, y - cy) < 30 ? 2 : 1);
      const shown = settled(hold, picture(labels, colours, 1, seed + t), labels);
      const far = differences(shown, labels).filter((p) => !mixed(labels, p));
      assertEquals(far.length, 0, `frame ${t} of run ${run}, seed ${seed}`);
    }
  }
});

/** Whether the cell of a pixel holds two labels. */
function mixed(labels: Uint16Array, pixel: number): boolean {
  const [wide, high] = [WIDTH / CELLS, HEIGHT / CELLS];
  const [u, v] = [Math.floor(pixel % WIDTH / wide), Math.floor(Math.floor(pixel / WIDTH) / high)];
  for (let y = Math.floor(v * high); y < (v + 1) * high; y++) {
    for (let x = Math.floor(u * wide); x < (u + 1) * wide; x++) {
      if (labels[y * WIDTH + x] !== labels[pixel]) return true;
    }
  }
  return false;
}

Deno.test("LabelHold.settle() takes the new label at the end of a slow fade", () => {
  const seed = freshSeed();
  const truth = halves(0);
  const hold = new LabelHold();
  const base: Rgb[] = [[60, 60, 60], [160, 60, 60]];
  settled(hold, picture(truth, base, 1, seed), truth);
  // The label is another from the first step on, and each step is less than the noise.
  let frame = 0, shown: Uint16Array = truth;
  const proposed = halves(20);
  while (frame < 40 && differences(shown, proposed).length > 0) {
    frame++;
    const colours = base.map(([r, g, b]) => [r, g + 0.5 * frame, b] as const);
    shown = settled(hold, picture(truth, colours, 1, seed + frame), proposed);
  }
  assert(frame > 4 && frame <= 24, `after ${frame} frames, seed ${seed}`);
});

Deno.test("LabelHold.settle() changes nothing where everything moves, and starts anew when told to", () => {
  const seed = freshSeed(), random = uniform(seed);
  const hold = new LabelHold();
  for (let t = 0; t < 6; t++) {
    const labels = halves(Math.floor(40 * random()) - 20);
    const colours: Rgb[] = [[40 * t, 50, 200 - 30 * t], [255 - 40 * t, 200, 30 * t]];
    assertEquals(
      settled(hold, picture(labels, colours, 2, seed + t), labels),
      labels,
      `frame ${t}, seed ${seed}`,
    );
  }
  const still = picture(halves(0), [[90, 90, 90], [90, 90, 90]], 1, seed);
  settled(hold, still, halves(0));
  assertEquals(settled(hold, still, halves(9)), halves(0));
  hold.restart();
  assertEquals(settled(hold, still, halves(9)), halves(9));
  // A frame of another size can hold nothing of the last.
  const turned = { ...still, width: HEIGHT, height: WIDTH };
  assertEquals(settled(hold, turned, halves(50)), halves(50));
  const small = { ...still, width: 4, height: 4, data: new Uint8Array(48) };
  assertEquals(settled(hold, small, new Uint16Array(16).fill(7)), new Uint16Array(16).fill(7));
});

Deno.test("LabelHold.settle() shows no id that the frame has not", () => {
  const seed = freshSeed(), random = uniform(seed);
  const hold = new LabelHold();
  for (let t = 0; t < 30; t++) {
    const offset = Math.floor(random() * 3);
    const labels = halves(Math.floor(random() * 20)).map((id) => id + offset);
    const ids = new Set(labels);
    const still = picture(halves(0), [[90, 90, 90], [95, 90, 90]], 1, seed + t);
    for (const id of settled(hold, still, labels)) assert(ids.has(id), `${id} in frame ${t}, seed ${seed}`);
  }
});

/** A still picture under a camera's noise, the first once more, then a picture of another scene. */
function noisy(seed: number): Frame[] {
  const pictures = [...scene({ seed, seconds: 0.5, fps: 4, width: 320, height: 180, grade: "middle" })];
  return [[0, 1], [0, 2], [0, 3], [0, 1], [1, 4]].map(([which, noise], index) => {
    const { frame } = pictures[which!]!;
    const error = gaussian(frame.data.length, seed + noise!);
    const data = Uint8ClampedArray.from(frame.data, (value, i) => value + 3 * error[i]!);
    return { ...frame, index, pts: index, data: new Uint8Array(data.buffer) };
  });
}

async function segmentAll(frames: readonly Frame[], warmStart: boolean) {
  const segmenter = await FrameSegmenter.create({ device: "cpu", grid: 32, warmStart });
  try {
    const results = [];
    for (const frame of frames) results.push(await segmenter.segment(frame));
    return results;
  } finally {
    await segmenter.close();
  }
}

Deno.test("FrameSegmenter holds labels of what is at rest, within a scene and not where it starts cold", async () => {
  const seed = freshSeed();
  const frames = noisy(seed);
  const warm = await segmentAll(frames, true);
  const cold = await segmentAll(frames, false);
  const changes = (labels: readonly ArrayLike<number>[]) =>
    [1, 2, 3].reduce((sum, t) => sum + differences(labels[t]!, labels[t - 1]!).length, 0);
  const matcher = new OverlapMatcher();
  const held = changes(warm.map(({ labels }) => labels));
  const free = changes(cold.map(({ labels }) => matcher.match(labels)));
  assert(2 * held <= free + 20, `${held} changes of labels, ${free} by overlap alone, seed ${seed}`);
  // The same picture has the same labels in a cold run, whatever came between.
  const pairs = new Set(Array.from(cold[0]!.labels, (id, p) => 65536 * id + cold[3]!.labels[p]!));
  assertEquals(pairs.size, cold[0]!.segments.length, `seed ${seed}`);
  assertEquals(cold[3]!.segments.length, pairs.size, `seed ${seed}`);
  const before = new Set(warm[3]!.labels);
  assert(warm[4]!.labels.every((id) => !before.has(id)), `a label is held across a scene cut, seed ${seed}`);
  for (const { labels, segments } of [...warm, ...cold]) {
    const areas = new Map<number, number>();
    for (const id of labels) areas.set(id, (areas.get(id) ?? 0) + 1);
    assertEquals(new Map(segments.map(({ id, area }) => [id, area])), areas, `seed ${seed}`);
  }
});
