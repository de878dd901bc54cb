/**
 * Pictures one by one through any of the methods on the same network.
 *
 * @module
 */
import { FrameSegmenter } from "../frame_segmenter.ts";
import type { SegmenterOptions } from "../segmenter.ts";
import type { Frame } from "../source/frame.ts";

/** What segments a picture: the settings of a segmenter, less those of a stream. */
export type StillOptions = Omit<SegmenterOptions, "dump" | "warmStart" | "keyframe" | "sceneCut">;

/** A picture's segments. */
export interface StillResult {
  /** `[height, width]`, row-major. */
  readonly labels: Uint16Array<ArrayBuffer>;
  readonly segments: number;
  /** Milliseconds from the picture to its labels. */
  readonly ms: number;
}

/** Segments pictures, each on its own. */
export interface StillSegmenter {
  segment(frame: Frame): Promise<StillResult>;
  close(): Promise<void>;
}

/** Pictures after which a segmenter is opened anew: its ids are 16 bits and never given twice. */
const PICTURES = 500;

/** Opens network and device for a method. The segmenter of videos, with nothing kept from picture to picture. */
export async function openStill(options: StillOptions = {}): Promise<StillSegmenter> {
  // On this thread: there is nothing to do beside it, and one network is loaded, not two.
  const open = () => FrameSegmenter.create({ ...options, warmStart: false, sceneCut: 1 });
  let segmenter = await open();
  let pictures = 0;
  return {
    async segment(frame) {
      if (pictures++ === PICTURES) {
        await segmenter.close();
        segmenter = await open();
        pictures = 1;
      }
      const { labels, segments, stats } = await segmenter.segment(frame);
      return { labels, segments: segments.length, ms: stats.ms.total };
    },
    close: () => segmenter.close(),
  };
}
