import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Frame, openVideo, parseRate, parseSize, type SourceOptions } from "../lib/source/mod.ts";
import { parseDescription } from "../lib/ffmpeg/probe.ts";
import { nutCrc } from "../lib/ffmpeg/nut.ts";
import { locateFfmpeg } from "../lib/ffmpeg/locate.ts";
import { parseY4mHeader } from "../lib/source/guard.ts";
import { FfmpegError, UsageError, WalkcutError } from "../lib/errors.ts";
import { ffmpeg, inFolder, processesWith, streamOf } from "./io_media.ts";

async function readAll(input: string, options: SourceOptions = {}) {
  const source = await openVideo(input, options);
  const frames: Frame[] = [];
  let error: unknown;
  try {
    for await (const frame of source.frames()) frames.push(frame);
  } catch (thrown) {
    error = thrown;
  }
  await source.close();
  return { info: source.info, frames, error };
}

const LAVFI = ["-f", "lavfi", "-i"];
const TEST = "testsrc2=s=64x48:r=25";
const X264 = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "5"];

function pixel(frame: Frame, x: number, y: number): number[] {
  const at = 3 * (y * frame.width + x);
  return [...frame.data.subarray(at, at + 3)];
}

/** A checksum: a failing comparison of whole frames would print them for minutes. */
const sum = ({ data }: Frame) => nutCrc(data);

function near(actual: number[], expected: number[], most: number, message = ""): void {
  const worst = Math.max(...actual.map((value, i) => Math.abs(value - expected[i]!)));
  assert(worst <= most, `${message} [${actual}] is not within ${most} of [${expected}]`);
}

Deno.test("openVideo() yields every frame with its time, whatever the container's clock", () =>
  inFolder(async (folder) => {
    const file = `${folder}/vfr.mp4`;
    const slow = "setpts=PTS+floor(N*N/3)";
    await ffmpeg(...LAVFI, TEST, "-vf", slow, "-frames:v", "10", "-vsync", "0", ...X264, "-bf", "2", file);
    const { frames, info, error } = await readAll(file);
    assertEquals(error, undefined);
    const seconds = frames.map(({ pts }) => pts * info.timeBase.num / info.timeBase.den);
    assertEquals(
      seconds.map((s) => Math.round(s * 25e6) / 1e6),
      frames.map((_, n) => n + Math.floor(n * n / 3)),
    );
    assertEquals(frames.map(({ index }) => index), frames.map((_, n) => n));
    assertEquals([info.width, info.height, info.still, info.audioStreams], [64, 48, false, 0]);
    assertEquals(frames.length, 10);
    assertEquals(frames.every(({ data }) => data.length === 64 * 48 * 3), true);
  }));

Deno.test("openVideo() keeps a GIF's hundredths", () =>
  inFolder(async (folder) => {
    const file = `${folder}/a.gif`;
    await ffmpeg(...LAVFI, "testsrc2=s=64x48:r=12", "-frames:v", "10", file);
    const { frames, info } = await readAll(file);
    assertEquals(info.timeBase, { num: 1, den: 100 });
    assertEquals(frames.map(({ pts }) => pts), frames.map((_, n) => Math.round(n * 100 / 12)));
  }));

Deno.test("openVideo() trims whole frames by start, end, frames and stride, also of pipes", () =>
  inFolder(async (folder) => {
    const file = `${folder}/a.mkv`;
    await ffmpeg(...LAVFI, TEST, "-frames:v", "50", ...X264, file);
    const whole = await readAll(file);
    const bytes = await Deno.readFile(file);
    const cases: [SourceOptions, number, number, number][] = [
      [{ start: 0.4 }, 10, 50, 1],
      [{ start: 0.41, end: 1 }, 11, 25, 1],
      [{ end: 0.2 }, 0, 5, 1],
      [{ start: 1, frames: 7 }, 25, 32, 1],
      [{ stride: 3 }, 0, 50, 3],
      [{ start: 0.5, stride: 4, frames: 3 }, 13, 25, 4],
    ];
    for (const [options, first, last, stride] of cases) {
      const expected = whole.frames.slice(first, last).filter((_, i) => i % stride === 0);
      for (const input of [file, "-"]) {
        const { frames, info, error } = await readAll(input, { ...options, stdin: streamOf(bytes) });
        const name = `${input} ${JSON.stringify(options)}`;
        assertEquals(error, undefined, name);
        assertEquals(frames.map(sum), expected.map(sum), name);
        const offset = Math.round((options.start ?? 0) * info.timeBase.den / info.timeBase.num);
        const scale = info.timeBase.den / whole.info.timeBase.den;
        const times = expected.map(({ pts }) => pts * scale - offset);
        assertEquals(frames.map(({ pts }) => pts), times, name);
      }
    }
  }));

Deno.test("openVideo() shards a file into parts that are the whole", () =>
  inFolder(async (folder) => {
    const file = `${folder}/a.mp4`;
    await ffmpeg(...LAVFI, TEST, "-frames:v", "23", ...X264, "-bf", "2", file);
    const whole = (await readAll(file)).frames.map(sum);
    for (const count of [1, 3, 4]) {
      const parts: number[] = [];
      for (let index = 1; index <= count; index++) {
        parts.push(...(await readAll(file, { shard: { index, count } })).frames.map(sum));
      }
      assertEquals(parts.length, 23);
      assertEquals(parts, whole);
    }
  }));

Deno.test("openVideo() sniffs what stdin holds", () =>
  inFolder(async (folder) => {
    const kinds: [string, string[], number][] = [
      ["y4m", ["-f", "yuv4mpegpipe"], 5],
      ["nut", ["-c:v", "ffv1", "-f", "nut"], 5],
      ["mkv", [...X264, "-f", "matroska"], 5],
      ["mp4", [...X264, "-movflags", "frag_keyframe+empty_moov", "-f", "mp4"], 5],
      ["png", ["-c:v", "png", "-f", "image2pipe"], 5],
      ["mjpeg", ["-c:v", "mjpeg", "-f", "image2pipe"], 5],
      ["one png", ["-c:v", "png", "-frames:v", "1", "-f", "image2pipe"], 1],
      ["ts", [...X264, "-f", "mpegts"], 5],
      ["gif", ["-f", "gif"], 5],
    ];
    for (const [name, args, count] of kinds) {
      const file = `${folder}/stream`;
      await ffmpeg(
        ...LAVFI,
        "testsrc2=s=65x47:r=25,format=yuv444p",
        "-frames:v",
        "5",
        ...(/mp4|mkv|ts/.test(name) ? ["-pix_fmt", "yuv444p"] : []),
        ...args,
        file,
      );
      const { frames, info, error } = await readAll("-", { stdin: streamOf(await Deno.readFile(file)) });
      assertEquals(error, undefined, name);
      assertEquals([frames.length, info.width, info.height, info.still], [count, 65, 47, count === 1], name);
    }
  }));

Deno.test("openVideo() reads raw rgb24, rgba and gray8", async () => {
  const size = { width: 5, height: 3 };
  const bytes = (n: number) => crypto.getRandomValues(new Uint8Array(n));
  for (const [inputFormat, channels] of [["rgb24", 3], ["rgba", 4], ["gray8", 1]] as const) {
    const raw = bytes(4 * 15 * channels);
    const { frames, info, error } = await readAll("-", { inputFormat, size, stdin: streamOf(raw, 7) });
    assertEquals(error, undefined);
    assertEquals([frames.length, info.timeBase], [4, { num: 1, den: 25 }]);
    for (const frame of frames) {
      for (let i = 0; i < 15; i++) {
        const at = (frame.index * 15 + i) * channels;
        const expected = channels === 1 ? [raw[at], raw[at], raw[at]] : [...raw.subarray(at, at + 3)];
        assertEquals(pixel(frame, i % 5, Math.floor(i / 5)), expected);
      }
    }
  }
});

Deno.test("openVideo() gives all whole frames of a stream that ends inside one, then an error", () =>
  inFolder(async (folder) => {
    const raw = new Uint8Array(15 * 3 * 3 + 20);
    const size = { width: 5, height: 3 };
    const short = await readAll("-", { inputFormat: "rgb24", size, stdin: streamOf(raw) });
    assertEquals(short.frames.length, 3);
    assert(
      short.error instanceof WalkcutError && /ends inside a frame/.test(short.error.message),
      `${short.error}`,
    );

    const kinds: [string, string[]][] = [
      ["a.y4m", ["-f", "yuv4mpegpipe"]],
      ["a.mkv", [...X264]],
      ["a.mp4", [...X264, "-movflags", "faststart"]],
      ["a.nut", ["-c:v", "rawvideo"]],
    ];
    for (const [name, args] of kinds) {
      const file = `${folder}/${name}`;
      await ffmpeg(...LAVFI, TEST, "-frames:v", "40", "-pix_fmt", "yuv420p", ...args, file);
      const bytes = await Deno.readFile(file);
      const cut = bytes.slice(0, Math.floor(bytes.length * 0.6));
      await Deno.writeFile(file, cut);
      const inputs: [string, SourceOptions][] = [[file, {}], ["-", { stdin: streamOf(cut) }]];
      for (const [input, options] of inputs) {
        const { frames, error } = await readAll(input, options);
        assert(frames.length > 5 && frames.length < 40, `${name} ${input}: ${frames.length} frames`);
        assert(
          error instanceof WalkcutError && /ends|could not be read/.test(error.message),
          `${name} ${input}: ${frames.length} frames, ${error}`,
        );
        assertEquals(error.exitCode, 1, `${error}`);
      }
    }
  }));

Deno.test("openVideo() never interprets a file's name", () =>
  inFolder(async (folder) => {
    const before = Deno.cwd();
    const odd = [
      "-i.mp4",
      "%d.mp4",
      "a b.mp4",
      'it\'s "quoted".mp4',
      "new\nline.mp4",
      "concat:a|b.mp4",
      "pipe:0",
      "http:x",
      "$(touch hacked);`x`.mp4",
      "*.mp4",
      "[a].png.mp4",
      "%03d.png",
      "file:x.mp4",
      "ä☃.mkv",
    ];
    await ffmpeg(...LAVFI, TEST, "-frames:v", "3", ...X264, `${folder}/plain.mp4`);
    await ffmpeg(...LAVFI, TEST, "-frames:v", "1", `${folder}/plain.png`);
    try {
      Deno.chdir(folder);
      for (const name of odd) {
        const picture = name.endsWith(".png");
        await Deno.copyFile(picture ? "plain.png" : "plain.mp4", `./${name}`);
        const { frames, error } = await readAll(name);
        assertEquals(error, undefined, name);
        assertEquals(frames.length, picture ? 1 : 3, name);
      }
    } finally {
      Deno.chdir(before);
    }
  }));

Deno.test("openVideo() reads pictures: one, a folder, a glob, a pattern", () =>
  inFolder(async (folder) => {
    await Deno.mkdir(`${folder}/set`);
    await ffmpeg(...LAVFI, TEST, "-frames:v", "12", "-start_number", "7", `${folder}/set/f%d.png`);
    await Deno.writeTextFile(`${folder}/set/notes.txt`, "not a picture");
    const one = await readAll(`${folder}/set/f7.png`);
    assertEquals([one.frames.length, one.info.still], [1, true]);
    for (const input of ["set", "set/*.png", "set/f%d.png"]) {
      const { frames, info, error } = await readAll(`${folder}/${input}`, { fps: parseRate("10") });
      assertEquals(error, undefined);
      assertEquals([frames.length, info.frameCount, info.duration], [12, 12, 1.2]);
      assertEquals(sum(frames[0]!), sum(one.frames[0]!));
      assertEquals(info.timeBase, { num: 1, den: 10 });
    }
    // 7 … 18: numbers, not letters, are the order.
    const tenth = await readAll(`${folder}/set/f10.png`);
    assertEquals(sum((await readAll(`${folder}/set`)).frames[3]!), sum(tenth.frames[0]!));
    await Deno.writeFile(
      `${folder}/set/f12.png`,
      (await Deno.readFile(`${folder}/set/f12.png`)).slice(0, 200),
    );
    const damaged = await readAll(`${folder}/set`);
    assert(damaged.error instanceof WalkcutError, "a damaged picture in a sequence is an error");
  }));

Deno.test("openVideo() applies rotation once, and keeps odd sizes and pixel aspects", () =>
  inFolder(async (folder) => {
    await ffmpeg(...LAVFI, TEST, "-frames:v", "3", ...X264, `${folder}/a.mp4`);
    await ffmpeg("-i", `${folder}/a.mp4`, "-c", "copy", "-metadata:s:v", "rotate=90", `${folder}/turned.mp4`);
    const turned = await readAll(`${folder}/turned.mp4`);
    assertEquals([turned.info.width, turned.info.height], [48, 64]);
    const flags = "scale=flags=bilinear+accurate_rnd+full_chroma_int+full_chroma_inp";
    const raw = ["-frames:v", "1", "-vf", flags, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"];
    assertEquals(sum(turned.frames[0]!), nutCrc(await ffmpeg("-i", `${folder}/turned.mp4`, ...raw)));
    await ffmpeg(
      ...LAVFI,
      "testsrc2=s=61x37,format=yuv444p",
      "-vf",
      "setsar=4/3",
      "-frames:v",
      "2",
      "-pix_fmt",
      "yuv444p",
      ...X264,
      `${folder}/odd.mkv`,
    );
    const odd = await readAll(`${folder}/odd.mkv`);
    assertEquals([odd.info.width, odd.info.height, odd.info.sampleAspect], [61, 37, { num: 4, den: 3 }]);
  }));

/** A JPEG with an Exif segment that says nothing but its orientation, in either byte order. */
function withOrientation(jpeg: Uint8Array, orientation: number, little: boolean): Uint8Array<ArrayBuffer> {
  const exif = new DataView(new ArrayBuffer(36));
  exif.setUint32(0, 0xffe10022);
  [..."Exif\0\0"].forEach((c, i) => exif.setUint8(4 + i, c.charCodeAt(0)));
  exif.setUint16(10, little ? 0x4949 : 0x4d4d);
  exif.setUint16(12, 42, little);
  exif.setUint32(14, 8, little);
  exif.setUint16(18, 1, little);
  exif.setUint16(20, 0x0112, little);
  exif.setUint16(22, 3, little);
  exif.setUint32(24, 1, little);
  exif.setUint16(28, orientation, little);
  return Uint8Array.from([...jpeg.subarray(0, 2), ...new Uint8Array(exif.buffer), ...jpeg.subarray(2)]);
}

Deno.test("openVideo() turns a JPEG as its camera says, once", () =>
  inFolder(async (folder) => {
    // A corner of each colour: red and green above, blue and white below.
    const corners = { red: [250, 0, 0], green: [0, 250, 0], blue: [0, 0, 250], white: [250, 250, 250] };
    const picture = "color=s=64x32,format=rgb24,geq=" +
      "r='250*(eq(lt(X,32),lt(Y,16)))':g='250*gte(X,32)':b='250*gte(Y,16)'";
    await ffmpeg(...LAVFI, picture, "-frames:v", "1", "-pix_fmt", "yuvj444p", "-q:v", "1", `${folder}/p.jpg`);
    const stored = await Deno.readFile(`${folder}/p.jpg`);
    // Exif: which side of what is seen the first stored row and the first stored column are.
    const seen: [keyof typeof corners, keyof typeof corners, keyof typeof corners, keyof typeof corners][] = [
      ["red", "green", "blue", "white"], // top, left
      ["green", "red", "white", "blue"], // top, right
      ["white", "blue", "green", "red"], // bottom, right
      ["blue", "white", "red", "green"], // bottom, left
      ["red", "blue", "green", "white"], // left, top
      ["blue", "red", "white", "green"], // right, top
      ["white", "green", "blue", "red"], // right, bottom
      ["green", "white", "red", "blue"], // left, bottom
    ];
    for (const [i, expected] of seen.entries()) {
      const bytes = withOrientation(stored, i + 1, i % 3 === 0);
      await Deno.mkdir(`${folder}/${i}`);
      await Deno.writeFile(`${folder}/${i}/1.jpg`, bytes);
      for (const input of [`${folder}/${i}/1.jpg`, `${folder}/${i}`, "-"]) {
        const { frames, info, error } = await readAll(input, { stdin: streamOf(bytes) });
        const name = `orientation ${i + 1} of ${input}`;
        assertEquals([error, frames.length], [undefined, 1], name);
        assertEquals([info.width, info.height, info.sampleAspect], [
          ...(i < 4 ? [64, 32] : [32, 64]),
          undefined,
        ]);
        const at = (x: number, y: number) =>
          pixel(frames[0]!, x * (info.width - 9) + 4, y * (info.height - 9) + 4);
        [at(0, 0), at(1, 0), at(0, 1), at(1, 1)].forEach((rgb, k) =>
          near(rgb, corners[expected[k]!], 12, name)
        );
      }
    }
    await Deno.writeFile(`${folder}/0/2.jpg`, withOrientation(stored, 6, true));
    await assertRejects(() => openVideo(`${folder}/0`), UsageError, "not all turned the same way");
  }));

Deno.test("openVideo() converts every matrix, range and depth to the RGB that was meant", () =>
  inFolder(async (folder) => {
    const meant = [200, 50, 20];
    const matrices = {
      bt709: [0.2126, 0.0722],
      smpte170m: [0.299, 0.114],
      bt2020nc: [0.2627, 0.0593],
    } as const;
    for (const [matrix, [kr, kb]] of Object.entries(matrices)) {
      for (const range of ["tv", "pc"]) {
        for (const depth of [8, 10]) {
          const [r, g, b] = meant.map((v) => v / 255) as [number, number, number];
          const y = kr * r + (1 - kr - kb) * g + kb * b;
          const chroma = [(b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr)];
          const unit = 2 ** (depth - 8);
          const full = 2 ** depth - 1;
          const luma = Math.round(range === "tv" ? unit * (16 + 219 * y) : full * y);
          const [u, v] = chroma.map((c) => Math.round(128 * unit + c * (range === "tv" ? 224 * unit : full)));
          const format = depth === 8 ? "yuv420p" : "yuv420p10le";
          const file = `${folder}/${matrix}-${range}-${depth}.mkv`;
          await ffmpeg(
            ...LAVFI,
            `color=s=64x48,format=${format},geq=lum=${luma}:cb=${u}:cr=${v}`,
            "-frames:v",
            "1",
            "-c:v",
            "libx264",
            "-qp",
            depth === 8 ? "0" : "1",
            ...[
              "-colorspace",
              matrix,
              "-color_range",
              range,
              "-color_primaries",
              matrix === "bt2020nc" ? "bt2020" : matrix,
            ],
            file,
          );
          const { frames, info } = await readAll(file);
          near(pixel(frames[0]!, 30, 20), meant, 2, `${matrix} ${range} ${depth} bit:`);
          assertEquals(info.color?.matrix, matrix);
        }
      }
    }
  }));

Deno.test("openVideo() reads grey, palettes and alpha", () =>
  inFolder(async (folder) => {
    for (const format of ["gray", "gray16be", "pal8", "rgba", "rgb48be", "ya8", "monob"]) {
      await ffmpeg(
        ...LAVFI,
        "color=white:s=16x8",
        "-frames:v",
        "1",
        "-pix_fmt",
        format,
        `${folder}/${format}.png`,
      );
      const { frames } = await readAll(`${folder}/${format}.png`);
      near(pixel(frames[0]!, 3, 3), [255, 255, 255], 3, format);
    }
  }));

Deno.test("openVideo() tone-maps by the transfer function, and says so", () =>
  inFolder(async (folder) => {
    for (const [trc, name] of [["smpte2084", "PQ"], ["arib-std-b67", "HLG"]] as const) {
      const file = `${folder}/${name}.mkv`;
      const tags = [
        "-colorspace",
        "bt2020nc",
        "-color_primaries",
        "bt2020",
        "-color_trc",
        trc,
        "-color_range",
        "tv",
      ];
      // A ramp: tone mapping must keep its order.
      const ramp = "color=s=64x48,format=yuv420p10le,geq=lum='64+X*12':cb=512:cr=512";
      await ffmpeg(
        ...LAVFI,
        ramp,
        "-frames:v",
        "1",
        "-c:v",
        "libx265",
        "-x265-params",
        "log-level=0",
        ...tags,
        file,
      );
      const { frames, info } = await readAll(file);
      assertEquals(info.color, { matrix: "bt709", primaries: "bt709", transfer: "bt709" });
      assert(info.notes?.some((note) => note.includes(`${name} video is tone-mapped`)), `${info.notes}`);
      const values = [4, 14, 24, 34, 44].map((x) => pixel(frames[0]!, x, 20)[1]!);
      for (let i = 1; i < 5; i++) assert(values[i]! >= values[i - 1]!, `${name}: ${values}`);
      assert(values[4]! > 120 && values[0]! < 40, `${name}: ${values}`);
    }
  }));

Deno.test("openVideo() refuses what is not there or is no video, in one line", () =>
  inFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/text.mp4`, "This is text, whatever it is called.\n".repeat(50));
    await Deno.writeTextFile(`${folder}/empty.mp4`, "");
    await Deno.writeTextFile(`${folder}/text.png`, "no picture");
    await Deno.mkdir(`${folder}/folder`);
    await ffmpeg(...LAVFI, "sine=d=0.2", `${folder}/sound.wav`);
    await ffmpeg(...LAVFI, "color=s=16x16", "-frames:v", "1", `${folder}/cover.png`);
    const cover = ["-map", "0", "-map", "1", "-c:v", "copy", "-disposition:v", "attached_pic"];
    await ffmpeg("-i", `${folder}/sound.wav`, "-i", `${folder}/cover.png`, ...cover, `${folder}/sound.mp4`);
    await ffmpeg(...LAVFI, TEST, "-frames:v", "3", ...X264, `${folder}/ok.mp4`);
    const whole = await Deno.readFile(`${folder}/ok.mp4`);
    await Deno.writeFile(`${folder}/cut.mp4`, whole.slice(0, Math.floor(whole.length / 2))); // its index comes last
    const bad: [string, SourceOptions, RegExp][] = [
      ["missing.mp4", {}, /No such file/],
      ["text.mp4", {}, /cannot read/],
      ["empty.mp4", {}, /empty/],
      ["text.png", {}, /ffmpeg cannot read|No frame/],
      ["folder", {}, /folder without pictures/],
      ["sound.mp4", {}, /no video stream/],
      ["cut.mp4", {}, /cannot read.*moov/],
      ["no-*.png", {}, /No picture matches/],
      ["no-%03d.png", {}, /No picture matches/],
      ["ok.mp4/x", {}, /No such file/],
      ["ok.mp4", { start: 100 }, /No frame is left/],
      ["ok.mp4", { start: -1 }, /Not a time/],
      ["ok.mp4", { start: 2, end: 1 }, /end comes before/],
      ["ok.mp4", { frames: 0 }, /Not a number of frames/],
      ["ok.mp4", { stride: 1.5 }, /Not a stride/],
      ["ok.mp4", { shard: { index: 3, count: 2 } }, /Not a shard/],
      ["ok.mp4", { size: { width: 2, height: 2 } }, /--size is for raw/],
      ["ok.mp4", { inputFormat: "rgb24" }, /no header/],
      ["ok.mp4", { inputFormat: "y4m" }, /Not a Y4M/],
      ["ok.mp4", { inputFormat: "rgb24", size: { width: 9000, height: 5000 } }, /no whole rgb24 frame/],
    ];
    for (const [name, options, line] of bad) {
      const opening = openVideo(`${folder}/${name}`, options);
      const error = await opening.then(() => undefined, (error: unknown) => error);
      assert(error instanceof UsageError, `${name} ${JSON.stringify(options)}: ${error}`);
      assert(line.test(error.message), `${name}: ${error.message}`);
      assert(!error.message.includes("\n"), error.message);
    }
    for (
      const stdin of [
        "",
        "text, no video",
        "YUV4MPEG2 W0 H5 F25:1\n",
        "YUV4MPEG2 W5 H5 F0:0\n",
        "\x89PNG\r\n\x1a\n",
        "YUV4MPEG2 W2147483648 H9 F25:1\n",
        `YUV4MPEG2 W2 H2 F25:1 X${"x".repeat(9000)}\n`,
        "YUV4MPEG2 W4 H4 F1:1 C999\nFRAME\n",
      ]
    ) {
      const bytes = Uint8Array.from(stdin, (c) => c.charCodeAt(0));
      await assertRejects(() => openVideo("-", { stdin: streamOf(bytes) }), UsageError);
    }
    assertEquals(await processesWith(folder), []);
  }));

Deno.test("openVideo() ends its decoder when iteration stops or close() is called", () =>
  inFolder(async (folder) => {
    const file = `${folder}/a.mkv`;
    await ffmpeg(...LAVFI, "testsrc2=s=320x240:r=25", "-frames:v", "100", ...X264, file);
    const stopped = await openVideo(file);
    for await (const frame of stopped.frames()) if (frame.index === 3) break;
    assertEquals(await processesWith(folder), []);
    const closed = await openVideo(file);
    await closed.close();
    await closed.close();
    assertEquals(await processesWith(folder), []);
  }));

Deno.test("locateFfmpeg() fails with the line that installs one", async () => {
  const error = await assertRejects(() => locateFfmpeg("/nowhere/ffmpeg"), FfmpegError);
  assertEquals(error.exitCode, 4);
  assert(/install it with/.test(error.message), error.message);
  await assertRejects(() => locateFfmpeg("/bin/true"), FfmpegError, "not an ffmpeg");
});

Deno.test("parseDescription() is not misled by metadata that looks like a stream", () => {
  const text = `Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'x':
  Metadata:
    title           :   Stream #0:5: Video: h264, rgb24, 1x1
  Duration: 00:01:02.50, start: 0.500000, bitrate: 1 kb/s
  Stream #0:0[0x1](und): Video: hevc (Main 10) (hvc1 / 0x31637668), yuv420p10le(tv, bt2020nc/bt2020/smpte2084, top first), 640x360 [SAR 1:1 DAR 16:9], 391 kb/s, 29.83 fps, 29.83 tbr, 11456 tbn (default)
    Side data:
      displaymatrix: rotation of -90.00 degrees
  Stream #0:1(eng): Audio: aac (LC) (mp4a / 0x6134706D), 44100 Hz, mono, fltp, 69 kb/s (default)
  Stream #0:2: Video: png, rgb24(pc), 16x16, 90k tbr, 90k tbn (attached pic)
At least one output file must be specified`;
  const result = parseDescription(text);
  assert("probe" in result);
  assertEquals(result.probe, {
    format: "mov,mp4,m4a,3gp,3g2,mj2",
    start: 0.5,
    duration: 62.5,
    streams: [
      { index: 0, kind: "video", codec: "hevc" },
      { index: 1, kind: "audio", codec: "aac" },
      { index: 2, kind: "attachment", codec: "png" },
    ],
    extras: ["title"],
    video: {
      codec: "hevc",
      pixelFormat: "yuv420p10le",
      width: 640,
      height: 360,
      range: "tv",
      matrix: "bt2020nc",
      primaries: "bt2020",
      transfer: "smpte2084",
      interlaced: true,
      rotation: -90,
      fps: 29.83,
      ticks: 11456,
    },
  });
});

Deno.test("parseSize() and parseRate() take what can be and nothing else", () => {
  assertEquals(parseSize("640x360"), { width: 640, height: 360 });
  assertEquals(parseRate("30000/1001"), { num: 30000, den: 1001 });
  assertEquals(parseRate("29.97"), { num: 2997, den: 100 });
  for (
    const text of [
      "",
      "0x5",
      "5x0",
      "640",
      "-1x5",
      "1e3x5",
      "99999x99999",
      "16384x16384",
      "5x5x5",
      "640 x 360",
    ]
  ) {
    assertRejects(() => Promise.resolve().then(() => parseSize(text)), UsageError);
  }
  for (const text of ["", "0", "0/0", "25/0", "-1", "1e9", "nan", "1/2/3", "999999999"]) {
    assertRejects(() => Promise.resolve().then(() => parseRate(text)), UsageError);
  }
});

Deno.test("parseY4mHeader() knows the size of every colour space", () => {
  const bytes = (space: string) => parseY4mHeader(`YUV4MPEG2 W5 H3 F25:1 C${space}`).frameBytes;
  assertEquals(["420jpeg", "422", "444", "mono", "411", "420p10", "444alpha"].map(bytes), [
    27,
    33,
    45,
    15,
    27,
    54,
    60,
  ]);
});
