/**
 * The run of a segmentation: frames from the source through the segmenter to the
 * outputs, each stage at work while the next one is, in constant memory.
 *
 * @module
 */
import { UsageError, WalkcutError } from "../errors.ts";
import type { Renderer } from "../render/render.ts";
import type { SegmentedFrame } from "../segmenter.ts";
import { ClosedPipe, type LabelMap, type Picture, type Sink } from "../sink/mod.ts";
import type { Frame, VideoSource } from "../source/mod.ts";
import { recycleFrame } from "../source/planes.ts";
import type { Progress } from "./progress.ts";
import { ahead, Guarded, until } from "./streams.ts";
import { Watchdog } from "./watchdog.ts";

/** Segmented frames that wait for the outputs, at most. */
const QUEUE = 2;

/** What the run needs of a segmenter. */
export interface FrameSegmenter {
  stream(frames: AsyncIterable<Frame>): AsyncIterable<SegmentedFrame>;
}

/** A sink, and how a segmented frame becomes what it takes. */
export interface Outlet {
  readonly sink: Sink<unknown>;
  write(frame: SegmentedFrame): Promise<void>;
  /** Ends it and removes what it began. */
  discard(): Promise<void>;
}

function outlet<T>(sink: Sink<T>, convert: (frame: SegmentedFrame) => T): Outlet {
  return {
    sink: sink as Sink<unknown>,
    write: (frame) => sink.write(convert(frame)),
    discard: () => discard(sink),
  };
}

async function discard(sink: Pick<Sink<unknown>, "abort" | "partial" | "output">): Promise<void> {
  await sink.abort();
  if (sink.partial === undefined || isStdout(sink)) return;
  try {
    await Deno.remove(sink.partial, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** An outlet of drawn pictures. */
export function pictureOutlet(sink: Sink<Picture>, renderer: Renderer): Outlet {
  return outlet(sink, (frame) => renderer.draw(frame, sink.planar));
}

/** An outlet of label maps, each a copy: the sink may keep or hand on its arrays. */
export function labelOutlet(sink: Sink<LabelMap>): Outlet {
  return outlet(sink, ({ frame: { width, height, pts }, labels }) => ({
    width,
    height,
    pts,
    labels: labels.slice(),
  }));
}

/** An outlet of whole segmented frames. */
export function plainOutlet(sink: Sink<SegmentedFrame>): Outlet {
  return outlet(sink, (frame) => frame);
}

/** What a run is made of. */
export interface RunParts {
  readonly source: VideoSource;
  readonly segmenter: FrameSegmenter;
  /** Opens the outputs; called when the first frame is there, so that a failure before it leaves no file. */
  readonly open: () => Promise<readonly Outlet[]>;
  readonly progress: Progress;
  /** Ends the run after the frames that are under way. */
  readonly signal: AbortSignal;
  readonly onFrame?: (frame: SegmentedFrame) => void;
  /** Frames that an earlier run has done, which do not come again. Default 0. */
  readonly done?: number;
  /** Told when a frame is with every output; frames are counted with those of earlier runs. */
  readonly onWritten?: (frame: SegmentedFrame, frames: number) => Promise<void>;
  /** Seconds without any progress after which the run fails. Default: never. */
  readonly stallTimeout?: number;
}

/** What a run came to. */
export interface Totals {
  readonly frames: number;
  /** Fewest and most segments of a frame. */
  readonly segments: readonly [number, number];
  /** From the first frame asked for to the last one written. */
  readonly seconds: number;
  readonly applications: number;
  /** Names of the outputs, stdout left out. */
  readonly written: readonly string[];
  readonly interrupted: boolean;
  /** True where the reader of stdout ended the run. */
  readonly readerGone: boolean;
}

/**
 * Runs to the end of the source, to the signal, or to a failure.
 *
 * @throws What failed; its line then says where the unfinished outputs lie.
 */
export async function run(parts: RunParts): Promise<Totals> {
  const { source, segmenter, progress, signal, done: before = 0 } = parts;
  const guarded = new Guarded(until(source.frames(), signal));
  const begun = performance.now();
  let outlets: readonly Outlet[] = [];
  let frames = 0, applications = 0;
  const segments: [number, number] = [Infinity, 0];
  let readerGone = false;
  const segmented = ahead(segmenter.stream(guarded), QUEUE);
  const watch = new Watchdog(parts.stallTimeout, () => guarded.waiting ? "the input" : "the segmentation");
  try {
    for (;;) {
      const { value: frame, done } = await watch.over(segmented.next());
      if (done) break;
      if (frames === 0) outlets = await parts.open();
      parts.onFrame?.(frame);
      const { segments: count, operatorApplications } = frame.stats;
      await Promise.all(outlets.map((o) => watch.over(o.write(frame), `the output ${o.sink.output}`)));
      frames++;
      applications += operatorApplications;
      await parts.onWritten?.(frame, before + frames);
      recycleFrame(frame.frame);
      segments[0] = Math.min(segments[0], count);
      segments[1] = Math.max(segments[1], count);
      progress.frame(count);
    }
  } catch (error) {
    progress.end();
    // Ends what runs ahead, without waiting for it: it may be what stands still.
    segmented.return().catch(() => {});
    if (!(error instanceof ClosedPipe)) {
      // What is refused was never begun: the frames that went into its pipe are nowhere.
      await abortAll(outlets, error instanceof UsageError && before === 0 ? 0 : before + frames, error);
      throw error;
    }
    readerGone = true;
  }
  progress.end();
  const seconds = (performance.now() - begun) / 1000;
  const failure = guarded.failure;
  if (failure && !signal.aborted) {
    // Whole frames on stdout are the reader's; files stay unfinished.
    for (const { sink } of outlets) if (isStdout(sink)) await sink.close();
    await abortAll(outlets, before + frames, failure.error);
    throw failure.error;
  }
  // Killed behind its last frame, a run has only its ends to tie up.
  if (frames === 0 && before > 0 && !signal.aborted) outlets = await parts.open();
  if (frames === 0 && before === 0 && !signal.aborted) {
    throw new UsageError({
      what: "There is no frame in what was asked for",
      advice: "check --start, --end and the input",
    });
  }
  const written = await closeAll(outlets, before + frames, signal.aborted);
  return { frames, segments, seconds, applications, written, interrupted: signal.aborted, readerGone };
}

/** Finishes every output, then gives each its name; where one fails, all keep their partial names. */
async function closeAll(outlets: readonly Outlet[], frames: number, early: boolean): Promise<string[]> {
  for (const step of ["finish", "close"] as const) {
    const results = await Promise.allSettled(
      outlets.map(({ sink }) => step === "finish" ? sink.finish?.(early) : sink.close()),
    );
    const failed = results.filter((result) => result.status === "rejected")
      .find(({ reason }) => !(reason instanceof ClosedPipe));
    if (failed) {
      await abortAll(outlets, failed.reason instanceof UsageError ? 0 : frames, failed.reason);
      throw failed.reason;
    }
  }
  return outlets.filter(({ sink }) => !isStdout(sink)).map(({ sink }) => sink.output);
}

/** Ends the outputs; the error's line is told where they lie. */
async function abortAll(outlets: readonly Outlet[], frames: number, error: unknown): Promise<void> {
  const lying: string[] = [];
  for (const outlet of outlets) {
    if (frames === 0) await outlet.discard();
    else await outlet.sink.abort();
    const { partial } = outlet.sink;
    if (partial !== undefined && !isStdout(outlet.sink) && await isThere(partial)) lying.push(partial);
  }
  if (lying.length > 0 && error instanceof WalkcutError) {
    // An encoder that fails takes with it what it had not written yet.
    const done = error.message.startsWith("Cannot write ")
      ? `what was written of the ${frames} frames done lies in`
      : `the ${frames} frames done lie in`;
    error.message += `; ${done} ${lying.join(", ")}`;
  }
}

function isStdout(sink: Pick<Sink<unknown>, "output">): boolean {
  return sink.output === "stdout";
}

async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch {
    return false;
  }
}
