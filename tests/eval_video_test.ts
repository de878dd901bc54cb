import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../lib/errors.ts";
import { blockFlow, brightness, channels } from "../lib/eval/flow.ts";
import { GRADES, scene } from "../lib/eval/scene.ts";
import { SteadyScorer } from "../lib/eval/steady.ts";
import { sceneScore, TruthScorer } from "../lib/eval/video.ts";
import { uniform } from "../lib/random.ts";

const SIZE = { width: 160, height: 96, fps: 10, seconds: 3 } as const;

/** A map of label 1 with rectangles `[label, x0, y0, x1, y1]` over it. */
function map(width: number, height: number, ...shapes: [number, number, number, number, number][]) {
  const out = new Uint16Array(width * height).fill(1);
  for (const [label, x0, y0, x1, y1] of shapes) {
    for (let y = y0; y < y1; y++) out.fill(label, y * width + x0, y * width + x1);
  }
  return out;
}

Deno.test("sceneScore() of the truth itself is perfect in every grade", () => {
  for (const grade of GRADES) {
    const frames = [...scene({ ...SIZE, seed: Math.floor(Math.random() * 1e6), grade })];
    const truth = frames.map((f) => f.truth);
    // Other names for the same things are as good.
    const labels = truth.map((t) => t.map((id) => 500 - id));
    const score = sceneScore(labels, truth, SIZE.width, SIZE.height);
    for (const key of ["miou", "aq", "j", "f", "jf", "vc8", "vc16"] as const) {
      assertAlmostEquals(score[key], 1, 1e-12, `${grade} ${key}`);
    }
    assertEquals([score.switches, score.fragmentations], [0, 0]);
    assertEquals(score.tracks.size, new Set(truth.flatMap((t) => [...t])).size);
  }
});

Deno.test("TruthScorer counts switches, losses and frames in view", () => {
  const [w, h] = [40, 20];
  const object: [number, number, number, number, number] = [2, 5, 5, 15, 15];
  const seen = map(w, h, object);
  const score = (labels: Uint16Array[], truths: Uint16Array[]) => {
    const scorer = new TruthScorer(w, h);
    labels.forEach((l, i) => scorer.add(l, truths[i]!));
    return scorer.result();
  };
  const as = (label: number) => map(w, h, [label, 5, 5, 15, 15]);
  const lost = map(w, h);
  const five = [seen, seen, seen, seen, seen];
  const switched = score([as(7), as(7), as(8), as(8), as(7)], five).tracks.get(2)!;
  assertEquals(switched, { frames: 5, followed: 5, switches: 2, fragmentations: 0 });
  const broken = score([as(7), lost, lost, as(7), lost], five).tracks.get(2)!;
  assertEquals(broken, { frames: 5, followed: 2, switches: 0, fragmentations: 1 });
  // Out of view in the middle: neither lost nor another.
  const away = score([as(7), lost, as(7)], [seen, lost, seen]).tracks.get(2)!;
  assertEquals(away, { frames: 2, followed: 2, switches: 0, fragmentations: 0 });
});

Deno.test("TruthScorer's AQ follows its definition on hand-made tracks", () => {
  const [w, h] = [10, 10];
  const truth = map(w, h, [2, 0, 0, 10, 5]);
  // Two frames; the object's segment takes another id in the second: |g| = 100, two tubes of 50.
  const scorer = new TruthScorer(w, h);
  scorer.add(map(w, h, [7, 0, 0, 10, 5]), truth);
  scorer.add(map(w, h, [8, 0, 0, 10, 5]), truth);
  // Object: (1/100)·(50·50/100 + 50·50/100) = 0.5; the other one: 1.
  assertAlmostEquals(scorer.result().aq, 0.75);
  // One segment over everything: each object 100 px of 200: IoU 1/2 each.
  const lump = new TruthScorer(w, h);
  lump.add(map(w, h), truth);
  lump.add(map(w, h), truth);
  assertAlmostEquals(lump.result().aq, 0.5);
});

Deno.test("TruthScorer's AQ and VC equal their definitions on 100 random videos", () => {
  const seed = Math.floor(Math.random() * 1e9);
  const random = uniform(seed);
  for (let round = 0; round < 100; round++) {
    const [w, h, frames] = [6, 5, 8 + Math.floor(4 * random())];
    const draw = (count: number) =>
      Uint16Array.from({ length: w * h }, () => 1 + Math.floor(count * random()));
    const start = draw(4);
    // Truth and labels change in few places, the labels' names more often.
    let [truth, labels] = [start, start.map((id) => id % 3)];
    const [truths, predicted]: [Uint16Array[], Uint16Array[]] = [[], []];
    for (let t = 0; t < frames; t++) {
      truth = truth.map((id) => random() < 0.03 ? 1 + Math.floor(4 * random()) : id);
      labels = labels.map((id) => random() < 0.04 ? 7 : id);
      truths.push(truth);
      predicted.push(labels);
    }
    const ignore = round % 2 === 0 ? undefined : 2;
    const scorer = new TruthScorer(w, h, ignore === undefined ? {} : { ignore });
    predicted.forEach((map, t) => scorer.add(map, truths[t]!));
    // All pixels of the video, as sets of numbers.
    const tube = (maps: Uint16Array[], id: number) =>
      new Set(
        maps.flatMap((map, t) =>
          [...map.keys()].filter((p) => map[p] === id && truths[t]![p] !== ignore).map((p) => t * w * h + p)
        ),
      );
    const ids = (maps: Uint16Array[]) => [...new Set(maps.flatMap((map) => [...map]))];
    const objects = ids(truths).filter((id) => id !== ignore).map((id) => tube(truths, id));
    const tubes = ids(predicted).map((id) => tube(predicted, id)).filter(({ size }) => size > 0);
    let sum = 0;
    for (const object of objects) {
      for (const other of tubes) {
        const shared = object.intersection(other).size;
        sum += shared * shared / object.union(other).size / object.size;
      }
    }
    const message = `seed ${seed}, round ${round}`;
    assertAlmostEquals(scorer.result().aq, sum / objects.length, 1e-9, message);
    const windows: number[] = [];
    for (let from = 0; from + 8 <= frames; from++) {
      const constant = (maps: Uint16Array[]) =>
        [...maps[0]!.keys()].filter((p) =>
          maps.slice(from, from + 8).every((map) => map[p] === maps[from]![p])
        );
      const still = constant(truths).filter((p) => truths[from]![p] !== ignore);
      const held = new Set(constant(predicted));
      if (still.length > 0) windows.push(still.filter((p) => held.has(p)).length / still.length);
    }
    const mean = windows.reduce((a, b) => a + b, 0) / windows.length;
    assertAlmostEquals(scorer.result().vc8, mean, 1e-9, message);
  }
});

Deno.test("TruthScorer's J&F matches once a sequence and follows DAVIS' conventions", () => {
  const [w, h] = [60, 40];
  const left: [number, number, number, number, number] = [2, 5, 5, 20, 30];
  const scorer = new TruthScorer(w, h, { ignore: 1 });
  const truth = map(w, h, left);
  scorer.add(map(w, h, [4, 5, 5, 20, 30]), truth);
  scorer.add(map(w, h, [9, 5, 5, 20, 30]), truth);
  // Labels 4 and 9 each fit in one frame of two; the sequence takes one of them.
  const { j, f, jf } = scorer.result();
  assertEquals([j, f, jf], [0.5, 0.5, 0.5]);
  const gone = new TruthScorer(w, h, { ignore: 1 });
  gone.add(map(w, h, [4, 5, 5, 20, 30]), truth);
  gone.add(map(w, h), map(w, h));
  assertEquals(gone.result().jf, 1, "absent in both counts as right");
  // Half of the object: J = 1/2.
  const half = new TruthScorer(w, h, { ignore: 1 });
  half.add(map(w, h, [4, 5, 5, 20, 30], [5, 5, 5, 20, 17]), map(w, h, [2, 5, 5, 20, 29]));
  assertAlmostEquals(half.result().j, 12 / 24, 0.05);
});

Deno.test("TruthScorer's VC counts pixels that stay, over windows of 8 and 16", () => {
  const [w, h] = [10, 10];
  const truth = map(w, h);
  const scorer = new TruthScorer(w, h);
  // A quarter of the frame blinks in one frame of 20: 8 of 13 windows hold it.
  for (let i = 0; i < 20; i++) scorer.add(i === 10 ? map(w, h, [3, 0, 0, 5, 5]) : map(w, h), truth);
  const { vc8, vc16 } = scorer.result();
  assertAlmostEquals(vc8, 1 - 0.25 * 8 / 13);
  assertAlmostEquals(vc16, 1 - 0.25);
  const brief = new TruthScorer(w, h);
  brief.add(truth, truth);
  assert(Number.isNaN(brief.result().vc8));
});

Deno.test("blockFlow() finds shifts, and none where only the light changes", () => {
  const seed = Math.floor(Math.random() * 1e9);
  const random = uniform(seed);
  const [width, height] = [320, 192];
  let big = new Uint8Array();
  // Blobs of 9 px: block matching needs some smoothness.
  const picture = (x0: number, y0: number, gain: number) => {
    const data = new Uint8Array(width * height * 3);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const value = big[Math.floor((y + y0) / 9) * 400 + Math.floor((x + x0) / 9)]!;
        data.fill(Math.min(255, gain + value), 3 * (y * width + x), 3 * (y * width + x) + 3);
      }
    }
    return brightness(channels({ width, height, data }));
  };
  for (const [dx, dy] of [[0, 0], [4, -2], [-10, 6], [18, 12]] as const) {
    let right = 0;
    let counted = 0;
    // Chance makes single pictures hard; the share of all is steady.
    for (let round = 0; round < 6; round++) {
      big = Uint8Array.from({ length: 400 * 300 }, () => 60 + 130 * random());
      const flow = blockFlow(picture(40, 40, 0), picture(40 + dx, 40 + dy, 9));
      for (let r = 2; r < flow.rows - 2; r++) {
        for (let c = 2; c < flow.columns - 2; c++) {
          counted++;
          const at = 2 * (r * flow.columns + c);
          if (flow.shift[at] === dx && flow.shift[at + 1] === dy) right++;
        }
      }
    }
    assert(right >= 0.75 * counted, `seed ${seed}, shift ${dx},${dy}: ${right} of ${counted}`);
  }
});

Deno.test("SteadyScorer tells steady labels from blinking ones, without truth", () => {
  const seed = Math.floor(Math.random() * 1e6);
  const { width, height } = SIZE;
  const rounds = 8;
  const means = { good: { tc: 0, flicker: 0, vc8: 0 }, bad: { tc: 0, flicker: 0, vc8: 0 } };
  // A single scene's motion may be hard to tell; the mean of several is steady.
  for (let round = 0; round < rounds; round++) {
    const [steady, blinking] = [new SteadyScorer(width, height), new SteadyScorer(width, height)];
    let last = 0;
    for (const { frame, truth, scene: index } of scene({ ...SIZE, seed: seed + round, grade: "easy" })) {
      steady.add(frame, truth, index !== last);
      blinking.add(frame, truth.map((id) => frame.index % 4 === 0 ? id + 50 : id), index !== last);
      last = index;
    }
    for (const [mean, result] of [[means.good, steady.result()], [means.bad, blinking.result()]] as const) {
      for (const key of ["tc", "flicker", "vc8"] as const) mean[key] += result[key] / rounds;
    }
  }
  const { good, bad } = means;
  assert(good.tc > 0.97, `seed ${seed}: ${good.tc}`);
  assert(good.flicker < 0.0001, `seed ${seed}: ${good.flicker}`);
  assert(good.vc8 > 0.97, `seed ${seed}: ${good.vc8}`);
  assert(bad.tc < 0.75 && bad.flicker > 0.3 && bad.vc8 < 0.2, `seed ${seed}: ${JSON.stringify(bad)}`);
});

Deno.test("SteadyScorer takes nothing that moves for one at rest, as bright as its ground or slow as it may be", () => {
  const seed = Math.floor(Math.random() * 1e6);
  const random = uniform(seed);
  const [width, height, radius] = [320, 180, 30];
  // Pixels a frame; of the brightness of the ground, 100, or not.
  for (const [least, colour] of [[2, [200, 60, 43]], [0.1, [220, 220, 220]]] as const) {
    const scorer = new SteadyScorer(width, height);
    const [x0, y0, speed] = [60 + 40 * random(), 60 + 60 * random(), least * (1 + random())];
    for (let t = 0; t < 24; t++) {
      const data = new Uint8Array(width * height * 3).fill(100);
      const truth = new Uint16Array(width * height).fill(1);
      for (let p = 0; p < truth.length; p++) {
        // An outline a pixel soft, as a lens draws it.
        const inside = radius - Math.hypot(p % width - x0 - speed * t, Math.floor(p / width) - y0);
        const share = Math.min(1, Math.max(0, inside + 0.5));
        data.set(colour.map((value) => Math.round(100 + share * (value - 100))), 3 * p);
        if (share > 0.5) truth[p] = 2;
      }
      scorer.add({ width, height, data }, truth);
    }
    const { flicker, rest } = scorer.result();
    assert(flicker < 5e-5, `seed ${seed}, ${least}: ${flicker}`);
    assert(rest > 0.3 && rest < 0.95, `seed ${seed}, ${least}: ${rest}`);
  }
});

Deno.test("SteadyScorer tells nothing of flicker where nothing is at rest", () => {
  const scorer = new SteadyScorer(64, 64);
  for (let t = 0; t < 4; t++) {
    scorer.add(
      { width: 64, height: 64, data: crypto.getRandomValues(new Uint8Array(3 * 64 * 64)) },
      new Uint16Array(64 * 64),
    );
  }
  const { flicker, rest } = scorer.result();
  assertEquals([flicker, rest], [NaN, 0]);
});

Deno.test("the scorers refuse maps of another size or number", () => {
  assertThrows(() => new TruthScorer(4, 4).add(new Uint16Array(16), new Uint16Array(12)), UsageError);
  const frame = { width: 4, height: 4, data: new Uint8Array(48) };
  assertThrows(() => new SteadyScorer(4, 4).add(frame, new Uint16Array(12)), UsageError);
  const one = new Uint16Array(4);
  assertThrows(() => sceneScore([one, one], [one], 2, 2), UsageError, "fewer");
  assertThrows(() => sceneScore([one], [one, one], 2, 2), UsageError, "more");
});
