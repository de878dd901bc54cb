import { assert, assertEquals, assertGreaterOrEqual, assertNotEquals } from "@std/assert";
import { uniform } from "../lib/random.ts";
import { PlanarOverlay } from "../lib/render/planar_overlay.ts";
import { Renderer } from "../lib/render/render.ts";
import { Segmenter } from "../lib/segmenter.ts";
import { openPictureSink } from "../lib/sink/mod.ts";
import { openVideo } from "../lib/source/mod.ts";
import {
  framePlanes,
  packFrame,
  planarFrame,
  type Planes,
  recycleFrame,
  rgbOf,
  unpackFrame,
  untouchedPlanes,
} from "../lib/source/planes.ts";
import { ffmpeg, inFolder } from "./io_media.ts";
import { walkcut } from "./program.ts";

const MATRICES = ["bt709", "smpte170m", "bt470bg", "bt2020nc"] as const;
const newSeed = () => Math.floor(Math.random() * 2 ** 32);

/** Noise over soft waves, of legal values. */
function somePlanes(random: () => number, width: number, height: number, matrix: Planes["matrix"]): Planes {
  const phase = Array.from({ length: 6 }, () => 6.3 * random());
  const noise = 60 * random();
  const luma = width * height;
  const data = Uint8Array.from({ length: luma * 3 / 2 }, (_, i) => {
    const plane = i < luma ? 0 : i < luma * 5 / 4 ? 1 : 2;
    const across = plane > 0 ? width / 2 : width;
    const [x, y] = [i % across, Math.floor(i / across)];
    const wave = Math.sin(phase[2 * plane]! + x / 9) * Math.cos(phase[2 * plane + 1]! + y / 7);
    const span = plane > 0 ? 112 : 109;
    return Math.max(
      16,
      Math.min(plane > 0 ? 240 : 235, Math.round(126 + span * wave + noise * (random() - 0.5))),
    );
  });
  return { width, height, matrix, data };
}

/** Segments with straight, slanted and ragged borders. */
function someLabels(random: () => number, width: number, height: number): Uint16Array<ArrayBuffer> {
  const table = Uint16Array.from({ length: 12 }, () => 1 + Math.floor(random() * 65_535));
  const [a, b, rough] = [random(), random(), random() < 0.5 ? 0 : 4];
  return Uint16Array.from({ length: width * height }, (_, i) => {
    const [x, y] = [i % width + rough * random(), Math.floor(i / width) + rough * random()];
    const cell = Math.floor((x + a * y) / 37) + 5 * Math.floor((y + b * x) / 23);
    return table[cell % table.length]!;
  });
}

Deno.test("rgbOf() makes of planes what swscale does with exact flags, to the bit", async () => {
  const seed = newSeed();
  const random = uniform(seed);
  await inFolder(async (folder) => {
    for (const matrix of MATRICES) {
      for (let turn = 0; turn < 3; turn++) {
        const side = () => 16 + 2 * Math.floor(random() * (turn === 0 ? 3 : 90));
        const planes = somePlanes(random, side(), side(), matrix);
        const { width, height, data } = planes;
        await Deno.writeFile(`${folder}/raw`, data);
        const name = { bt709: "bt709", smpte170m: "smpte170m", bt470bg: "bt601", bt2020nc: "bt2020" }[matrix];
        const flags = "bilinear+accurate_rnd+full_chroma_int+full_chroma_inp";
        const expected = await ffmpeg(
          ...["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", `${width}x${height}`, "-i", `${folder}/raw`],
          ...["-vf", `scale=in_color_matrix=${name}:flags=${flags},format=rgb24`, "-f", "rawvideo", "-"],
        );
        assertEquals(rgbOf(planes), expected, `${width}x${height} ${matrix}, seed ${seed}`);
      }
    }
  });
});

Deno.test("planarFrame() makes pixels when they are asked for, and its copies stand alone", () => {
  const planes = somePlanes(uniform(1), 32, 16, "bt709");
  const frame = planarFrame(3, 7, planes);
  assertEquals([frame.index, frame.pts, frame.width, frame.height], [3, 7, 32, 16]);
  assertEquals(untouchedPlanes(frame), planes);
  const packed = packFrame(frame, untouchedPlanes(frame));
  assertEquals(packed.data, planes.data);
  const back = unpackFrame(structuredClone(packed));
  assertEquals(framePlanes(back), planes);
  assertEquals(back.data, rgbOf(planes));

  // Whoever has had the pixels may have painted on them: what he hands on is what he sees.
  frame.data.fill(9);
  assertEquals(untouchedPlanes(frame), undefined);
  assertEquals(packFrame(frame, untouchedPlanes(frame)).data, new Uint8Array(3 * 32 * 16).fill(9));
  assertEquals(framePlanes({ ...frame }), undefined);

  const other = planarFrame(0, 0, somePlanes(uniform(2), 32, 16, "bt709"));
  recycleFrame(other);
  assertEquals(other.data.length, 0);
});

/** The overlay's formula, pixel by pixel and without rounding. */
function expectedOverlay(
  { width, height, matrix, data }: Planes,
  labels: Uint16Array,
  colourOf: (id: number) => readonly [number, number, number],
  opacity: number,
  line: number,
): Float64Array {
  const [red, blue] = { bt709: [0.2126, 0.0722], bt2020nc: [0.2627, 0.0593] }[matrix as string] ??
    [0.299, 0.114];
  const green = 1 - red! - blue!;
  const luma = width * height;
  const out = new Float64Array(data.length);
  const weight = Math.round(256 * 0.8 * Math.min(1, 2 * opacity)) / 256;
  for (let i = 0; i < luma; i++) {
    const [x, y] = [i % width, Math.floor(i / width)];
    const c = luma + (y >> 1) * width / 2 + (x >> 1);
    const bright = (data[i]! - 16) * 255 / 219;
    const [u, v] = [(data[c]! - 128) * 255 / 224, (data[c + luma / 4]! - 128) * 255 / 224];
    const r = bright + 2 * (1 - red!) * v;
    const b = bright + 2 * (1 - blue!) * u;
    const g = (bright - red! * r - blue! * b) / green;
    const seen = (77 * r + 150 * g + 29 * b) / 256;
    const shade = opacity * (opacity + (1 - opacity) * (0.25 + 0.75 * seen / 255));
    const edge = x + line < width && labels[i + line] !== labels[i] ||
      y + line < height && labels[i + line * width] !== labels[i];
    const [r2, g2, b2] = colourOf(labels[i]!).map((colour, k) => {
      const tinted = (1 - opacity) * [r, g, b][k]! + shade * colour;
      return edge ? (1 - weight) * tinted + weight * 255 : tinted;
    }) as [number, number, number];
    const bright2 = red! * r2 + green * g2 + blue! * b2;
    out[i] = 16 + bright2 * 219 / 255;
    out[c]! += (128 + (b2 - bright2) / (2 * (1 - blue!)) * 224 / 255) / 4;
    out[c + luma / 4]! += (128 + (r2 - bright2) / (2 * (1 - red!)) * 224 / 255) / 4;
  }
  return out.map((value) => Math.max(0, Math.min(255, value)));
}

Deno.test("PlanarOverlay blends as the formula of the overlay on RGB says, within a level", () => {
  const seed = newSeed();
  const random = uniform(seed);
  for (const matrix of MATRICES) {
    for (const opacity of [0, 0.5, 1, random()]) {
      const width = 16 + 2 * Math.floor(random() * 60), height = 16 + 2 * Math.floor(random() * 40);
      const line = 1 + Math.floor(random() * 3);
      const planes = somePlanes(random, width, height, matrix);
      const before = planes.data.slice();
      const outline = Math.round(256 * 0.8 * Math.min(1, 2 * opacity));
      const overlay = new PlanarOverlay({ width, height, matrix, opacity, line, outline });
      const colours = new Uint32Array(1 << 16).map((_, id) => Math.imul(id, 0x9e3779b1) >>> 8);
      for (let turn = 0; turn < 2; turn++) {
        // The second map has whole blocks of one id.
        const labels = turn === 0
          ? someLabels(random, width, height)
          : new Uint16Array(width * height).fill(513);
        const drawn = overlay.draw(planes.data, labels, [...new Set(labels)], colours);
        const colourOf = (id: number) =>
          [colours[id]! & 255, colours[id]! >> 8 & 255, colours[id]! >> 16] as const;
        const expected = expectedOverlay(planes, labels, colourOf, opacity, line);
        const worst = drawn.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0);
        assert(worst <= 1, `${worst} in ${width}x${height} ${matrix} ${opacity} line ${line}, seed ${seed}`);
        if (opacity === 0) assertEquals(drawn, before, `seed ${seed}`);
        else assertNotEquals(drawn, before);
      }
      assertEquals(planes.data, before);
    }
  }
});

/** Signal to noise of two pictures, in dB. */
function psnr(a: Uint8Array, b: Uint8Array): number {
  assertEquals(a.length, b.length);
  return 10 * Math.log10(255 ** 2 * a.length / a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0));
}

/** Coloured and moving; soft, as colour at half the size is: what the way through RGB and back blurs is not at issue. */
const COLOURS = "testsrc2=s=192x108:r=10:d=0.5,gblur=sigma=2";

Deno.test("walkcut encodes the same overlay from planes as from RGB, in every matrix and range", () =>
  inFolder(async (folder) => {
    const cases: readonly [string, string, string, boolean][] = [
      ["bt709", "tv", "yuv420p", true],
      ["smpte170m", "tv", "yuv420p", true],
      ["bt470bg", "tv", "yuv420p", true],
      ["bt709", "pc", "yuv420p", false],
      ["bt709", "tv", "yuv444p", false],
    ];
    for (const [matrix, range, format, planar] of cases) {
      const input = `${folder}/${matrix} ${range} ${format}.mkv`;
      const about = `scale=out_color_matrix=${matrix}:out_range=${range}:flags=accurate_rnd,format=${format}`;
      const tags = ["-colorspace", matrix, "-color_range", range];
      await ffmpeg("-f", "lavfi", "-i", COLOURS, "-vf", about, "-c:v", "ffv1", ...tags, input);
      const source = await openVideo(input);
      assertEquals(source.info.planar ?? false, planar, input);
      const info = source.info;
      const lossless = { codec: "ffv1", pixFmt: "yuv420p" };
      const renderer = new Renderer();
      const sinks = await Promise.all(
        [true, false].map((planar) =>
          openPictureSink(`${folder}/${planar}.mkv`, { info, planar, ...lossless, overwrite: true })
        ),
      );
      assertEquals(sinks.map((sink) => sink.planar), [planar, false]);
      const random = uniform(5);
      const labels = someLabels(random, info.width, info.height);
      const segments = [...new Set(labels)].map((id) => ({ id, area: 1, ncut: NaN }));
      for await (const frame of source.frames()) {
        for (const sink of sinks) await sink.write(renderer.draw({ frame, labels, segments }, sink.planar));
      }
      await Promise.all(sinks.map((sink) => sink.close()));
      await source.close();
      const [fromPlanes, fromRgb] = await Promise.all(
        [true, false].map((planar) => ffmpeg("-i", `${folder}/${planar}.mkv`, "-f", "rawvideo", "-")),
      );
      assertGreaterOrEqual(psnr(fromPlanes!, fromRgb!), 45, input);
    }
  }));

Deno.test("Segmenter labels planes as it labels the RGB that they are", () =>
  inFolder(async (folder) => {
    const input = `${folder}/in.mkv`;
    await ffmpeg(
      "-f",
      "lavfi",
      "-i",
      COLOURS,
      "-pix_fmt",
      "yuv420p",
      "-frames:v",
      "3",
      "-c:v",
      "ffv1",
      input,
    );
    const labelsOf = async (copied: boolean) => {
      const source = await openVideo(input);
      assertEquals(source.info.planar, true);
      async function* frames() {
        for await (const frame of source.frames()) yield copied ? { ...frame } : frame;
      }
      const segmenter = await Segmenter.create({ device: "cpu", grid: 32 });
      const found: Uint16Array[] = [];
      const pictures: Uint8Array[] = [];
      for await (const { frame, labels } of segmenter.stream(frames())) {
        assertEquals(framePlanes(frame) !== undefined, !copied);
        found.push(labels);
        pictures.push(frame.data);
      }
      await segmenter.close();
      await source.close();
      return [found, pictures];
    };
    assertEquals(await labelsOf(false), await labelsOf(true));
  }));

Deno.test("walkcut writes one picture to RGB and to planes in one run, whatever else is written", () =>
  inFolder(async (folder) => {
    const args = ["-f", "lavfi", "-i", COLOURS, "-pix_fmt", "yuv420p", "-c:v", "libx264", "-crf", "10"];
    await ffmpeg(...args, `${folder}/in.mp4`);
    const common = ["in.mp4", "--null-model", "-q", "-y", "--crf", "1", "--preset", "ultrafast"];
    const both = await walkcut(folder, [
      ...common,
      "-o",
      "a.mp4",
      "-o",
      "a%02d.png",
      "-o",
      "b.mp4",
      "--labels",
      "a.npy",
    ]);
    assertEquals([both.code, both.stderr], [0, ""]);
    const rgb = await walkcut(folder, [
      ...common,
      "-o",
      "-",
      "--output-format",
      "rgb24",
      "--labels",
      "b.npy",
    ]);
    assertEquals(rgb.code, 0);
    const decode = (file: string) =>
      ffmpeg("-i", `${folder}/${file}`, "-pix_fmt", "rgb24", "-f", "rawvideo", "-");
    assertEquals(await Deno.readFile(`${folder}/a.mp4`), await Deno.readFile(`${folder}/b.mp4`));
    assertEquals(await decode("a%02d.png"), rgb.stdout);
    assertEquals(await Deno.readFile(`${folder}/a.npy`), await Deno.readFile(`${folder}/b.npy`));
    // Colour is at half the size in the one: sharp borders of it differ.
    assertGreaterOrEqual(psnr(await decode("a.mp4"), rgb.stdout), 28);
  }));
