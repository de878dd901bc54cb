/**
 * Every kind of input into every kind of output. Inputs are made from a table of recipes; each output is decoded
 * again by ffmpeg alone, and compared with what went in: frames, times, size, pixels, colour tags, sound.
 */
import { assert, assertEquals } from "@std/assert";
import { NullSegmenter } from "../lib/cli/null_segmenter.ts";
import { Renderer } from "../lib/render/render.ts";
import type { SegmentedFrame } from "../lib/segmenter.ts";
import { openLabelSink, openPictureSink, openRleSink, type Sink } from "../lib/sink/mod.ts";
import { type Frame, openVideo } from "../lib/source/mod.ts";
import { uniform } from "../lib/random.ts";
import {
  decodeRle,
  ffmpeg,
  ffmpegSaying,
  inFolder,
  lagOf,
  names,
  runMain,
  SOUND_RATE as RATE,
} from "./io_media.ts";

/** Frames of each input. */
const FRAMES = 7;
/** Times that are uneven, in frames. */
const UNEVEN = "setpts=PTS+floor(N*N/3)/(FRAME_RATE*TB)";

/** How an input is made. */
interface Recipe {
  /** Name of the file; its extension is the container. */
  readonly file: string;
  readonly size: readonly [width: number, height: number];
  readonly rate?: string;
  /** Filters from RGB to what is encoded. */
  readonly filters: string;
  /** Settings of the encoder of the pictures. */
  readonly video: readonly string[];
  /** Settings of the encoder of the sound; none without. */
  readonly sound?: readonly string[];
  /** matrix/primaries/transfer that an output of YUV must be tagged with, as ffmpeg prints them. */
  readonly tags: string;
  /** Width over height of a pixel, where it is not square. */
  readonly aspect?: number;
  /** Levels by which a frame may be off the RGB that was meant, in the mean; unset where it is not comparable. */
  readonly off?: number;
  /** A line that must be said. */
  readonly note?: RegExp;
  /** Degrees by which a player turns the picture. */
  readonly turned?: 90;
}

const x264 = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "4", "-bf", "2"];
const x265 = ["-c:v", "libx265", "-preset", "ultrafast", "-crf", "4", "-x265-params", "log-level=0"];
const aac = ["-c:a", "aac", "-b:a", "192k"];
const yuv = (matrix: string, range: string, format: string) =>
  `scale=out_color_matrix=${matrix}:out_range=${range}:flags=accurate_rnd+full_chroma_int,format=${format}`;
const tagged = (matrix: string, primaries: string, transfer: string, range = "tv") => [
  ...["-colorspace", matrix, "-color_primaries", primaries, "-color_trc", transfer, "-color_range", range],
];

/** What most files are. */
const PLAIN: Recipe = {
  file: "h264 709.mp4",
  size: [64, 48],
  filters: yuv("bt709", "tv", "yuv420p"),
  video: [...x264, ...tagged("bt709", "bt709", "bt709")],
  sound: aac,
  tags: "bt709",
  off: 2,
};

const RECIPES: readonly Recipe[] = [
  PLAIN,
  {
    file: "h264 601 full.mkv",
    size: [64, 48],
    filters: `${yuv("smpte170m", "pc", "yuv420p")},${UNEVEN}`,
    video: [...x264, ...tagged("smpte170m", "smpte170m", "smpte170m", "pc")],
    sound: ["-c:a", "flac"],
    tags: "smpte170m",
    off: 2,
  },
  {
    file: "hevc pq.mkv",
    size: [64, 48],
    filters: yuv("bt2020", "tv", "yuv420p10le"),
    video: [...x265, ...tagged("bt2020nc", "bt2020", "smpte2084")],
    tags: "bt709",
    note: /PQ video is tone-mapped to BT\.709/,
  },
  {
    file: "hevc hlg.mp4",
    size: [64, 48],
    filters: yuv("bt2020", "tv", "yuv420p10le"),
    video: [...x265, "-tag:v", "hvc1", ...tagged("bt2020nc", "bt2020", "arib-std-b67")],
    sound: aac,
    tags: "bt709",
    note: /HLG video is tone-mapped to BT\.709/,
  },
  {
    file: "ffv1 2020 ten bits.mkv",
    size: [64, 48],
    filters: yuv("bt2020", "tv", "yuv422p10le"),
    video: ["-c:v", "ffv1", ...tagged("bt2020nc", "bt2020", "bt2020-10")],
    tags: "bt2020nc/bt2020/bt2020-10",
    off: 2,
  },
  {
    file: "prores.mov",
    size: [64, 48],
    rate: "30000/1001",
    // This encoder takes its tags from the frames.
    filters: `${
      yuv("bt709", "tv", "yuv422p10le")
    },setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709`,
    video: ["-c:v", "prores_ks", "-q:v", "1", ...tagged("bt709", "bt709", "bt709")],
    sound: ["-c:a", "pcm_s16le"],
    tags: "bt709",
    off: 2,
  },
  {
    file: "odd, wide pixels.mkv",
    size: [61, 37],
    filters: `${yuv("smpte170m", "tv", "yuv444p")},setsar=4/3,${UNEVEN}`,
    video: ["-c:v", "ffv1"],
    tags: "smpte170m",
    aspect: 4 / 3,
    off: 2,
  },
  { file: "grey.mkv", size: [64, 48], filters: "format=gray", video: ["-c:v", "ffv1"], tags: "bt709" },
  {
    file: "palette.gif",
    size: [64, 48],
    rate: "10",
    filters: `${UNEVEN},split[a][b];[a]palettegen[p];[b][p]paletteuse=dither=none`,
    video: [],
    tags: "bt709",
    off: 5,
  },
  {
    file: "vp9 alpha.webm",
    size: [64, 48],
    filters: yuv("smpte170m", "tv", "yuva420p"),
    video: ["-c:v", "libvpx-vp9", "-crf", "8", "-b:v", "0", "-cpu-used", "8", "-auto-alt-ref", "0"],
    sound: ["-c:a", "libopus"],
    tags: "smpte170m",
    off: 4,
  },
  {
    file: "mpeg2 interlaced.ts",
    size: [64, 48],
    filters: `${yuv("smpte170m", "tv", "yuv420p")},setfield=tff`,
    video: ["-c:v", "mpeg2video", "-q:v", "1", "-flags", "+ilme+ildct"],
    sound: ["-c:a", "mp2"],
    tags: "smpte170m",
    off: 3,
    note: /the video is interlaced/,
  },
  { ...PLAIN, file: "turned.mp4", turned: 90 },
  { file: "p%03d.png", size: [64, 48], filters: "format=rgba", video: [], tags: "bt709", off: 0 },
  {
    file: "stream.y4m",
    size: [63, 47],
    rate: "30000/1001",
    filters: yuv("smpte170m", "tv", "yuv420p"),
    video: ["-f", "yuv4mpegpipe"],
    tags: "smpte170m",
    off: 2,
  },
  {
    file: "mjpeg.avi",
    size: [64, 48],
    filters: yuv("bt470bg", "pc", "yuvj422p"),
    video: ["-c:v", "mjpeg", "-q:v", "1"],
    sound: ["-c:a", "pcm_s16le"],
    tags: "bt470bg/bt470bg/smpte170m",
    off: 3,
  },
  {
    file: "raw.nut",
    size: [64, 48],
    filters: `format=rgb24,${UNEVEN}`,
    video: ["-c:v", "rawvideo"],
    tags: "bt709",
    off: 0,
  },
];

/** How an output is looked at. */
interface Product {
  readonly file: string;
  /** Seconds that its clock is exact to; unset where it has none. */
  readonly tick?: number;
  /** ffmpeg's pixel format, for even sizes and others. */
  readonly pixels: readonly [even: string, odd: string];
  readonly tagged: boolean;
  readonly sound: boolean;
  /** Levels by which a frame may be off the one that was written, in the mean. */
  readonly off: number;
  readonly settings?: { readonly preset?: string; readonly crf?: number };
}

const fast = { preset: "ultrafast", crf: 8 };
const FILES: readonly Product[] = [
  {
    file: "o.mp4",
    tick: 1e-6,
    pixels: ["yuv420p", "yuv444p"],
    tagged: true,
    sound: true,
    off: 3,
    settings: fast,
  },
  {
    file: "o.mov",
    tick: 1e-6,
    pixels: ["yuv420p", "yuv444p"],
    tagged: true,
    sound: true,
    off: 3,
    settings: fast,
  },
  {
    file: "o.mkv",
    tick: 1e-3,
    pixels: ["yuv420p", "yuv444p"],
    tagged: true,
    sound: true,
    off: 3,
    settings: fast,
  },
  {
    file: "o.webm",
    tick: 1e-3,
    pixels: ["yuv420p", "yuv420p"],
    tagged: true,
    sound: true,
    off: 4,
    settings: { crf: 8 },
  },
  { file: "o.gif", tick: 1e-2, pixels: ["bgra", "bgra"], tagged: false, sound: false, off: 6 },
  { file: "o%04d.png", pixels: ["rgb24", "rgb24"], tagged: false, sound: false, off: 0 },
  { file: "o%04d.jpg", pixels: ["yuvj444p", "yuvj444p"], tagged: false, sound: false, off: 5 },
];
const STREAMS: readonly Product[] = [
  { file: "y4m", pixels: ["yuv420p", "yuv420p"], tagged: false, sound: false, off: 3 },
  { file: "nut", tick: 1e-9, pixels: ["rgb24", "rgb24"], tagged: false, sound: false, off: 0 },
];

/** The RGB that is meant at a place of frame `n`, as a formula of ffmpeg's. */
const MEANT = { r: "30+2*X+6*N", g: "200-2*Y-6*N", b: "60+X+Y" };

function meant(n: number, x: number, y: number): number[] {
  return [30 + 2 * x + 6 * n, 200 - 2 * y - 6 * n, 60 + x + y];
}

async function make(recipe: Recipe, path: string, count = FRAMES): Promise<void> {
  const { size: [width, height], rate = "25", filters, video, sound } = recipe;
  const picture =
    `color=s=${width}x${height}:r=${rate},trim=end_frame=${count},format=gbrp,geq=r='${MEANT.r}':g='${MEANT.g}':b='${MEANT.b}'`;
  // A tone that climbs is like itself at no other time.
  const tone = `aevalsrc='0.5*sin(2*PI*(200*t+4000*t*t))':s=${RATE}:d=${count / 20}`;
  await ffmpeg(
    ...["-f", "lavfi", "-i", picture, ...(sound ? ["-f", "lavfi", "-i", tone] : [])],
    ...["-map", "0:v", "-vf", filters, "-fps_mode", "passthrough", ...video],
    ...(sound ? ["-map", "1:a", ...sound] : []),
    path,
  );
  if (recipe.turned) {
    // The tag is taken when a stream is copied.
    await Deno.rename(path, `${path}.mp4`);
    await ffmpeg("-i", `file:${path}.mp4`, "-c", "copy", "-metadata:s:v", `rotate=${recipe.turned}`, path);
    await Deno.remove(`${path}.mp4`);
  }
}

/** What ffmpeg makes of a file: one process, so that times of picture and sound have the same zero. */
interface Decoded {
  readonly times: readonly number[];
  /** Packed RGB, frame by frame. */
  readonly rgb: Uint8Array;
  /** Mono, from time 0. */
  readonly sound: Float32Array;
  /** How ffmpeg describes the file. */
  readonly description: string;
}

async function decode(path: string, folder: string, sound: boolean): Promise<Decoded> {
  const [crc, raw, pcm] = ["crc", "rgb", "pcm"].map((name) => `${folder}/decoded.${name}`) as [
    string,
    string,
    string,
  ];
  const shown = ["-map", "0:V:0", "-fps_mode", "passthrough"];
  const { said } = await ffmpegSaying(
    "info",
    ...["-i", path.includes("%") ? path : `file:${path}`],
    ...[...shown, "-enc_time_base", "-1", "-f", "framecrc", crc],
    ...[...shown, "-vf", "scale=flags=accurate_rnd+full_chroma_int+full_chroma_inp", "-pix_fmt", "rgb24"],
    ...["-f", "rawvideo", raw],
    ...(sound
      ? ["-map", "0:a:0", "-af", `aresample=${RATE}:async=1:first_pts=0`, "-ac", "1", "-f", "f32le", pcm]
      : []),
  );
  const text = await Deno.readTextFile(crc);
  const [, num, den] = /^#tb 0: (\d+)\/(\d+)/m.exec(text) ?? [];
  return {
    times: text.split("\n").filter((line) => /^0,/.test(line))
      .map((line) => Number(line.split(",")[2]) * Number(num) / Number(den)),
    rgb: await Deno.readFile(raw),
    sound: sound ? new Float32Array((await Deno.readFile(pcm)).buffer) : new Float32Array(0),
    description: said.slice(0, said.indexOf("Stream mapping:")),
  };
}

/** Mean distance of two pictures, in levels. */
function distance(a: Uint8Array, b: Uint8Array): number {
  assertEquals(a.length, b.length);
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i]! - b[i]!);
  return sum / a.length;
}

/** Blocks of ids that change from frame to frame, up to `most`. */
function someLabels(frame: Frame, seed: number, most: number): Uint16Array<ArrayBuffer> {
  const random = uniform(seed + frame.index);
  const table = Uint16Array.from({ length: 64 }, () => 1 + Math.floor(random() * most));
  const { width, height } = frame;
  return Uint16Array.from(
    { length: width * height },
    (_, i) => table[(i % width >> 3) + 8 * (Math.floor(i / width) >> 3) & 63]!,
  );
}

/** Reads an input once and writes every file of it. */
async function convert(input: string, folder: string, seed: number) {
  const source = await openVideo(input);
  const { info } = source;
  const pictures = await Promise.all(
    // Files take planes where they can, as they do in a run.
    FILES.map(({ file, settings }) =>
      openPictureSink(`${folder}/${file}`, { info, planar: true, ...settings })
    ),
  );
  const [mkv, png, npy] = await Promise.all(
    ["l.mkv", "l%04d.png", "l.npy"].map((file) => openLabelSink(`${folder}/${file}`, { info })),
  ) as [Sink<unknown>, Sink<unknown>, Sink<unknown>];
  const palette = await openLabelSink(`${folder}/q%04d.png`, { info, palette: true });
  const rle = await openRleSink(`${folder}/r.jsonl`, { info });
  const renderer = new Renderer({ opacity: 0 });
  const frames: Frame[] = [];
  const labels: Uint16Array<ArrayBuffer>[] = [];
  for await (const segmented of new NullSegmenter().stream(source.frames())) {
    const { frame } = segmented;
    frames.push(frame);
    for (const sink of pictures) await sink.write(renderer.draw(segmented, sink.planar));
    const ids = someLabels(frame, seed, 1000);
    labels.push(ids);
    for (const sink of [mkv, png, npy]) await sink.write({ ...frame, labels: ids.slice() });
    await palette.write({ ...frame, labels: ids.map((id) => id & 255) });
    await rle.write({ ...segmented, labels: ids } satisfies SegmentedFrame);
  }
  await Promise.all([...pictures, mkv, png, npy, palette, rle].map((sink) => sink.close()));
  await source.close();
  return { info, frames, labels };
}

async function checkProduct(
  recipe: Recipe,
  product: Product,
  path: string,
  before: Decoded,
  frames: readonly Frame[],
) {
  const cell = `${recipe.file} → ${product.file}`;
  const { width, height } = frames[0]!;
  const sound = recipe.sound !== undefined && product.sound;
  const folder = await Deno.makeTempDir();
  try {
    const after = await decode(path, folder, sound);
    assertEquals(after.rgb.length, FRAMES * width * height * 3, `${cell}: frames or size`);
    frames.forEach((frame, i) => {
      const off = distance(
        after.rgb.subarray(i * frame.data.length, (i + 1) * frame.data.length),
        frame.data,
      );
      assert(off <= product.off, `${cell}: frame ${i} is ${off} levels off`);
    });
    if (product.tick) {
      assertEquals(after.times.length, FRAMES, cell);
      after.times.forEach((time, i) => {
        const off = Math.abs(time - after.times[0]! - before.times[i]! + before.times[0]!);
        assert(off <= product.tick! * 1.001, `${cell}: frame ${i} is ${off} s off`);
      });
    }
    const text = after.description;
    const pixels = product.pixels[width % 2 === 0 && height % 2 === 0 ? 0 : 1];
    const stream = /Stream #0:\d+.*?: Video: (.*)/.exec(text)?.[1] ?? "";
    assert(new RegExp(`, ${pixels}[(,]`).test(stream), `${cell}: ${stream}`);
    if (product.tagged) assert(stream.includes(`, ${pixels}(tv, ${recipe.tags}`), `${cell}: ${stream}`);
    if (recipe.aspect && product.tick) {
      // Matroska and WebM state the size at which a picture is shown, in whole pixels.
      const [, num, den] = /SAR (\d+):(\d+)/.exec(stream) ?? [];
      const off = Math.abs(Number(num) / Number(den) - recipe.aspect);
      assert(off <= 0.5 / width, `${cell}: ${stream}`);
    }
    assert(!/rotation of/.test(text), `${cell} is turned again`);
    assertEquals(/Audio:/.test(text), sound, `${cell}: sound`);
    if (sound) {
      const { lag, alike } = lagOf(after.sound, before.sound, after.times[0]! - before.times[0]!);
      assert(alike > 0.95 && Math.abs(lag) <= 1e-3, `${cell}: sound is ${lag} s late, ${alike} alike`);
      const length = Math.abs(after.sound.length - before.sound.length) / RATE;
      assert(length < 0.05, `${cell}: sound is ${length} s longer or shorter`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function checkLabels(
  recipe: Recipe,
  folder: string,
  labels: readonly Uint16Array<ArrayBuffer>[],
  width: number,
) {
  const pixels = labels[0]!.length;
  const whole = new Uint16Array(labels.length * pixels);
  labels.forEach((ids, i) => whole.set(ids, i * pixels));
  const raw = async (file: string, format: string) =>
    await ffmpeg(
      "-i",
      `${folder}/${file}`,
      "-fps_mode",
      "passthrough",
      "-pix_fmt",
      format,
      "-f",
      "rawvideo",
      "-",
    );
  const same = (bytes: Uint8Array<ArrayBuffer>, what: string) =>
    assert(
      bytes.length === whole.byteLength && new Uint16Array(bytes.buffer).every((id, i) => id === whole[i]),
      `${recipe.file} → ${what}: ids differ`,
    );
  same(await raw("l.mkv", "gray16le"), "l.mkv");
  same(await raw("l%04d.png", "gray16le"), "l%04d.png");
  same((await Deno.readFile(`${folder}/l.npy`)).slice(128), "l.npy");
  // ffmpeg gives the indices of a frame and then its palette, 256 times blue, green, red, alpha.
  const indexed = await raw("q%04d.png", "pal8");
  assertEquals(indexed.length, labels.length * (pixels + 1024), `${recipe.file} → palette`);
  labels.forEach((ids, i) => {
    const at = i * (pixels + 1024);
    assert(ids.every((id, k) => indexed[at + k] === (id & 255)), `${recipe.file} → palette: ids differ`);
    // The first colours of PASCAL VOC and DAVIS: black, maroon, green, olive.
    const colours = [0, 1, 2, 3].map((
      c,
    ) => [...indexed.subarray(at + pixels + 4 * c, at + pixels + 4 * c + 3)]);
    assertEquals(colours, [[0, 0, 0], [0, 0, 128], [0, 128, 0], [0, 128, 128]]);
  });
  const lines = (await Deno.readTextFile(`${folder}/r.jsonl`)).trim().split("\n").map((line) =>
    JSON.parse(line)
  );
  assertEquals(lines.length, labels.length);
  for (const [i, line] of lines.entries()) {
    const back = new Uint16Array(pixels);
    for (const { id, rle } of line.segments) {
      decodeRle(rle.counts, pixels / width, width).forEach((inside, k) => inside && (back[k] = id));
    }
    assert(back.every((id, k) => id === labels[i]![k]), `${recipe.file} → r.jsonl: ids differ`);
  }
}

for (const recipe of RECIPES) {
  Deno.test(`walkcut takes ${recipe.file} into every output`, () =>
    inFolder(async (folder) => {
      const seed = Math.floor(Math.random() * 2 ** 32);
      const input = `${folder}/${recipe.file}`;
      await make(recipe, input);
      await Deno.mkdir(`${folder}/out`);
      const { info, frames, labels } = await convert(input, `${folder}/out`, seed);
      assertEquals(frames.length, FRAMES);
      if (recipe.note) assert(info.notes?.some((note) => recipe.note!.test(note)), `${info.notes}`);
      else assertEquals(info.notes ?? [], []);
      const [width, height] = recipe.turned ? [recipe.size[1], recipe.size[0]] : recipe.size;
      assertEquals([info.width, info.height], [width, height]);
      if (recipe.off !== undefined) {
        for (const [n, { data }] of frames.entries()) {
          const expected = new Uint8Array(data.length);
          for (let i = 0; i < width * height; i++) {
            const [x, y] = [i % width, Math.floor(i / width)];
            expected.set(recipe.turned ? meant(n, height - 1 - y, x) : meant(n, x, y), 3 * i);
          }
          const off = distance(data, expected);
          assert(off <= recipe.off, `${recipe.file}: frame ${n} is ${off} levels off what was meant`);
        }
      }
      const before = await decode(input, folder, recipe.sound !== undefined);
      assertEquals((await names(`${folder}/out`)).filter((name) => name.includes("partial")), []);
      const inParts = async () => {
        const parts = (await Promise.all([1, 2, 3].map(async (index) => {
          const part = await openVideo(input, { shard: { index, count: 3 } });
          const frames: Frame[] = [];
          for await (const frame of part.frames()) frames.push(frame);
          await part.close();
          return frames;
        }))).flat();
        assertEquals(parts.length, FRAMES, `${recipe.file} in three parts`);
        parts.forEach(({ data }, i) =>
          assertEquals(distance(data, frames[i]!.data), 0, `${recipe.file} in three parts: frame ${i}`)
        );
      };
      const toStdout = async (product: Product) => {
        const args = [
          input,
          "--null-model",
          "-q",
          "--opacity",
          "0",
          "-o",
          "-",
          "--output-format",
          product.file,
        ];
        const { code, stdout, stderr } = await runMain(folder, args);
        assertEquals([code, stderr], [0, ""], `${recipe.file} → ${product.file}`);
        const path = `${folder}/out/stdout.${product.file}`;
        await Deno.writeFile(path, stdout);
        await checkProduct(recipe, product, path, before, frames);
      };
      await Promise.all([
        ...FILES.map((product) =>
          checkProduct(recipe, product, `${folder}/out/${product.file}`, before, frames)
        ),
        checkLabels(recipe, `${folder}/out`, labels, width),
        inParts(),
        ...STREAMS.map(toStdout),
      ]);
    }));
}

for (
  const file of ["h264 709.mp4", "h264 601 full.mkv", "prores.mov", "vp9 alpha.webm", "mpeg2 interlaced.ts"]
) {
  Deno.test(`walkcut --start keeps the sound of ${file} within a millisecond of its pictures`, () =>
    inFolder(async (folder) => {
      const recipe = RECIPES.find((recipe) => recipe.file === file)!;
      const input = `${folder}/${file}`;
      await make({ ...recipe, filters: recipe.filters.replace(UNEVEN, "null") }, input, 40);
      const before = await decode(input, folder, true);
      // Between two frames, further from both than a tick of any container, and nowhere near a key frame.
      const about = 0.41 + 0.3 * Math.random();
      const first = before.times.findIndex((time) => time >= about);
      const [earlier, later] = [before.times[first - 1]!, before.times[first]!];
      const start = earlier + (later - earlier) * (0.05 + 0.9 * Math.random());
      const outputs = ["o.mp4", "o.mov", "o.mkv", "o.webm"];
      const source = await openVideo(input, { start });
      const { info } = source;
      const sinks = await Promise.all(
        outputs.map((name) =>
          openPictureSink(`${folder}/${name}`, { info, ...(/webm/.test(name) ? {} : fast) })
        ),
      );
      for await (const frame of source.frames()) {
        for (const sink of sinks) await sink.write({ ...frame, data: frame.data.slice(), channels: 3 });
      }
      await Promise.all(sinks.map((sink) => sink.close()));
      await source.close();
      for (const name of outputs) {
        const after = await decode(`${folder}/${name}`, folder, true);
        assertEquals(after.times.length, before.times.length - first, `${name} from ${start}`);
        const rest = before.sound.subarray(Math.round(before.times[first]! * RATE));
        const { lag, alike } = lagOf(after.sound, rest, after.times[0]!);
        assert(
          alike > 0.95 && Math.abs(lag) <= 1e-3,
          `${name} from ${start}: sound is ${lag} s late, ${alike} alike`,
        );
      }
    }));
}
