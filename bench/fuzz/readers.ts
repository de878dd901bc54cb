/**
 * The readers of files that nobody checked, each with bytes that it takes.
 *
 * @module
 */
import { openSafetensors, readFloat32 } from "../../lib/checkpoint/safetensors.ts";
import { nutCrc, NutReader, NutWriter } from "../../lib/ffmpeg/nut.ts";
import { encodeNpy, readSquareNpy } from "../../lib/npy.ts";
import { Y4mGuard } from "../../lib/source/guard.ts";
import { openRaw } from "../../lib/source/raw.ts";
import type { Dice } from "./mutate.ts";

/** Reads bytes to their end; `path` is a file that holds them. */
export type Read = (bytes: Uint8Array<ArrayBuffer>, path: string, dice: Dice) => Promise<void>;

/** A reader, and whole inputs of it. */
export interface FuzzedReader {
  readonly name: string;
  /** True where it reads a file and not a stream. */
  readonly file: boolean;
  readonly samples: readonly Uint8Array<ArrayBuffer>[];
  readonly read: Read;
}

const text = (line: string) => Uint8Array.from(line, (c) => c.charCodeAt(0));

const FRAME = new Uint8Array(8 * 6 * 3).map((_, i) => i);

/** All of them. */
export const readers: readonly FuzzedReader[] = [
  {
    name: "y4m",
    file: false,
    samples: [y4m("W8 H6 F25:1 Ip A1:1 C420jpeg", 72), y4m("W7 H5 F30000:1001 C444p10 XYSCSS=444P10", 210)],
    // deno-lint-ignore require-await -- readers are asynchronous
    read: async (bytes, _path, dice) => {
      const guard = new Y4mGuard();
      for (let at = 0; at < bytes.length;) guard.see(bytes.subarray(at, at += 1 + dice.below(99)));
      guard.end();
    },
  },
  {
    name: "raw",
    file: false,
    samples: [new Uint8Array(640)],
    read: async (bytes, _path, dice) => {
      const source = await openRaw(pieces(bytes, dice), {
        format: dice.pick(["rgb24", "rgba", "gray8"]),
        size: { width: 1 + dice.below(20), height: 1 + dice.below(20) },
        fps: { num: 25, den: 1 },
        first: dice.below(3),
        last: dice.pick([Infinity, 5]),
        stride: 1 + dice.below(3),
      });
      for await (const _ of source.frames());
    },
  },
  {
    name: "nut",
    file: false,
    samples: [nut("rgb24", 3), nut("gray", 1)],
    read: async (bytes, _path, dice) => {
      // Half of them with right checksums, or damage would go no deeper than those.
      const reader = await NutReader.open(pieces(dice.below(2) ? reseal(bytes) : bytes, dice));
      while (await reader?.read());
    },
  },
  {
    name: "npy",
    file: true,
    samples: [
      encodeNpy(new Float32Array(16).fill(1), [4, 4]),
      encodeNpy(new Float64Array(9).fill(1), [3, 3]),
    ],
    read: async (_bytes, path) => {
      await readSquareNpy(path, 4096);
    },
  },
  {
    name: "safetensors",
    file: true,
    samples: [safetensors()],
    read: async (_bytes, path) => {
      const source = await openSafetensors(path);
      try {
        for (const name of source.tensors.keys()) await readFloat32(source, name);
      } finally {
        source.close();
      }
    },
  },
];

function y4m(header: string, frameBytes: number): Uint8Array<ArrayBuffer> {
  const frames = Array.from({ length: 3 }, () => [...text("FRAME\n"), ...new Uint8Array(frameBytes)]);
  return Uint8Array.from([...text(`YUV4MPEG2 ${header}\n`), ...frames.flat()]);
}

function nut(pixelFormat: "rgb24" | "gray", bytes: number): Uint8Array<ArrayBuffer> {
  const writer = new NutWriter({
    ...{ width: 8, height: 6, pixelFormat, timeBase: { num: 1, den: 90_000 } },
    frameRate: { num: 25, den: 1 },
  });
  const parts = [writer.header()];
  for (const pts of [0, 3600, 7300]) {
    parts.push(writer.frameHeader(pts), FRAME.subarray(0, 8 * 6 * bytes) as Uint8Array<ArrayBuffer>);
  }
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** Gives each packet of damaged NUT the checksum of what it holds now. */
export function reseal(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const sealed = bytes.slice();
  for (let at = sealed.indexOf(0x4e); at >= 0; at = sealed.indexOf(0x4e, at + 1)) {
    // A startcode is "N", a letter and six bytes; then the length, below 16,384 in two bytes at most.
    const second = sealed[at + 1];
    if (second !== 0x4d && second !== 0x53 && second !== 0x4b && second !== 0x49) continue;
    const long = (sealed[at + 8] ?? 0) >= 0x80;
    const length = long ? (sealed[at + 8]! & 0x7f) * 128 + (sealed[at + 9] ?? 0) : sealed[at + 8] ?? 0;
    const start = at + (long ? 10 : 9);
    const end = start + length;
    if (length < 4 || end > sealed.length) continue;
    new DataView(sealed.buffer).setUint32(end - 4, nutCrc(sealed.subarray(start, end - 4)));
    at = end - 1;
  }
  return sealed;
}

function safetensors(): Uint8Array<ArrayBuffer> {
  const header = JSON.stringify({
    __metadata__: { format: "pt" },
    "a.weight": { dtype: "F32", shape: [2, 3], data_offsets: [0, 24] },
    "b.weight": { dtype: "F16", shape: [4], data_offsets: [24, 32] },
    "c.weight": { dtype: "BF16", shape: [2, 1, 1], data_offsets: [32, 36] },
  });
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(header.length), true);
  return Uint8Array.from([...length, ...text(header), ...new Uint8Array(36).fill(60)]);
}

function pieces(bytes: Uint8Array<ArrayBuffer>, dice: Dice): ReadableStream<Uint8Array<ArrayBuffer>> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at += 1 + dice.below(200)));
    },
  });
}
