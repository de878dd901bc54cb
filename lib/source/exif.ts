/**
 * Which way up a JPEG picture is, as a camera notes it.
 *
 * ffmpeg's versions differ in whether they turn such a picture, so it is told not to, and the filters here do.
 *
 * @module
 */

/** Tag of the orientation in an Exif directory. */
const ORIENTATION = 0x0112;

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

/**
 * Reads the orientation out of the first bytes of a JPEG file (CIPA DC-008, section 4.6.4).
 *
 * @returns 1 … 8; 1, which is upright, where nothing or nothing sensible is said.
 */
export function exifOrientation(head: Uint8Array<ArrayBuffer>): number {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  // Segments follow each other until the picture itself begins.
  for (let at = 2; at + 10 <= head.length && head[at] === 0xff;) {
    const marker = head[at + 1]!;
    if (marker === 0xff) {
      at++;
      continue;
    }
    if (marker === 0xda || marker === 0xd9) return 1;
    const length = view.getUint16(at + 2);
    const isExif = marker === 0xe1 && String.fromCharCode(...head.subarray(at + 4, at + 10)) === "Exif\0\0";
    if (isExif) return orientationOf(head.subarray(at + 10, at + 2 + length));
    at += 2 + Math.max(2, length);
  }
  return 1;
}

/** Reads the first directory of a TIFF structure. */
function orientationOf(tiff: Uint8Array<ArrayBuffer>): number {
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  if (tiff.length < 14) return 1;
  const little = tiff[0] === 0x49;
  const directory = view.getUint32(4, little);
  if (directory + 2 > tiff.length) return 1;
  const count = view.getUint16(directory, little);
  for (let i = 0, at = directory + 2; i < count && at + 12 <= tiff.length; i++, at += 12) {
    if (view.getUint16(at, little) !== ORIENTATION) continue;
    const value = view.getUint16(at + 8, little);
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}
