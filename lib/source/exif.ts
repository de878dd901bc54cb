/**
 * Which way up a picture is, as a camera notes it: in the Exif of JPEG, PNG and WebP, and in TIFF's own tag.
 *
 * ffmpeg's versions differ in whether they turn such a picture, so it is told not to, and the filters here do.
 *
 * @module
 */

/** Tag of the orientation in a directory of TIFF and Exif. */
const ORIENTATION = 0x0112;
/** Bytes of a picture's end that are looked at. */
const TAIL_BYTES = 1 << 16;
/** Most parts of a file that are passed over. */
const MOST_PARTS = 1000;

/** For each orientation of Exif (1 … 8) ffmpeg's filters that bring the picture upright. */
const UPRIGHT: readonly (readonly string[])[] = [
  [],
  ["hflip"],
  ["hflip", "vflip"],
  ["vflip"],
  ["transpose=cclock_flip"],
  ["transpose=clock"],
  ["transpose=clock_flip"],
  ["transpose=cclock"],
];

/** The filters that bring a picture of the given orientation upright. */
export function uprightFilters(orientation: number): readonly string[] {
  return UPRIGHT[orientation - 1] ?? [];
}

/** A picture's bytes. */
export interface PictureBytes {
  /** The bytes from an offset on; fewer only at the end. */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Bytes in all, where known. */
  readonly size?: number;
}

/**
 * Reads the orientation of a picture.
 *
 * @param demuxer ffmpeg's name of what the picture is.
 * @returns 1 … 8; 1, which is upright, where nothing or nothing sensible is said.
 */
export async function orientationOf(demuxer: string | undefined, bytes: PictureBytes): Promise<number> {
  switch (demuxer) {
    case "jpeg_pipe":
      return await inJpeg(bytes);
    case "png_pipe":
      return await inPng(bytes);
    case "webp_pipe":
      return await inWebp(bytes);
    case "tiff_pipe":
      return await inTiff(bytes);
    default:
      return 1;
  }
}

/** Bytes that are all there. */
export function bytesOf(data: Uint8Array<ArrayBuffer>): PictureBytes {
  return {
    read: (offset, length) => Promise.resolve(data.subarray(offset, offset + length)),
    size: data.length,
  };
}

/** CIPA DC-008, section 4.7.2: segments follow each other until the picture itself begins. */
async function inJpeg(bytes: PictureBytes): Promise<number> {
  let at = 2;
  for (let parts = 0; parts < MOST_PARTS; parts++) {
    const head = await bytes.read(at, 10);
    if (head.length < 10 || head[0] !== 0xff) return 1;
    const marker = head[1]!;
    if (marker === 0xff) {
      at++;
      continue;
    }
    if (marker === 0xda || marker === 0xd9) return 1;
    const length = viewOf(head).getUint16(2);
    if (marker === 0xe1 && startsWith(head.subarray(4), EXIF)) {
      return await inTiff(bytesOf(await bytes.read(at + 10, Math.max(0, length - 8))));
    }
    at += 2 + Math.max(2, length);
  }
  return 1;
}

/** PNG (third edition), section 11.3.3.2: before the picture's data, or behind it. */
async function inPng(bytes: PictureBytes): Promise<number> {
  let at = 8;
  for (let parts = 0; parts < MOST_PARTS; parts++) {
    const head = await bytes.read(at, 8);
    if (head.length < 8) return 1;
    const length = viewOf(head).getUint32(0);
    if (startsWith(head.subarray(4), "eXIf")) {
      return await inTiff(bytesOf(await bytes.read(at + 8, Math.min(length, TAIL_BYTES))));
    }
    if (startsWith(head.subarray(4), "IEND")) return 1;
    if (startsWith(head.subarray(4), "IDAT")) break;
    at += 12 + length;
  }
  if (bytes.size === undefined) return 1;
  const tail = await bytes.read(Math.max(at, bytes.size - TAIL_BYTES), TAIL_BYTES);
  for (let i = 4; i + 4 <= tail.length; i++) {
    if (startsWith(tail.subarray(i), "eXIf") && leadsToEnd(tail, i - 4)) {
      return await inTiff(bytesOf(tail.slice(i + 4, i + 4 + viewOf(tail).getUint32(i - 4))));
    }
  }
  return 1;
}

/** True where whole parts of a PNG follow each other from an offset to its end: what looks like one is one. */
function leadsToEnd(tail: Uint8Array<ArrayBuffer>, from: number): boolean {
  const view = viewOf(tail);
  for (let at = from; at + 12 <= tail.length; at += 12 + view.getUint32(at)) {
    if (startsWith(tail.subarray(at + 4), "IEND")) return true;
  }
  return false;
}

/** WebP container, "Extended File Format": behind the picture, and a flag in front says so. */
async function inWebp(bytes: PictureBytes): Promise<number> {
  let at = 12;
  for (let parts = 0; parts < MOST_PARTS; parts++) {
    const head = await bytes.read(at, 9);
    if (head.length < 8) return 1;
    const length = viewOf(head).getUint32(4, true);
    if (parts === 0 && !(startsWith(head, "VP8X") && head[8]! & 8)) return 1;
    if (startsWith(head, "EXIF")) {
      const data = await bytes.read(at + 8, Math.min(length, TAIL_BYTES));
      return await inTiff(bytesOf(startsWith(data, EXIF) ? data.subarray(EXIF.length) : data));
    }
    at += 8 + length + length % 2;
  }
  return 1;
}

/** TIFF 6.0, section 2: the first directory. */
async function inTiff(bytes: PictureBytes): Promise<number> {
  const head = await bytes.read(0, 8);
  if (head.length < 8 || !(startsWith(head, "II*\0") || startsWith(head, "MM\0*"))) return 1;
  const little = head[0] === 0x49;
  const directory = viewOf(head).getUint32(4, little);
  const counted = await bytes.read(directory, 2);
  if (counted.length < 2) return 1;
  const entries = await bytes.read(directory + 2, 12 * viewOf(counted).getUint16(0, little));
  const view = viewOf(entries);
  for (let at = 0; at + 12 <= entries.length; at += 12) {
    if (view.getUint16(at, little) !== ORIENTATION) continue;
    const value = view.getUint16(at + 8, little);
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

/** What Exif begins with in a JPEG. */
const EXIF = "Exif\0\0";

function startsWith(bytes: Uint8Array, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[i] !== text.charCodeAt(i)) return false;
  return true;
}

function viewOf(bytes: Uint8Array<ArrayBuffer>): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
