import { assert, assertAlmostEquals, assertEquals, assertGreaterOrEqual } from "@std/assert";
import { Palette } from "../lib/render/palette.ts";
import { drawCutout, drawEdges, drawLabels, drawOverlay, Renderer } from "../lib/render/render.ts";
import { uniform } from "../lib/random.ts";

/** A random map of blocky segments, and a random picture under it. */
function sample(seed: number, width = 48, height = 32, ids = 9) {
  const random = uniform(seed);
  const table = Uint16Array.from({ length: 24 }, () => 1 + Math.floor(random() * ids));
  const labels = new Uint16Array(width * height);
  for (let i = 0; i < labels.length; i++) {
    labels[i] =
      table[Math.floor((i % width) * 6 / width) + 6 * Math.floor(Math.floor(i / width) * 4 / height)]!;
  }
  const data = Uint8Array.from({ length: 3 * labels.length }, () => Math.floor(random() * 256));
  const present = [...new Set(labels)].sort((a, b) => a - b);
  const segments = present.map((id) => ({ id, area: labels.filter((l) => l === id).length, ncut: NaN }));
  return { frame: { index: 0, pts: 7, width, height, data }, labels, segments, present };
}

const newSeed = () => Math.floor(Math.random() * 2 ** 32);

/** Distance of two 8-bit sRGB colours in OKLab, after the published matrices. */
function labDistance(p: readonly number[], q: readonly number[]): number {
  const lab = (rgb: readonly number[]) => {
    const [r, g, b] = rgb.map((v) =>
      v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4
    );
    const l = Math.cbrt(0.4122214708 * r! + 0.5363325363 * g! + 0.0514459929 * b!);
    const m = Math.cbrt(0.2119034982 * r! + 0.6806995451 * g! + 0.1073969566 * b!);
    const s = Math.cbrt(0.0883024619 * r! + 0.2817188376 * g! + 0.6299787005 * b!);
    return [
      0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
      1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
      0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
    ];
  };
  const [a, b] = [lab(p), lab(q)];
  return Math.hypot(...a.map((v, i) => v - b[i]!));
}

Deno.test("Palette keeps the colour of an id whatever comes after", () => {
  const seed = newSeed();
  const palette = new Palette();
  const first = sample(seed);
  palette.meet(first.labels, 48, first.present);
  const before = first.present.map((id) => palette.rgb(id));
  for (let k = 1; k < 20; k++) {
    const later = sample(seed + k, 48, 32, 200);
    palette.meet(later.labels, 48, later.present);
  }
  assertEquals(first.present.map((id) => palette.rgb(id)), before, `seed ${seed}`);
});

Deno.test("Palette gives neighbours colours that are far apart, without grey and black", () => {
  for (let k = 0; k < 20; k++) {
    const seed = newSeed();
    const { labels, present } = sample(seed, 48, 32, 60000);
    const palette = new Palette();
    palette.meet(labels, 48, present);
    for (let i = 0; i < labels.length - 48; i++) {
      for (const j of [i % 48 < 47 ? i + 1 : i, i + 48]) {
        if (labels[i] === labels[j]) continue;
        const d = labDistance(palette.rgb(labels[i]!), palette.rgb(labels[j]!));
        // 0.05 is the distance of two colours that are told apart at a glance.
        assert(d > 0.1, `seed ${seed}: ids ${labels[i]} and ${labels[j]} are ${d} apart`);
      }
    }
    for (const id of present) {
      const rgb = palette.rgb(id);
      assertGreaterOrEqual(Math.max(...rgb) - Math.min(...rgb), 60, `seed ${seed}: ${rgb} is greyish`);
    }
  }
});

Deno.test("drawOverlay() leaves the picture at opacity 0 and is flat colour at 1, lines apart", () => {
  const seed = newSeed();
  const { frame, labels, present } = sample(seed);
  const palette = new Palette();
  palette.meet(labels, 48, present);
  assertEquals(drawOverlay(frame.data, labels, 48, palette.colours, 0), frame.data, `seed ${seed}`);
  const flat = drawOverlay(frame.data, labels, 48, palette.colours, 1);
  const plain = drawLabels(labels, palette.colours);
  for (let i = 0; i < labels.length; i++) {
    const inside = (i % 48 === 47 || labels[i] === labels[i + 1]) &&
      (i + 48 >= labels.length || labels[i] === labels[i + 48]);
    for (let c = 0; c < 3; c++) {
      const [got, colour] = [flat[3 * i + c]!, plain[3 * i + c]!];
      if (inside) assertAlmostEquals(got, colour, 1, `seed ${seed}, pixel ${i}`);
      else assertAlmostEquals(got, 0.2 * colour + 0.8 * 255, 2, `seed ${seed}, line at ${i}`);
    }
  }
});

Deno.test("drawOverlay() blends as its formula says", () => {
  const seed = newSeed();
  const { frame, present } = sample(seed);
  const labels = new Uint16Array(48 * 32).fill(present[0]!);
  const palette = new Palette();
  palette.meet(labels, 48, [present[0]!]);
  const colour = palette.rgb(present[0]!);
  const a = uniform(seed)();
  const out = drawOverlay(frame.data, labels, 48, palette.colours, a);
  for (let i = 0; i < labels.length; i++) {
    const [r, g, b] = frame.data.subarray(3 * i, 3 * i + 3);
    const y = (0.299 * r! + 0.587 * g! + 0.114 * b!) / 255;
    const shade = a + (1 - a) * (0.25 + 0.75 * y);
    for (let c = 0; c < 3; c++) {
      const expected = (1 - a) * frame.data[3 * i + c]! + a * shade * colour[c]!;
      assertAlmostEquals(out[3 * i + c]!, expected, 2.5, `seed ${seed}, pixel ${i}`);
    }
  }
});

Deno.test("drawEdges() changes pixels at borders only", () => {
  const seed = newSeed();
  const { frame, labels } = sample(seed);
  const out = drawEdges(frame.data, labels, 48);
  for (let i = 0; i < labels.length; i++) {
    const around = [i % 48 ? i - 1 : i, i % 48 < 47 ? i + 1 : i, i - 48, i + 48]
      .filter((j) => j >= 0 && j < labels.length);
    const border = around.some((j) => labels[j] !== labels[i]);
    const same = [0, 1, 2].every((c) => out[3 * i + c] === frame.data[3 * i + c]);
    if (!border) assert(same, `seed ${seed}: pixel ${i} lies inside and changed`);
    else if (same) assert(new Set(out.subarray(3 * i, 3 * i + 3)).size > 0);
  }
  assert(out.some((v, i) => v !== frame.data[i]), `seed ${seed}: no line was drawn`);
});

Deno.test("drawCutout() keeps the picture and makes alpha the kept segments, smooth at their outline", () => {
  const seed = newSeed();
  const { frame, labels, present } = sample(seed);
  const keep = new Set([present[0]!, present.at(-1)!]);
  const out = drawCutout(frame.data, labels, 48, keep);
  for (let i = 0; i < labels.length; i++) {
    assertEquals([...out.subarray(4 * i, 4 * i + 3)], [...frame.data.subarray(3 * i, 3 * i + 3)]);
    const [x, y] = [i % 48, Math.floor(i / 48)];
    let [inside, all] = [0, 0];
    for (let v = Math.max(0, y - 1); v <= Math.min(31, y + 1); v++) {
      for (let u = Math.max(0, x - 1); u <= Math.min(47, x + 1); u++, all++) {
        if (keep.has(labels[v * 48 + u]!)) inside++;
      }
    }
    assertEquals(out[4 * i + 3], Math.round(255 * inside / all), `seed ${seed}, pixel ${i}`);
  }
});

Deno.test("Renderer draws each view in the shape that it announces", () => {
  const seed = newSeed();
  const drawable = sample(seed);
  for (const show of ["overlay", "labels", "edges", "cutout", "side-by-side"] as const) {
    const renderer = new Renderer({ show, keep: [drawable.present[0]!] });
    const { width, height, channels, pts, data } = renderer.draw(drawable);
    assertEquals({ width, height, channels }, renderer.shape(48, 32), show);
    assertEquals([data.length, pts], [width * height * channels, 7], show);
  }
});

Deno.test("Renderer puts the picture left and the overlay right of it", () => {
  const seed = newSeed();
  const drawable = sample(seed);
  const pair = new Renderer({ show: "side-by-side", opacity: 0.4 }).draw(drawable).data;
  const overlay = new Renderer({ show: "overlay", opacity: 0.4 }).draw(drawable).data;
  const row = 48 * 3;
  for (let y = 0; y < 32; y++) {
    const at = 2 * y * row;
    assertEquals(pair.slice(at, at + row), drawable.frame.data.slice(y * row, (y + 1) * row), `seed ${seed}`);
    assertEquals(pair.slice(at + row, at + 2 * row), overlay.slice(y * row, (y + 1) * row), `seed ${seed}`);
  }
});
