/**
 * A segmenter without network and cut, to measure and test what stands around them.
 *
 * @module
 */
import type { SegmenterSnapshot } from "../frame_segmenter.ts";
import type { FrameStats, SegmentedFrame } from "../segmenter.ts";
import type { Frame } from "../source/frame.ts";

const NO_COST: FrameStats = {
  ms: { features: 0, walk: 0, cut: 0, upsample: 0, total: 0 },
  segments: 4,
  unetEvals: 0,
  operatorApplications: 0,
  residual: 0,
  warm: false,
  solver: "factor",
  rank: 0,
  traceShare: 1,
  recertified: 0,
  sceneCut: false,
};

/** It remembers nothing. */
const NO_MEMORY: SegmenterSnapshot = {
  tracker: { nextId: 5, frame: 0, tracks: [] },
  scene: undefined,
  sinceKey: 0,
};

/** Frames between two that carry a snapshot. */
const SNAPSHOTS = 10;

/** The label map of a frame's quarters. */
function quarters(width: number, height: number): Uint16Array<ArrayBuffer> {
  const labels = new Uint16Array(width * height);
  const [middle, half] = [Math.ceil(width / 2), Math.ceil(height / 2)];
  for (let y = 0; y < height; y++) {
    const first = y < half ? 1 : 3;
    labels.fill(first, y * width, y * width + middle);
    labels.fill(first + 1, y * width + middle, (y + 1) * width);
  }
  return labels;
}

/** Gives every frame the same four segments: its quarters, ids 1 to 4. */
export class NullSegmenter {
  async *stream(frames: AsyncIterable<Frame>): AsyncGenerator<SegmentedFrame, void, void> {
    let labels = new Uint16Array(0);
    for await (const frame of frames) {
      const { width, height } = frame;
      if (labels.length !== width * height) labels = quarters(width, height);
      const [middle, half] = [Math.ceil(width / 2), Math.ceil(height / 2)];
      const areas = [
        middle * half,
        (width - middle) * half,
        middle * (height - half),
        (width - middle) * (height - half),
      ];
      const segments = areas.map((area, i) => ({ id: i + 1, area, ncut: NaN })).filter(({ area }) =>
        area > 0
      );
      yield {
        frame,
        labels,
        segments,
        stats: { ...NO_COST, segments: segments.length },
        ...(frame.index % SNAPSHOTS === SNAPSHOTS - 1 ? { snapshot: NO_MEMORY } : {}),
      };
    }
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
