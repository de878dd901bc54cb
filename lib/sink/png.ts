/**
 * PNG files: colour, 16-bit grey, and 8-bit indexed with the palette of the DAVIS benchmark.
 *
 * @module
 */
import { encode } from "fast-png";
import { WalkcutError } from "../errors.ts";
import type { LabelMap, Picture } from "./sink.ts";

/** A low level: twice as fast as the default, and a few percent larger. */
const ZLIB = { zlib: { level: 1 } } as const;

/** Encodes a picture as 8-bit RGB or RGBA. */
export function encodePng({ width, height, channels, data }: Picture): Uint8Array<ArrayBuffer> {
  return owned(encode({ width, height, data, channels, depth: 8 }, ZLIB));
}

/** Encodes ids as 16-bit grey. */
export function encodeLabelPng({ width, height, labels }: LabelMap): Uint8Array<ArrayBuffer> {
  return owned(encode({ width, height, data: labels, channels: 1, depth: 16 }, ZLIB));
}

/**
 * Encodes ids as 8-bit palette indices.
 *
 * @throws {WalkcutError} If an id is above 255.
 */
export function encodePalettePng({ width, height, labels }: LabelMap): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(labels.length);
  for (let i = 0; i < labels.length; i++) {
    const id = labels[i]!;
    if (id > 255) {
      throw new WalkcutError({
        what: "An id does not fit into an 8-bit palette",
        found: id,
        advice: "leave --palette out: 16-bit PNG holds every id",
      });
    }
    data[i] = id;
  }
  return owned(encode({ width, height, data, channels: 1, depth: 8, palette: PALETTE }, ZLIB));
}

/**
 * The palette of PASCAL VOC and DAVIS: the bits of an index, three at a time, are the highest free bits of
 * red, green and blue.
 */
const PALETTE: [number, number, number][] = Array.from({ length: 256 }, (_, index) => {
  const color: [number, number, number] = [0, 0, 0];
  for (let bit = 7, rest = index; rest > 0; bit--, rest >>= 3) {
    color[0] |= (rest & 1) << bit;
    color[1] |= (rest >> 1 & 1) << bit;
    color[2] |= (rest >> 2 & 1) << bit;
  }
  return color;
});

function owned(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer ? bytes as Uint8Array<ArrayBuffer> : new Uint8Array(bytes);
}
