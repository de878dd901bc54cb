/**
 * Inputs and options that cannot be, made from whole ones: each is refused in one line with its exit code.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { fuzz } from "../bench/fuzz/fuzz.ts";
import { readers, reseal } from "../bench/fuzz/readers.ts";
import { parseCommand } from "../lib/cli/command.ts";
import { segmentCommand } from "../lib/cli/options.ts";
import { UsageError, WalkcutError } from "../lib/errors.ts";
import { NutWriter } from "../lib/ffmpeg/nut.ts";
import { encodeNpy, readSquareNpy } from "../lib/npy.ts";
import { openVideo, type SourceOptions } from "../lib/source/mod.ts";
import { ffmpeg, inFolder, names, streamOf } from "./io_media.ts";
import { walkcut } from "./program.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** A damaged input. */
interface Bad {
  readonly name: string;
  readonly bytes: Bytes;
  /** True where what is damaged may not matter: it is refused, or read. */
  readonly mayPass?: true;
  readonly options?: SourceOptions;
}

const text = (line: string): Bytes => Uint8Array.from(line, (c) => c.charCodeAt(0));
const join = (...parts: readonly Uint8Array[]): Bytes => Uint8Array.from(parts.flatMap((part) => [...part]));
const big = (value: number): Bytes => Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
/** Values at which fields of 32 bits break. */
const EDGES = [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];

function patched(bytes: Bytes, at: number, value: Uint8Array): Bytes {
  const copy = bytes.slice();
  copy.set(value, at);
  return copy;
}

function cuts(name: string, bytes: Bytes, at: readonly number[], mayPass?: true): Bad[] {
  return at.filter((length) => length < bytes.length).map((length) => ({
    name: `${name} cut at ${length}`,
    bytes: bytes.slice(0, length),
    ...(mayPass ? { mayPass } : {}),
  }));
}

function badY4m(): Bad[] {
  const fields = ["YUV4MPEG2", "W8", "H6", "F25:1", "Ip", "A1:1", "C420jpeg"];
  const header = fields.join(" ") + "\n";
  const frame = join(text("FRAME\n"), new Uint8Array(72));
  const whole = join(text(header), frame, frame);
  const starts = fields.map((_, i) => fields.slice(0, i).join(" ").length);
  const replaced = (from: string, to: string): Bad => ({
    name: `Y4M ${to.slice(0, 20)}`,
    bytes: join(text(header.replace(from, to)), frame),
  });
  const sizes = ["0", "-1", "2147483647", "2147483648", "16385", "1e3", "", "999999999999999999999"];
  const rates = ["0:0", "-1:1", "25:0", "0:1", "25", "x:y"];
  return [
    ...cuts("Y4M", whole, [
      ...starts,
      header.length - 1,
      header.length,
      header.length + 3,
      header.length + 40,
    ]),
    ...cuts("Y4M", whole, [header.length + frame.length + 2, whole.length - 1]),
    ...sizes.flatMap((size) => [replaced("W8", `W${size}`), replaced("H6", `H${size}`)]),
    ...rates.map((rate) => replaced("F25:1", `F${rate}`)),
    ...["C421", "C420p99", "C", "Cmono0"].map((space) => replaced("C420jpeg", space)),
    replaced("A1:1", `A1:1 X${"a".repeat(1 << 20)}`),
    { name: "Y4M without end of line", bytes: text("YUV4MPEG2 " + "X".repeat(1 << 20)) },
    { name: "Y4M FRAME with a bomb", bytes: join(text(header), text(`FRAME X${"a".repeat(1 << 20)}`)) },
    { name: "Y4M FRAMED", bytes: join(text(header), frame, text("FRAMED\n"), new Uint8Array(72)) },
    { name: "Y4M zeros for a frame", bytes: join(text(header), frame, new Uint8Array(78)) },
  ];
}

function badNut(): Bad[] {
  const nut = new NutWriter({
    ...{ width: 8, height: 6, pixelFormat: "rgb24", timeBase: { num: 1, den: 25 } },
    frameRate: { num: 25, den: 1 },
  });
  const header = nut.header();
  const frames = [0, 1].map((pts) => join(nut.frameHeader(pts), new Uint8Array(144).fill(90)));
  const whole = join(header, ...frames);
  const startcodes = [...header.keys()].filter((i) => header[i] === 0x4e && i > 20);
  const flips = Array.from({ length: 16 }, (_, i) => 25 + Math.floor(i * (header.length - 25) / 16));
  return [
    ...cuts("NUT", whole, [5, 24, 25, ...startcodes.flatMap((at) => [at, at + 4, at + 9])]),
    ...cuts("NUT", whole, [header.length, header.length + 10, header.length + 80]),
    ...cuts("NUT", whole, [whole.length - 1], true),
    ...flips.map((at): Bad => ({
      name: `NUT bit at ${at}`,
      bytes: reseal(patched(whole, at, Uint8Array.of(header[at]! ^ 64))),
      mayPass: true,
    })),
  ];
}

/** Offsets of an MP4 file's boxes, those inside `moov`, `trak` and the like too. */
function boxes(bytes: Bytes, from = 0, to = bytes.length): { at: number; type: string; size: number }[] {
  const view = new DataView(bytes.buffer);
  const found = [];
  for (let at = from; at + 8 <= to;) {
    const size = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    found.push({ at, type, size });
    if (/^(moov|trak|mdia|minf|stbl)$/.test(type)) found.push(...boxes(bytes, at + 8, at + size));
    if (size < 8) break;
    at += size;
  }
  return found;
}

async function badMp4(folder: string): Promise<Bad[]> {
  const path = `${folder}/whole.mp4`;
  const clip = ["-f", "lavfi", "-i", "testsrc2=size=32x24:rate=5:duration=1", "-pix_fmt", "yuv420p"];
  await ffmpeg(...clip, "-c:v", "libx264", "-preset", "ultrafast", "-movflags", "+faststart", path);
  const whole = await Deno.readFile(path);
  const parts = boxes(whole);
  const mdat = parts.find(({ type }) => type === "mdat")!.at;
  const stsd = parts.find(({ type }) => type === "stsd")!.at;
  // Behind the sample entry's size and type, reserved bytes and versions.
  const [width, height] = [stsd + 16 + 32, stsd + 16 + 34];
  return [
    ...cuts("MP4", whole, parts.filter(({ at }) => at < mdat && at > 0).flatMap(({ at }) => [at, at + 6])),
    ...cuts("MP4", whole, [mdat + 8, mdat + 60]),
    ...parts.filter(({ type }) => /^(moov|trak|stsd|stsz|stts|mdat)$/.test(type)).flatMap(({ at, type }) =>
      EDGES.map((size): Bad => ({
        name: `MP4 ${type} of ${size} bytes`,
        bytes: patched(whole, at, big(size)),
        mayPass: true,
      }))
    ),
    ...[0, 1, 65535].flatMap((size) =>
      [width, height].map((at): Bad => ({
        name: `MP4 side of ${size}`,
        bytes: patched(whole, at, Uint8Array.of(size >> 8, size & 255)),
        mayPass: true,
      }))
    ),
    ...parts.filter(({ type }) => /^(mvhd|mdhd)$/.test(type)).map(({ at, type }): Bad => ({
      name: `MP4 ${type} without a clock`,
      bytes: patched(whole, at + 20, big(0)),
      mayPass: true,
    })),
  ];
}

async function badPng(folder: string): Promise<Bad[]> {
  const path = `${folder}/whole.png`;
  await ffmpeg("-f", "lavfi", "-i", "testsrc2=size=32x24", "-frames:v", "1", path);
  const whole = await Deno.readFile(path);
  const idat = String.fromCharCode(...whole).indexOf("IDAT") - 4;
  return [
    ...cuts("PNG", whole, [4, 8, 12, 16, 20, 29, 33, idat + 4, idat + 8, idat + 20]),
    ...EDGES.filter((size) => size !== 1).flatMap((size) => [
      { name: `PNG ${size} wide`, bytes: patched(whole, 16, big(size)) },
      { name: `PNG ${size} high`, bytes: patched(whole, 20, big(size)) },
    ]),
    ...[0, 3, 255].map((depth) => ({
      name: `PNG depth ${depth}`,
      bytes: patched(whole, 24, Uint8Array.of(depth)),
    })),
    ...EDGES.map((size): Bad => ({
      name: `PNG IDAT of ${size} bytes`,
      bytes: patched(whole, idat, big(size)),
      mayPass: true,
    })),
  ];
}

function badRaw(): Bad[] {
  const size = { width: 8, height: 6 };
  return (["rgb24", "rgba", "gray8"] as const).flatMap((inputFormat) => [
    { name: `${inputFormat} of nothing`, bytes: new Uint8Array(0), options: { inputFormat, size } },
    {
      name: `${inputFormat} of less than a frame`,
      bytes: new Uint8Array(47),
      options: { inputFormat, size },
    },
    { name: `${inputFormat} that ends inside`, bytes: new Uint8Array(200), options: { inputFormat, size } },
    { name: `${inputFormat} without --size`, bytes: new Uint8Array(200), options: { inputFormat } },
    {
      name: `${inputFormat} that ends before --start`,
      bytes: new Uint8Array(192),
      options: { inputFormat, size, start: 100 },
    },
  ]);
}

function badElse(): Bad[] {
  return [
    { name: "nothing", bytes: new Uint8Array(0) },
    { name: "a byte", bytes: new Uint8Array(1) },
    { name: "zeros", bytes: new Uint8Array(100_000) },
    { name: "text", bytes: text("This is no video.\n".repeat(500)) },
    { name: "a playlist of other files", bytes: text("ffconcat version 1.0\nfile /etc/passwd\n") },
    { name: "an HLS playlist", bytes: text("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n#EXT-X-ENDLIST\n") },
    { name: "a JPEG's start", bytes: Uint8Array.of(0xff, 0xd8, 0xff, 0xe0) },
    { name: "a GIF's start", bytes: text("GIF89a\x01\x00") },
    { name: "a GIF of no size", bytes: join(text("GIF89a"), new Uint8Array(7), text(";")) },
    { name: "a Matroska's start", bytes: Uint8Array.of(0x1a, 0x45, 0xdf, 0xa3, 0xff, 0xff) },
  ];
}

/** What reading all of an input comes to. */
async function outcome(bad: Bad, wrapped: string): Promise<{ frames: number; error?: unknown }> {
  let frames = 0;
  try {
    const source = await openVideo("-", { stdin: streamOf(bad.bytes), ffmpeg: wrapped, ...bad.options });
    try {
      for await (const _ of source.frames()) frames++;
    } finally {
      await source.close();
    }
    return { frames };
  } catch (error) {
    return { frames, error };
  }
}

/** What is wrong with how an input ended; undefined where nothing is. */
function verdict(bad: Bad, { frames, error }: { frames: number; error?: unknown }): string | undefined {
  if (error === undefined) {
    return bad.mayPass && frames > 0 ? undefined : `${bad.name}: was read, ${frames} frames`;
  }
  if (!(error instanceof WalkcutError)) {
    return `${bad.name}: ${error instanceof Error ? error.stack : error}`;
  }
  const code = frames > 0 ? 1 : 2;
  if (error.exitCode !== code) return `${bad.name}: code ${error.exitCode} for ${code}: ${error.message}`;
  return /\n/.test(error.message) ? `${bad.name}: several lines: ${error.message}` : undefined;
}

Deno.test("inputs that are cut off, flipped and lie about their size are refused in one line", () =>
  inFolder(async (folder) => {
    // An ffmpeg that cannot take more memory than a run may.
    const wrapped = `${folder}/ffmpeg`;
    await Deno.writeTextFile(wrapped, `#!/bin/sh\nulimit -v 1500000\nexec ffmpeg "$@"\n`, { mode: 0o755 });
    const inputs = [
      ...badY4m(),
      ...badNut(),
      ...await badMp4(folder),
      ...await badPng(folder),
      ...badRaw(),
      ...badElse(),
    ];
    const wrong: string[] = [];
    let most = 0;
    const queue = inputs.values();
    const worker = async () => {
      for (const bad of queue) {
        const late = Promise.withResolvers<{ frames: number; error: unknown }>();
        const timer = setTimeout(() => late.resolve({ frames: 0, error: "it hangs" }), 60_000);
        const problem = verdict(bad, await Promise.race([outcome(bad, wrapped), late.promise]));
        clearTimeout(timer);
        if (problem !== undefined) wrong.push(problem);
        most = Math.max(most, Deno.memoryUsage().rss);
      }
    };
    await Promise.all([worker(), worker(), worker()]);
    console.log(`${inputs.length} bad inputs, at most ${Math.round(most / 1e6)} MB`);
    assertEquals(wrong, []);
    assert(inputs.length >= 150, `${inputs.length}`);
    assert(most < 1.5e9, `${most}`);
  }));

Deno.test("matrices that are cut off or lie about themselves are refused in one line", () =>
  inFolder(async (folder) => {
    const whole = encodeNpy(new Float32Array(16).fill(1), [4, 4]);
    const header = (from: string, to: string) => {
      const changed = String.fromCharCode(...whole.subarray(0, 128)).replace(from, to);
      return join(text(changed.slice(0, 127).padEnd(127) + "\n"), whole.subarray(128));
    };
    const shapes = [
      "0, 0",
      "4, 5",
      "-4, -4",
      "2147483648, 2147483648",
      "16",
      "4, 4, 1",
      "",
      "nan, 4",
      "1e9, 1e9",
    ];
    const inputs: Bad[] = [
      ...cuts("NPY", whole, [0, 1, 5, 6, 7, 8, 9, 10, 11, 20, 60, 100, 127, 128, 129, 191]),
      ...shapes.map((shape) => ({ name: `NPY shape (${shape})`, bytes: header("(4, 4)", `(${shape})`) })),
      ...[">f4", "|O", "<i8", "<f2", "<c8", ""].map((type) => ({
        name: `NPY ${type}`,
        bytes: header("<f4", type),
      })),
      { name: "NPY in Fortran order", bytes: header("False", "True ") },
      ...[0, 4, 255].map((version) => ({
        name: `NPY version ${version}`,
        bytes: patched(whole, 6, Uint8Array.of(version)),
      })),
      ...[0, 1, 0x7fff, 0xffff].map((length) => ({
        name: `NPY header of ${length} bytes`,
        bytes: patched(whole, 8, Uint8Array.of(length & 255, length >> 8)),
      })),
      { name: "NPY with more than it says", bytes: join(whole, new Uint8Array(4)) },
    ];
    const wrong: string[] = [];
    for (const bad of inputs) {
      await Deno.writeFile(`${folder}/m.npy`, bad.bytes);
      const error = await readSquareNpy(`${folder}/m.npy`, 16384).then(
        () => undefined,
        (error: unknown) => error,
      );
      const problem = verdict(bad, { frames: 0, error });
      if (problem !== undefined) wrong.push(problem);
    }
    console.log(`${inputs.length} bad matrices`);
    assertEquals(wrong, []);
  }));

/** Values that no option of a kind takes. */
function badValues(option: (typeof segmentCommand.options)[number]): string[] {
  const words = ["", "x", "1e309", "0x10", "NaN", " 1", "1,5"];
  switch (option.kind) {
    case "number":
    case "integer": {
      const { min, max } = { min: undefined, max: undefined, ...option } as { min?: number; max?: number };
      return [
        ...words,
        ...(option.kind === "integer" ? ["1.5", "9007199254740993"] : []),
        ...(min === undefined ? [] : [String(min - 1), "-2147483648"]),
        ...(max === undefined ? [] : [String(max + 1), "2147483648"]),
      ];
    }
    case "integers":
      return ["", "x", "1,,2", "1,x", "-1", "1.5", "4294967296"];
    case "choice":
      return ["", "x", "OVERLAY", "0"];
    case "size":
      return ["", "x", "0x0", "0x5", "-1x5", "8x", "2147483648x1", "16385x1", "16384x16384", "8x6x3"];
    case "rate":
      return ["", "x", "0", "-1", "0/0", "1/0", "0/1", "1e9", "2147483648/1", "25/-1"];
    case "time":
      return ["", "x", "-1", "1:60", "1:2:3:4", "1e3", "NaN"];
    case "shard":
      return ["", "x", "0/4", "5/4", "1/0", "-1/4", "1.5/4", "1", "1/2/3"];
    default:
      return [""];
  }
}

Deno.test("values that no option takes are refused in one line that names the option", () => {
  let count = 0;
  for (const option of segmentCommand.options) {
    if (option.kind === "flag") continue;
    for (const value of badValues(option)) {
      count++;
      const args = ["in.mp4", `--${option.name}=${value}`];
      let error: unknown;
      try {
        parseCommand(segmentCommand, args);
      } catch (thrown) {
        error = thrown;
      }
      assert(error instanceof UsageError, `${args[1]}: ${error ?? "was taken"}`);
      assert(!/\n/.test(error.message), error.message);
    }
  }
  console.log(`${count} bad values of options`);
  assert(count >= 100);
});

Deno.test("the program ends on bad inputs and options with its code, one line and no file", () =>
  inFolder(async (folder) => {
    await Deno.mkdir(`${folder}/empty`);
    const all = [...badY4m(), ...badNut(), ...await badMp4(folder), ...await badPng(folder), ...badElse()]
      .filter(({ mayPass }) => !mayPass);
    const chosen = all.filter((_, i) => i % 12 === 5);
    for (const [i, { bytes }] of chosen.entries()) await Deno.writeFile(`${folder}/bad${i}`, bytes);
    await Deno.writeTextFile(`${folder}/whole.mp4.txt`, "x");
    const before = await names(folder);
    const calls = [
      ...chosen.map((_, i) => [`bad${i}`, "-o", "out.mkv"]),
      ["whole.mp4", "--size", "2147483648x1"],
      ["whole.mp4", "--fps", "0/0", "-o", "out.mkv"],
      ["whole.mp4", "--start", "1e9"],
      ["whole.mp4", "--start", "99999"],
      ["whole.mp4", "--shard", "1/9", "-o", "out.mkv"],
      ["whole.mp4", "-o", "out.xyz"],
      ["whole.mp4", "-o", "out.mkv", "--codec", "no-such"],
      ["whole.mp4", "-o", "out.mkv", "--pix-fmt", "no-such"],
      ["empty", "-o", "out.mkv"],
      ["whole.mp4.txt", "-o", "out.mkv"],
    ].map((args) => [...args, "--null-model"]);
    const queue = calls.values();
    const worker = async () => {
      for (const args of queue) {
        const { code, stdout, stderr } = await walkcut(folder, args);
        const what = `walkcut ${args.join(" ")}: ${stderr}`;
        assertMatch(stderr, /^walkcut: [^\n]+\n$/, what);
        // With whole frames before the damage it is a failure of the run.
        assertEquals(code, /lie in/.test(stderr) ? 1 : 2, what);
        assertEquals(stdout.length, 0, what);
      }
    };
    await Promise.all([worker(), worker()]);
    console.log(`${calls.length} runs of the program`);
    assertEquals((await names(folder)).filter((name) => !/partial|resume/.test(name)), before);
  }));

Deno.test("fuzz() finds nothing that is no refusal, and finds what throws", () =>
  inFolder(async (folder) => {
    const seed = Math.floor(Math.random() * 2 ** 32);
    const options = { seed, minutes: 2, most: 400, out: `${folder}/kept`, tell: () => {} };
    const { inputs, refused, failures } = await fuzz({ ...options, readers });
    assertEquals(Object.values(inputs), readers.map(() => 400), `seed ${seed}`);
    assertEquals(failures, [], `seed ${seed}`);
    assert(refused > 200, `seed ${seed}`);
    // A reader that trips over what it does not know is caught, and its input kept.
    const careless = {
      ...readers[0]!,
      read: (bytes: Bytes) =>
        bytes.length < 50 ? Promise.reject(new RangeError("careless")) : Promise.resolve(),
    };
    const caught = await fuzz({ ...options, readers: [careless] });
    assert(caught.failures.length > 0, `seed ${seed}`);
    for (const path of caught.failures) assert((await Deno.stat(path)).size < 50);
  }));

Deno.test("names of outputs are names and nothing else", () =>
  inFolder(async (folder) => {
    await badMp4(folder);
    const odd = [
      ...["-x.mp4", "pipe:1.mkv", "http:x.mp4", "concat:a|b.mkv", "file:z.mov", "crypto:q.mkv", "x%d.mkv"],
      ...[`a b'c"d.mp4`, "new\nline.mkv", "$(touch pwned);`touch pwned`.mp4", "*?[a].mkv", "C:\\x.mkv"],
    ];
    const outputs = odd.flatMap((name) => [`--output=${name}`, `--labels=l${name}.mkv`]);
    const { code, stdout, stderr } = await walkcut(folder, ["whole.mp4", "--null-model", "-q", ...outputs]);
    assertEquals([code, stdout.length, stderr], [0, 0, ""]);
    assertEquals(
      await names(folder),
      ["whole.mp4", ...odd, ...odd.map((name) => `l${name}.mkv`)].sort(),
    );
  }));
