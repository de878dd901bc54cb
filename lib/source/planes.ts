/**
 * Pictures as ffmpeg decodes most video: planes of brightness and, at half the size, of two colour differences.
 *
 * They are handed on as they are, and become RGB where somebody looks at them.
 *
 * @module
 */
import type { Frame, FrameColor } from "./frame.ts";
import { instantiatePlanes } from "./planes_module.ts";
import { recycle } from "./spare.ts";

/** Pixels of a side below which pictures are decoded to RGB: ffmpeg treats small ones in a way of its own. */
export const LEAST_SIDE = 16;

/** 8-bit 4:2:0 of limited range. */
export interface Planes {
  /** Columns and rows, in pixels; both even and at least {@linkcode LEAST_SIDE}. */
  readonly width: number;
  readonly height: number;
  readonly matrix: FrameColor["matrix"];
  /** Brightness, `[height, width]`, then two differences of `[height / 2, width / 2]`. */
  readonly data: Uint8Array<ArrayBuffer>;
}

const planesOf = new WeakMap<Frame, Planes>();
const looked = new WeakSet<Frame>();

/**
 * A frame whose pixels are made from planes when they are first asked for.
 *
 * A copy of it (`{ ...frame }`) is a frame like any other.
 */
export function planarFrame(index: number, pts: number, planes: Planes): Frame {
  let data: Uint8Array<ArrayBuffer> | undefined;
  const { width, height } = planes;
  const frame: Frame = {
    index,
    pts,
    width,
    height,
    get data() {
      looked.add(frame);
      return data ??= rgbOf(planes);
    },
  };
  planesOf.set(frame, planes);
  return frame;
}

/** What a frame was made of; undefined where it was decoded to RGB. */
export function framePlanes(frame: Frame): Planes | undefined {
  return planesOf.get(frame);
}

/** The same, but undefined where somebody has had the pixels, who may have painted on them. */
export function untouchedPlanes(frame: Frame): Planes | undefined {
  return looked.has(frame) ? undefined : planesOf.get(frame);
}

/** Ends a frame's use where it was made of planes: their memory is taken for frames to come. */
export function recycleFrame(frame: Frame): void {
  const planes = planesOf.get(frame);
  if (planes) recycle(planes.data);
}

/** A frame on its way to another thread or back. */
export interface PackedFrame extends Frame {
  /** Set where the data is planes. */
  readonly matrix?: Planes["matrix"];
}

/** A frame as plain data, that of the planes where any are given; it fills its buffer, which can be transferred. */
export function packFrame(frame: Frame, planes: Planes | undefined): PackedFrame {
  const { index, pts, width, height } = frame;
  const { data, ...matrix } = planes ? { data: planes.data, matrix: planes.matrix } : { data: frame.data };
  const whole = data.byteLength === data.buffer.byteLength;
  return { index, pts, width, height, data: whole ? data : data.slice(), ...matrix };
}

/** The frame of it. */
export function unpackFrame({ matrix, ...frame }: PackedFrame): Frame {
  const { index, pts, width, height, data } = frame;
  return matrix ? planarFrame(index, pts, { width, height, matrix, data }) : frame;
}

/** Weights of red, green and blue in brightness. */
export const LUMA: Readonly<Record<FrameColor["matrix"], readonly [number, number, number]>> = {
  bt709: [0.2126, 0.7152, 0.0722],
  smpte170m: [0.299, 0.587, 0.114],
  bt470bg: [0.299, 0.587, 0.114],
  bt2020nc: [0.2627, 0.678, 0.0593],
};

/** What a step of a difference is to a colour, in 1/65536 and full range: red of v, blue of u, green of u and v. */
const STEPS: Readonly<Record<FrameColor["matrix"], readonly [number, number, number, number]>> = {
  bt709: [117489, 138438, -13975, -34925],
  smpte170m: [104597, 132201, -25675, -53279],
  bt470bg: [104597, 132201, -25675, -53279],
  bt2020nc: [110013, 140363, -12277, -42626],
};

/** Rows that are converted at once: what lies in the memory of the module. */
const BAND = 16;
const PAGE = 1 << 16;

/**
 * The planes as packed RGB: what swscale makes of them with `accurate_rnd` and `full_chroma_int`, to the bit.
 *
 * Along a row differences are interpolated, in the middle of each two pixels. Of the two rows that share
 * them the upper one takes the mean with those above, as swscale does; the last row takes the mean of the last two.
 */
export function rgbOf({ width, height, matrix, data }: Planes): Uint8Array<ArrayBuffer> {
  // Where a frame has been handed to a worker, its pixels are gone with it.
  if (data.length === 0) return new Uint8Array(0);
  const out = new Uint8Array(3 * width * height);
  const room = converterFor(width, matrix);
  const { bytes, module, at } = room;
  const [half, chroma] = [width / 2, height / 2];
  const planes = [width * height, width * height + half * chroma];
  for (let first = 0; first < height; first += BAND) {
    const rows = Math.min(BAND, height - first);
    bytes.set(data.subarray(first * width, (first + rows) * width), at.y);
    // A row above the band and none below: the last of all is among those of the band.
    const top = Math.max(0, first / 2 - 1);
    const bottom = Math.min(chroma, (first + rows + 1) / 2 | 0);
    planes.forEach((plane, k) =>
      bytes.set(data.subarray(plane + top * half, plane + bottom * half), at.chroma[k]!)
    );
    for (let row = first; row < first + rows; row++) {
      const here = row >> 1;
      const other = row === height - 1 ? here - 1 : row & 1 ? here : Math.max(0, here - 1);
      planes.forEach((_, k) => {
        const from = at.chroma[k]!;
        module.sums(from + (here - top) * half, from + (other - top) * half, at.sums[k]!, half);
        room.repeatEnds(k, half);
      });
      const y = at.y + (row - first) * width;
      module.rgb(y, at.sums[0]!, at.sums[1]!, at.out + 3 * (row - first) * width, width, at.weights);
    }
    out.set(bytes.subarray(at.out, at.out + 3 * rows * width), 3 * first * width);
  }
  return out;
}

/** The module, its memory, and where what lies in it for rows of one width. */
class Converter {
  readonly at;
  readonly bytes: Uint8Array;
  readonly module;
  readonly #numbers: Uint16Array;

  constructor(readonly width: number, readonly matrix: FrameColor["matrix"]) {
    // Kernels read and write up to a vector's length beyond the end of a row.
    const slack = 64;
    let end = slack;
    const take = (size: number) => {
      const start = end;
      end = (end + size + slack + 15) & ~15;
      return start;
    };
    const half = width / 2;
    const chroma = (BAND / 2 + 1) * half;
    this.at = {
      weights: take(20),
      y: take(BAND * width),
      chroma: [take(chroma), take(chroma)],
      sums: [take(2 * half), take(2 * half)],
      out: take(3 * BAND * width),
    };
    const memory = new WebAssembly.Memory({ initial: Math.ceil((end + slack) / PAGE) });
    this.bytes = new Uint8Array(memory.buffer);
    this.#numbers = new Uint16Array(memory.buffer);
    this.module = instantiatePlanes(memory);
    this.#weigh(new DataView(memory.buffer));
  }

  /** Before the first difference and after the last lie copies of them. */
  repeatEnds(k: number, half: number): void {
    const first = this.at.sums[k]! / 2;
    this.#numbers[first - 1] = this.#numbers[first]!;
    this.#numbers[first + half] = this.#numbers[first + half - 1]!;
  }

  /** swscale's own rounding, in 13 bits. */
  #weigh(view: DataView): void {
    const rounded = (step: number) => Math.floor((step + 4) / 8);
    const brightness = rounded(Math.floor(65536 * 255 / 219));
    const [red, blue, greenU, greenV] = STEPS[this.matrix].map(rounded);
    const pairs = [[brightness, red!], [brightness, blue!], [brightness, greenU!], [0, greenV!]];
    pairs.flat().forEach((weight, i) => view.setInt16(this.at.weights + 2 * i, weight, true));
    view.setInt32(this.at.weights + 16, -128 * brightness + (1 << 15), true);
  }
}

let converter: Converter | undefined;

function converterFor(width: number, matrix: FrameColor["matrix"]): Converter {
  if (converter?.width !== width || converter.matrix !== matrix) converter = new Converter(width, matrix);
  return converter;
}
