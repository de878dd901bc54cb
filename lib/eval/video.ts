/**
 * How good the labels of a video are against its truth.
 *
 * Everything is gathered frame by frame in memory that does not grow with the
 * video's length.
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import { assign } from "./assignment.ts";
import { boundaries, boundaryScore, davisTolerance, spread } from "./boundary.ts";
import { Consistency } from "./consistency.ts";
import { type Labels, type Overlap, overlap } from "./metrics.ts";

/** Proposals of a sequence that J&F looks at, as DAVIS 2017 (unsupervised) allows. */
const PROPOSALS = 20;
/** IoU from which an object counts as followed. */
const FOLLOWED = 0.5;
/** What happened to one object of the truth. */
export interface TrackScore {
  /** Frames in which it can be seen. */
  readonly frames: number;
  /** Frames in which a segment matched it with IoU ≥ 0.5. */
  readonly followed: number;
  /** Times at which the segment that follows it has another id than the last that did. */
  readonly switches: number;
  /** Times at which it was lost and found again while it could be seen. */
  readonly fragmentations: number;
}

/** Scores against the truth. */
export interface TruthScore {
  readonly frames: number;
  /** Mean over frames of the mean IoU over the objects in view, segments matched anew each frame. */
  readonly miou: number;
  /** Association quality of STQ (Weber et al. 2021), 0 … 1. */
  readonly aq: number;
  /** Region and boundary measures of DAVIS 2017, matched once a sequence, and their mean. */
  readonly j: number;
  readonly f: number;
  readonly jf: number;
  /** Video consistency over 8 and 16 frames on pixels of constant truth (VSPW); NaN for short videos. */
  readonly vc8: number;
  readonly vc16: number;
  /** Sums over the tracks. */
  readonly switches: number;
  readonly fragmentations: number;
  /** By id of the truth. */
  readonly tracks: ReadonlyMap<number, TrackScore>;
}

interface Track {
  frames: number;
  followed: number;
  switches: number;
  fragmentations: number;
  lastId: number;
  lost: boolean;
}

/** Values of pairs of ids. */
class PairMap {
  readonly #values = new Map<number, number>();
  add(a: number, b: number, value: number): void {
    const key = a * 65_536 + b;
    this.#values.set(key, (this.#values.get(key) ?? 0) + value);
  }
  get(a: number, b: number): number {
    return this.#values.get(a * 65_536 + b) ?? 0;
  }
  *[Symbol.iterator](): Generator<[number, number, number]> {
    for (const [key, value] of this.#values) yield [Math.floor(key / 65_536), key % 65_536, value];
  }
}

/** Gathers the scores of a video's labels against its truth. */
export class TruthScorer {
  readonly #width: number;
  readonly #height: number;
  readonly #ignore: number | undefined;
  readonly #tracks = new Map<number, Track>();
  readonly #shared = new PairMap();
  readonly #sizeTruth = new Map<number, number>();
  readonly #sizeLabel = new Map<number, number>();
  readonly #framesTruth = new Map<number, number>();
  readonly #framesLabel = new Map<number, number>();
  readonly #framesBoth = new PairMap();
  readonly #j = new PairMap();
  readonly #f = new PairMap();
  readonly #consistency: Consistency;
  #last: { labels: Labels; truth: Labels } | undefined;
  #frames = 0;
  #miou = 0;

  /** @param options.ignore an id of the truth whose pixels do not count, such as DAVIS' 0. */
  constructor(width: number, height: number, { ignore }: { ignore?: number } = {}) {
    this.#width = width;
    this.#height = height;
    this.#ignore = ignore;
    this.#consistency = new Consistency(width * height);
  }

  /**
   * Takes in the next frame.
   *
   * @param labels ids of the segments, `[height, width]`.
   * @param truth ids of the objects, `[height, width]`.
   * @returns mean IoU over the objects in view, segments matched in this frame alone.
   */
  add(labels: Labels, truth: Labels): number {
    const pixels = this.#width * this.#height;
    if (labels.length !== pixels || truth.length !== pixels) {
      throw new UsageError({
        what: "Labels and truth differ in size",
        found: `${labels.length} and ${truth.length} pixels`,
        advice: `both must be ${this.#width}x${this.#height}`,
      });
    }
    const table = overlap(labels, truth, this.#ignore);
    this.#frames++;
    for (
      const [ids, sizes, frames, areas] of [
        [table.a, this.#sizeLabel, this.#framesLabel, table.sizeA],
        [table.b, this.#sizeTruth, this.#framesTruth, table.sizeB],
      ] as const
    ) {
      ids.forEach((id, i) => {
        sizes.set(id, (sizes.get(id) ?? 0) + areas[i]!);
        frames.set(id, (frames.get(id) ?? 0) + 1);
      });
    }
    for (const { i, j, count } of table.pairs) {
      this.#shared.add(table.a[i]!, table.b[j]!, count);
      this.#j.add(table.a[i]!, table.b[j]!, count / (table.sizeA[i]! + table.sizeB[j]! - count));
    }
    const miou = this.#follow(table);
    this.#miou += miou;
    this.#boundaries(labels, truth, table);
    const last = this.#last;
    this.#consistency.add(
      (p) => labels[p] === last!.labels[p],
      (p) => truth[p] === last!.truth[p] && truth[p] !== this.#ignore,
    );
    this.#last = { labels, truth };
    return miou;
  }

  /** Matches segments to objects and goes on with the tracks. */
  #follow({ a, b, sizeA, sizeB, pairs }: Overlap): number {
    if (b.length === 0) return 1;
    const iou = new Float64Array(b.length * a.length);
    for (const { i, j, count } of pairs) iou[j * a.length + i] = count / (sizeA[i]! + sizeB[j]! - count);
    const { rows, columns } = assign(iou, b.length, a.length, true);
    const matched = new Map<number, { id: number; iou: number }>();
    rows.forEach((j, k) => {
      matched.set(b[j]!, { id: a[columns[k]!]!, iou: iou[j * a.length + columns[k]!]! });
    });
    let sum = 0;
    for (const id of b) {
      const match = matched.get(id);
      sum += match?.iou ?? 0;
      let track = this.#tracks.get(id);
      if (!track) {
        const fresh = { frames: 0, followed: 0, switches: 0, fragmentations: 0, lastId: -1 };
        this.#tracks.set(id, track = { ...fresh, lost: false });
      }
      track.frames++;
      if (match && match.iou >= FOLLOWED) {
        track.followed++;
        if (track.lastId >= 0 && track.lastId !== match.id) track.switches++;
        if (track.lost) track.fragmentations++;
        track.lastId = match.id;
        track.lost = false;
      } else if (track.lastId >= 0) track.lost = true;
    }
    // Out of view is not lost.
    const inView = new Set(b);
    for (const [id, track] of this.#tracks) if (!inView.has(id)) track.lost = false;
    return sum / b.length;
  }

  /** Boundary F of every pair of a segment and an object that are both in view. */
  #boundaries(labels: Labels, truth: Labels, { a, b }: Overlap): void {
    const [width, height] = [this.#width, this.#height];
    const radius = davisTolerance(width, height);
    const ofLabels = boundaries(labels, width, height);
    const ofTruth = boundaries(truth, width, height);
    /** Boundary pixels of `from` by id that lie near a boundary of `to`, for each pair. */
    const near = (
      from: Map<number, number[]>,
      idsFrom: readonly number[],
      to: Map<number, number[]>,
      idsTo: readonly number[],
    ) => {
      const counts = new Map<number, number>();
      for (let start = 0; start < idsTo.length; start += 31) {
        const chunk = idsTo.slice(start, start + 31);
        const mask = new Uint32Array(width * height);
        chunk.forEach((id, bit) => spread(mask, to.get(id) ?? [], width, height, radius, 1 << bit));
        for (const id of idsFrom) {
          const hits = new Int32Array(chunk.length);
          for (const p of from.get(id) ?? []) {
            for (let m = mask[p]!; m; m &= m - 1) hits[31 - Math.clz32(m & -m)]!++;
          }
          chunk.forEach((other, bit) => counts.set(id * 65_536 + other, hits[bit]!));
        }
      }
      return counts;
    };
    const right = near(ofLabels, a, ofTruth, b);
    const hit = near(ofTruth, b, ofLabels, a);
    for (const label of a) {
      for (const object of b) {
        this.#framesBoth.add(label, object, 1);
        const [found, wanted] = [ofLabels.get(label)?.length ?? 0, ofTruth.get(object)?.length ?? 0];
        const score = boundaryScore(
          found,
          right.get(label * 65_536 + object)!,
          wanted,
          hit.get(object * 65_536 + label)!,
        );
        if (score.f > 0) this.#f.add(label, object, score.f);
      }
    }
  }

  /** The scores of the frames so far. */
  result(): TruthScore {
    const tracks = new Map(
      [...this.#tracks].map(([id, { frames, followed, switches, fragmentations }]) => [
        id,
        { frames, followed, switches, fragmentations },
      ]),
    );
    const sum = (key: "switches" | "fragmentations") =>
      [...tracks.values()].reduce((total, track) => total + track[key], 0);
    const [vc8, vc16] = this.#consistency.results();
    return {
      frames: this.#frames,
      miou: this.#miou / this.#frames,
      aq: this.#associationQuality(),
      ...this.#davis(),
      vc8: vc8!,
      vc16: vc16!,
      switches: sum("switches"),
      fragmentations: sum("fragmentations"),
      tracks,
    };
  }

  #associationQuality(): number {
    const byTrack = new Map<number, number>();
    for (const [label, object, shared] of this.#shared) {
      const iou = shared / (this.#sizeLabel.get(label)! + this.#sizeTruth.get(object)! - shared);
      byTrack.set(object, (byTrack.get(object) ?? 0) + shared * iou);
    }
    let sum = 0;
    for (const [object, value] of byTrack) sum += value / this.#sizeTruth.get(object)!;
    return sum / this.#sizeTruth.size;
  }

  /** One assignment for the whole sequence, of the 20 largest segments to the objects. */
  #davis(): { j: number; f: number; jf: number } {
    const objects = [...this.#sizeTruth.keys()].sort((x, y) => x - y);
    const labels = [...this.#sizeLabel].sort((x, y) => y[1] - x[1] || x[0] - y[0]).slice(0, PROPOSALS)
      .map(([id]) => id);
    // Where there are fewer segments than objects, DAVIS fills up with empty ones.
    const proposals = Math.max(labels.length, objects.length);
    const [j, f] = [
      new Float64Array(proposals * objects.length),
      new Float64Array(proposals * objects.length),
    ];
    for (let p = 0; p < proposals; p++) {
      objects.forEach((object, o) => {
        const label = labels[p];
        const seen = label === undefined ? 0 : this.#framesLabel.get(label)!;
        const both = label === undefined ? 0 : this.#framesBoth.get(label, object);
        // Neither in view: DAVIS counts a frame as wholly right.
        const neither = this.#frames - seen - this.#framesTruth.get(object)! + both;
        const at = p * objects.length + o;
        j[at] = ((label === undefined ? 0 : this.#j.get(label, object)) + neither) / this.#frames;
        f[at] = ((label === undefined ? 0 : this.#f.get(label, object)) + neither) / this.#frames;
      });
    }
    const { rows, columns } = assign(j.map((v, i) => (v + f[i]!) / 2), proposals, objects.length, true);
    let [sumJ, sumF] = [0, 0];
    rows.forEach((row, k) => {
      sumJ += j[row * objects.length + columns[k]!]!;
      sumF += f[row * objects.length + columns[k]!]!;
    });
    const n = objects.length;
    return { j: sumJ / n, f: sumF / n, jf: (sumJ + sumF) / (2 * n) };
  }
}

/** Scores the labels of a whole scene against its truth, both `[height, width]` a frame. */
export function sceneScore(
  labels: Iterable<Labels>,
  truth: Iterable<Labels>,
  width: number,
  height: number,
): TruthScore {
  const scorer = new TruthScorer(width, height);
  const other = truth[Symbol.iterator]();
  for (const map of labels) {
    const next = other.next();
    if (next.done) throw new UsageError({ what: "The truth has fewer frames than the labels" });
    scorer.add(map, next.value);
  }
  if (!other.next().done) throw new UsageError({ what: "The truth has more frames than the labels" });
  return scorer.result();
}
