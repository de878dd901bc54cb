/**
 * A product of a matrix and a block of vectors in WebAssembly's memory, in parts that threads can make apart.
 *
 * @module
 */
import { LOW, TALL, type TileModule } from "./tile_module.ts";

/** Columns of a panel. */
export const PANEL = 8;

/** Length of the sum at a time: a panel's part of it and four rows of A lie in the first cache. */
const DEPTH = 512;

/** Length of a transposed product's sum at a time, and tiles along it: their part of A lies in the second cache. */
const TRANSPOSED_DEPTH = 256;
const TRANSPOSED_TILES = 21;

/** Rows of a part. */
const PART = TRANSPOSED_TILES * TALL;

/** C += op(A)·B, op(A) = A or Aᵀ; places are numbers of f32, lengths padded to multiples of 8. */
export interface TileProduct {
  readonly transposed: boolean;
  /** First number of A, and from one row of it to the next. */
  readonly a: number;
  readonly stride: number;
  /** Length of the sums. */
  readonly inner: number;
  /** Rows of op(A). */
  readonly height: number;
  /** First numbers of B and C, the panels that are wanted first, and how many those are. */
  readonly b: number;
  readonly c: number;
  readonly panels: number;
}

/** Parts of a product; each has rows of C of its own. */
export function partCount({ height }: TileProduct): number {
  return Math.max(1, Math.ceil(tallRows(height) / PART));
}

/** Makes one part. Its sums are the same whoever makes the others. */
export function makePart(tiles: TileModule, product: TileProduct, part: number): void {
  // The last one has the low tiles as well.
  const isLast = part === partCount(product) - 1;
  const rows = [part * PART, isLast ? product.height : (part + 1) * PART] as const;
  if (product.transposed) multiplyTransposed(tiles, product, ...rows);
  else multiplyPlain(tiles, product, ...rows);
}

/** Rows of a padded height that tall tiles cover; low ones do the rest. */
function tallRows(height: number): number {
  let tall = height;
  while (tall % TALL > 0) tall -= LOW;
  return tall;
}

function multiplyPlain(
  tiles: TileModule,
  { a, stride, inner, height, b, c, panels }: TileProduct,
  from: number,
  to: number,
): void {
  const step = stride * 4;
  const [bNext, cNext] = [inner * PANEL * 4, height * PANEL * 4];
  const tall = tallRows(height);
  for (let k = 0; k < inner; k += DEPTH) {
    const depth = Math.min(DEPTH, inner - k);
    const run = (row: number, rows: typeof TALL | typeof LOW) => {
      const [left, right, out] = [a + row * stride + k, b + k * PANEL, c + row * PANEL];
      tiles[`rows${rows}`](left * 4, step, right * 4, out * 4, depth, panels, 0, bNext, cNext);
    };
    for (let row = from; row < Math.min(to, tall); row += TALL) run(row, TALL);
    for (let row = Math.max(from, tall); row < to; row += LOW) run(row, LOW);
  }
}

function multiplyTransposed(
  tiles: TileModule,
  { a, stride, inner, height, b, c, panels }: TileProduct,
  from: number,
  to: number,
): void {
  const step = stride * 4;
  const tall = tallRows(height);
  for (let k = 0; k < inner; k += TRANSPOSED_DEPTH) {
    const depth = Math.min(TRANSPOSED_DEPTH, inner - k);
    const run = (first: number, end: number, rows: typeof TALL | typeof LOW) => {
      if (end <= first) return;
      const left = (a + k * stride + first) * 4;
      for (let p = 0; p < panels; p++) {
        const [right, out] = [b + (p * inner + k) * PANEL, c + (p * height + first) * PANEL];
        const kernel = tiles[`columns${rows}`];
        kernel(left, step, right * 4, out * 4, depth, (end - first) / rows, rows * 4, 0, rows * PANEL * 4);
      }
    };
    run(from, Math.min(to, tall), TALL);
    run(Math.max(from, tall), to, LOW);
  }
}
