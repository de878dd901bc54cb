/**
 * Labels that stay where the picture stays.
 *
 * Each frame is cut anew, so borders and small regions may change their label although nothing
 * changes in the picture. Here a pixel at rest keeps the id that it has until the evidence for
 * another is clear: hysteresis, pixel by pixel, after ids are known.
 *
 * A cell of the frame is at rest while its colour is within the noise of the colour that it had when
 * its labels were last agreed upon, in the light of today; not that of the last frame alone, or a slow
 * fade would never count. Connected cells that change from one id to the same other are one change,
 * held or taken as a whole: decided cell by cell, it would come in blocks. In a change at rest the
 * other id must be proposed for some frames on end before it is taken. How many depends on which of
 * the two ids the change looks like: none where its colour is that of the new one, many where it is
 * that of the old one. Where a change is not at rest, and where the id is in the frame no longer, the
 * new label is taken at once; so nothing that moved leaves a trail beyond the cells that it touches.
 *
 * Five bytes a pixel are kept, and a pass over pixels that compares ids is most of the time.
 *
 * @module
 */
import { exposureChange } from "../features/exposure.ts";
import { nodeColours } from "../features/node_colours.ts";
import type { Frame } from "../source/frame.ts";

/** Cells a side at which colours are compared: those of the regions. */
const CELLS = 128;
const AREA = CELLS * CELLS;

/** Change of a cell's colour, in levels of any channel, up to which it is at rest. */
const AT_REST = 6;

/** The same in noise, as a multiple of its quartile, and no more than so many levels. */
const NOISE_FACTOR = 5;
const MOST_AT_REST = 10;

/** Steps of a level by which noise is told. */
const NOISE_STEPS = 4;

/** Share of a change's cells that are at rest where it is at rest as a whole. */
const REST_SHARE = 0.8;

/** Frames on end for which another id must be proposed where colours do not tell. */
const PATIENCE = 12;

/** The same where the cell looks like the id that it has. */
const LONG_PATIENCE = 60;

/** A colour is another one from this distance (RGB, 0 … 255), where a second one is less than half as far. */
const OTHER_COLOUR = 12;

/** What is known of the frames so far. */
interface Held {
  readonly width: number;
  /** Id of every pixel as it was shown, `[height, width]`. */
  readonly shown: Uint16Array;
  /** The id that is proposed in place of it, and for how many frames on end. */
  readonly proposed: Uint16Array;
  readonly waited: Uint8Array;
  /** Colours of the cells when all their labels were agreed upon last, `[AREA, 3]`. */
  readonly agreed: Float32Array;
  /** Colours of the last frame's cells, `[AREA, 3]`. */
  colours: Float32Array;
}

/** Holds the labels of pixels at rest from frame to frame. */
export class LabelHold {
  #held: Held | undefined;

  /** Forgets what was seen: the next frame's labels are taken as they are. */
  restart(): void {
    this.#held = undefined;
  }

  /**
   * Puts the ids of pixels at rest back to what they were; a frame of another size starts anew.
   *
   * @param labels id of every pixel, `[height, width]`; changed in place, to ids that it has already.
   */
  settle(frame: Frame, labels: Uint16Array): void {
    const { width } = frame;
    const colours = nodeColours(frame, CELLS);
    const held = this.#held;
    if (!held || held.width !== width || held.shown.length !== labels.length) {
      this.#held = {
        width,
        shown: labels.slice(),
        proposed: new Uint16Array(labels.length),
        waited: new Uint8Array(labels.length),
        agreed: colours.slice(),
        colours,
      };
      return;
    }
    followLight(held, colours);
    const rest = restingCells(held, colours);
    const disputed = holdPixels(held, frame, labels, (pairs) => {
      return changesOf(pairs, rest, colours, new Looks(frame, labels, colours));
    });
    for (let cell = 0; cell < AREA; cell++) {
      if (disputed[cell] === 1) continue;
      for (let i = 3 * cell; i < 3 * cell + 3; i++) held.agreed[i] = colours[i]!;
    }
    held.colours = colours;
  }
}

/** Puts what is known of colours into the light of this frame: a change of exposure moves nothing. */
function followLight({ agreed, colours: last }: Held, colours: Float32Array): void {
  const change = exposureChange(last, colours);
  for (let i = 0; i < agreed.length; i++) {
    agreed[i]! *= change;
    last[i]! *= change;
  }
}

/** 1 where a cell is at rest, `[AREA]`. */
function restingCells({ agreed, colours: last }: Held, colours: Float32Array): Uint8Array {
  const counts = new Uint32Array(MOST_AT_REST * NOISE_STEPS + 1);
  for (let cell = 0; cell < AREA; cell++) {
    counts[Math.min(counts.length - 1, Math.floor(change(last, colours, cell) * NOISE_STEPS))]!++;
  }
  // The quartile: more than half of the frame may move.
  let quartile = 0;
  for (let below = counts[0]!; below < AREA / 4; below += counts[quartile]!) quartile++;
  const bound = Math.min(MOST_AT_REST, Math.max(AT_REST, NOISE_FACTOR * quartile / NOISE_STEPS));
  return Uint8Array.from({ length: AREA }, (_, cell) => change(agreed, colours, cell) <= bound ? 1 : 0);
}

/** Largest difference of a cell's channels. */
function change(a: Float32Array, b: Float32Array, cell: number): number {
  const i = 3 * cell;
  return Math.max(Math.abs(a[i]! - b[i]!), Math.abs(a[i + 1]! - b[i + 1]!), Math.abs(a[i + 2]! - b[i + 2]!));
}

/** Id before, and id proposed, as one number; 0 is none, as ids begin at 1. */
const pairOf = (before: number, id: number) => before * 65536 + id;

/** Decides for every pixel whose label is another; returns 1 for each cell with a pixel that was held, `[AREA]`. */
function holdPixels(
  { shown, proposed, waited }: Held,
  { width, height }: Frame,
  labels: Uint16Array,
  judge: (pairs: Float64Array) => Changes,
): Uint8Array {
  const columns = Uint8Array.from({ length: width }, (_, x) => Math.floor((x + 0.5) * CELLS / width));
  const eachChanged = (visit: (p: number, cell: number) => void) => {
    for (let y = 0, p = 0; y < height; y++) {
      const row = CELLS * Math.floor((y + 0.5) * CELLS / height);
      for (let x = 0; x < width; x++, p++) if (labels[p] !== shown[p]) visit(p, row + columns[x]!);
    }
  };
  const pairs = new Float64Array(AREA);
  eachChanged((p, cell) => pairs[cell] = pairOf(shown[p]!, labels[p]!));
  const { patience } = judge(pairs);
  const disputed = new Uint8Array(AREA);
  for (let p = 0; p < labels.length; p++) if (labels[p] === shown[p]) waited[p] = 0;
  eachChanged((p, cell) => {
    const [id, before] = [labels[p]!, shown[p]!];
    waited[p] = waited[p]! > 0 && proposed[p] === id ? waited[p]! + 1 : 1;
    proposed[p] = id;
    // The few pixels of another change than their cell's are not held.
    if (pairs[cell] === pairOf(before, id) && waited[p]! < patience[cell]!) {
      labels[p] = before;
      disputed[cell] = 1;
    } else {
      shown[p] = id;
      waited[p] = 0;
    }
  });
  return disputed;
}

/** How long the changes of a frame have to wait. */
interface Changes {
  /** Frames on end for which a cell's change must be proposed; 0 where it is taken at once, `[AREA]`. */
  readonly patience: Uint8Array;
}

/**
 * Finds the changes: connected cells with the same pair of ids.
 *
 * @param pairs what changes into what in a cell, `[AREA]`.
 */
function changesOf(pairs: Float64Array, rest: Uint8Array, colours: Float32Array, looks: Looks): Changes {
  const patience = new Uint8Array(AREA);
  const seen = new Uint8Array(AREA);
  const cells: number[] = [];
  for (let first = 0; first < AREA; first++) {
    if (pairs[first] === 0 || seen[first] === 1) continue;
    const pair = pairs[first]!;
    cells.length = 0;
    const add = (cell: number) => {
      if (seen[cell] === 1 || pairs[cell] !== pair) return;
      seen[cell] = 1;
      cells.push(cell);
    };
    add(first);
    let resting = 0;
    const colour: [number, number, number] = [0, 0, 0];
    for (let i = 0; i < cells.length; i++) {
      const cell = cells[i]!;
      resting += rest[cell]!;
      for (let c = 0; c < 3; c++) colour[c]! += colours[3 * cell + c]!;
      if (cell % CELLS > 0) add(cell - 1);
      if (cell % CELLS < CELLS - 1) add(cell + 1);
      if (cell >= CELLS) add(cell - CELLS);
      if (cell < AREA - CELLS) add(cell + CELLS);
    }
    const [before, id] = [Math.floor(pair / 65536), pair % 65536];
    if (resting < REST_SHARE * cells.length || !looks.has(before)) continue;
    const frames = looks.patience(colour.map((sum) => sum / cells.length), id, before);
    for (const cell of cells) patience[cell] = frames;
  }
  return { patience };
}

/** What the ids of a frame look like: the mean colour of the cells at whose centre they are. */
class Looks {
  readonly #means = new Map<number, Float64Array>();

  constructor({ width, height }: Frame, labels: Uint16Array, colours: Float32Array) {
    let id = -1, sum: Float64Array | undefined;
    for (let y = 0, cell = 0; y < CELLS; y++) {
      const row = Math.floor((y + 0.5) * height / CELLS) * width;
      for (let x = 0; x < CELLS; x++, cell++) {
        const label = labels[row + Math.floor((x + 0.5) * width / CELLS)]!;
        if (label !== id) {
          id = label;
          sum = this.#means.get(id);
          if (!sum) this.#means.set(id, sum = new Float64Array(4));
        }
        for (let c = 0; c < 3; c++) sum![c]! += colours[3 * cell + c]!;
        sum![3]!++;
      }
    }
    for (const mean of this.#means.values()) for (let c = 0; c < 3; c++) mean[c]! /= mean[3]!;
  }

  /** Whether the frame has the id, in any part that is worth the name. */
  has(id: number): boolean {
    return this.#means.has(id);
  }

  /** Frames on end for which `id` must be proposed in place of `before` where the picture has a colour. */
  patience(colour: readonly number[], id: number, before: number): number {
    const [near, far] = [this.#distance(colour, id), this.#distance(colour, before)];
    if (isOther(far, near)) return 1;
    return isOther(near, far) ? LONG_PATIENCE : PATIENCE;
  }

  /** Squared distance of a colour from that of an id; NaN for an id that no cell has. */
  #distance(colour: readonly number[], id: number): number {
    const mean = this.#means.get(id);
    if (!mean) return NaN;
    return colour.reduce((sum, value, c) => sum + (value - mean[c]!) ** 2, 0);
  }
}

/** Whether something at a squared distance of `far` is clearly not what lies at `near`. */
function isOther(far: number, near: number): boolean {
  return far > OTHER_COLOUR ** 2 && near < far / 4;
}
