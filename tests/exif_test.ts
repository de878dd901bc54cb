import { assert, assertEquals, assertRejects } from "@std/assert";
import { crc32 } from "node:zlib";
import { UsageError } from "../lib/errors.ts";
import { uniform } from "../lib/random.ts";
import { bytesOf, orientationOf } from "../lib/source/exif.ts";
import { openVideo } from "../lib/source/mod.ts";
import { ffmpeg, inFolder, streamOf } from "./io_media.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const text = (letters: string) => Uint8Array.from(letters, (c) => c.charCodeAt(0));

function joined(...parts: readonly Uint8Array[]): Bytes {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
  return all;
}

function number(value: number, bytes: 2 | 4, little: boolean): Bytes {
  const view = new DataView(new ArrayBuffer(bytes));
  if (bytes === 2) view.setUint16(0, value, little);
  else view.setUint32(0, value, little);
  return new Uint8Array(view.buffer);
}

/** A TIFF structure of one other tag and the orientation. */
function exif(orientation: number, little: boolean): Bytes {
  const [short, long] = [2, 4].map((size) => (value: number) => number(value, size as 2 | 4, little));
  const entry = (tag: number, value: number) =>
    joined(short!(tag), short!(3), long!(1), short!(value), short!(0));
  return joined(
    text(little ? "II*\0" : "MM\0*"),
    ...[long!(8), short!(2), entry(0x0100, 7), entry(0x0112, orientation), long!(0)],
  );
}

function chunk(name: string, data: Bytes): Bytes {
  const body = joined(text(name), data);
  return joined(number(data.length, 4, false), body, number(crc32(body), 4, false));
}

/** Puts Exif into a picture of a kind where writers put it. */
const PLACES: Readonly<Record<string, (picture: Bytes, data: Bytes) => Bytes>> = {
  "jpg, first": (p, data) =>
    joined(
      p.slice(0, 2),
      text("\xff\xe1"),
      number(data.length + 8, 2, false),
      text("Exif\0\0"),
      data,
      p.slice(2),
    ),
  "png, first": (p, data) => joined(p.slice(0, 33), chunk("eXIf", data), p.slice(33)),
  "png, last": (p, data) =>
    joined(p.slice(0, -12), chunk("eXIf", data), chunk("tEXt", text("a\0b")), p.slice(-12)),
  "webp, last": (p, data) => extended(p, data),
  "webp, with a name": (p, data) => extended(p, joined(text("Exif\0\0"), data)),
};

function extended(webp: Bytes, data: Bytes): Bytes {
  const even = (part: Bytes) => part.length % 2 ? joined(part, text("\0")) : part;
  const size = (pixels: number) => number(pixels - 1, 4, true).slice(0, 3);
  const canvas = joined(text("\x08\0\0\0"), size(48), size(32));
  const body = joined(
    ...[text("WEBPVP8X"), number(canvas.length, 4, true), canvas, webp.slice(12)],
    ...[text("EXIF"), number(data.length, 4, true), even(data)],
  );
  return joined(text("RIFF"), number(body.length, 4, true), body);
}

/** The four corners of a picture's colours, in letters: `"rgbw"` is stored. */
async function corners(input: string, bytes: Bytes): Promise<string> {
  const source = await openVideo(input, { stdin: streamOf(bytes) });
  try {
    for await (const { data, width, height } of source.frames()) {
      const at = (x: number, y: number) => {
        const from = 3 * (x * (width - 9) + 4 + width * (y * (height - 9) + 4));
        const high = [...data.subarray(from, from + 3)].map((level) => level > 128 ? "1" : "0").join("");
        return ({ 100: "r", "010": "g", "001": "b", 111: "w" } as Record<string, string>)[high] ?? "?";
      };
      return at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1) + (width > height ? "" : ", upright");
    }
    return "none";
  } finally {
    await source.close();
  }
}

/** Stored pictures of each kind, red and green above blue and white. */
async function stored(folder: string): Promise<Map<string, Bytes>> {
  const colours = "r='250*(eq(lt(X,24),lt(Y,16)))':g='250*gte(X,24)':b='250*gte(Y,16)'";
  await ffmpeg(
    ...[
      "-f",
      "lavfi",
      "-i",
      `color=s=48x32,format=rgb24,geq=${colours}`,
      "-frames:v",
      "1",
      `${folder}/p.png`,
    ],
  );
  for (const [name, ...args] of [["p.jpg", "-q:v", "1"], ["p.webp", "-lossless", "1"], ["p.tiff"]] as const) {
    await ffmpeg("-i", `${folder}/p.png`, ...args, `${folder}/${name}`);
  }
  const kinds = ["png", "jpg", "webp", "tiff"];
  return new Map(
    await Promise.all(
      kinds.map(async (kind) => [kind, await Deno.readFile(`${folder}/p.${kind}`)] as [string, Bytes]),
    ),
  );
}

/** What the stored corners are seen as, by orientation. */
const SEEN = [
  "rgbw",
  "grwb",
  "wbgr",
  "bwrg",
  "rbgw, upright",
  "brwg, upright",
  "wgbr, upright",
  "gwrb, upright",
];

Deno.test("openVideo() turns PNG and WebP, and TIFF by its tag, once: files, folders and pipes", () =>
  inFolder(async (folder) => {
    const pictures = await stored(folder);
    for (const [i, [place, put]] of Object.entries(PLACES).entries()) {
      const kind = place.split(",")[0]!;
      // Each way of turning somewhere; the quarter turns, which change the size, everywhere.
      for (const orientation of [6, [2, 4, 5, 8, 7][i]!]) {
        const bytes = put(pictures.get(kind)!, exif(orientation, i % 2 === 0));
        const inputs = [`${folder}/${i}-${orientation}`, "-"];
        await Deno.mkdir(inputs[0]!);
        await Deno.writeFile(`${inputs[0]}/1.${kind}`, bytes);
        // Behind the picture's data a stream of PNGs cannot be looked into.
        if (place === "png, last") inputs.pop();
        for (const input of inputs) {
          assertEquals(
            await corners(input, bytes),
            SEEN[orientation - 1],
            `${place} ${orientation} ${input}`,
          );
        }
        if (orientation !== 6 || place !== "png, first") continue;
        await Deno.writeFile(`${inputs[0]}/2.png`, pictures.get("png")!);
        await assertRejects(() => openVideo(inputs[0]!), UsageError, "not all turned the same way");
      }
    }
    const tiff = pictures.get("tiff")!;
    const view = new DataView(tiff.buffer);
    const [directory, little] = [view.getUint32(4, true), true];
    // In the place of the first tag, which is not needed, the others move up to where the orientation belongs.
    const entries = Array.from(
      { length: view.getUint16(directory, little) },
      (_, i) => directory + 2 + 12 * i,
    );
    const before = entries.findLast((at) => view.getUint16(at, little) < 0x0112)!;
    tiff.copyWithin(entries[0]!, entries[1]!, before + 12);
    tiff.set(exif(8, little).slice(22, 34), before);
    await Deno.writeFile(`${folder}/turned.tiff`, tiff);
    assertEquals(await corners(`${folder}/turned.tiff`, tiff), SEEN[7]);
  }));

Deno.test("orientationOf() takes what is damaged for upright, and reads each orientation in both byte orders", () =>
  inFolder(async (folder) => {
    const pictures = await stored(folder);
    const seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
    const random = uniform(seed);
    for (const [place, put] of Object.entries(PLACES)) {
      const kind = place.split(",")[0]!;
      const of = (bytes: Bytes) => orientationOf(`${kind === "jpg" ? "jpeg" : kind}_pipe`, bytesOf(bytes));
      const plain = pictures.get(kind)!;
      assertEquals(await of(plain), 1, place);
      for (let orientation = 1; orientation <= 8; orientation++) {
        for (const little of [true, false]) {
          assertEquals(await of(put(plain, exif(orientation, little))), orientation, place);
        }
      }
      for (
        const data of [
          exif(0, true),
          exif(9, false),
          exif(65535, true),
          text(""),
          text("II*\0"),
          text("Exif"),
        ]
      ) {
        assertEquals(await of(put(plain, data)), 1, place);
      }
      const whole = put(plain, exif(6, true));
      for (let length = 0; length < whole.length; length += length < 300 ? 1 : 41) {
        assert([1, 6].includes(await of(whole.slice(0, length))), `${place}, ${length} bytes`);
      }
      const data = exif(6, true);
      for (let length = 0; length < 34; length++) {
        assertEquals(await of(put(plain, data.slice(0, length))), 1);
      }
      for (let run = 0; run < 300; run++) {
        const damaged = whole.slice();
        for (let flips = 0; flips < 8; flips++) {
          damaged[Math.floor(random() * damaged.length)] = random() * 256;
        }
        const found = await of(damaged);
        assert(Number.isInteger(found) && found >= 1 && found <= 8, `${place}, seed ${seed}: ${found}`);
      }
    }
  }));
