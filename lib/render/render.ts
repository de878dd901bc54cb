/**
 * What `--show` draws of a frame and its segments.
 *
 * @module
 */
import type { SegmentedFrame } from "../segmenter.ts";
import type { Picture } from "../sink/sink.ts";
import { framePlanes } from "../source/planes.ts";
import { Palette } from "./palette.ts";
import { PlanarOverlay } from "./planar_overlay.ts";

/** The ways of showing a segmentation. */
export const views = ["overlay", "labels", "edges", "cutout", "side-by-side"] as const;

/** One way of showing a segmentation. */
export type View = typeof views[number];

/** Settings of a {@linkcode Renderer}. */
export interface RenderOptions {
  /** Default `"overlay"`. */
  readonly show?: View;
  /** Weight of the colours against the picture, 0 … 1. Default 0.5. */
  readonly opacity?: number;
  /** Ids that a cutout keeps; the rest of the picture becomes transparent. */
  readonly keep?: readonly number[];
}

/** Share of white in a line of the overlay. */
const EDGE_WEIGHT = 0.8;

/** What part of a frame is needed to draw it. */
export type Drawable = Pick<SegmentedFrame, "frame" | "labels" | "segments">;

/** Draws segmented frames; keeps the colours of ids from frame to frame. */
export class Renderer {
  readonly palette: Palette = new Palette();
  readonly #show: View;
  readonly #opacity: number;
  readonly #keep: ReadonlySet<number>;
  /** All frames of a run have one size and one matrix. */
  #planar: PlanarOverlay | undefined;

  constructor(options: RenderOptions = {}) {
    this.#show = options.show ?? "overlay";
    this.#opacity = options.opacity ?? 0.5;
    this.#keep = new Set(options.keep);
  }

  /** Size and channels of what is drawn for a frame of the given size. */
  shape(width: number, height: number): Omit<Picture, "data" | "pts"> {
    if (this.#show === "cutout") return { width, height, channels: 4 };
    return { width: this.#show === "side-by-side" ? 2 * width : width, height, channels: 3 };
  }

  /** True where frames can be drawn as planes. */
  get drawsPlanes(): boolean {
    return this.#show === "overlay";
  }

  /**
   * Draws one frame. The result is the caller's.
   *
   * @param planar Draw on its planes, not on RGB. Default false.
   * @throws {TypeError} If it has none, or cannot be drawn on them.
   */
  draw(frame: Drawable, planar = false): Picture {
    const ids = frame.segments.map((s) => s.id);
    this.palette.meet(frame.labels, frame.frame.width, ids);
    const { width, height, pts } = frame.frame;
    const shape = { ...this.shape(width, height), pts };
    if (!planar) return { ...shape, data: this.#data(frame) };
    const planes = framePlanes(frame.frame);
    if (!planes || !this.drawsPlanes) {
      throw new TypeError(`Cannot draw ${this.#show} on planes of this frame`);
    }
    this.#planar ??= new PlanarOverlay({
      ...{ width, height, matrix: planes.matrix, opacity: this.#opacity },
      line: lineWidth(frame.labels.length, width),
      outline: edgeWeight(this.#opacity),
    });
    return {
      ...shape,
      planar,
      data: this.#planar.draw(planes.data, frame.labels, ids, this.palette.colours),
    };
  }

  #data(segmented: Drawable): Uint8Array<ArrayBuffer> {
    const { frame, labels } = segmented;
    const { colours } = this.palette;
    switch (this.#show) {
      case "labels":
        return drawLabels(labels, colours);
      case "edges":
        return drawEdges(frame.data, labels, frame.width);
      case "cutout":
        return drawCutout(frame.data, labels, frame.width, this.#keep);
      case "overlay":
        return drawOverlay(frame.data, labels, frame.width, colours, this.#opacity);
      case "side-by-side":
        return drawBeside(
          frame.data,
          drawOverlay(frame.data, labels, frame.width, colours, this.#opacity),
          frame.width * 3,
        );
    }
  }
}

/**
 * The picture, tinted by its segments, with a thin light line between them.
 *
 * A pixel becomes (1 − a)·picture + a·shade·colour. The shade follows the pixel's
 * brightness, the less the higher the opacity, so that texture stays readable
 * under the tint and an opacity of 1 gives flat colours.
 */
export function drawOverlay(
  rgb: Uint8Array<ArrayBuffer>,
  labels: Uint16Array<ArrayBuffer>,
  width: number,
  colours: Uint32Array<ArrayBuffer>,
  opacity: number,
): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(rgb.length);
  const keep = Math.round(256 * (1 - opacity));
  const shades = shadeTable(opacity);
  const n = labels.length;
  // Typed-array reads inside these bounds cannot be undefined: `!` keeps the loop free of branches.
  // Along a row ids change seldom: what belongs to an id is fetched once a run.
  for (let i = 0, j = 0; i < n;) {
    const id = labels[i]!;
    const colour = colours[id]!;
    const [red, green, blue] = [colour & 255, colour >> 8 & 255, colour >> 16 & 255];
    while (i < n && labels[i] === id) i++;
    for (const end = 3 * i; j < end; j += 3) {
      const r = rgb[j]!, g = rgb[j + 1]!, b = rgb[j + 2]!;
      const shade = shades[(77 * r + 150 * g + 29 * b) >> 8]!;
      out[j] = (keep * r + (shade * red >> 8) + 128) >> 8;
      out[j + 1] = (keep * g + (shade * green >> 8) + 128) >> 8;
      out[j + 2] = (keep * b + (shade * blue >> 8) + 128) >> 8;
    }
  }
  const weight = edgeWeight(opacity);
  const rest = 256 - weight;
  const white = weight * 255;
  forEachEdge(labels, width, lineWidth(n, width), (i) => {
    const j = 3 * i;
    out[j] = (rest * out[j]! + white) >> 8;
    out[j + 1] = (rest * out[j + 1]! + white) >> 8;
    out[j + 2] = (rest * out[j + 2]! + white) >> 8;
  });
  return out;
}

/** Weight of white in a line, in 1/256. */
function edgeWeight(opacity: number): number {
  return Math.round(256 * EDGE_WEIGHT * Math.min(1, 2 * opacity));
}

/** Weight of a colour by the brightness of the pixel under it, in 1/65536. */
function shadeTable(opacity: number): Int32Array<ArrayBuffer> {
  const weight = Math.round(256 * opacity);
  return Int32Array.from({ length: 256 }, (_, y) => {
    return Math.round(weight * 256 * (opacity + (1 - opacity) * (0.25 + 0.75 * y / 255)));
  });
}

/** The palette's colours alone. */
export function drawLabels(
  labels: Uint16Array<ArrayBuffer>,
  colours: Uint32Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(labels.length * 3);
  for (let i = 0, j = 0; i < labels.length; i++, j += 3) {
    const colour = colours[labels[i]!]!;
    out[j] = colour & 255;
    out[j + 1] = colour >> 8 & 255;
    out[j + 2] = colour >> 16 & 255;
  }
  return out;
}

/**
 * The picture with a line between segments: light on one side and dark on the
 * other, so that it shows on any ground.
 */
export function drawEdges(
  rgb: Uint8Array<ArrayBuffer>,
  labels: Uint16Array<ArrayBuffer>,
  width: number,
): Uint8Array<ArrayBuffer> {
  const out = rgb.slice();
  const line = lineWidth(labels.length, width);
  forEachEdge(labels, width, line, (_, ahead) => out.fill(24, 3 * ahead, 3 * ahead + 3));
  // Light after dark, so that no dark side covers a light one.
  forEachEdge(labels, width, line, (i) => out.fill(255, 3 * i, 3 * i + 3));
  return out;
}

/**
 * The picture with alpha 255 on the kept segments and 0 elsewhere, the alpha of
 * their outline smoothed over 3×3 pixels.
 */
export function drawCutout(
  rgb: Uint8Array<ArrayBuffer>,
  labels: Uint16Array<ArrayBuffer>,
  width: number,
  keep: ReadonlySet<number>,
): Uint8Array<ArrayBuffer> {
  const n = labels.length;
  const lookup = new Uint8Array(1 << 16);
  for (const id of keep) lookup[id] = 1;
  const mask = new Uint8Array(n);
  for (let i = 0; i < n; i++) mask[i] = lookup[labels[i]!]!;
  const out = new Uint8Array(4 * n);
  for (let i = 0; i < n; i++) {
    out[4 * i] = rgb[3 * i]!;
    out[4 * i + 1] = rgb[3 * i + 1]!;
    out[4 * i + 2] = rgb[3 * i + 2]!;
    out[4 * i + 3] = Math.round(255 * coverage(mask, width, i));
  }
  return out;
}

/** Share of the 3×3 pixels round a pixel that the mask holds; outside the picture nothing counts. */
function coverage(mask: Uint8Array<ArrayBuffer>, width: number, i: number): number {
  const x = i % width;
  let sum = 0, count = 0;
  for (let dy = -width; dy <= width; dy += width) {
    if (i + dy < 0 || i + dy >= mask.length) continue;
    for (let dx = -1; dx <= 1; dx++) {
      if (x + dx < 0 || x + dx >= width) continue;
      sum += mask[i + dy + dx]!;
      count++;
    }
  }
  return sum / count;
}

/** Two pictures of the same size, the first left of the second; `stride` bytes a row of each. */
function drawBeside(
  left: Uint8Array<ArrayBuffer>,
  right: Uint8Array<ArrayBuffer>,
  stride: number,
): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(left.length + right.length);
  for (let from = 0, to = 0; from < left.length; from += stride, to += 2 * stride) {
    out.set(left.subarray(from, from + stride), to);
    out.set(right.subarray(from, from + stride), to + stride);
  }
  return out;
}

/** Pixels that a line is wide: 1 up to 1080 rows, more above. */
function lineWidth(pixels: number, width: number): number {
  return Math.max(1, Math.round(pixels / width / 1080));
}

/** Calls back for each pixel whose right or lower neighbour at distance `line` has another id. */
function forEachEdge(
  labels: Uint16Array<ArrayBuffer>,
  width: number,
  line: number,
  visit: (pixel: number, ahead: number) => void,
): void {
  const n = labels.length;
  const below = line * width;
  for (let row = 0; row < n; row += width) {
    const inside = row + width - line;
    const end = row + width;
    for (let i = row; i < end; i++) {
      const id = labels[i]!;
      if (i < inside && labels[i + line] !== id) visit(i, i + line);
      else if (i + below < n && labels[i + below] !== id) visit(i, i + below);
    }
  }
}
