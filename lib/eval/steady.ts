/**
 * How steady the labels of a video are, from its pictures alone.
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import { exposureChange } from "../features/exposure.ts";
import type { Frame } from "../source/frame.ts";
import { Consistency } from "./consistency.ts";
import { BLOCK, blockFlow, brightness, channels, type Flow, type Plane } from "./flow.ts";
import type { Labels } from "./metrics.ts";

/** Difference from its motion-compensated past, in levels, above which a pixel counts as uncovered. */
const UNCOVERED = 24;
/** Change of any channel, in levels, up to which all of a block at rest counts as static. */
const STATIC = 10;
/** Frames back to each of which that holds: from one to the next a slow edge changes less. */
const STATIC_FRAMES = 4;

/** Share of pixels at rest below which they tell nothing of flicker. */
const LEAST_REST = 0.001;

/** Scores that need no truth. */
export interface SteadyScore {
  readonly frames: number;
  /** IoU of the labels with those of the last frame moved along, mean over ids by area. */
  readonly tc: number;
  /** Video consistency on pixels at rest; NaN for short or restless videos. */
  readonly vc8: number;
  readonly vc16: number;
  /** Share of the pixels at rest whose id changes from one frame to the next; NaN where next to none is. */
  readonly flicker: number;
  /** Share of the pixels that are at rest, from one frame to the next. */
  readonly rest: number;
}

/** A frame that was scored. */
interface Seen {
  readonly labels: Labels;
  readonly planes: readonly Plane[];
  readonly luma: Plane;
}

/** Gathers what can be said of the steadiness of labels from the pictures alone. */
export class SteadyScorer {
  readonly #width: number;
  readonly #height: number;
  readonly #consistency: Consistency;
  readonly #shared = new Map<number, number>();
  readonly #union = new Map<number, number>();
  /** The last frames, the latest first. */
  #past: Seen[] = [];
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
    const planes = channels(frame);
    const now = { labels, planes, luma: brightness(planes) };
    if (restart) this.#past = [];
    const last = this.#past[0];
    this.#frames++;
    if (!last) {
      this.#consistency.add(() => false, () => false);
    } else {
      this.#pairs++;
      const rest = this.#compare(last, now);
      this.#consistency.add((p) => labels[p] === last.labels[p], (p) => rest[p] === 1);
    }
    this.#past = [now, ...this.#past.slice(0, STATIC_FRAMES - 1)];
  }

  /** Moves the last labels along and compares; returns which pixels are at rest. */
  #compare(last: Seen, { labels, planes, luma }: Seen): Uint8Array<ArrayBuffer> {
    const [width, height] = [this.#width, this.#height];
    const flow = blockFlow(last.luma, luma);
    const calm = calmBlocks(this.#past.map((seen) => seen.planes), planes, flow);
    const rest = new Uint8Array(width * height);
    const add = (map: Map<number, number>, id: number) => map.set(id, (map.get(id) ?? 0) + 1);
    for (let y = 0; y < height; y++) {
      const ly = Math.min(luma.height - 1, y >> 1);
      for (let x = 0; x < width; x++) {
        const lx = Math.min(luma.width - 1, x >> 1);
        const block = Math.floor(ly / BLOCK) * flow.columns + Math.floor(lx / BLOCK);
        const [dx, dy] = [flow.shift[2 * block]!, flow.shift[2 * block + 1]!];
        const [sx, sy] = [lx + dx / 2, ly + dy / 2];
        if (x + dx < 0 || y + dy < 0 || x + dx >= width || y + dy >= height) continue;
        if (sx < 0 || sy < 0 || sx >= luma.width || sy >= luma.height) continue;
        const change = Math.abs(luma.data[ly * luma.width + lx]! - last.luma.data[sy * luma.width + sx]!);
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
    const rest = this.#atRest / (this.#pairs * this.#width * this.#height);
    return {
      frames: this.#frames,
      tc: weighted / weight,
      vc8: vc8!,
      vc16: vc16!,
      flicker: rest < LEAST_REST ? NaN : this.#changed / this.#atRest,
      rest,
    };
  }
}

/**
 * Blocks at rest: neither they nor a block beside them moved or changed anywhere. Next to a moving thing some
 * pixels look alike before and after although it is another thing that they show. Every channel must have stayed:
 * a thing as bright as its ground moves without a change of brightness. Exposure may change.
 *
 * @returns 1 where a block is at rest, `[rows, columns]`.
 */
function calmBlocks(
  past: readonly (readonly Plane[])[],
  now: readonly Plane[],
  { columns, rows, shift }: Flow,
): Uint8Array<ArrayBuffer> {
  const still = new Uint8Array(columns * rows).fill(1);
  for (let b = 0; b < still.length; b++) if (shift[2 * b] !== 0 || shift[2 * b + 1] !== 0) still[b] = 0;
  for (const then of past) {
    const light = exposureChange(then[1]!.data, now[1]!.data);
    now.forEach(({ width, height, data }, channel) => {
      const before = then[channel]!.data;
      for (let y = 0, p = 0; y < height; y++) {
        const row = Math.floor(y / BLOCK) * columns;
        for (let x = 0; x < width; x++, p++) {
          if (Math.abs(data[p]! - light * before[p]!) > STATIC) still[row + Math.floor(x / BLOCK)] = 0;
        }
      }
    });
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
