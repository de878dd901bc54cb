/**
 * Regions: the connected parts of the segments, as far as a contour of the picture tells them apart.
 *
 * The cut sees appearance and nearness of patches, not what lies between them. So a leaf may hold
 * two things that look alike and stand apart, and a smooth sky may be cut along a line that nothing
 * in the picture marks. Here the leaves' connected parts are taken one by one, specks go to what
 * surrounds them, and neighbours whose common boundary has less contrast than asked are joined,
 * weakest boundary first. The more alike the walk finds two neighbours, the more contrast is asked.
 * Both decisions lean towards those of the last frame.
 *
 * @module
 */
import { SquareScaler } from "../features/preprocess.ts";
import type { Frame } from "../source/frame.ts";
import type { Segmentation } from "./segmentation.ts";

/** Cells a side of the map on which regions are found. */
export const CELLS = 128;
const AREA = CELLS * CELLS;

/** A part of less than this share of the frame is a speck. */
const LEAST_AREA = 0.002;

/** Boundary samples, one a pair of cells that meet, below which a contrast is not known. */
const LEAST_SAMPLES = 4;

/** By how much a boundary that the last frames had, or had not, moves the bound on its contrast at most. */
const HYSTERESIS = 0.15;

/** Frames that a segment must have stood for its boundaries to lean in full; one frame alone says nothing yet. */
const SETTLED_AGE = 9;

/** How steeply the contrast that is asked of a boundary grows with the likeness of its two sides. */
const LIKENESS_GAIN = 6;

/** Likeness at which just the contour is asked; what two neighbours have where the walk is not known. */
const COMMON_LIKENESS = 1 / 6;

/** What regions are found by. */
export interface RegionSettings {
  /**
   * Least contrast of a boundary, as ΔE of CIE Lab (1976), where the likeness of its sides is
   * {@linkcode COMMON_LIKENESS}.
   */
  readonly contour: number;
  /** Smallest region, as a share of the frame; never less than {@linkcode LEAST_AREA}. */
  readonly minArea: number;
  /** Most regions; 0 for no bound. */
  readonly maxSegments: number;
}

/** What else is known of a frame. */
export interface RegionHints {
  /** A walk's view of the leaves, from which comes the likeness of neighbours; telling after one step only. */
  readonly walk?: Pick<Segmentation, "scores" | "labels" | "segments">;
  readonly last?: LastRegions | undefined;
}

/** The regions of the last frame, by their ids. */
export interface LastRegions {
  /** Id of every cell, `[CELLS, CELLS]`. */
  readonly cells: Uint16Array;
  /** For how many frames each id has been there. */
  readonly ages: ReadonlyMap<number, number>;
}

/** The regions of a frame. */
export interface Regions {
  /** Region 0 … count − 1 of every pixel, `[height, width]`. */
  readonly pixels: Uint16Array<ArrayBuffer>;
  readonly count: number;
  /** Region of every cell, `[CELLS, CELLS]`. */
  readonly cells: Uint16Array<ArrayBuffer>;
  /** The leaf that a region has most of, `[count]`. */
  readonly leaves: readonly number[];
}

/**
 * Finds the regions of one frame.
 *
 * @param labels leaf of every pixel, `[height, width]`.
 */
export function findRegions(
  labels: Uint16Array,
  frame: Frame,
  settings: RegionSettings,
  { walk, last }: RegionHints = {},
): Regions {
  const leaf = sampleCells(labels, frame);
  const graph = new RegionGraph(connectedParts(leaf));
  if (last) graph.remember(last);
  graph.absorb(Math.max(LEAST_AREA, settings.minArea) * AREA);
  graph.measure(labColours(frame));
  if (walk) graph.compare(walk);
  graph.join(settings.contour);
  if (settings.maxSegments > 0) graph.reduce(settings.maxSegments);
  const { cells, count } = graph.number();
  return {
    pixels: placePixels(labels, leaf, cells, frame),
    count,
    cells,
    leaves: mostOf(cells, leaf, count),
  };
}

/**
 * A frame's regions as the next one's boundaries lean on them.
 *
 * @param cells region of every cell, `[CELLS, CELLS]`.
 * @param ids the id of each region.
 * @param last what the frame itself leaned on.
 */
export function namedRegions(
  cells: Uint16Array,
  ids: readonly number[],
  last: LastRegions | undefined,
): LastRegions {
  const ages = new Map(ids.map((id) => [id, (last?.ages.get(id) ?? 0) + 1]));
  return { cells: cells.map((region) => ids[region]!), ages };
}

/** Region of each node of a grid: the one that most of its cells have, `[grid²]`. */
export function regionsOfNodes(cells: Uint16Array, count: number, grid: number): Uint16Array<ArrayBuffer> {
  const votes = new Uint32Array(grid * grid * count);
  for (let y = 0, cell = 0; y < CELLS; y++) {
    const row = Math.floor(y * grid / CELLS) * grid;
    for (let x = 0; x < CELLS; x++, cell++) {
      votes[(row + Math.floor(x * grid / CELLS)) * count + cells[cell]!]!++;
    }
  }
  return Uint16Array.from({ length: grid * grid }, (_, node) => largest(votes, node * count, count));
}

function largest(votes: Uint32Array, offset: number, count: number): number {
  let best = 0;
  for (let k = 1; k < count; k++) if (votes[offset + k]! > votes[offset + best]!) best = k;
  return best;
}

/** The label at the centre of every cell. */
function sampleCells(labels: Uint16Array, { width, height }: Frame): Uint16Array<ArrayBuffer> {
  const out = new Uint16Array(AREA);
  for (let y = 0, cell = 0; y < CELLS; y++) {
    const row = Math.floor((y + 0.5) * height / CELLS) * width;
    for (let x = 0; x < CELLS; x++, cell++) {
      out[cell] = labels[row + Math.floor((x + 0.5) * width / CELLS)]!;
    }
  }
  return out;
}

/** Number of the 4-connected part of equal labels that each cell belongs to. */
function connectedParts(leaf: Uint16Array): Int32Array {
  const part = new Int32Array(AREA).fill(-1);
  const stack = new Int32Array(AREA);
  let parts = 0, top = 0;
  const visit = (cell: number, wanted: number) => {
    if (part[cell]! >= 0 || leaf[cell] !== wanted) return;
    part[cell] = parts;
    stack[top++] = cell;
  };
  for (let seed = 0; seed < AREA; seed++) {
    if (part[seed]! >= 0) continue;
    const wanted = leaf[seed]!;
    visit(seed, wanted);
    while (top > 0) {
      const cell = stack[--top]!;
      const x = cell % CELLS;
      if (x > 0) visit(cell - 1, wanted);
      if (x < CELLS - 1) visit(cell + 1, wanted);
      if (cell >= CELLS) visit(cell - CELLS, wanted);
      if (cell < AREA - CELLS) visit(cell + CELLS, wanted);
    }
    parts++;
  }
  return part;
}

/** CIE Lab of every cell, smoothed by a binomial filter over 3×3, `[3, CELLS, CELLS]`. */
function labColours(frame: Frame): Float32Array {
  const rgb = new SquareScaler(CELLS).scale(frame);
  const lab = new Float32Array(3 * AREA);
  for (let i = 0; i < AREA; i++) {
    const r = linear(rgb[i]!), g = linear(rgb[i + AREA]!), b = linear(rgb[i + 2 * AREA]!);
    const x = lightness((0.412453 * r + 0.357580 * g + 0.180423 * b) / 0.95047);
    const y = lightness(0.212671 * r + 0.715160 * g + 0.072169 * b);
    const z = lightness((0.019334 * r + 0.119193 * g + 0.950227 * b) / 1.08883);
    lab[i] = 116 * y;
    lab[i + AREA] = 500 * (x - y);
    lab[i + 2 * AREA] = 200 * (y - z);
  }
  return smooth(smooth(lab, 1), CELLS);
}

/** sRGB's curve at 1,024 values: powers are what most of the conversion would take. */
const LINEAR = Float32Array.from({ length: 1025 }, (_, i) => {
  const value = i / 1024;
  return value > 0.04045 ? ((value + 0.055) / 1.055) ** 2.4 : value / 12.92;
});

/** Linear light of a coded value, 0 … 1, interpolated. */
function linear(value: number): number {
  const at = 1024 * value, below = Math.min(1023, Math.max(0, at | 0));
  return LINEAR[below]! + (at - below) * (LINEAR[below + 1]! - LINEAR[below]!);
}

/** CIE's curve. */
function lightness(value: number): number {
  return value > 0.008856 ? Math.cbrt(value) : 7.787 * value + 16 / 116;
}

/** One pass of (1, 2, 1)/4 along an axis whose neighbours lie `step` apart; borders are repeated. */
function smooth(planes: Float32Array, step: number): Float32Array {
  const out = new Float32Array(planes.length);
  const across = step === 1 ? CELLS : 1;
  for (let plane = 0; plane < planes.length; plane += AREA) {
    for (let line = 0; line < CELLS; line++) {
      for (let t = 0, i = plane + line * across; t < CELLS; t++, i += step) {
        out[i] = (planes[t > 0 ? i - step : i]! + 2 * planes[i]! + planes[t < CELLS - 1 ? i + step : i]!) / 4;
      }
    }
  }
  return out;
}

/** A boundary between two regions. */
interface Boundary {
  /** Pairs of cells that meet. */
  length: number;
  /** Sum of the contrasts' roots, and how many there are. */
  roots: number;
  samples: number;
}

/** A region to the walk: sums over its cells. */
interface Mass {
  /** ⟨Σ M_i, Σ_t M⟩ with each leaf t. */
  readonly towards: Float64Array;
  /** Cells in each leaf, over the leaf's nodes. */
  readonly share: Float64Array;
}

/** Regions and their boundaries, while they are joined. */
class RegionGraph {
  readonly #part: Int32Array;
  readonly #parent: number[];
  readonly #size: number[];
  /** Boundaries of each region, by its neighbour. */
  readonly #near: Map<number, Boundary>[];
  /** The id that most of a region had in the last frame; 0 where it is not known. */
  #origin: number[] = [];
  /** For how many frames each id has been there. */
  #ages: LastRegions["ages"] = new Map();
  /** What the walk knows of each region. */
  #mass: Mass[] = [];

  constructor(part: Int32Array) {
    this.#part = part;
    const parts = part.reduce((most, p) => Math.max(most, p), 0) + 1;
    this.#parent = Array.from({ length: parts }, (_, p) => p);
    this.#size = new Array(parts).fill(0);
    this.#near = Array.from({ length: parts }, () => new Map());
    for (const p of part) this.#size[p]!++;
    this.#eachMeeting((a, b) => this.#boundary(a, b).length++);
  }

  /** Notes which id each region had in the last frame. */
  remember({ cells, ages }: LastRegions): void {
    this.#origin = this.#originsIn(cells);
    this.#ages = ages;
  }

  /**
   * Gives what is smaller than `least` cells, smallest first, to the neighbour that had it in the last frame, else
   * to the one with the longest common boundary.
   */
  absorb(least: number): void {
    const order = this.#roots().filter((r) => this.#size[r]! < least)
      .sort((a, b) => this.#size[a]! - this.#size[b]!);
    for (const r of order) {
      if (this.#root(r) !== r || this.#size[r]! >= least) continue;
      let best: number | undefined, longest = 0;
      for (const [near, { length }] of this.#near[r]!) {
        const worth = this.#origin[r] && this.#origin[near] === this.#origin[r] ? length + AREA : length;
        if (worth > longest) [best, longest] = [near, worth];
      }
      if (best !== undefined) this.#merge(best, r);
    }
  }

  /** Samples the contrast of all boundaries, a cell away from them. */
  measure(lab: Float32Array): void {
    this.#eachMeeting((a, b, cell, step) => {
      if (a === b) return;
      const before = cell - step, behind = cell + 2 * step;
      const line = step === 1 ? Math.floor(cell / CELLS) : 0;
      const inside = step === 1
        ? Math.floor(before / CELLS) === line && before >= 0 && Math.floor(behind / CELLS) === line
        : before >= 0 && behind < AREA;
      if (!inside || this.#at(before) !== a || this.#at(behind) !== b) return;
      const boundary = this.#boundary(a, b);
      boundary.roots += Math.sqrt(Math.hypot(
        lab[before]! - lab[behind]!,
        lab[before + AREA]! - lab[behind + AREA]!,
        lab[before + 2 * AREA]! - lab[behind + 2 * AREA]!,
      ));
      boundary.samples++;
    });
  }

  /** Sums up what the walk knows of each region. */
  compare({ scores, labels, segments }: NonNullable<RegionHints["walk"]>): void {
    const side = Math.sqrt(labels.length);
    // score_t(i) = ⟨M_i, Σ_t M⟩ / ‖Σ_t M‖, so that over its own leaf it adds up to the norm.
    const norms = new Float64Array(segments), sizes = new Float64Array(segments);
    labels.forEach((leaf, node) => {
      norms[leaf]! += scores[node * segments + leaf]!;
      sizes[leaf]!++;
    });
    for (const root of this.#roots()) {
      this.#mass[root] = { towards: new Float64Array(segments), share: new Float64Array(segments) };
    }
    for (let cell = 0; cell < AREA; cell++) {
      const x = cell % CELLS, y = (cell - x) / CELLS;
      const node = Math.floor(y * side / CELLS) * side + Math.floor(x * side / CELLS);
      const { towards, share } = this.#mass[this.#at(cell)]!;
      for (let t = 0; t < segments; t++) towards[t]! += scores[node * segments + t]! * norms[t]!;
      share[labels[node]!]! += 1 / sizes[labels[node]!]!;
    }
  }

  /** Joins neighbours, the weakest boundary first, until every boundary has the asked contrast. */
  join(contour: number): void {
    this.#joinWhile((weakest) => weakest < contour, (a, b, boundary) => {
      return boundary.samples < LEAST_SAMPLES ? Infinity : this.#strength(a, b, boundary) / this.#lean(a, b);
    });
  }

  /** Joins on, the weakest boundary first, until there are no more than `most` regions. */
  reduce(most: number): void {
    let left = this.#roots().length;
    this.#joinWhile(() => left-- > most, (a, b, boundary) => this.#strength(a, b, boundary));
  }

  /** Regions numbered by their first cell. */
  number(): { cells: Uint16Array<ArrayBuffer>; count: number } {
    const numbers = new Map<number, number>();
    const cells = new Uint16Array(AREA);
    for (let cell = 0; cell < AREA; cell++) {
      const root = this.#at(cell);
      let number = numbers.get(root);
      if (number === undefined) numbers.set(root, number = numbers.size);
      cells[cell] = number;
    }
    return { cells, count: numbers.size };
  }

  #joinWhile(
    go: (weakest: number) => boolean,
    strength: (a: number, b: number, boundary: Boundary) => number,
  ): void {
    for (;;) {
      let pair: readonly [number, number] | undefined, weakest = Infinity;
      for (const a of this.#roots()) {
        for (const [b, boundary] of this.#near[a]!) {
          if (a >= b) continue;
          const value = strength(a, b, boundary);
          if (value < weakest) [pair, weakest] = [[a, b], value];
        }
      }
      if (!pair || !go(weakest)) return;
      const [a, b] = pair;
      if (this.#size[a]! >= this.#size[b]!) this.#merge(a, b);
      else this.#merge(b, a);
    }
  }

  /** Contrast of a boundary, less where the walk finds its sides alike; roots keep a few bright spots from deciding. */
  #strength(a: number, b: number, { roots, samples }: Boundary): number {
    const contrast = (roots / Math.max(1, samples)) ** 2;
    return contrast * Math.exp(LIKENESS_GAIN * (COMMON_LIKENESS - this.#likeness(a, b)));
  }

  /** Cosine of the mean rows of M of two regions, 0 … 1; a part of a leaf counts as its like share of it. */
  #likeness(a: number, b: number): number {
    const one = this.#mass[a], other = this.#mass[b];
    if (!one || !other) return COMMON_LIKENESS;
    const cosine = inner(one, other) / Math.sqrt(inner(one, one) * inner(other, other));
    return cosine > 0 ? Math.min(1, cosine) : 0;
  }

  /** Above 1 where the last frame had both as one, below 1 where it had them apart; more so the longer they stand. */
  #lean(a: number, b: number): number {
    const [one, other] = [this.#origin[a] ?? 0, this.#origin[b] ?? 0];
    if (one === 0 || other === 0) return 1;
    const age = Math.min(this.#ages.get(one) ?? 1, this.#ages.get(other) ?? 1, SETTLED_AGE);
    const lean = HYSTERESIS * (age - 1) / (SETTLED_AGE - 1);
    return one === other ? 1 + lean : 1 - lean;
  }

  #originsIn(last: Uint16Array): number[] {
    const votes = new Map<number, Map<number, number>>();
    for (let cell = 0; cell < AREA; cell++) {
      const root = this.#at(cell);
      let of = votes.get(root);
      if (!of) votes.set(root, of = new Map());
      of.set(last[cell]!, (of.get(last[cell]!) ?? 0) + 1);
    }
    const origin: number[] = [];
    for (const [root, of] of votes) {
      const [id, most] = [...of].reduce((best, one) => one[1] > best[1] ? one : best);
      origin[root] = most * 2 > this.#size[root]! ? id : 0;
    }
    return origin;
  }

  /** Calls back with the regions of each cell and of the next one in either direction. */
  #eachMeeting(visit: (a: number, b: number, cell: number, step: number) => void): void {
    for (let cell = 0; cell < AREA; cell++) {
      if (cell % CELLS < CELLS - 1) visit(this.#at(cell), this.#at(cell + 1), cell, 1);
      if (cell < AREA - CELLS) visit(this.#at(cell), this.#at(cell + CELLS), cell, CELLS);
    }
  }

  #boundary(a: number, b: number): Boundary {
    let boundary = this.#near[a]!.get(b);
    if (!boundary) {
      boundary = { length: 0, roots: 0, samples: 0 };
      if (a !== b) {
        this.#near[a]!.set(b, boundary);
        this.#near[b]!.set(a, boundary);
      }
    }
    return boundary;
  }

  #merge(into: number, from: number): void {
    this.#parent[from] = into;
    this.#size[into]! += this.#size[from]!;
    const [gains, gained] = [this.#mass[into], this.#mass[from]];
    if (gains && gained) {
      for (const sums of ["towards", "share"] as const) gained[sums].forEach((v, t) => gains[sums][t]! += v);
    }
    this.#near[into]!.delete(from);
    for (const [near, old] of this.#near[from]!) {
      this.#near[near]!.delete(from);
      if (near === into) continue;
      const boundary = this.#boundary(into, near);
      boundary.length += old.length;
      boundary.roots += old.roots;
      boundary.samples += old.samples;
    }
    this.#near[from]!.clear();
  }

  #roots(): number[] {
    return this.#parent.flatMap((parent, p) => parent === p ? [p] : []);
  }

  #at(cell: number): number {
    return this.#root(this.#part[cell]!);
  }

  #root(part: number): number {
    while (this.#parent[part] !== part) {
      part = this.#parent[part] = this.#parent[this.#parent[part]!]!;
    }
    return part;
  }
}

/** ⟨Σ_a M, Σ_b M⟩, the mean of the two ways to take it from what is known of leaves. */
function inner(a: Mass, b: Mass): number {
  let sum = 0;
  for (let t = 0; t < a.share.length; t++) {
    sum += a.towards[t]! * b.share[t]! + b.towards[t]! * a.share[t]!;
  }
  return sum / 2;
}

/** The leaf that each region has most cells of. */
function mostOf(cells: Uint16Array, leaf: Uint16Array, count: number): number[] {
  const leaves = leaf.reduce((most, l) => Math.max(most, l), 0) + 1;
  const votes = new Uint32Array(count * leaves);
  for (let cell = 0; cell < AREA; cell++) votes[cells[cell]! * leaves + leaf[cell]!]!++;
  return Array.from({ length: count }, (_, region) => largest(votes, region * leaves, leaves));
}

/**
 * Region of every pixel: that of the nearest cell of its own leaf in the 3×3 about it, so that
 * boundaries stay where the pixels have them; a speck's pixels go with their cell.
 */
function placePixels(
  labels: Uint16Array,
  leaf: Uint16Array,
  cells: Uint16Array,
  { width, height }: Frame,
): Uint16Array<ArrayBuffer> {
  const out = new Uint16Array(labels.length);
  const columns = Int32Array.from({ length: width }, (_, x) => Math.floor((x + 0.5) * CELLS / width));
  for (let y = 0, pixel = 0; y < height; y++) {
    const row = Math.floor((y + 0.5) * CELLS / height);
    for (let x = 0; x < width; x++, pixel++) {
      const column = columns[x]!;
      let cell = row * CELLS + column;
      if (leaf[cell] !== labels[pixel]) cell = cellOfLeaf(leaf, labels[pixel]!, row, column);
      out[pixel] = cells[cell]!;
    }
  }
  return out;
}

function cellOfLeaf(leaf: Uint16Array, wanted: number, row: number, column: number): number {
  const centre = row * CELLS + column;
  let diagonal = centre;
  for (let y = Math.max(0, row - 1); y <= Math.min(CELLS - 1, row + 1); y++) {
    for (let x = Math.max(0, column - 1); x <= Math.min(CELLS - 1, column + 1); x++) {
      const cell = y * CELLS + x;
      if (leaf[cell] !== wanted) continue;
      if (y === row || x === column) return cell;
      diagonal = cell;
    }
  }
  return diagonal;
}
