/**
 * The manifest of a network: what to feed it, and which of its outputs are queries and keys.
 *
 * @module
 */
import { UsageError } from "../errors.ts";

/** Marks the files that this module reads. */
export const MANIFEST_FORMAT = "walkcut-network/1";

/** The picture that a network takes: planar RGB, f32, `[1, 3, size, size]`. */
export interface ManifestInput {
  /** Name of the graph's input. */
  readonly name: string;
  /** Values of a black and of a full channel. */
  readonly range: readonly [number, number];
  /** Side of the square in pixels, by grid. */
  readonly size: Readonly<Record<string, number>>;
}

/** One self-attention layer among the outputs of a network. */
export interface ManifestLayer {
  /** R: patches a side. */
  readonly resolution: number;
  readonly heads: number;
  /** Channels a head. */
  readonly headDim: number;
  /** Factor of the logits. */
  readonly scale: number;
  /** Names of the graph's outputs, each `[R², heads·headDim]`, f32. */
  readonly queries: string;
  readonly keys: string;
  /** Grids that use it. Default: all that are at least as fine as it. */
  readonly grids?: readonly number[];
}

/** A network on disk. Several layers may share a resolution: their attention is averaged. */
export interface Manifest {
  readonly format: typeof MANIFEST_FORMAT;
  readonly name: string;
  /** The graph by grid, relative to the manifest, with its SHA-256 in hexadecimal. */
  readonly graphs: Readonly<Record<string, { readonly file: string; readonly sha256: string }>>;
  readonly input: ManifestInput;
  readonly layers: readonly ManifestLayer[];
  /** Resolutions in use by default, and the weight of each in the aggregate, by grid. */
  readonly levelWeights: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Best power k of P. */
  readonly walkSteps: number;
  /** Contrast that a boundary between segments needs, ΔE of CIE Lab. Default 0: segments stay as they are cut. */
  readonly contour?: number;
}

/** Checks what was read from a manifest, once, at the boundary. */
export function parseManifest(text: string, where: string): Manifest {
  const fail = (what: string) =>
    new UsageError({
      what: `Cannot read the network's manifest as ${what}`,
      found: where,
      advice: "import the network again",
    });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw fail("it is no JSON");
  }
  if (!isRecord(value) || value.format !== MANIFEST_FORMAT) {
    throw fail(`its format is not ${MANIFEST_FORMAT}`);
  }
  if (typeof value.name !== "string") throw fail("it has no name");
  const { input, graphs, layers, levelWeights, walkSteps, contour } = value;
  const isSide = (x: unknown) => Number.isInteger(x) && (x as number) > 0;
  if (
    !isRecord(input) || typeof input.name !== "string" || !Array.isArray(input.range) ||
    input.range.length !== 2 || !input.range.every(Number.isFinite) ||
    !isRecord(input.size) || !Object.values(input.size).every(isSide)
  ) throw fail("its input is incomplete");
  if (
    !isRecord(graphs) ||
    !Object.values(graphs).every((g) =>
      isRecord(g) && typeof g.file === "string" && /^[0-9a-f]{64}$/.test(String(g.sha256))
    )
  ) throw fail("its graphs are incomplete");
  if (
    !Array.isArray(layers) || layers.length === 0 ||
    !layers.every((layer: unknown) =>
      isRecord(layer) && [layer.resolution, layer.heads, layer.headDim].every(isSide) &&
      Number.isFinite(layer.scale) && typeof layer.queries === "string" && typeof layer.keys === "string" &&
      (layer.grids === undefined || Array.isArray(layer.grids) && layer.grids.every(isSide))
    )
  ) throw fail("its layers are incomplete");
  const isWeight = (x: unknown) => Number.isFinite(x) && (x as number) > 0;
  if (
    !isRecord(levelWeights) ||
    !Object.values(levelWeights).every((w) =>
      isRecord(w) && Object.keys(w).length > 0 && Object.values(w).every(isWeight)
    )
  ) throw fail("its level weights are not positive numbers");
  if (!isSide(walkSteps)) throw fail("walkSteps is no positive integer");
  if (contour !== undefined && !(Number.isFinite(contour) && (contour as number) >= 0)) {
    throw fail("its contour is no contrast");
  }
  return value as unknown as Manifest;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The layers that a grid may use. */
export function layersOf(manifest: Manifest, grid: number): ManifestLayer[] {
  return manifest.layers.filter(({ resolution, grids }) =>
    resolution <= grid && (grids === undefined || grids.includes(grid))
  );
}

/**
 * Weight of each resolution: the network's own where `levels` is absent, else those of the levels
 * that were asked for, renormalised to sum 1.
 */
export function levelWeightsOf(
  manifest: Manifest,
  grid: number,
  levels?: readonly number[],
): Map<number, number> {
  const known = manifest.levelWeights[grid];
  const available = [...new Set(layersOf(manifest, grid).map((layer) => layer.resolution))];
  const wanted = levels ?? (known ? Object.keys(known).map(Number) : available);
  const missing = wanted.find((r) => !available.includes(r));
  if (missing !== undefined || wanted.length === 0) {
    throw new UsageError({
      what: `The network ${manifest.name} has no such level at grid ${grid}`,
      found: missing ?? "none",
      advice: `choose among ${available.join(", ")}`,
    });
  }
  // A resolution without a weight of its own gets one in proportion to R, the rule of DiffSeg.
  const weights = wanted.map((r) => known?.[r] ?? r / available.reduce((a, b) => a + b, 0));
  const total = weights.reduce((a, b) => a + b, 0);
  return new Map(wanted.map((r, i) => [r, weights[i] as number / total]));
}
