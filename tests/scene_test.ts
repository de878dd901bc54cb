import { assert, assertEquals, assertThrows } from "@std/assert";
import { GRADES, scene, sceneLength } from "../lib/eval/scene.ts";
import { UsageError } from "../lib/errors.ts";

/** Pixels of each id. */
function areas(truth: Uint16Array): Map<number, number> {
  const count = new Map<number, number>();
  for (const id of truth) count.set(id, (count.get(id) ?? 0) + 1);
  return count;
}

const SMALL = { width: 320, height: 180, fps: 10, seconds: 4 } as const;

Deno.test("scene() repeats itself for a seed and differs for another", () => {
  const seed = Math.floor(Math.random() * 1e6);
  const options = { ...SMALL, seconds: 1, seed };
  const [a, b] = [[...scene(options)], [...scene(options)]];
  assertEquals(a, b, `seed ${seed}`);
  const other = [...scene({ ...options, seed: seed + 1 })];
  assert(a.some((f, i) => f.truth.some((id, p) => id !== other[i]!.truth[p])), `seed ${seed}`);
});

Deno.test("scene() gives the bytes that it gave when it was written", async () => {
  const bytes: Uint8Array<ArrayBuffer>[] = [];
  for (const grade of GRADES) {
    for (const { frame, truth } of scene({ width: 96, height: 64, fps: 5, seconds: 1, seed: 3, grade })) {
      bytes.push(frame.data, new Uint8Array(truth.buffer));
    }
  }
  const all = new Uint8Array(await new Blob(bytes).arrayBuffer());
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", all)).toHex();
  assertEquals(hash, "c6d1eb22b6d960dec403bde191180779f0ed9b22e35362ff7541e73528cff7e2");
});

Deno.test("scene() has an object entering, one leaving, an occlusion and a scene cut", () => {
  for (const grade of GRADES) {
    const seed = Math.floor(Math.random() * 1e6);
    const where = `grade ${grade}, seed ${seed}`;
    const frames = [...scene({ ...SMALL, seed, grade })];
    assertEquals(frames.length, sceneLength(SMALL), where);
    const scenes = frames.map((f) => f.scene);
    assertEquals(scenes, [...scenes].sort(), where);
    assertEquals(new Set(scenes).size, 2, where);
    const first = frames.filter((f) => f.scene === 0).map((f) => areas(f.truth));
    const second = frames.filter((f) => f.scene === 1).map((f) => areas(f.truth));
    const idsOf = (list: Map<number, number>[]) => new Set(list.flatMap((m) => [...m.keys()]));
    const [before, after] = [idsOf(first), idsOf(second)];
    assertEquals(Math.min(...before), 1, where);
    assert(![...before].some((id) => after.has(id)), `ids are not used again: ${where}`);
    const shown = [...before].map((id) => first.map((m) => m.get(id) ?? 0));
    assert(shown.some((s) => s[0] === 0 && s.at(-1)! > 0), `one enters: ${where}`);
    assert(shown.some((s) => s[0]! > 0 && s.at(-1) === 0), `one leaves: ${where}`);
    const hidden = shown.some((s) =>
      s.every((a) => a > 0) && Math.min(...s) < 0.85 * Math.min(s[0]!, s.at(-1)!)
    );
    assert(hidden, `one is occluded and comes back: ${where}`);
    for (const s of shown) {
      assert(Math.max(...s) >= 0.03 * SMALL.width * SMALL.height, `each takes 3 %: ${where}: ${s}`);
    }
  }
});

Deno.test("scene() paints each pixel with what its truth says", () => {
  const seed = Math.floor(Math.random() * 1e6);
  // Mean colours of what has an id in common stay put from frame to frame, but for light and noise.
  let last: { means: Map<number, number[]>; count: Map<number, number>; scene: number } | undefined;
  for (const { frame, truth, scene: index } of scene({ ...SMALL, seed, grade: "easy" })) {
    const count = areas(truth);
    const means = new Map([...count.keys()].map((id) => [id, [0, 0, 0]]));
    for (let i = 0; i < truth.length; i++) {
      const mean = means.get(truth[i]!)!;
      for (let c = 0; c < 3; c++) mean[c]! += frame.data[3 * i + c]! / count.get(truth[i]!)!;
    }
    for (const [id, mean] of means) {
      // What comes in or goes shows another part of its pattern in every frame.
      const [now, then] = [count.get(id)!, last?.count.get(id) ?? 0];
      const steady = last?.scene === index && Math.min(now, then) > 400 && Math.abs(now - then) < 0.1 * now;
      const before = steady ? last!.means.get(id) : undefined;
      for (let c = 0; c < 3 && before; c++) {
        assert(Math.abs(mean[c]! - before[c]!) < 14, `id ${id}, frame ${frame.index}, seed ${seed}`);
      }
    }
    last = { means, count, scene: index };
  }
});

Deno.test("scene() refuses what cannot be drawn", () => {
  for (
    const bad of [{ width: 10 }, { height: 63.5 }, { fps: 0 }, { seconds: -1 }, { grade: "cruel" as "easy" }]
  ) {
    assertThrows(() => scene(bad).next(), UsageError);
  }
});
