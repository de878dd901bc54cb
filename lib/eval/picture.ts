/**
 * Pictures as the protocols want them: decoded, cropped, scaled.
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import { openVideo } from "../source/open.ts";
import type { Frame } from "../source/frame.ts";
import type { LabelImage } from "./label_map.ts";

/**
 * Decodes one picture.
 *
 * @throws {UsageError} If it is missing or cannot be read.
 */
export async function readPicture(path: string, ffmpeg?: string): Promise<Frame> {
  const source = await openVideo(path, { frames: 1, ...(ffmpeg === undefined ? {} : { ffmpeg }) });
  try {
    for await (const frame of source.frames()) return { ...frame, index: 0, pts: 0 };
  } finally {
    await source.close();
  }
  throw new UsageError({ what: "A picture holds no frame", found: path });
}

/** The largest square in the middle. */
function centre(width: number, height: number) {
  const side = Math.min(width, height);
  return { side, left: Math.floor((width - side) / 2), top: Math.floor((height - side) / 2) };
}

/** Crops the centre square and scales it, bilinear with half-pixel centres. */
export function squareFrame(frame: Frame, size: number): Frame {
  const { side, left, top } = centre(frame.width, frame.height);
  const data = new Uint8Array(size * size * 3);
  const at = (i: number) => {
    const x = Math.min(side - 1, Math.max(0, (i + 0.5) * side / size - 0.5));
    const low = Math.floor(x);
    return { low, high: Math.min(side - 1, low + 1), share: x - low };
  };
  for (let y = 0; y < size; y++) {
    const r = at(y);
    for (let x = 0; x < size; x++) {
      const c = at(x);
      for (let k = 0; k < 3; k++) {
        const value = (row: number, column: number) =>
          frame.data[3 * ((top + row) * frame.width + left + column) + k]!;
        const upper = value(r.low, c.low) * (1 - c.share) + value(r.low, c.high) * c.share;
        const lower = value(r.high, c.low) * (1 - c.share) + value(r.high, c.high) * c.share;
        data[3 * (y * size + x) + k] = Math.round(upper * (1 - r.share) + lower * r.share);
      }
    }
  }
  return { ...frame, width: size, height: size, data };
}

/** Crops the centre square and scales it, nearest. */
export function squareLabels({ width, height, labels }: LabelImage, size: number): LabelImage {
  const { side, left, top } = centre(width, height);
  const at = (i: number) => Math.min(side - 1, Math.floor((i + 0.5) * side / size));
  const out = new Uint16Array(size * size);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) out[y * size + x] = labels[(top + at(y)) * width + left + at(x)]!;
  }
  return { width: size, height: size, labels: out };
}
