/**
 * Builds the embedded network: a UNet-shaped graph whose weights are derived, not trained.
 *
 * With q = (f, 1) and k = (f, −|f|²/2), softmax(⟨q, k⟩) is the row-normalised Gaussian affinity
 * exp(−|f_i − f_j|²/2) of Shi and Malik. f holds colour, texture and position of a patch.
 *
 * Run `deno run -R=models -W=models models/build.ts` to write the graph and its manifest.
 *
 * @module
 */
import { GraphBuilder, int } from "../lib/features/onnx.ts";
import { type Manifest, MANIFEST_FORMAT } from "../lib/features/manifest.ts";

/** The numbers of the recipe. Lengths in pixels are those of the scaled input. */
export const RECIPE = {
  /** Side of the input. */
  input: 512,
  /** Resolutions of the self-attention layers; a grid has those up to its own. */
  levels: [64, 32, 16, 8],
  grids: [32, 64],
  /** Weight of lightness against the two colour axes. */
  lightness: 0.58,
  /** Contrast below which a picture's colour is not amplified, in Lab units. */
  colourFloor: 3.3,
  /** Gaussian blur of the colour, in cells of the 64² grid. */
  colourBlur: 0.54,
  /** The same floor for log-magnitudes of texture. */
  textureFloor: 0.1,
  /** Weight of texture against colour, fine to coarse. */
  texture: [0.95, 0.63, 0.68],
  /** Wavelength and envelope of the Gabor filters, in samples of their pyramid level. */
  wavelength: 4,
  sigma: 2,
  orientations: 4,
  /** Gaussian blur of the texture, in cells of the 64² grid. */
  textureBlur: 0.95,
  /** Bandwidth of the appearance features, in units of their deviation, by grid and resolution. */
  bandwidth: {
    32: { 32: 0.36, 16: 0.36, 8: 0.57 },
    64: { 64: 0.45, 32: 0.45, 16: 0.45, 8: 0.71 },
  } as Readonly<Record<number, Readonly<Record<number, number>>>>,
  /** Bandwidth of the position, as a share of the frame's side, by resolution. */
  reach: { 64: 0.15, 32: 0.20, 16: 0.235, 8: 0.60 } as Readonly<Record<number, number>>,
  /** Weight of each level in the walk, by grid. */
  levelWeights: {
    32: { 32: 0.685, 16: 0.205, 8: 0.11 },
    64: { 64: 8 / 15, 32: 4 / 15, 16: 2 / 15, 8: 1 / 15 },
  },
  walkSteps: 1,
  /** Least contrast of a boundary between segments, ΔE of CIE Lab. */
  contour: 8,
} as const;

/** Channels of a head, zero-padded to a multiple of 4 so that kernels may read vectors. */
export const HEAD_DIM = 12;
/** Side of the maps from which cells are pooled. */
const MAP = 128;
const CELLS = 64;

/** The graph as the bytes of an ONNX file. */
export function buildGraph(): Uint8Array<ArrayBuffer> {
  const g = new GraphBuilder("walkcut-embedded");
  const rgb = g.input("rgb", [1, 3, RECIPE.input, RECIPE.input]);
  const colour = standardise(g, colourMap(g, rgb), RECIPE.colourFloor);
  const texture = g.op("Mul", [
    standardise(g, textureMap(g, rgb), RECIPE.textureFloor),
    g.constant(RECIPE.texture, [1, RECIPE.texture.length, 1, 1]),
  ]);
  const cells = g.op("Concat", [colour, texture], { axis: int(1) });
  for (const { grid, resolution } of layers()) {
    const bandwidth = RECIPE.bandwidth[grid]?.[resolution] as number;
    const appearance = scale(g, pool(g, cells, CELLS / resolution), 1 / bandwidth);
    attentionLayer(g, appearance, resolution, `grid${grid}_`);
  }
  return g.build();
}

/** The layers of all grids: each grid has its own, whose bandwidths suit it. */
function layers(): { grid: number; resolution: number }[] {
  return RECIPE.grids.flatMap((grid) =>
    RECIPE.levels.filter((r) => r <= grid).map((resolution) => ({ grid, resolution }))
  );
}

/** The manifest that goes with a graph. */
export async function buildManifest(graph: Uint8Array<ArrayBuffer>): Promise<Manifest> {
  const sha256 = new Uint8Array(await crypto.subtle.digest("SHA-256", graph)).toHex();
  const file = { file: "embedded.onnx", sha256 };
  return {
    format: MANIFEST_FORMAT,
    name: "embedded",
    graphs: { 32: file, 64: file },
    input: { name: "rgb", range: [0, 1], size: { 32: RECIPE.input, 64: RECIPE.input } },
    layers: layers().map(({ grid, resolution }) => ({
      resolution,
      heads: 1,
      headDim: HEAD_DIM,
      scale: 1,
      queries: `grid${grid}_q${resolution}`,
      keys: `grid${grid}_k${resolution}`,
      grids: [grid],
    })),
    levelWeights: RECIPE.levelWeights,
    walkSteps: RECIPE.walkSteps,
    contour: RECIPE.contour,
  };
}

// --- Small pieces ---------------------------------------------------------------------------

function scale(g: GraphBuilder, x: string, factor: number): string {
  return g.op("Mul", [x, g.constant(factor)]);
}

function add(g: GraphBuilder, x: string, term: number): string {
  return g.op("Add", [x, g.constant(term)]);
}

function pool(g: GraphBuilder, x: string, factor: number): string {
  if (factor === 1) return x;
  return g.op("AveragePool", [x], { kernel_shape: int([factor, factor]), strides: int([factor, factor]) });
}

/** Removes each channel's mean, then divides all by √(rms² + floor²), rms over channels and cells. */
function standardise(g: GraphBuilder, x: string, floor: number): string {
  const centred = g.op("Sub", [x, g.op("ReduceMean", [x], { axes: int([2, 3]), keepdims: int(1) })]);
  const power = g.op("ReduceMean", [g.op("Mul", [centred, centred])], {
    axes: int([1, 2, 3]),
    keepdims: int(1),
  });
  return g.op("Div", [centred, g.op("Sqrt", [add(g, power, floor * floor)])]);
}

// --- Colour ---------------------------------------------------------------------------------

/** sRGB primaries to XYZ, each row divided by the white point D65. */
const RGB_TO_XYZ = [
  [0.412453 / 0.95047, 0.357580 / 0.95047, 0.180423 / 0.95047],
  [0.212671, 0.715160, 0.072169],
  [0.019334 / 1.08883, 0.119193 / 1.08883, 0.950227 / 1.08883],
] as const;

/** CIE Lab of the picture averaged to cells, L weighted: `[1, 3, 64, 64]`. */
function colourMap(g: GraphBuilder, rgb: string): string {
  const small = pool(g, rgb, RECIPE.input / MAP);
  const linear = g.op("Where", [
    g.op("Greater", [small, g.constant(0.04045)]),
    g.op("Pow", [scale(g, add(g, small, 0.055), 1 / 1.055), g.constant(2.4)]),
    scale(g, small, 1 / 12.92),
  ]);
  const xyz = g.op("Conv", [linear, g.constant(RGB_TO_XYZ.flat(), [3, 3, 1, 1])]);
  const f = g.op("Where", [
    g.op("Greater", [xyz, g.constant(0.008856)]),
    // The floor keeps the branch that is not taken free of 0^(1/3), whose handling differs by device.
    g.op("Pow", [g.op("Max", [xyz, g.constant(1e-6)]), g.constant(1 / 3)]),
    add(g, scale(g, xyz, 7.787), 16 / 116),
  ]);
  // L = 116 f_Y − 16, a = 500 (f_X − f_Y), b = 200 (f_Y − f_Z); constants go with the mean.
  const lab = g.op("Conv", [
    f,
    g.constant([0, 116 * RECIPE.lightness, 0, 500, -500, 0, 0, 200, -200], [3, 3, 1, 1]),
  ]);
  return blur(g, pool(g, lab, MAP / CELLS), 3, CELLS, RECIPE.colourBlur);
}

// --- Texture --------------------------------------------------------------------------------

/** Log-magnitude of Gabor filters at three wavelengths, mean over orientations: `[1, 3, 64, 64]`. */
function textureMap(g: GraphBuilder, rgb: string): string {
  // Lightness is nearly linear in the coded values' luma, which spares the curve at full resolution.
  const luma = g.op("Conv", [rgb, g.constant([21.2671, 71.5160, 7.2169], [1, 3, 1, 1])]);
  const magnitudes = [4, 2, 1].map((stride) => {
    const side = MAP * stride;
    return gaborMagnitude(g, pool(g, luma, RECIPE.input / side), side, stride);
  });
  const cells = pool(g, g.op("Concat", magnitudes, { axis: int(1) }), MAP / CELLS);
  // A grey opening drops what is thinner than three cells: a lone edge is no texture.
  const eroded = g.op("Neg", [maxPool3(g, g.op("Neg", [cells]))]);
  const smooth = blur(g, maxPool3(g, eroded), 3 * RECIPE.orientations, CELLS, RECIPE.textureBlur);
  const average = new Float32Array(3 * 3 * RECIPE.orientations);
  for (let band = 0; band < 3; band++) {
    for (let o = 0; o < RECIPE.orientations; o++) {
      average[(band * 3 + band) * RECIPE.orientations + o] = 1 / RECIPE.orientations;
    }
  }
  const bands = g.op("Conv", [smooth, g.constant(average, [3, 3 * RECIPE.orientations, 1, 1])]);
  return g.op("Log", [add(g, bands, 1)]);
}

function maxPool3(g: GraphBuilder, x: string): string {
  return g.op("MaxPool", [x], { kernel_shape: int([3, 3]), pads: int([1, 1, 1, 1]), strides: int([1, 1]) });
}

/** Offsets of `taps` samples about a window's centre. */
function offsets(taps: number): number[] {
  return Array.from({ length: taps }, (_, i) => i - (taps - 1) / 2);
}

/** Real and imaginary parts of the Gabor filters without DC, `[2·orientations, 1, taps, taps]`. */
export function gaborKernels(taps: number): Float32Array {
  const { sigma, wavelength, orientations } = RECIPE;
  const at = offsets(taps);
  const envelope = at.flatMap((y) => at.map((x) => Math.exp(-(x * x + y * y) / (2 * sigma * sigma))));
  const total = envelope.reduce((a, b) => a + b, 0);
  const kernels: number[] = [];
  for (let o = 0; o < orientations; o++) {
    const angle = Math.PI * o / orientations;
    for (const wave of [Math.cos, Math.sin]) {
      const carrier = at.flatMap((y) =>
        at.map((x) => wave(2 * Math.PI / wavelength * (x * Math.cos(angle) + y * Math.sin(angle))))
      );
      const mean = carrier.reduce((sum, c, i) => sum + c * (envelope[i] as number), 0) / total;
      for (const [i, c] of carrier.entries()) kernels.push((envelope[i] as number) / total * (c - mean));
    }
  }
  return Float32Array.from(kernels);
}

/** Magnitude of the filters' responses, sampled at the centres of a 128² grid. */
function gaborMagnitude(g: GraphBuilder, x: string, side: number, stride: number): string {
  // A window of an even number of taps is centred between samples, as a cell of an even side is.
  const taps = stride % 2 === 0 ? 12 : 13;
  const before = (taps - stride) / 2;
  const padded = reflect(g, x, side, before);
  const responses = g.op("Conv", [
    padded,
    g.constant(gaborKernels(taps), [2 * RECIPE.orientations, 1, taps, taps]),
  ], { strides: int([stride, stride]) });
  const power = g.op("Mul", [responses, responses]);
  const pairs = new Float32Array(RECIPE.orientations * 2 * RECIPE.orientations);
  for (let o = 0; o < RECIPE.orientations; o++) {
    pairs.fill(1, o * (2 * RECIPE.orientations + 2), o * (2 * RECIPE.orientations + 2) + 2);
  }
  const sum = g.op("Conv", [power, g.constant(pairs, [RECIPE.orientations, 2 * RECIPE.orientations, 1, 1])]);
  return g.op("Sqrt", [sum]);
}

/** Extends a square map by mirroring it at its borders, so that they show no edge. */
function reflect(g: GraphBuilder, x: string, side: number, by: number): string {
  const index = g.indices(Array.from({ length: side + 2 * by }, (_, i) => {
    const at = Math.abs(i - by);
    return at < side ? at : 2 * (side - 1) - at;
  }));
  return g.op("Gather", [g.op("Gather", [x, index], { axis: int(2) }), index], { axis: int(3) });
}

/** Gaussian blur of every channel; weights that fall outside are left out of the average. */
function blur(g: GraphBuilder, x: string, channels: number, side: number, sigma: number): string {
  const radius = Math.ceil(3 * sigma);
  const at = offsets(2 * radius + 1);
  const line = at.map((d) => Math.exp(-d * d / (2 * sigma * sigma)));
  const total = line.reduce((a, b) => a + b, 0);
  const kernel = at.flatMap((_, i) => line.map((w) => w * (line[i] as number) / total / total));
  const covered = Array.from(
    { length: side },
    (_, i) =>
      at.reduce((sum, d, t) => sum + (i + d >= 0 && i + d < side ? (line[t] as number) / total : 0), 0),
  );
  const coverage = covered.flatMap((a) => covered.map((b) => 1 / (a * b)));
  const weights = Array.from({ length: channels }, () => kernel).flat();
  const blurred = g.op("Conv", [x, g.constant(weights, [channels, 1, at.length, at.length])], {
    group: int(channels),
    pads: int([radius, radius, radius, radius]),
  });
  return g.op("Mul", [blurred, g.constant(coverage, [1, 1, side, side])]);
}

// --- Attention ------------------------------------------------------------------------------

/** Adds queries (f, 1) and keys (f, −|f|²/2) of one resolution, `[R², HEAD_DIM]`, to the outputs. */
function attentionLayer(g: GraphBuilder, appearance: string, resolution: number, prefix: string): void {
  const reach = RECIPE.reach[resolution] as number;
  const centres = Array.from({ length: resolution }, (_, i) => (i + 0.5) / resolution / reach);
  const columns = centres.flatMap(() => centres);
  const rows = centres.flatMap((y) => centres.map(() => y));
  const square = [1, 1, resolution, resolution];
  const f = g.op("Concat", [
    appearance,
    g.constant([...columns, ...rows], [1, 2, resolution, resolution]),
  ], { axis: int(1) });
  const bias = scale(
    g,
    g.op("ReduceSum", [g.op("Mul", [f, f]), g.indices([1])], { keepdims: int(1) }),
    -0.5,
  );
  const one = g.constant(new Float32Array(resolution ** 2).fill(1), square);
  const zeros = g.constant(new Float32Array(3 * resolution ** 2), [1, 3, resolution, resolution]);
  for (const [name, last] of [["q", one], ["k", bias]] as const) {
    const channels = g.op("Concat", [f, last, zeros], { axis: int(1) });
    const flat = g.op("Reshape", [channels, g.indices([HEAD_DIM, resolution ** 2])]);
    g.output(`${prefix}${name}${resolution}`, g.op("Transpose", [flat], { perm: int([1, 0]) }), [
      resolution ** 2,
      HEAD_DIM,
    ]);
  }
}

if (import.meta.main) {
  const graph = buildGraph();
  await Deno.writeFile(new URL("embedded.onnx", import.meta.url), graph);
  await Deno.writeTextFile(
    new URL("embedded.json", import.meta.url),
    JSON.stringify(await buildManifest(graph), null, 2) + "\n",
  );
}
