/**
 * Steadiness in time: clips and sample scenes, warm, cold, and cold with ids by overlap alone.
 *
 * @module
 */
import { OverlapMatcher } from "../../lib/eval/overlap_matcher.ts";
import { type Grade, scene } from "../../lib/eval/scene.ts";
import { type SteadyScore, SteadyScorer } from "../../lib/eval/steady.ts";
import { TruthScorer } from "../../lib/eval/video.ts";
import { FrameSegmenter } from "../../lib/frame_segmenter.ts";
import type { SegmenterOptions } from "../../lib/segmenter.ts";
import type { Frame } from "../../lib/source/frame.ts";
import { openVideo } from "../../lib/source/open.ts";

/** Means over a stream; what needs truth is absent for clips. */
export interface StreamRow extends SteadyScore {
  readonly name: string;
  readonly aq?: number;
  readonly jf?: number;
  readonly miou?: number;
  readonly switches?: number;
  readonly fragmentations?: number;
  /** Mean a frame; the first is left out. */
  readonly segments: number;
  readonly ms: number;
}

/** A frame, where its scene begins anew, and its truth where that is known. */
interface Shown {
  readonly frame: Frame;
  readonly restart: boolean;
  readonly truth?: Uint16Array<ArrayBuffer>;
}

/** Measures of one way of giving ids. */
class Scorers {
  readonly #steady: SteadyScorer;
  readonly #truth: TruthScorer;
  #hasTruth = false;

  constructor(width: number, height: number) {
    this.#steady = new SteadyScorer(width, height);
    this.#truth = new TruthScorer(width, height);
  }

  add({ frame, restart, truth }: Shown, labels: Uint16Array<ArrayBuffer>): void {
    this.#steady.add(frame, labels, restart);
    if (!truth) return;
    this.#hasTruth = true;
    this.#truth.add(labels, truth);
  }

  result(): Omit<StreamRow, "name" | "segments" | "ms"> {
    const steady = this.#steady.result();
    if (!this.#hasTruth) return steady;
    const { aq, jf, miou, switches, fragmentations } = this.#truth.result();
    return { ...steady, aq, jf, miou, switches, fragmentations };
  }
}

/** The rows of a stream: warm, cold, and cold with ids by overlap with the last frame alone. */
export async function scoreStream(
  name: string,
  open: () => AsyncIterable<Shown>,
  options: SegmenterOptions,
): Promise<StreamRow[]> {
  const [warm] = await runStream(open(), options);
  const [cold, overlap] = await runStream(open(), { ...options, warmStart: false });
  return [
    { name: `${name}, warm`, ...warm! },
    { name: `${name}, cold`, ...cold! },
    { name: `${name}, cold, by overlap`, ...overlap! },
  ];
}

/** One run: with the tracker's ids, and with those of overlap alone. */
async function runStream(
  stream: AsyncIterable<Shown>,
  options: SegmenterOptions,
): Promise<Omit<StreamRow, "name">[]> {
  const segmenter = await FrameSegmenter.create(options);
  const matcher = new OverlapMatcher();
  let scorers: [Scorers, Scorers] | undefined;
  let [ms, segments, count] = [0, 0, 0];
  try {
    for await (const shown of stream) {
      const { width, height } = shown.frame;
      scorers ??= [new Scorers(width, height), new Scorers(width, height)];
      const result = await segmenter.segment(shown.frame);
      scorers[0].add(shown, result.labels);
      scorers[1].add(shown, matcher.match(result.labels));
      if (count++ === 0) continue;
      ms += result.stats.ms.total;
      segments += result.segments.length;
    }
  } finally {
    await segmenter.close();
  }
  const means = { ms: ms / (count - 1), segments: segments / (count - 1) };
  return scorers!.map((scorer) => ({ ...scorer.result(), ...means }));
}

/** The first frames of a clip. */
export async function* clipFrames(path: string, frames: number): AsyncGenerator<Shown> {
  const source = await openVideo(path, { frames });
  try {
    for await (const frame of source.frames()) yield { frame, restart: false };
  } finally {
    await source.close();
  }
}

/** The frames of a sample scene with their truth. */
export async function* sceneFrames(grade: Grade, seed: number, seconds: number): AsyncGenerator<Shown> {
  let last = 0;
  for (const { frame, truth, scene: index } of scene({ grade, seed, seconds })) {
    // Leaves the thread to whoever else waits for it.
    await Promise.resolve();
    yield { frame, truth, restart: index !== last };
    last = index;
  }
}
