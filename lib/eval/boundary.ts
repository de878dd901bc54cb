/**
 * Boundaries of label maps, and how near they lie.
 *
 * @module
 */

/** Precision, recall and their harmonic mean. */
export interface BoundaryScore {
  readonly precision: number;
  readonly recall: number;
  readonly f: number;
}

/**
 * Boundary pixels of each region, as DAVIS draws them: a pixel is on the boundary
 * of a region where its membership differs from that of the pixel to the right,
 * below or diagonally below (on the last row and column, of the one there is).
 *
 * @returns pixel indices, ascending, by label.
 */
export function boundaries(labels: ArrayLike<number>, width: number, height: number): Map<number, number[]> {
  const lists = new Map<number, number[]>();
  const put = (label: number, pixel: number) => {
    const list = lists.get(label);
    if (!list) lists.set(label, [pixel]);
    else if (list.at(-1) !== pixel) list.push(pixel);
  };
  for (let y = 0; y < height; y++) {
    const lastRow = y === height - 1;
    for (let x = 0; x < width; x++) {
      const p = y * width + x;
      const lastColumn = x === width - 1;
      const self = labels[p]!;
      const right = lastColumn ? self : labels[p + 1]!;
      const below = lastRow ? self : labels[p + width]!;
      const diagonal = lastColumn || lastRow ? self : labels[p + width + 1]!;
      if (right === self && below === self && diagonal === self) continue;
      put(self, p);
      put(right, p);
      put(below, p);
      put(diagonal, p);
    }
  }
  return lists;
}

/** All pixels at which any two regions meet, ascending. */
export function allBoundaries(labels: ArrayLike<number>, width: number, height: number): number[] {
  const out: number[] = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const p = y * width + x;
      if (
        (x < width - 1 && labels[p + 1] !== labels[p]) || (y < height - 1 && labels[p + width] !== labels[p])
      ) out.push(p);
    }
  }
  return out;
}

/**
 * Sets `bit` in `mask` at every pixel whose centre is within `radius` of one of `pixels`.
 *
 * @param mask `[height, width]`.
 */
export function spread(
  mask: Uint32Array<ArrayBuffer>,
  pixels: readonly number[],
  width: number,
  height: number,
  radius: number,
  bit = 1,
): void {
  const reach = Math.floor(radius);
  for (let dy = -reach; dy <= reach; dy++) {
    const half = Math.floor(Math.sqrt(radius * radius - dy * dy));
    for (const p of pixels) {
      const y = Math.floor(p / width) + dy;
      if (y < 0 || y >= height) continue;
      const x = p % width;
      const end = y * width + Math.min(width - 1, x + half);
      for (let q = y * width + Math.max(0, x - half); q <= end; q++) mask[q]! |= bit;
    }
  }
}

/** DAVIS' tolerance: 0.8 % of the diagonal, in whole pixels. */
export function davisTolerance(width: number, height: number): number {
  return Math.ceil(0.008 * Math.sqrt(width * width + height * height));
}

/** F of matched counts, with DAVIS' conventions where a side has no boundary. */
export function boundaryScore(found: number, right: number, wanted: number, hit: number): BoundaryScore {
  const [precision, recall] = found === 0 && wanted === 0
    ? [1, 1]
    : found === 0
    ? [1, 0]
    : wanted === 0
    ? [0, 1]
    : [right / found, hit / wanted];
  const f = precision + recall === 0 ? 0 : 2 * precision * recall / (precision + recall);
  return { precision, recall, f };
}

/**
 * Boundary F of a segmentation against several annotators: precision counts its
 * boundary pixels within the tolerance of any annotator's boundary, recall the
 * annotators' boundary pixels, pooled, within the tolerance of its own. (Distances
 * only, as DAVIS has it, not the one-to-one matching of BSDS.)
 *
 * @param tolerance pixels. Default 2.
 */
export function boundaryF(
  labels: ArrayLike<number>,
  truths: readonly ArrayLike<number>[],
  width: number,
  height: number,
  tolerance = 2,
): BoundaryScore {
  const own = allBoundaries(labels, width, height);
  const near = new Uint32Array(width * height);
  spread(near, own, width, height, tolerance);
  const nearTruth = new Uint32Array(width * height);
  let [wanted, hit] = [0, 0];
  for (const truth of truths) {
    const pixels = allBoundaries(truth, width, height);
    wanted += pixels.length;
    for (const p of pixels) hit += near[p]!;
    spread(nearTruth, pixels, width, height, tolerance);
  }
  const right = own.reduce((sum, p) => sum + nearTruth[p]!, 0);
  return boundaryScore(own.length, right, wanted, hit);
}
