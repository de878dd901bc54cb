/**
 * Ids that stay with their segment from frame to frame.
 *
 * @module
 */
import { WalkcutError } from "../errors.ts";

/** One frame's partition, as the tracker sees it. */
export interface Partition {
  /** Segment of each node, 0 … K − 1, `[N]`. */
  readonly labels: Uint16Array;
  readonly segments: number;
  /** Mean colour of each node, `[N, 3]`, 0 … 255. */
  readonly colours: Float32Array;
}

/** Ids are stored in 16 bits and never used twice. */
const MOST_IDS = 65535;

/** Frames for which a segment that is gone can still come back under its id. */
const MEMORY = 150;

/** Overlap (intersection over union) from which a segment may continue a visible one. */
const LEAST_IOU = 0.1;

/** Overlap from which a segment may continue a hidden one whatever its size now. */
const LEAST_RETURN_IOU = 0.25;

/** Colour distance (RGB, 0 … 255) that halves a match's worth. */
const COLOUR_SCALE = 40;

/** A returning segment's colour may be this far from what it was. */
const RETURN_COLOUR = 16;

/** A returning segment's area may differ by this factor. */
const RETURN_SIZE = 2;

/** A returning segment may have moved this share of the frame's side. */
const RETURN_DISTANCE = 0.35;

interface Track {
  readonly id: number;
  mask: Uint8Array;
  size: number;
  colour: readonly [number, number, number];
  centre: readonly [number, number];
  lastSeen: number;
}

type Shape = Omit<Track, "id" | "lastSeen">;

/** What a tracker knows, as plain data. */
export interface TrackerSnapshot {
  readonly nextId: number;
  readonly frame: number;
  readonly tracks: readonly (Omit<Track, "mask"> & {
    /** The nodes of the segment, as alternating runs of nodes outside and inside. */
    readonly runs: readonly number[];
  })[];
}

/** Gives each segment of each frame the id of the segment it continues. */
export class Tracker {
  #tracks: Track[] = [];
  #nextId = 1;
  #frame = 0;

  /** Ids of the partition's segments, `[K]`; ≥ 1, different from each other. */
  assign(partition: Partition): number[] {
    this.#frame++;
    const shapes = shapesOf(partition);
    const owner = new Array<Track | undefined>(shapes.length);
    const visible = this.#tracks.filter(({ lastSeen }) => lastSeen === this.#frame - 1);
    this.#match(visible, shapes, owner, overlapWorth);
    const hidden = this.#tracks.filter(({ lastSeen }) => lastSeen < this.#frame - 1);
    this.#match(hidden, shapes, owner, returnWorth);
    const ids = shapes.map((shape, s) => {
      const track = owner[s] ?? this.#open(shape);
      Object.assign(track, blendColour(track, shape), { lastSeen: this.#frame });
      return track.id;
    });
    this.#tracks = this.#tracks.filter(({ lastSeen }) => this.#frame - lastSeen <= MEMORY);
    return ids;
  }

  /** What it knows now; {@linkcode Tracker.restore} goes on from there. */
  snapshot(): TrackerSnapshot {
    const tracks = this.#tracks.map(({ mask, ...track }) => ({ ...track, runs: runsOf(mask) }));
    return { nextId: this.#nextId, frame: this.#frame, tracks };
  }

  /** A tracker that knows what another did. */
  static restore({ nextId, frame, tracks }: TrackerSnapshot): Tracker {
    const tracker = new Tracker();
    tracker.#nextId = nextId;
    tracker.#frame = frame;
    tracker.#tracks = tracks.map(({ runs, ...track }) => ({ ...track, mask: maskOf(runs) }));
    return tracker;
  }

  /** Forgets what was seen: no segment of the next frame continues any. Ids are not used again. */
  newScene(): void {
    this.#tracks = [];
  }

  /** Takes the pairs of most worth first; a partition's overlaps leave little to gain by trading. */
  #match(
    tracks: readonly Track[],
    shapes: readonly Shape[],
    owner: (Track | undefined)[],
    worth: (track: Track, shape: Shape) => number,
  ): void {
    const pairs = tracks.flatMap((track) =>
      shapes.map((shape, s) => ({ track, s, worth: owner[s] ? 0 : worth(track, shape) }))
    ).filter((pair) => pair.worth > 0).sort((a, b) => b.worth - a.worth);
    const taken = new Set<Track>();
    for (const { track, s } of pairs) {
      if (taken.has(track) || owner[s]) continue;
      taken.add(track);
      owner[s] = track;
    }
  }

  #open(shape: Shape): Track {
    if (this.#nextId > MOST_IDS) {
      throw new WalkcutError({
        what: "Cannot number another segment",
        found: `${MOST_IDS} ids are in use`,
        advice: "cut the input in parts with --shard, or join small segments with --min-area",
      });
    }
    const track = { id: this.#nextId++, lastSeen: this.#frame, ...shape };
    this.#tracks.push(track);
    return track;
  }
}

function runsOf(mask: Uint8Array): number[] {
  const runs = [0];
  for (let i = 0; i < mask.length; i++) {
    if (mask[i] === (runs.length & 1)) runs.push(1);
    else runs[runs.length - 1]!++;
  }
  return runs;
}

function maskOf(runs: readonly number[]): Uint8Array {
  const mask = new Uint8Array(runs.reduce((sum, run) => sum + run, 0));
  let at = 0;
  runs.forEach((run, i) => mask.fill(i & 1, at, at += run));
  return mask;
}

function shapesOf({ labels, segments, colours }: Partition): Shape[] {
  const n = labels.length;
  const side = Math.round(Math.sqrt(n));
  const shapes = Array.from({ length: segments }, () => ({
    mask: new Uint8Array(n),
    size: 0,
    sums: [0, 0, 0, 0, 0] as [number, number, number, number, number],
  }));
  for (let i = 0; i < n; i++) {
    const shape = shapes[labels[i]!]!;
    shape.mask[i] = 1;
    shape.size++;
    for (let c = 0; c < 3; c++) shape.sums[c]! += colours[3 * i + c]!;
    shape.sums[3] += (i % side) / side;
    shape.sums[4] += Math.floor(i / side) / side;
  }
  return shapes.map(({ mask, size, sums }) => {
    const [r, g, b, x, y] = sums.map((sum) => sum / Math.max(1, size)) as typeof sums;
    return { mask, size, colour: [r, g, b], centre: [x, y] };
  });
}

/** A track's colour follows slowly, so that one odd frame does not lose it. */
function blendColour(track: Track, shape: Shape): Shape {
  const [r, g, b] = track.colour.map((c, i) => 0.8 * c + 0.2 * shape.colour[i]!) as [number, number, number];
  return { ...shape, colour: [r, g, b] };
}

function overlapWorth(track: Track, shape: Shape): number {
  const overlap = iou(track, shape);
  return overlap < LEAST_IOU ? 0 : overlap * (0.5 + 0.5 * colourLikeness(track, shape));
}

function returnWorth(track: Track, shape: Shape): number {
  const likeness = colourLikeness(track, shape);
  const overlap = iou(track, shape);
  if (overlap >= LEAST_RETURN_IOU) return overlap * (0.5 + 0.5 * likeness);
  const growth = shape.size / track.size;
  const moved = Math.hypot(shape.centre[0] - track.centre[0], shape.centre[1] - track.centre[1]);
  const alike = colourDistance(track, shape) <= RETURN_COLOUR && growth <= RETURN_SIZE &&
    growth >= 1 / RETURN_SIZE && moved <= RETURN_DISTANCE;
  return alike ? LEAST_RETURN_IOU * likeness * (1 - moved) : 0;
}

function iou(a: Shape, b: Shape): number {
  let both = 0;
  for (let i = 0; i < a.mask.length; i++) both += a.mask[i]! & b.mask[i]!;
  return both / (a.size + b.size - both);
}

function colourDistance(a: Shape, b: Shape): number {
  return Math.hypot(...a.colour.map((c, i) => c - b.colour[i]!));
}

function colourLikeness(a: Shape, b: Shape): number {
  return 1 / (1 + (colourDistance(a, b) / COLOUR_SCALE) ** 2);
}
