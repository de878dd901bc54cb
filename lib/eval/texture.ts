/**
 * Textures and colours of the sample scenes.
 *
 * Only +, −, ×, ÷ and square roots, which IEEE 754 fixes to the last bit: the same
 * seed gives the same bytes on every machine.
 *
 * @module
 */

/** Red, green, blue, 0 … 255. */
export type Rgb = readonly [number, number, number];

/** What a surface is painted with: a brightness pattern around one colour. */
export type Pattern = "noise" | "stripes" | "checks" | "dots";

/** A painted surface. */
export interface Paint {
  readonly colour: Rgb;
  readonly pattern: Pattern;
  /** Length of the pattern's period, in pixels. */
  readonly period: number;
  /** Largest change of brightness, in levels of 8 bits. */
  readonly contrast: number;
  /** Direction of stripes and checks, a unit vector. */
  readonly direction: readonly [number, number];
}

/** Base colours, far apart for the eye; the scene picks among them. */
export const COLOURS: readonly Rgb[] = [
  [196, 62, 54],
  [222, 132, 44],
  [214, 190, 66],
  [112, 160, 52],
  [44, 122, 66],
  [60, 172, 158],
  [58, 134, 204],
  [46, 66, 150],
  [122, 74, 176],
  [202, 86, 160],
  [226, 158, 170],
  [128, 84, 56],
  [92, 96, 104],
  [186, 190, 194],
  [38, 44, 52],
];

/** Distance of two colours with the eye's weights (the "redmean" approximation of ΔE). */
export function colourDistance(a: Rgb, b: Rgb): number {
  const red = (a[0] + b[0]) / 2;
  const [r, g, bl] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
  return Math.sqrt((2 + red / 256) * r * r + 4 * g * g + (2 + (255 - red) / 256) * bl * bl);
}

/** sin(2π·turns) to 1e-3, without the platform's own sine. */
export function sine(turns: number): number {
  const t = turns - Math.floor(turns);
  const half = t < 0.5 ? t : t - 0.5;
  const p = half * (0.5 - half);
  const value = 16 * p / (1.25 - 4 * p);
  return t < 0.5 ? value : -value;
}

/** cos(2π·turns), as {@linkcode sine}. */
export function cosine(turns: number): number {
  return sine(turns + 0.25);
}

/** A unit vector at `turns` of a full circle, normalised exactly. */
export function direction(turns: number): [number, number] {
  const [x, y] = [cosine(turns), sine(turns)];
  const length = Math.sqrt(x * x + y * y);
  return [x / length, y / length];
}

/** Smooth value noise in [−1, 1]: two octaves of a random lattice, `[height, width]` row-major. */
export function valueNoise(
  width: number,
  height: number,
  period: number,
  random: () => number,
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(width * height);
  for (const [scale, gain] of [[period, 0.65], [period / 2, 0.35]] as const) {
    const columns = Math.ceil(width / scale) + 2;
    const rows = Math.ceil(height / scale) + 2;
    const lattice = Float32Array.from({ length: columns * rows }, () => 2 * random() - 1);
    for (let y = 0; y < height; y++) {
      const gy = y / scale;
      const y0 = Math.floor(gy);
      const fy = smooth(gy - y0);
      for (let x = 0; x < width; x++) {
        const gx = x / scale;
        const x0 = Math.floor(gx);
        const fx = smooth(gx - x0);
        const at = y0 * columns + x0;
        const top = lattice[at]! * (1 - fx) + lattice[at + 1]! * fx;
        const bottom = lattice[at + columns]! * (1 - fx) + lattice[at + columns + 1]! * fx;
        out[y * width + x]! += gain * (top * (1 - fy) + bottom * fy);
      }
    }
  }
  return out;
}

/** Hermite step of [0, 1]. */
export function smooth(t: number): number {
  return t <= 0 ? 0 : t >= 1 ? 1 : t * t * (3 - 2 * t);
}

/** Paints a `[height, width, 3]` surface. */
export function paint(
  width: number,
  height: number,
  paint: Paint,
  random: () => number,
): Uint8ClampedArray<ArrayBuffer> {
  const { colour, pattern, period, contrast, direction: [ux, uy] } = paint;
  const out = new Uint8ClampedArray(width * height * 3);
  const grain = valueNoise(width, height, pattern === "noise" ? period : 3 * period, random);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      const a = (x * ux + y * uy) / period;
      const b = (y * ux - x * uy) / period;
      const value = pattern === "noise"
        ? grain[i]!
        : pattern === "stripes"
        ? 0.8 * sine(a) + 0.2 * grain[i]!
        : pattern === "checks"
        ? 0.8 * Math.sign(sine(a) * sine(b)) + 0.2 * grain[i]!
        : 0.9 * sine(a) * sine(b) + 0.25 * grain[i]!;
      for (let c = 0; c < 3; c++) out[3 * i + c] = colour[c]! + contrast * value;
    }
  }
  return out;
}
