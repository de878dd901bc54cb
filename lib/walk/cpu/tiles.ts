/**
 * Dense products in WebAssembly's memory: 128-bit vectors where plain TypeScript has
 * single numbers, on matrices that stay there from product to product.
 *
 * Blocks of vectors lie in panels of eight columns, `[panels, rows, 8]`: what one
 * product leaves is what the next one reads.
 *
 * @module
 */
import { WalkcutError } from "../../errors.ts";
import { instantiateTiles, LOW, MOST_PAGES, type TileModule } from "./tile_module.ts";
import { makePart, PANEL, partCount, type TileProduct } from "./tile_product.ts";
import { TileTeam } from "./tile_team.ts";

const PAGE = 65_536;
const ALIGNMENT = 64;

/** Rows and summed lengths are padded with zeros to a multiple of this. */
const PADDING = 8;

/** Length of a Gram matrix's sum at a time. */
const DEPTH = 512;

/** Numbers of A, a panel each, from which a product is shared with other threads: half a millisecond of one. */
const WORTH_SHARING = 2 ** 20;

/** Panels at a time: their parts of the sum lie in the second cache. */
const PANELS = 16;

/** Numbers that a row or a summed length takes up. */
export function padded(length: number): number {
  return Math.ceil(length / PADDING) * PADDING;
}

/** Copies a panel's row, or part of it. */
function copyRow(from: Float32Array, source: number, to: Float32Array, target: number, count: number): void {
  if (count === PANEL) {
    to[target] = from[source]!;
    to[target + 1] = from[source + 1]!;
    to[target + 2] = from[source + 2]!;
    to[target + 3] = from[source + 3]!;
    to[target + 4] = from[source + 4]!;
    to[target + 5] = from[source + 5]!;
    to[target + 6] = from[source + 6]!;
    to[target + 7] = from[source + 7]!;
  } else {
    for (let c = 0; c < count; c++) to[target + c] = from[source + c]!;
  }
}

/** Numbers from one row of a matrix to the next: not a power of two, where a column would share few lines of the cache. */
function strideOf(columns: number): number {
  const least = padded(columns);
  return least % 128 === 0 ? least + ALIGNMENT / 4 : least;
}

/** A part of the memory. */
export interface Region {
  /** First number, counted in f32. */
  readonly at: number;
  /** Number of f32. */
  readonly length: number;
}

/** A matrix in the memory: rows `stride` apart, both sides padded with zeros to a multiple of 8. */
export interface TileMatrix extends Region {
  readonly rows: number;
  readonly columns: number;
  readonly stride: number;
}

/** A block of vectors in panels. */
export interface Panels extends Region {
  readonly rows: number;
  readonly columns: number;
}

/** Columns of a block that lie in one panel. */
interface PanelPart {
  /** Where the first row of them is; the next are {@linkcode PANEL} apart. */
  readonly at: number;
  /** Number of the first of them, of those that are wanted. */
  readonly column: number;
  readonly count: number;
}

/** Where `width` columns from `first` on lie, a panel at a time. */
function partsOf({ at, rows, columns }: Panels, first = 0, width = columns): PanelPart[] {
  const parts: PanelPart[] = [];
  for (let column = 0; column < width;) {
    const inPanel = (first + column) % PANEL;
    const count = Math.min(PANEL - inPanel, width - column);
    parts.push({ at: at + (first + column - inPanel) * padded(rows) + inPanel, column, count });
    column += count;
  }
  return parts;
}

/** WebAssembly's memory with the kernels that work on it. Whoever allocates a region frees it. */
export class TileMemory {
  readonly #memory: WebAssembly.Memory;
  readonly #tiles: TileModule;
  readonly #team: TileTeam | undefined;
  /** Free regions in order of address, in f32. */
  readonly #free: { at: number; length: number }[] = [{ at: 0, length: PAGE / 4 }];
  #view: Float32Array<ArrayBuffer>;

  /** @param helpers threads that share large products, until {@linkcode close}. */
  constructor(helpers = 0) {
    const shared = helpers > 0;
    this.#memory = new WebAssembly.Memory({ initial: 1, maximum: MOST_PAGES, shared });
    this.#tiles = instantiateTiles(this.#memory);
    this.#team = shared ? new TileTeam(this.#memory, this.#tiles, helpers) : undefined;
    this.#view = this.#whole();
  }

  /** Ends the helpers. */
  close(): void {
    this.#team?.close();
  }

  /** The memory as numbers; valid until the next allocation. */
  get numbers(): Float32Array<ArrayBuffer> {
    if (this.#view.buffer !== this.#memory.buffer) this.#view = this.#whole();
    return this.#view;
  }

  /** Of a memory that is shared as well; nothing but copies of it leaves this module. */
  #whole(): Float32Array<ArrayBuffer> {
    return new Float32Array(this.#memory.buffer as ArrayBuffer);
  }

  /** Reserves numbers; what they are is undefined. */
  allocate(count: number): Region {
    const length = Math.ceil(Math.max(1, count) * 4 / ALIGNMENT) * ALIGNMENT / 4;
    let hole = this.#free.findIndex((region) => region.length >= length);
    if (hole < 0) hole = this.#grow(length);
    const found = this.#free[hole]!;
    const region = { at: found.at, length };
    found.at += length;
    found.length -= length;
    if (found.length === 0) this.#free.splice(hole, 1);
    return region;
  }

  /** Gives a region back. */
  free({ at, length }: Region): void {
    let next = this.#free.findIndex((region) => region.at > at);
    if (next < 0) next = this.#free.length;
    const before = this.#free[next - 1];
    const after = this.#free[next];
    if (before && before.at + before.length === at) {
      before.length += length;
      if (after && before.at + before.length === after.at) {
        before.length += after.length;
        this.#free.splice(next, 1);
      }
    } else if (after && at + length === after.at) {
      after.at = at;
      after.length += length;
    } else this.#free.splice(next, 0, { at, length });
  }

  /** Brings a row-major matrix in. */
  matrix(values: Float32Array, rows: number, columns: number): TileMatrix {
    const matrix = this.emptyMatrix(rows, columns);
    const { numbers } = this;
    const { at, stride } = matrix;
    if (stride === columns) {
      numbers.set(values, at);
    } else {
      for (let i = 0; i < rows; i++) {
        numbers.set(values.subarray(i * columns, (i + 1) * columns), at + i * stride);
        numbers.fill(0, at + i * stride + columns, at + i * stride + padded(columns));
      }
    }
    return matrix;
  }

  /** Room for a matrix; its values are undefined, padding rows are zero. */
  emptyMatrix(rows: number, columns: number): TileMatrix {
    const stride = strideOf(columns);
    const region = this.allocate(padded(rows) * stride);
    this.numbers.fill(0, region.at + rows * stride, region.at + padded(rows) * stride);
    return { ...region, rows, columns, stride };
  }

  /** Room for a block of vectors; its values are undefined. */
  emptyPanels(rows: number, columns: number): Panels {
    const region = this.allocate(Math.ceil(columns / PANEL) * padded(rows) * PANEL);
    return { ...region, rows, columns };
  }

  /**
   * Brings `width` columns of a row-major block in.
   * @param values `[rows, columns]`, rows `stride` apart from `start` on; the memory itself where absent.
   */
  panels(
    values: Float32Array | undefined,
    rows: number,
    width: number,
    stride = width,
    start = 0,
  ): Panels {
    const panels = this.paddedPanels(rows, width);
    this.#bring(panels, 0, width, values ?? this.numbers, stride, start);
    return panels;
  }

  /** Brings row-major blocks of some columns each in, side by side. */
  joined(
    blocks: readonly { readonly block: Float32Array; readonly columns: number }[],
    rows: number,
  ): Panels {
    const panels = this.paddedPanels(rows, blocks.reduce((sum, { columns }) => sum + columns, 0));
    let from = 0;
    for (const { block, columns } of blocks) {
      this.#bring(panels, from, columns, block, columns, 0);
      from += columns;
    }
    return panels;
  }

  /** Room for a block of vectors, zeros where it is padded. */
  paddedPanels(rows: number, columns: number): Panels {
    const panels = this.emptyPanels(rows, columns);
    const { numbers } = this;
    const height = padded(rows);
    const whole = Math.floor(columns / PANEL);
    for (let p = 0; p < whole; p++) {
      const end = panels.at + (p + 1) * height * PANEL;
      numbers.fill(0, end - (height - rows) * PANEL, end);
    }
    numbers.fill(0, panels.at + whole * height * PANEL, panels.at + panels.length);
    return panels;
  }

  #bring(
    panels: Panels,
    first: number,
    width: number,
    from: Float32Array,
    stride: number,
    start: number,
  ): void {
    const { numbers } = this;
    const { rows } = panels;
    for (const { at, column, count } of partsOf(panels, first, width)) {
      for (let i = 0; i < rows; i++) {
        copyRow(from, start + i * stride + column, numbers, at + i * PANEL, count);
      }
    }
  }

  /** Rows `from` to `from + count` of a matrix, each as a column. */
  rowsAsPanels({ at, columns, stride }: TileMatrix, from: number, count: number): Panels {
    const panels = this.emptyPanels(columns, count);
    const { numbers } = this;
    const height = padded(columns);
    numbers.fill(0, panels.at, panels.at + panels.length);
    for (let j = 0; j < count; j++) {
      const target = panels.at + Math.floor(j / PANEL) * height * PANEL + j % PANEL;
      const source = at + (from + j) * stride;
      for (let k = 0; k < columns; k++) numbers[target + k * PANEL] = numbers[source + k]!;
    }
    return panels;
  }

  /** Writes a block of vectors into a row-major array, rows `stride` apart from `start` on. */
  write(panels: Panels, out: Float32Array | Float64Array, stride = panels.columns, start = 0): void {
    const { numbers } = this;
    for (const { at, column, count } of partsOf(panels)) {
      for (let i = 0; i < panels.rows; i++) {
        const target = start + i * stride + column;
        for (let c = 0; c < count; c++) out[target + c] = numbers[at + i * PANEL + c]!;
      }
    }
  }

  /** Takes a block of vectors from a row-major array of its size. */
  subtract(panels: Panels, from: Float32Array): void {
    const { numbers } = this;
    for (const { at, column, count } of partsOf(panels)) {
      for (let i = 0; i < panels.rows; i++) {
        const target = i * panels.columns + column;
        for (let c = 0; c < count; c++) from[target + c]! -= numbers[at + i * PANEL + c]!;
      }
    }
  }

  /** `width` columns of a block of vectors from `first` on, row-major. */
  read(panels: Panels, first = 0, width = panels.columns): Float32Array<ArrayBuffer> {
    const { rows } = panels;
    const out = new Float32Array(rows * width);
    const { numbers } = this;
    for (const { at, column, count } of partsOf(panels, first, width)) {
      for (let i = 0; i < rows; i++) copyRow(numbers, at + i * PANEL, out, i * width + column, count);
    }
    return out;
  }

  /** XᵀX of a block of vectors with zeros where it is padded, `[columns, columns]`, full; rows·columns² operations. */
  gram({ at, rows, columns }: Panels): Float64Array {
    const height = padded(rows);
    const count = Math.ceil(columns / PANEL);
    const size = PANEL * PANEL;
    // Pairs of panels p ≤ q, each a square.
    const pairs = this.allocate(count * (count + 1) / 2 * size);
    this.numbers.fill(0, pairs.at, pairs.at + pairs.length);
    const starts = Array.from({ length: count }, (_, p) => pairs.at + (p * count - p * (p - 1) / 2) * size);
    for (let k = 0; k < height; k += DEPTH) {
      const depth = Math.min(DEPTH, height - k);
      for (let p = 0; p < count; p++) {
        const panel = at + (p * height + k) * PANEL;
        for (let half = 0; half < PANEL; half += LOW) {
          this.#tiles[`columns${LOW}`](
            ...[(panel + half) * 4, PANEL * 4, panel * 4, (starts[p]! + half * PANEL) * 4] as const,
            ...[depth, count - p, 0, height * PANEL * 4, size * 4] as const,
          );
        }
      }
    }
    const { numbers } = this;
    const out = new Float64Array(columns * columns);
    for (let p = 0; p < count; p++) {
      for (let i = p * PANEL; i < Math.min(columns, (p + 1) * PANEL); i++) {
        for (let j = i; j < columns; j++) {
          const square = starts[p]! + (Math.floor(j / PANEL) - p) * size;
          out[i * columns + j] = out[j * columns + i] = numbers[square + i % PANEL * PANEL + j % PANEL]!;
        }
      }
    }
    this.free(pairs);
    return out;
  }

  /** op(A)·B, op(A) = A or Aᵀ, as a new block. 2·rows·columns of A operations a column of B. */
  multiply(a: TileMatrix, transposed: boolean, b: Panels): Panels {
    const c = this.emptyPanels(transposed ? a.columns : a.rows, b.columns);
    this.numbers.fill(0, c.at, c.at + c.length);
    const count = Math.ceil(b.columns / PANEL);
    const [rows, columns] = [padded(a.rows), padded(a.columns)];
    const [inner, height] = transposed ? [rows, columns] : [columns, rows];
    for (let first = 0; first < count; first += PANELS) {
      this.#make({
        transposed,
        ...{ a: a.at, stride: a.stride, inner, height },
        b: b.at + first * inner * PANEL,
        c: c.at + first * height * PANEL,
        panels: Math.min(PANELS, count - first),
      });
    }
    return c;
  }

  #make(product: TileProduct): void {
    const { inner, height, panels } = product;
    if (this.#team && inner * height * panels >= WORTH_SHARING) return this.#team.make(product);
    for (let part = 0; part < partCount(product); part++) makePart(this.#tiles, product, part);
  }

  /** A·B as a new matrix, some panels of columns at a time. */
  product(a: TileMatrix, b: TileMatrix): TileMatrix {
    const c = this.emptyMatrix(a.rows, b.columns);
    const width = PANELS * PANEL;
    for (let column = 0; column < b.columns; column += width) {
      // Padding columns go along, so that they come out as zeros.
      const wide = Math.min(width, padded(b.columns) - column);
      const right = this.panels(undefined, b.rows, wide, b.stride, b.at + column);
      const product = this.multiply(a, false, right);
      this.write(product, this.numbers, c.stride, c.at + column);
      this.free(right);
      this.free(product);
    }
    return c;
  }

  /** A matrix of the same values. */
  copy({ at, length, rows, columns, stride }: TileMatrix): TileMatrix {
    const region = this.allocate(length);
    this.numbers.copyWithin(region.at, at, at + length);
    return { ...region, rows, columns, stride };
  }

  /** The values of a matrix, row-major. */
  values({ at, rows, columns, stride }: TileMatrix): Float32Array<ArrayBuffer> {
    const { numbers } = this;
    if (stride === columns) return numbers.slice(at, at + rows * columns);
    const out = new Float32Array(rows * columns);
    for (let i = 0; i < rows; i++) {
      out.set(numbers.subarray(at + i * stride, at + i * stride + columns), i * columns);
    }
    return out;
  }

  /** Makes the memory larger; returns the position of a hole that is large enough. */
  #grow(length: number): number {
    const { buffer } = this.#memory;
    const end = buffer.byteLength / 4;
    const tail = this.#free.at(-1);
    const there = tail && tail.at + tail.length === end ? tail.length : 0;
    const pages = Math.ceil((length - there) * 4 / PAGE);
    try {
      this.#memory.grow(pages);
    } catch (cause) {
      throw new WalkcutError({
        what: "Cannot multiply: the matrices are larger than the memory that WebAssembly gives",
        found: `${Math.round((buffer.byteLength + pages * PAGE) / 2 ** 20)} MiB`,
        advice: "use a smaller matrix, a power of fewer factors, or --device webgpu",
        cause,
      });
    }
    this.free({ at: end, length: pages * PAGE / 4 });
    return this.#free.findIndex((region) => region.length >= length);
  }
}
