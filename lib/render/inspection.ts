/**
 * Draws what `walkcut inspect` found as one figure.
 *
 * @module
 */
import type { Inspection, TreeVector, WalkRow } from "../inspect_frame.ts";
import type { Picture } from "../sink/sink.ts";
import {
  colourOn,
  drawFigure,
  drawRing,
  HEAT,
  type Image,
  type Panel,
  panelSize,
  sampleRaster,
  scaled,
  SIGNED,
} from "./figure.ts";
import { Palette } from "./palette.ts";
import { drawOverlay } from "./render.ts";

/** Panels a row. */
export const COLUMNS = 4;

/** Weight of the segments' colours against the picture. */
const OPACITY = 0.6;

/** What stands beside the pictures. */
export interface Caption {
  /** Column and row of the point, in pixels of the frame. */
  readonly point: readonly [x: number, y: number];
  /** The k of P^k that was cut. */
  readonly walkSteps: number;
  /** Lines about the run. */
  readonly lines: readonly string[];
}

/** The figure: frame and segments, rows of P^k, Fiedler vectors, levels of the hierarchy. */
export function drawInspection(inspection: Inspection, { point, walkSteps, lines }: Caption): Picture {
  const { frame, segments } = inspection.segmented;
  const { width, height } = panelSize(frame.width, frame.height);
  const small = scaled(frame, width, height);
  const [x, y] = [
    Math.floor((point[0] + 0.5) * width / frame.width),
    Math.floor((point[1] + 0.5) * height / frame.height),
  ];
  const marked = (image: Image): Image => {
    drawRing(image, x, y);
    return image;
  };
  const final = new Map(segments.map(({ id }) => [id, id]));
  const segmentation = new SegmentPainter(inspection, small);
  const rows: Panel[][] = [
    [
      { label: `frame, point ${point.join(",")}`, image: marked({ ...small, data: small.data.slice() }) },
      { label: `segments: ${segments.length}`, image: segmentation.paint(final) },
      { label: "", lines },
    ],
    inspection.rows.map((row) => ({
      label: `P^${row.k}${row.k === walkSteps ? " (cut)" : ""} max ${Math.max(...row.row).toFixed(4)}`,
      image: marked(drawRow(row, inspection.grid, width, height)),
    })),
    chosen(inspection.vectors).map((vector) => ({
      label: vectorLabel(vector),
      image: drawVector(vector, inspection.grid, small),
    })),
    chosen(inspection.levels, true).map(({ depth, segments: count, idOf }) => ({
      label: `level ${depth}: ${count} segments`,
      image: segmentation.paint(idOf),
    })),
  ];
  return drawFigure(rows.filter((row) => row.length > 0), height);
}

/** The first of a list that is too long for a row; with `last` the last one takes the last place. */
function chosen<T>(list: readonly T[], last = false): T[] {
  if (list.length <= COLUMNS || !last) return list.slice(0, COLUMNS);
  return [...list.slice(0, COLUMNS - 1), list.at(-1)!];
}

function vectorLabel({ node: { ncut, children }, depth }: TreeVector): string {
  return `depth ${depth}: ncut ${Number.isNaN(ncut) ? "-" : ncut.toFixed(3)}${children ? "" : " whole"}`;
}

/** Probabilities as heat, by the root of their share of the largest: most are small. */
function drawRow({ row }: WalkRow, grid: number, width: number, height: number): Image {
  const most = Math.max(...row);
  const colours = Array.from(row, (p) => colourOn(HEAT, Math.sqrt(Math.max(0, p) / most)));
  return paint(width, height, sampleRaster(grid, grid, width, height), (node) => colours[node]!);
}

/** A vector about the value at which it was split; what lies outside its segment is the picture in dark grey. */
function drawVector({ vector, inside, node: { splitValue } }: TreeVector, grid: number, small: Image): Image {
  const middle = Number.isNaN(splitValue) ? 0 : splitValue;
  const reach = vector.reduce((most, v, i) => inside[i] ? Math.max(most, Math.abs(v - middle)) : most, 0) ||
    1;
  const { width, height, data } = small;
  return paint(width, height, sampleRaster(grid, grid, width, height), (node, pixel) => {
    if (inside[node]) return colourOn(SIGNED, 0.5 + (vector[node]! - middle) / (2 * reach));
    const grey = (data[3 * pixel]! + data[3 * pixel + 1]! + data[3 * pixel + 2]!) / 9;
    return [grey, grey, grey];
  });
}

function paint(
  width: number,
  height: number,
  nodes: Uint32Array,
  colour: (node: number, pixel: number) => readonly [number, number, number],
): Image {
  const data = new Uint8Array(3 * width * height);
  nodes.forEach((node, pixel) => data.set(colour(node, pixel), 3 * pixel));
  return { width, height, data };
}

/** Draws segments over the picture; an id has one colour in all panels. */
class SegmentPainter {
  readonly #palette = new Palette();
  readonly #labels: Uint16Array<ArrayBuffer>;

  constructor({ segmented: { frame, labels, segments } }: Inspection, readonly small: Image) {
    const { width, height } = small;
    const samples = sampleRaster(frame.width, frame.height, width, height);
    this.#labels = Uint16Array.from(samples, (pixel) => labels[pixel]!);
    this.#palette.meet(labels, frame.width, segments.map(({ id }) => id));
  }

  /** Each pixel in the colour of the id that `idOf` gives for its own. */
  paint(idOf: ReadonlyMap<number, number>): Image {
    const { width, height, data } = this.small;
    const labels = this.#labels.map((id) => idOf.get(id)!);
    return { width, height, data: drawOverlay(data, labels, width, this.#palette.colours, OPACITY) };
  }
}
