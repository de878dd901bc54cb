/**
 * Labels of a frame's pixels from the score maps of its segments.
 *
 * The paper upsamples features to the frame and takes the segment of the most similar mean row
 * (section 3.6), which is the argmax of bilinearly upsampled scores. That places boundaries to
 * within a cell of the grid only. Here the scores are carried up a pyramid instead, each level
 * twice as fine as the last, by joint bilateral filters that the frame guides: a cell takes its
 * scores from near cells of its own colour. Where all cells around agree, both give the same label,
 * so only cells near a boundary are filtered.
 *
 * @module
 */
import { SquareScaler } from "../features/preprocess.ts";
import type { Frame } from "../source/frame.ts";

/** Deviation of colour within which cells are alike, as a share of the full range. */
const COLOUR_SIGMA = 0.05;
/** Deviation of the distance, in cells of the level that is read. */
const SPACE_SIGMA = 1.5;
/** Windows are (2·RADIUS + 1)² cells. */
const RADIUS = 2;
const TAPS = 2 * RADIUS + 1;
/** Weight of a cell of any colour: a pixel that resembles nothing around goes by distance. */
const FLOOR = 1e-4;
/** Filter passes at the grid itself, at the first level above it, and at the others. */
const PASSES = [2, 4, 1] as const;
/** The finest level is the last whose cells are at least this many pixels high and wide. */
const FINEST_CELL = 2;

/** Colour weights by squared distance, to spare the exponential. */
const COLOUR_STEPS = 1024;
const COLOUR_LIMIT = 24 * COLOUR_SIGMA ** 2;
const COLOUR_WEIGHTS = Float32Array.from(
  { length: COLOUR_STEPS + 1 },
  (_, i) => (i < COLOUR_STEPS ? Math.exp(-(i + 0.5) / COLOUR_STEPS * 12) : 0) + FLOOR,
);

/** Score maps of one level of the pyramid, and what guides their filters. */
interface Level {
  /** Cells a side. */
  readonly side: number;
  /** `[side², K]`, row-major; the best of a cell is near 1. */
  readonly scores: Float32Array;
  /** Best segment of each cell, `[side²]`. */
  readonly labels: Uint16Array;
  /** Mean colour of each cell, `[side², 3]`, 0 … 1. */
  readonly colour: Float32Array;
}

/** Scratch of one window: the cells that it reads, their weights, the segments that contend. */
interface Window {
  count: number;
  readonly cells: Int32Array;
  readonly weights: Float32Array;
  contenders: number;
  readonly segments: Uint16Array;
}

/**
 * The segment of every pixel.
 *
 * @param scores similarity of each node with each segment, `[grid², segments]` row-major, up to a
 *   positive factor a node.
 * @param segments K, the number of segments.
 * @param grid nodes a side.
 * @param frame the picture, whose edges the boundaries follow.
 * @returns segment 0 … K − 1 of each pixel, `[height, width]` row-major.
 */
export function labelPixels(
  scores: Float32Array,
  segments: number,
  grid: number,
  frame: Frame,
): Uint16Array<ArrayBuffer> {
  if (segments <= 1) return new Uint16Array(frame.width * frame.height);
  const guides = colourPyramid(frame, grid);
  const window: Window = {
    count: 0,
    cells: new Int32Array(TAPS * TAPS),
    weights: new Float32Array(TAPS * TAPS),
    contenders: 0,
    segments: new Uint16Array(TAPS * TAPS),
  };
  let level = firstLevel(scores, segments, grid, guides[0] as Float32Array);
  for (const [depth, colour] of guides.entries()) {
    if (depth > 0) level = refine(level, segments, colour, window);
    const passes = PASSES[Math.min(depth, PASSES.length - 1)] as number;
    for (let pass = 0; pass < passes; pass++) level = filter(level, segments, window);
  }
  return placePixels(level, segments, frame, window);
}

/** Mean colours of the cells of all levels, coarsest first. */
function colourPyramid(frame: Frame, grid: number): Float32Array[] {
  let side = grid;
  while (side * 2 * FINEST_CELL <= Math.min(frame.width, frame.height)) side *= 2;
  const planes = new SquareScaler(side).scale(frame);
  const area = side * side;
  let finest = new Float32Array(area * 3);
  for (let i = 0; i < area; i++) {
    for (let c = 0; c < 3; c++) finest[i * 3 + c] = planes[c * area + i]!;
  }
  const levels = [finest];
  for (; side > grid; side /= 2) levels.unshift(finest = halve(finest, side));
  return levels;
}

/** Means over 2×2 cells of `[side², 3]` colours. */
function halve(colour: Float32Array, side: number): Float32Array<ArrayBuffer> {
  const half = side / 2;
  const out = new Float32Array(half * half * 3);
  for (let y = 0, o = 0; y < half; y++) {
    for (let x = 0; x < half; x++) {
      for (let c = 0; c < 3; c++, o++) {
        const i = (2 * y * side + 2 * x) * 3 + c;
        out[o] = (colour[i]! + colour[i + 3]! + colour[i + 3 * side]! + colour[i + 3 * side + 3]!) / 4;
      }
    }
  }
  return out;
}

/** Scales each node's scores so that its best is 1: every node then has the same say. */
function firstLevel(scores: Float32Array, segments: number, side: number, colour: Float32Array): Level {
  const scaled = new Float32Array(scores.length);
  const labels = new Uint16Array(side * side);
  for (let i = 0; i < labels.length; i++) {
    const best = bestOf(scores, i * segments, segments);
    labels[i] = best;
    const gain = 1 / Math.max(scores[i * segments + best]!, 1e-12);
    for (let k = i * segments, end = k + segments; k < end; k++) scaled[k] = gain * scores[k]!;
  }
  return { side, scores: scaled, labels, colour };
}

function bestOf(scores: Float32Array, offset: number, segments: number): number {
  let best = 0;
  for (let k = 1; k < segments; k++) if (scores[offset + k]! > scores[offset + best]!) best = k;
  return best;
}

/** Cells in whose window of the given radius not all labels are equal. */
function mixedCells({ labels, side }: Level, radius: number): Uint8Array {
  const low = new Uint16Array(labels.length);
  const high = new Uint16Array(labels.length);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      let least = 65535, most = 0;
      for (let i = Math.max(0, x - radius); i <= Math.min(side - 1, x + radius); i++) {
        const label = labels[y * side + i]!;
        if (label < least) least = label;
        if (label > most) most = label;
      }
      low[y * side + x] = least;
      high[y * side + x] = most;
    }
  }
  const mixed = new Uint8Array(labels.length);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      let least = 65535, most = 0;
      for (let i = Math.max(0, y - radius); i <= Math.min(side - 1, y + radius); i++) {
        if (low[i * side + x]! < least) least = low[i * side + x]!;
        if (high[i * side + x]! > most) most = high[i * side + x]!;
      }
      if (least !== most) mixed[y * side + x] = 1;
    }
  }
  return mixed;
}

/**
 * Spatial weights of the TAPS cells about the one that holds `position` (in cells, a cell's centre
 * at its index), written to `out` at `offset`.
 */
function spaceWeights(position: number, out: Float32Array, offset: number): void {
  const centre = Math.round(position);
  for (let t = 0; t < TAPS; t++) {
    const distance = position - (centre + t - RADIUS);
    out[offset + t] = Math.exp(-(distance * distance) / (2 * SPACE_SIGMA * SPACE_SIGMA));
  }
}

/**
 * Fills the window about one place: weights of the cells of `level` by distance and by likeness to
 * the colour (r, g, b), and the segments that are best in one of them.
 */
function look(
  window: Window,
  level: Level,
  cx: number,
  cy: number,
  wx: Float32Array,
  ox: number,
  wy: Float32Array,
  oy: number,
  r: number,
  g: number,
  b: number,
): void {
  const { side, colour, labels } = level;
  const { cells, weights, segments } = window;
  const scale = COLOUR_STEPS / COLOUR_LIMIT;
  let count = 0, contenders = 0;
  const x0 = Math.max(0, cx - RADIUS), x1 = Math.min(side - 1, cx + RADIUS);
  const y0 = Math.max(0, cy - RADIUS), y1 = Math.min(side - 1, cy + RADIUS);
  for (let y = y0; y <= y1; y++) {
    const vertical = wy[oy + y - cy + RADIUS]!;
    for (let x = x0; x <= x1; x++) {
      const cell = y * side + x;
      const dr = colour[cell * 3]! - r, dg = colour[cell * 3 + 1]! - g, db = colour[cell * 3 + 2]! - b;
      const step = (dr * dr + dg * dg + db * db) * scale;
      cells[count] = cell;
      weights[count++] = vertical * wx[ox + x - cx + RADIUS]! *
        COLOUR_WEIGHTS[step < COLOUR_STEPS ? step | 0 : COLOUR_STEPS]!;
      const label = labels[cell]!;
      let k = 0;
      while (k < contenders && segments[k] !== label) k++;
      if (k === contenders) segments[contenders++] = label;
    }
  }
  window.count = count;
  window.contenders = contenders;
}

/** Weighted sum of one segment's scores over a window. */
function vote(window: Window, scores: Float32Array, segments: number, segment: number): number {
  const { cells, weights, count } = window;
  let sum = 0;
  for (let t = 0; t < count; t++) sum += weights[t]! * scores[cells[t]! * segments + segment]!;
  return sum;
}

/** The contender with the most votes; ties go to the lower number. */
function winner(window: Window, scores: Float32Array, segments: number): number {
  let best = window.segments[0]!;
  if (window.contenders === 1) return best;
  let most = vote(window, scores, segments, best);
  for (let k = 1; k < window.contenders; k++) {
    const segment = window.segments[k]!;
    const votes = vote(window, scores, segments, segment);
    if (votes > most || (votes === most && segment < best)) {
      best = segment;
      most = votes;
    }
  }
  return best;
}

/** Replaces a cell's scores by the window's weighted mean; segments that do not contend get 0. */
function settle(
  window: Window,
  source: Level,
  segments: number,
  cell: number,
  scores: Float32Array,
  labels: Uint16Array,
): void {
  let total = 0;
  for (let t = 0; t < window.count; t++) total += window.weights[t]!;
  const offset = cell * segments;
  scores.fill(0, offset, offset + segments);
  for (let k = 0; k < window.contenders; k++) {
    const segment = window.segments[k]!;
    scores[offset + segment] = vote(window, source.scores, segments, segment) / total;
  }
  labels[cell] = bestOf(scores, offset, segments);
}

/** One joint bilateral pass within a level. */
function filter(level: Level, segments: number, window: Window): Level {
  const { side, colour } = level;
  const scores = level.scores.slice();
  const labels = level.labels.slice();
  const mixed = mixedCells(level, RADIUS);
  const space = new Float32Array(TAPS);
  spaceWeights(0, space, 0);
  for (let cell = 0; cell < mixed.length; cell++) {
    if (!mixed[cell]) continue;
    const x = cell % side, y = (cell - x) / side;
    const r = colour[cell * 3]!, g = colour[cell * 3 + 1]!, b = colour[cell * 3 + 2]!;
    look(window, level, x, y, space, 0, space, 0, r, g, b);
    settle(window, level, segments, cell, scores, labels);
  }
  return { side, scores, labels, colour };
}

/** Carries the scores to the next level, twice as fine, whose colours are given. */
function refine(level: Level, segments: number, colour: Float32Array, window: Window): Level {
  const side = level.side * 2;
  const scores = new Float32Array(side * side * segments);
  const labels = new Uint16Array(side * side);
  const mixed = mixedCells(level, RADIUS);
  // The centre of a half cell lies a quarter before or behind its parent's.
  const space = new Float32Array(2 * TAPS);
  spaceWeights(-0.25, space, 0);
  spaceWeights(0.25, space, TAPS);
  for (let y = 0, cell = 0; y < side; y++) {
    for (let x = 0; x < side; x++, cell++) {
      const cx = x >> 1, cy = y >> 1;
      const parent = cy * level.side + cx;
      if (mixed[parent]) {
        const r = colour[cell * 3]!, g = colour[cell * 3 + 1]!, b = colour[cell * 3 + 2]!;
        look(window, level, cx, cy, space, (x & 1) * TAPS, space, (y & 1) * TAPS, r, g, b);
        settle(window, level, segments, cell, scores, labels);
      } else {
        const from = parent * segments;
        for (let k = 0; k < segments; k++) scores[cell * segments + k] = level.scores[from + k]!;
        labels[cell] = level.labels[parent]!;
      }
    }
  }
  return { side, scores, labels, colour };
}

/** Spatial weights and cell of every pixel along one axis. */
function pixelAxis(pixels: number, side: number): { cells: Int32Array; weights: Float32Array } {
  const cells = new Int32Array(pixels);
  const weights = new Float32Array(pixels * TAPS);
  for (let i = 0; i < pixels; i++) {
    const position = (i + 0.5) * side / pixels - 0.5;
    cells[i] = Math.min(side - 1, Math.max(0, Math.round(position)));
    spaceWeights(position, weights, i * TAPS);
  }
  return { cells, weights };
}

/** The last step, from the finest level to the pixels. */
function placePixels(
  level: Level,
  segments: number,
  frame: Frame,
  window: Window,
): Uint16Array<ArrayBuffer> {
  const { width, height, data } = frame;
  const out = new Uint16Array(width * height);
  const mixed = mixedCells(level, 1);
  const columns = pixelAxis(width, level.side);
  const rows = pixelAxis(height, level.side);
  for (let y = 0, pixel = 0; y < height; y++) {
    const cy = rows.cells[y]!;
    for (let x = 0; x < width; x++, pixel++) {
      const cx = columns.cells[x]!;
      const cell = cy * level.side + cx;
      if (!mixed[cell]) {
        out[pixel] = level.labels[cell]!;
        continue;
      }
      // Mean over 3×3 pixels: the noise of one must not decide.
      let r = 0, g = 0, b = 0, n = 0;
      const y1 = Math.min(height - 1, y + 1), x1 = Math.min(width - 1, x + 1);
      for (let j = Math.max(0, y - 1); j <= y1; j++) {
        for (let i = Math.max(0, x - 1); i <= x1; i++, n += 255) {
          const at = (j * width + i) * 3;
          r += data[at]!;
          g += data[at + 1]!;
          b += data[at + 2]!;
        }
      }
      look(
        window,
        level,
        cx,
        cy,
        columns.weights,
        x * TAPS,
        rows.weights,
        y * TAPS,
        r / n,
        g / n,
        b / n,
      );
      out[pixel] = winner(window, level.scores, segments);
    }
  }
  return out;
}
