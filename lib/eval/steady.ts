/**
 * How steady the labels of a video are, from its pictures alone.
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import type { Frame } from "../source/frame.ts";
import { Consistency } from "./consistency.ts";
import { BLOCK, blockFlow, type Flow, type Luma, luma } from "./flow.ts";
import type { Labels } from "./metrics.ts";

/** Difference from its motion-compensated past, in levels, above which a pixel counts as uncovered. */
const UNCOVERED = 24;
/** Change of brightness, in levels, up to which all of a block at rest counts as static. */
const STATIC = 10;

/** Scores that need no truth. */
export interface SteadyScore {
  readonly frames: number;
  /** IoU of the labels with those of the last frame moved along, mean over ids by area. */
  readonly tc: number;
  /** Video consistency on pixels at rest; NaN for short or restless videos. */
  readonly vc8: number;
  readonly vc16: number;
  /** Share of the pixels at rest whose id changes from one frame to the next. */
  readonly flicker: number;
  /** Share of the pixels that are at rest, from one frame to the next. */
  readonly rest: number;
}

/** Gathers what can be said of the steadiness of labels from the pictures alone. */
export class SteadyScorer {
  readonly #width: number;
  readonly #height: number;
  readonly #consistency: Consistency;
  readonly #shared = new Map<number, number>();
  readonly #union = new Map<number, number>();
  #last: { labels: Labels; luma: Luma } | undefined;
  #frames = 0;
  /** Pairs of frames that were compared. */
  #pairs = 0;
  #atRest = 0;
  #changed = 0;

  constructor(width: number, height: number) {
    this.#width = width;
    this.#height = height;
    this.#consistency = new Consistency(width * height);
  }

  /** Takes in the next frame and its labels; `restart` where it starts a new scene. */
  add(frame: Pick<Frame, "width" | "height" | "data">, labels: Labels, restart = false): void {
    const [width, height] = [this.#width, this.#height];
    if (frame.width !== width || frame.height !== height || labels.length !== width * height) {
      throw new UsageError({
        what: "Frame and labels differ in size",
        found: `${frame.width}x${frame.height} and ${labels.length} pixels`,
        advice: `both must be ${width}x${height}`,
      });
    }
    const now = luma(frame);
    const last = this.#last;
    this.#frames++;
    if (!last || restart) {
      this.#consistency.add(() => false, () => false);
    } else {
      this.#pairs++;
      const rest = this.#compare(last, now, labels);
      this.#consistency.add((p) => labels[p] === last.labels[p], (p) => rest[p] === 1);
    }
    this.#last = { labels, luma: now };
  }

  /** Moves the last labels along and compares; returns which pixels are at rest. */
  #compare(last: { labels: Labels; luma: Luma }, now: Luma, labels: Labels): Uint8Array<ArrayBuffer> {
    const [width, height] = [this.#width, this.#height];
    const flow = blockFlow(last.luma, now);
    const calm = calmBlocks(last.luma, now, flow);
    const rest = new Uint8Array(width * height);
    const add = (map: Map<number, number>, id: number) => map.set(id, (map.get(id) ?? 0) + 1);
    for (let y = 0; y < height; y++) {
      const ly = Math.min(now.height - 1, y >> 1);
      for (let x = 0; x < width; x++) {
        const lx = Math.min(now.width - 1, x >> 1);
        const block = Math.floor(ly / BLOCK) * flow.columns + Math.floor(lx / BLOCK);
        const [dx, dy] = [flow.shift[2 * block]!, flow.shift[2 * block + 1]!];
        const [sx, sy] = [lx + dx / 2, ly + dy / 2];
        if (x + dx < 0 || y + dy < 0 || x + dx >= width || y + dy >= height) continue;
        if (sx < 0 || sy < 0 || sx >= now.width || sy >= now.height) continue;
        const change = Math.abs(now.data[ly * now.width + lx]! - last.luma.data[sy * now.width + sx]!);
        if (change > UNCOVERED) continue;
        const p = y * width + x;
        const [id, before] = [labels[p]!, last.labels[p + dy * width + dx]!];
        add(this.#union, id);
        if (id === before) add(this.#shared, id);
        else add(this.#union, before);
        if (calm[block] === 1) {
          rest[p] = 1;
          this.#atRest++;
          if (id !== before) this.#changed++;
        }
      }
    }
    return rest;
  }

  /** The scores of the frames so far. */
  result(): SteadyScore {
    let [weighted, weight] = [0, 0];
    for (const [id, union] of this.#union) {
      weighted += this.#shared.get(id) ?? 0;
      weight += union;
    }
    // The mean of shared/union weighted by union.
    const [vc8, vc16] = this.#consistency.results();
    return {
      frames: this.#frames,
      tc: weighted / weight,
      vc8: vc8!,
      vc16: vc16!,
      flicker: this.#changed / this.#atRest,
      rest: this.#atRest / (this.#pairs * this.#width * this.#height),
    };
  }
}

/**
 * Blocks at rest: neither they nor a block beside them moved or changed anywhere. Next to a moving thing some
 * pixels look alike before and after although it is another thing that they show.
 *
 * @returns 1 where a block is at rest, `[rows, columns]`.
 */
function calmBlocks(then: Luma, now: Luma, { columns, rows, shift }: Flow): Uint8Array<ArrayBuffer> {
  const still = new Uint8Array(columns * rows).fill(1);
  for (let b = 0; b < still.length; b++) if (shift[2 * b] !== 0 || shift[2 * b + 1] !== 0) still[b] = 0;
  for (let y = 0; y < now.height; y++) {
    for (let x = 0; x < now.width; x++) {
      const p = y * now.width + x;
      if (Math.abs(now.data[p]! - then.data[p]!) > STATIC) {
        still[Math.floor(y / BLOCK) * columns + Math.floor(x / BLOCK)] = 0;
      }
    }
  }
  return still.map((own, b) => {
    const [column, row] = [b % columns, Math.floor(b / columns)];
    for (let r = Math.max(0, row - 1); r <= Math.min(rows - 1, row + 1); r++) {
      for (let c = Math.max(0, column - 1); c <= Math.min(columns - 1, column + 1); c++) {
        if (still[r * columns + c] === 0) return 0;
      }
    }
    return own;
  });
}
