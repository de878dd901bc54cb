/**
 * Ids from frame to frame by overlap alone: the baseline that a tracker is held against.
 *
 * @module
 */
import { WalkcutError } from "../errors.ts";
import { assign } from "./assignment.ts";
import { overlap } from "./metrics.ts";

/** Ids are stored in 16 bits and never used twice. */
const MOST_IDS = 65_535;

/**
 * Renames the labels of each frame: the assignment of its segments to the last frame's with the greatest
 * sum of IoUs says which go on; the others get new ids. Nothing older than the last frame counts, and no
 * colour.
 */
export class OverlapMatcher {
  #last: Uint16Array<ArrayBuffer> | undefined;
  #given = 0;

  /** @param labels any labels, one a pixel, which are not changed. */
  match(labels: ArrayLike<number>): Uint16Array<ArrayBuffer> {
    const last = this.#last;
    const ids = new Map<number, number>();
    if (last) {
      const { a, b, sizeA, sizeB, pairs } = overlap(labels, last);
      const iou = new Float64Array(a.length * b.length);
      for (const { i, j, count } of pairs) iou[i * b.length + j] = count / (sizeA[i]! + sizeB[j]! - count);
      const { rows, columns } = assign(iou, a.length, b.length, true);
      rows.forEach((i, k) => {
        const j = columns[k]!;
        if (iou[i * b.length + j]! > 0) ids.set(a[i]!, b[j]!);
      });
    }
    this.#last = Uint16Array.from(labels, (label) => {
      let id = ids.get(label);
      if (id === undefined) ids.set(label, id = this.#fresh());
      return id;
    });
    return this.#last;
  }

  #fresh(): number {
    if (this.#given === MOST_IDS) {
      throw new WalkcutError({ what: "Overlap with the last frame gave more ids than 16 bits hold" });
    }
    return ++this.#given;
  }
}
