/**
 * Figures: small pictures with a label each, in rows on one white page.
 *
 * @module
 */
import type { Picture } from "../sink/sink.ts";
import { letter, textHeight } from "./lettering.ts";

/** A picture of packed RGB. */
export interface Image {
  readonly width: number;
  readonly height: number;
  /** `width × height × 3` bytes, row-major. */
  readonly data: Uint8Array<ArrayBuffer>;
}

/** One part of a figure: a label, and under it a picture, or lines of text. */
export interface Panel {
  readonly label: string;
  readonly image?: Image;
  readonly lines?: readonly string[];
}

/** Longest side of a panel's picture, in pixels. */
export const PANEL_SIDE = 320;

/** Pixels between panels, and from them to the edges. */
export const GAP = 16;

/** Pixels a dot of the letters. */
const TEXT_SCALE = 2;

/** Pixels from the top of a label to its picture. */
export const LABEL_HEIGHT = textHeight(TEXT_SCALE) + 6;

/** Grey of the letters. */
const INK = 24;

/** Size of a panel's picture for a frame: its shape, the longer side {@linkcode PANEL_SIDE}. */
export function panelSize(width: number, height: number): { width: number; height: number } {
  const scale = PANEL_SIDE / Math.max(width, height);
  return {
    width: Math.max(1, Math.round(width * scale)),
    height: Math.max(1, Math.round(height * scale)),
  };
}

/** Where the picture of a panel has its upper left corner. */
export function panelPlace(row: number, column: number, panelHeight: number): { left: number; top: number } {
  return {
    left: GAP + column * (PANEL_SIDE + GAP),
    top: GAP + row * (LABEL_HEIGHT + panelHeight + GAP) + LABEL_HEIGHT,
  };
}

/** Lays rows of panels out on one page; pictures are at most `panelHeight` high. */
export function drawFigure(rows: readonly (readonly Panel[])[], panelHeight: number): Picture {
  const columns = Math.max(...rows.map((row) => row.length));
  const end = panelPlace(rows.length, columns, panelHeight);
  const page: Image & Pick<Picture, "pts" | "channels"> = {
    width: end.left,
    height: end.top - LABEL_HEIGHT,
    pts: 0,
    channels: 3,
    data: new Uint8Array(3 * end.left * (end.top - LABEL_HEIGHT)).fill(255),
  };
  const write = (text: string, left: number, top: number) =>
    letter(text, left, top, TEXT_SCALE, (x, y) => {
      if (x < page.width && y < page.height) {
        page.data.fill(INK, 3 * (y * page.width + x), 3 * (y * page.width + x) + 3);
      }
    });
  rows.forEach((row, r) =>
    row.forEach(({ label, image, lines = [] }, c) => {
      const { left, top } = panelPlace(r, c, panelHeight);
      write(label, left, top - LABEL_HEIGHT);
      if (image) paste(page, image, left, top);
      lines.forEach((line, i) => write(line, left, top + i * LABEL_HEIGHT));
    })
  );
  return page;
}

function paste(page: Image, { width, height, data }: Image, left: number, top: number): void {
  for (let y = 0; y < height; y++) {
    page.data.set(data.subarray(3 * y * width, 3 * (y + 1) * width), 3 * ((top + y) * page.width + left));
  }
}

/** Scales a picture: each pixel is the mean of the ones it covers, or the one it lies in. */
export function scaled(image: Image, width: number, height: number): Image {
  const data = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y++) {
    const [y0, y1] = covered(y, height, image.height);
    for (let x = 0; x < width; x++) {
      const [x0, x1] = covered(x, width, image.width);
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (let v = y0; v < y1; v++) {
          for (let u = x0; u < x1; u++) sum += image.data[3 * (v * image.width + u) + c]!;
        }
        data[3 * (y * width + x) + c] = Math.round(sum / ((y1 - y0) * (x1 - x0)));
      }
    }
  }
  return { width, height, data };
}

function covered(at: number, to: number, from: number): [number, number] {
  const first = Math.floor(at * from / to);
  return [first, Math.max(first + 1, Math.floor((at + 1) * from / to))];
}

/** The item of a raster `columns` wide under the middle of each pixel of a picture. */
export function sampleRaster(
  columns: number,
  rows: number,
  width: number,
  height: number,
): Uint32Array<ArrayBuffer> {
  return Uint32Array.from({ length: width * height }, (_, i) => {
    const x = Math.floor((i % width + 0.5) * columns / width);
    const y = Math.floor((Math.floor(i / width) + 0.5) * rows / height);
    return y * columns + x;
  });
}

/** Colours of a scale from 0 to 1, at equal distances, `[red, green, blue]` each. */
export type Scale = readonly (readonly [number, number, number])[];

/** From black by purple and orange to near white, each colour lighter than the last. */
export const HEAT: Scale = [[0, 0, 0], [72, 14, 92], [186, 48, 82], [248, 148, 42], [255, 250, 205]];

/** Blue below, white at the middle, red above. */
export const SIGNED: Scale = [[24, 72, 150], [104, 166, 214], [246, 246, 244], [236, 132, 92], [168, 28, 40]];

/** The colour of a value, 0 … 1, on a scale. */
export function colourOn(scale: Scale, value: number): [number, number, number] {
  const at = Math.min(1, Math.max(0, value)) * (scale.length - 1);
  const i = Math.min(scale.length - 2, Math.floor(at));
  const [low, high] = [scale[i]!, scale[i + 1]!];
  return [0, 1, 2].map((c) => Math.round(low[c]! + (high[c]! - low[c]!) * (at - i))) as [
    number,
    number,
    number,
  ];
}

/** Draws a ring round a pixel in place, white within black, so that it shows on any ground. */
export function drawRing({ width, height, data }: Image, x: number, y: number): void {
  for (let v = -7; v <= 7; v++) {
    for (let u = -7; u <= 7; u++) {
      const radius = Math.hypot(u, v);
      const inside = x + u >= 0 && x + u < width && y + v >= 0 && y + v < height;
      if (!inside || radius < 4 || radius >= 7.5) continue;
      const at = 3 * ((y + v) * width + x + u);
      data.fill(radius < 6 ? 255 : 0, at, at + 3);
    }
  }
}
