/**
 * Run lengths of segments, as COCO's mask API writes them.
 *
 * A mask is read column by column; its runs alternate between outside and inside, beginning with outside.
 * Compressed, each length but the first three is the difference to the one two before, in groups of five
 * bits, the lowest first, as characters from `0` on.
 *
 * @module
 */

/** A segment as run lengths. */
export interface SegmentRle {
  readonly id: number;
  /** Pixels. */
  readonly area: number;
  /** `[x, y, width, height]`. */
  readonly bbox: readonly [number, number, number, number];
  readonly rle: {
    /** `[height, width]`. */
    readonly size: readonly [number, number];
    readonly counts: string;
  };
}

interface Growing {
  counts: number[];
  end: number;
  area: number;
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/**
 * Encodes all segments of a label map in one pass over it.
 *
 * @param labels Ids, `[height, width]` row-major.
 * @returns By id, ascending.
 */
export function encodeSegments(labels: Uint16Array, width: number, height: number): SegmentRle[] {
  const growing = new Map<number, Growing>();
  let id = -1;
  let from = 0;
  const endRun = (to: number) => {
    if (to === from) return;
    let segment = growing.get(id);
    if (!segment) {
      growing.set(
        id,
        segment = { counts: [], end: 0, area: 0, left: width, right: 0, top: height, bottom: 0 },
      );
    }
    segment.counts.push(from - segment.end, to - from);
    segment.end = to;
    segment.area += to - from;
    const [first, last] = [Math.floor(from / height), Math.floor((to - 1) / height)];
    segment.left = Math.min(segment.left, first);
    segment.right = Math.max(segment.right, last);
    // A run over a column's end touches the top and the bottom.
    segment.top = first < last ? 0 : Math.min(segment.top, from - first * height);
    segment.bottom = first < last ? height - 1 : Math.max(segment.bottom, to - 1 - last * height);
  };
  for (let x = 0, at = 0; x < width; x++) {
    for (let y = 0, i = x; y < height; y++, i += width, at++) {
      const label = labels[i]!;
      if (label !== id) {
        endRun(at);
        id = label;
        from = at;
      }
    }
  }
  const total = width * height;
  endRun(total);
  return [...growing].sort(([a], [b]) => a - b).map(([id, segment]) => {
    if (segment.end < total) segment.counts.push(total - segment.end);
    const { left, right, top, bottom, area, counts } = segment;
    return {
      id,
      area,
      bbox: [left, top, right - left + 1, bottom - top + 1] as const,
      rle: { size: [height, width] as const, counts: compressCounts(counts) },
    };
  });
}

/** Run lengths as COCO's string. */
export function compressCounts(counts: readonly number[]): string {
  let text = "";
  for (let i = 0; i < counts.length; i++) {
    let rest = counts[i]! - (i > 2 ? counts[i - 2]! : 0);
    for (let more = true; more;) {
      let digit = rest & 31;
      rest >>= 5;
      more = digit & 16 ? rest !== -1 : rest !== 0;
      if (more) digit |= 32;
      text += String.fromCharCode(digit + 48);
    }
  }
  return text;
}
