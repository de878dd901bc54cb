import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { Frame } from "../lib/source/frame.ts";
import { SceneCutDetector } from "../lib/track/scene_cut.ts";
import { Tracker } from "../lib/track/tracker.ts";

const SIDE = 16;

type Box = { x: number; y: number; size: number; colour: [number, number, number] };

/** A grid with boxes on a grey ground; segment 0 is the ground, the others the boxes in the order given. */
function partition(boxes: readonly Box[], order = boxes.map((_, i) => i + 1)) {
  const labels = new Uint16Array(SIDE * SIDE);
  const colours = new Float32Array(SIDE * SIDE * 3).fill(128);
  boxes.forEach(({ x, y, size, colour }, b) => {
    for (let v = y; v < y + size; v++) {
      for (let u = x; u < x + size; u++) {
        labels[v * SIDE + u] = order[b]!;
        colours.set(colour, 3 * (v * SIDE + u));
      }
    }
  });
  return { labels, segments: boxes.length + 1, colours };
}

const red: [number, number, number] = [220, 30, 30];
const blue: [number, number, number] = [30, 30, 220];

Deno.test("Tracker keeps the id of a moving segment, whatever its label", () => {
  const tracker = new Tracker();
  const first = tracker.assign(
    partition([{ x: 1, y: 1, size: 4, colour: red }, { x: 9, y: 9, size: 4, colour: blue }]),
  );
  assertEquals(new Set(first).size, 3);
  for (let t = 1; t < 6; t++) {
    const swapped = t % 2 === 1;
    const ids = tracker.assign(partition(
      [{ x: 1 + t, y: 1, size: 4, colour: red }, { x: 9 - t, y: 9, size: 4, colour: blue }],
      swapped ? [2, 1] : [1, 2],
    ));
    assertEquals(ids, swapped ? [first[0], first[2], first[1]] : first, `frame ${t}`);
  }
});

Deno.test("Tracker gives a segment that comes back its id, and a new one a new id", () => {
  const tracker = new Tracker();
  const box: Box = { x: 4, y: 4, size: 4, colour: red };
  const [ground, id] = tracker.assign(partition([box]));
  for (let t = 0; t < 10; t++) assertEquals(tracker.assign(partition([])), [ground]);
  assertEquals(tracker.assign(partition([{ ...box, x: 6 }])), [ground, id]);
  const other = tracker.assign(partition([{ ...box, x: 6 }, { x: 11, y: 1, size: 4, colour: blue }]));
  assertEquals(other.slice(0, 2), [ground, id]);
  assertNotEquals(other[2], id);
});

Deno.test("Tracker does not use ids again after a new scene", () => {
  const tracker = new Tracker();
  const before = tracker.assign(partition([{ x: 4, y: 4, size: 4, colour: red }]));
  tracker.newScene();
  const after = tracker.assign(partition([{ x: 4, y: 4, size: 4, colour: red }]));
  assert(after.every((id) => !before.includes(id)));
});

/** A frame of vertical bars `shift` pixels to the right. */
function bars(shift: number, brightness = 1, palette = [[200, 60, 40], [40, 80, 160], [90, 160, 60]]): Frame {
  const [width, height] = [96, 64];
  const data = new Uint8Array(width * height * 3);
  for (let p = 0; p < width * height; p++) {
    const bar = Math.floor(((p % width) + shift) / 16) % palette.length;
    for (let c = 0; c < 3; c++) data[3 * p + c] = palette[bar]![c]! * brightness;
  }
  return { index: 0, pts: 0, width, height, data };
}

Deno.test("SceneCutDetector starts a scene at the first frame and at a cut, not at motion or light", () => {
  const detector = new SceneCutDetector(0.35);
  assert(detector.startsScene(bars(0)));
  for (let t = 1; t < 10; t++) assert(!detector.startsScene(bars(2 * t, 1 - 0.03 * t)), `frame ${t}`);
  assert(detector.startsScene(bars(0, 1, [[20, 20, 20], [240, 240, 240]])));
  const never = new SceneCutDetector(1);
  never.startsScene(bars(0));
  assert(!never.startsScene(bars(0, 1, [[20, 20, 20], [240, 240, 240]])));
});
