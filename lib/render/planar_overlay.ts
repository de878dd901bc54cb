/**
 * The overlay on a picture that stays as it was decoded: brightness, and colour differences at half the size.
 *
 * Tinting is affine in the pixel, and so is the way to RGB and back: both are folded into weights for each id,
 * and what would be lost between (most of the chroma's sharpness, and two conversions' time) is kept.
 *
 * @module
 */
import { LUMA, type Planes } from "../source/planes.ts";
import { spareBuffer } from "../source/spare.ts";
import { BLOCK, DIGITS, instantiatePlanar, WEIGHTS } from "./planar_module.ts";

/** Rows that are drawn at once: what lies in the memory of the module; even. */
const BAND = 16;
const PAGE = 1 << 16;
const IDS = 1 << 16;
const ONE = 1 << DIGITS;
/** Weights of red, green and blue in the brightness that the shade follows, as in `drawOverlay`. */
const SEEN = [77 / 256, 150 / 256, 29 / 256] as const;
/** The shade's share of the differences has this many more binary digits. */
const SHADE_DIGITS = 4;

/** How an overlay is drawn. */
export interface PlanarOverlayOptions {
  readonly width: number;
  readonly height: number;
  readonly matrix: Planes["matrix"];
  /** Weight of the colours, 0 … 1. */
  readonly opacity: number;
  /** Pixels that an outline is wide. */
  readonly line: number;
  /** Weight of white in an outline, in 1/256. */
  readonly outline: number;
}

/** Draws overlays on planes of one size. */
export class PlanarOverlay {
  readonly #options: PlanarOverlayOptions;
  readonly #tint: Tint;
  readonly #at;
  readonly #bytes: Uint8Array;
  readonly #shorts: Int16Array;
  readonly #ids: Uint16Array;
  readonly #integers: Int32Array;
  readonly #module;
  readonly #known = new Uint8Array(IDS);

  constructor(options: PlanarOverlayOptions) {
    this.#options = options;
    this.#tint = new Tint(options.matrix, options.opacity);
    const { width, line } = options;
    let end = 0;
    const take = (size: number) => {
      const start = end;
      end = (end + size + 15) & ~15;
      return start;
    };
    this.#at = {
      table: take(IDS * WEIGHTS),
      shade: take(4),
      y: take(BAND * width),
      chroma: [take(BAND * width / 4), take(BAND * width / 4)] as const,
      ids: take(2 * (BAND + line) * (width + line)),
      list: take(4 * Math.ceil(width / BLOCK)),
    };
    const memory = new WebAssembly.Memory({ initial: Math.ceil(end / PAGE) });
    this.#bytes = new Uint8Array(memory.buffer);
    this.#shorts = new Int16Array(memory.buffer);
    this.#ids = new Uint16Array(memory.buffer);
    this.#integers = new Int32Array(memory.buffer);
    this.#module = instantiatePlanar(memory);
    this.#shorts.set(this.#tint.shade, this.#at.shade / 2);
  }

  /**
   * Draws one overlay.
   *
   * @param data the planes' bytes; they stay as they are.
   * @param labels segment ids, `[height, width]` row-major.
   * @param ids those that the frame shows.
   * @param colours packed `0xBBGGRR` by id; that of an id may not change from frame to frame.
   */
  draw(
    data: Uint8Array<ArrayBuffer>,
    labels: Uint16Array<ArrayBuffer>,
    ids: readonly number[],
    colours: Uint32Array<ArrayBuffer>,
  ): Uint8Array<ArrayBuffer> {
    for (const id of ids) this.#meet(id, colours[id]!);
    const { width, height } = this.#options;
    const { y, chroma } = this.#at;
    const planes = [width * height, width * height * 5 / 4];
    const out = new Uint8Array(spareBuffer(data.length));
    for (let first = 0; first < height; first += BAND) {
      const rows = Math.min(BAND, height - first);
      this.#bytes.set(data.subarray(first * width, (first + rows) * width), y);
      const part = (plane: number) =>
        [plane + first * width / 4, plane + (first + rows) * width / 4] as const;
      planes.forEach((plane, k) => this.#bytes.set(data.subarray(...part(plane)), chroma[k]!));
      this.#fillIds(labels, first, rows);
      for (let row = 0; row < rows; row += 2) this.#drawRows(row, height - first);
      out.set(this.#bytes.subarray(y, y + rows * width), first * width);
      planes.forEach((plane, k) =>
        out.set(this.#bytes.subarray(chroma[k]!, chroma[k]! + rows * width / 4), part(plane)[0])
      );
    }
    return out;
  }

  /** Ids of a band, the last ones repeated on the right and below, so that blocks there are like others. */
  #fillIds(labels: Uint16Array<ArrayBuffer>, first: number, rows: number): void {
    const { width, height, line } = this.#options;
    let at = this.#at.ids / 2;
    for (let row = first; row < first + rows + line; row++) {
      const end = (Math.min(row, height - 1) + 1) * width;
      this.#ids.set(labels.subarray(end - width, end), at);
      this.#ids.fill(labels[end - 1]!, at + width, at + width + line);
      at += width + line;
    }
  }

  /** @param row the upper of two rows, in the band; `below` the picture's rows from the band's first on. */
  #drawRows(row: number, below: number): void {
    const { width, line } = this.#options;
    const { y, chroma, ids, list, table, shade } = this.#at;
    const blocks = Math.floor(width / BLOCK);
    const left = this.#module.tint(
      ...[y + row * width, width, chroma[0] + row * width / 4, chroma[1] + row * width / 4] as const,
      ...[ids + 2 * row * (width + line), line, blocks, table, shade, list] as const,
    );
    for (let i = 0; i < left; i++) {
      const x = this.#integers[list / 4 + i]! * BLOCK;
      this.#drawPixels(row, below, x, x + BLOCK);
    }
    this.#drawPixels(row, below, blocks * BLOCK, width);
  }

  /** The same for single pixels: the differences of four are the mean of what each would have. */
  #drawPixels(row: number, below: number, from: number, to: number): void {
    const { width, line, outline } = this.#options;
    const { y, chroma, ids } = this.#at;
    const bytes = this.#bytes, labels = this.#ids, shorts = this.#shorts, integers = this.#integers;
    const shadeU = this.#tint.shade[0], shadeV = this.#tint.shade[1];
    const table = this.#at.table / 4, rest = 256 - outline, grey = outline * 128 * ONE;
    for (let x = from; x < to; x += 2) {
      const atU = chroma[0] + row * width / 4 + x / 2;
      const atV = chroma[1] + row * width / 4 + x / 2;
      const u = bytes[atU]!, v = bytes[atV]!;
      const dark = ((u - 128) * shadeU + (v - 128) * shadeV) >> SHADE_DIGITS;
      let sumU = 0, sumV = 0;
      for (let k = 0; k < 4; k++) {
        const across = x + (k & 1), down = k >> 1;
        const at = (row + down) * width + across;
        const label = ids / 2 + at + (row + down) * line;
        const id = labels[label]!;
        const weight = table + id * (WEIGHTS / 4), own = 2 * weight;
        const luma = bytes[y + at]!;
        let bright = (shorts[own]! * luma + shorts[own + 1]! * dark + integers[weight + 1]!) >> DIGITS;
        let tintU = shorts[own + 4]! * u + shorts[own + 5]! * 4 * luma + shorts[own + 6]! * dark +
          integers[weight + 4]!;
        let tintV = shorts[own + 10]! * v + shorts[own + 11]! * 4 * luma + shorts[own + 12]! * dark +
          integers[weight + 7]!;
        if (
          across + line < width && labels[label + line] !== id ||
          row + down + line < below && labels[label + line * (width + line)] !== id
        ) {
          bright = (rest * bright + outline * WHITE + 128) >> 8;
          tintU = (rest * tintU + grey) / 256;
          tintV = (rest * tintV + grey) / 256;
        }
        bytes[y + at] = clamp(bright);
        sumU += tintU;
        sumV += tintV;
      }
      bytes[atU] = clamp(Math.floor(sumU / (4 * ONE)));
      bytes[atV] = clamp(Math.floor(sumV / (4 * ONE)));
    }
  }

  #meet(id: number, colour: number): void {
    if (this.#known[id]) return;
    this.#known[id] = 1;
    const weights = this.#tint.weights(colour & 255, colour >> 8 & 255, colour >> 16 & 255);
    const row = (this.#at.table + id * WEIGHTS) / 4;
    weights.forEach(([first, second], i) => {
      if (second === undefined) this.#integers[row + i] = first!;
      else this.#shorts.set([first!, second], 2 * (row + i));
    });
  }
}

/** White, and the span from black to white, in limited range. */
const WHITE = 235;
const BLACK = 16;
const SPAN = WHITE - BLACK;

function clamp(value: number): number {
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

/**
 * What tinting is in planes. With opacity a, a pixel x becomes (1 − a)·x + a·(a + (1 − a)·(¼ + ¾·s))·colour,
 * where s is the pixel's brightness, 0 … 1.
 */
class Tint {
  /** What a step of each difference is to s·255, in 1/256; 0 where s is the picture's own brightness. */
  readonly shade: readonly [number, number];
  readonly #luma: readonly [number, number, number];

  constructor(matrix: Planes["matrix"], private readonly opacity: number) {
    const [red, green, blue] = this.#luma = LUMA[matrix];
    // r = y + 2(1 − red)·v and b = y + 2(1 − blue)·u; g follows from y. Differences span 224 of 255 steps.
    const [ofV, ofU] = [2 * (1 - red) * 255 / 224, 2 * (1 - blue) * 255 / 224];
    this.shade = [
      Math.round(256 * (SEEN[2] - SEEN[1] * blue / green) * ofU),
      Math.round(256 * (SEEN[0] - SEEN[1] * red / green) * ofV),
    ];
  }

  /** The eight weights of a colour, in the order of `PlanarModule`: pairs, and constants alone. */
  weights(r: number, g: number, b: number): number[][] {
    const { opacity: a } = this;
    const [red, green, blue] = this.#luma;
    const luma = red * r + green * g + blue * b;
    const bright = luma * SPAN / 255;
    const differences = [(b - luma) / (2 * (1 - blue)), (r - luma) / (2 * (1 - red))].map((d) =>
      d * 224 / 255
    );
    // The weight of the colour is `least` at black and grows by `slope` with each step of limited range.
    const slope = a * (1 - a) * 0.75 / SPAN;
    const least = a * (a + (1 - a) * 0.25) - slope * BLACK;
    const ofShade = a * (1 - a) * 0.75 / 255 / 2 ** SHADE_DIGITS;
    const half = ONE / 2;
    const fixed = (value: number) => Math.round(value * ONE);
    return [
      [fixed(1 - a + slope * bright), fixed(ofShade * bright)],
      [fixed(BLACK * a + least * bright) + half],
      ...differences.flatMap((difference) => [
        [fixed(1 - a), fixed(slope * difference / 4)],
        [fixed(ofShade * difference), 0],
        [fixed(128 * a + least * difference) + half],
      ]),
    ];
  }
}
