/**
 * Scores segmented frames against the exact truth of a sample scene, frame by frame.
 *
 * @module
 */
import { assign } from "../eval/assignment.ts";
import { overlap } from "../eval/metrics.ts";

/** What a run over a scene scored. */
export interface SceneResult {
  readonly frames: number;
  /** Mean over frames of the Hungarian-matched mean IoU over the regions of the truth. */
  readonly miou: number;
  /** Least over frames. */
  readonly worst: number;
  /** Times that a region which stayed in view was matched by another id than in the frame before. */
  readonly idChanges: number;
  /** Regions of the truth, counted once each. */
  readonly regions: number;
}

/** Share of the frame below which a region counts as out of view for its id: it enters, leaves or is hidden. */
const IN_VIEW = 0.005;

/** Gathers scores in the order of the frames. */
export class SceneScore {
  readonly #mious: number[] = [];
  readonly #idOf = new Map<number, number>();
  readonly #regions = new Set<number>();
  #scene = 0;
  #idChanges = 0;

  /**
   * Scores one frame.
   *
   * @param truth ids of the truth, one a pixel.
   * @param labels ids of the segmentation, one a pixel.
   */
  add(truth: Uint16Array<ArrayBuffer>, labels: Uint16Array<ArrayBuffer>, scene: number): void {
    const { a: ids, b: regions, sizeA, sizeB, pairs, total } = overlap(labels, truth);
    const iou = new Float64Array(regions.length * ids.length);
    for (const { i, j, count } of pairs) {
      iou[j * ids.length + i] = count / (sizeA[i]! + sizeB[j]! - count);
    }
    const { rows, columns } = assign(iou, regions.length, ids.length, true);
    let sum = 0;
    if (scene !== this.#scene) this.#idOf.clear();
    this.#scene = scene;
    const matched = new Map<number, number>();
    rows.forEach((row, k) => {
      const column = columns[k]!;
      const value = iou[row * ids.length + column]!;
      sum += value;
      if (value > 0 && sizeB[row]! >= IN_VIEW * total) matched.set(regions[row]!, ids[column]!);
    });
    this.#mious.push(sum / regions.length);
    regions.forEach((id) => this.#regions.add(id));
    this.#follow(matched);
  }

  #follow(matched: ReadonlyMap<number, number>): void {
    for (const [region, id] of matched) {
      const last = this.#idOf.get(region);
      if (last !== undefined && last !== id) this.#idChanges++;
    }
    this.#idOf.clear();
    for (const [region, id] of matched) this.#idOf.set(region, id);
  }

  /** The scores so far. */
  result(): SceneResult {
    const frames = this.#mious.length;
    return {
      frames,
      miou: this.#mious.reduce((sum, v) => sum + v, 0) / frames,
      worst: Math.min(...this.#mious),
      idChanges: this.#idChanges,
      regions: this.#regions.size,
    };
  }
}
