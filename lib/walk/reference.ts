/**
 * Plain TypeScript of every kernel of the walk: the reference that the WGSL is
 * tested against, and the arithmetic of devices without a GPU.
 *
 * @module
 */
import { WalkcutError } from "../errors.ts";
import type { AttentionLayer, TensorData } from "../features/network.ts";

/** The layers of one resolution, and its weight among those in use. */
export interface Level {
  /** R: patches a side. */
  readonly resolution: number;
  /** Weights of all levels sum to 1. */
  readonly weight: number;
  readonly layers: readonly AttentionLayer[];
}

/**
 * Groups layers by resolution, finest first, with their weights renormalised.
 * @throws {WalkcutError} no layers, or a resolution without a positive weight.
 */
export function levelsOf(layers: readonly AttentionLayer[], weights: ReadonlyMap<number, number>): Level[] {
  const groups = new Map<number, AttentionLayer[]>();
  for (const layer of layers) {
    const group = groups.get(layer.resolution);
    if (group) group.push(layer);
    else groups.set(layer.resolution, [layer]);
  }
  if (groups.size === 0) throw new WalkcutError({ what: "The network gives no attention layers" });
  let total = 0;
  for (const resolution of groups.keys()) {
    const weight = weights.get(resolution);
    if (!weight || !(weight > 0)) {
      throw new WalkcutError({
        what: `The attention at ${resolution}×${resolution} has no positive weight`,
        found: String(weight),
        advice: "give each resolution in use a weight in the model's manifest",
      });
    }
    total += weight;
  }
  return [...groups].sort(([a], [b]) => b - a).map(([resolution, group]) => ({
    resolution,
    weight: weights.get(resolution)! / total,
    layers: group,
  }));
}

/**
 * What the mass of a key counts for along one axis once keys are upsampled: the
 * sum over the nodes of its bilinear weight. 1 each where keys are summed instead.
 * The sum of an upsampled row is Σ_j L_ij · share(x_j) · share(y_j).
 */
export function axisShares(resolution: number, grid: number): Float32Array<ArrayBuffer> {
  if (resolution > grid) return new Float32Array(resolution).fill(1);
  const shares = new Float64Array(resolution);
  for (let node = 0; node < grid; node++) {
    const { low, high, fraction } = bilinearAt(node, resolution, grid);
    shares[low]! += 1 - fraction;
    shares[high]! += fraction;
  }
  return Float32Array.from(shares);
}

/** Source cells and fraction of an output cell, half-pixel centres, clamped at the border. */
function bilinearAt(node: number, resolution: number, grid: number) {
  const at = Math.min(resolution - 1, Math.max(0, (node + 0.5) * resolution / grid - 0.5));
  const low = Math.floor(at);
  return { low, high: Math.min(low + 1, resolution - 1), fraction: at - low };
}

/** Cells [from, to) of a finer axis that fall into a node's cell. */
function cellsOf(node: number, resolution: number, grid: number): { from: number; to: number } {
  return {
    from: Math.ceil(node * resolution / grid),
    to: Math.ceil((node + 1) * resolution / grid),
  };
}

/**
 * Adds `share · Σ_h softmax(scale · Q_h·K_hᵀ)` of a layer to `level` `[R², R²]`.
 * Rows are made one at a time, so nothing of the size of a head is stored.
 */
function addAttention(layer: AttentionLayer, share: number, level: Float32Array): void {
  const { heads, headDim, scale } = layer;
  const n = layer.resolution ** 2;
  const queries = arrayOf(layer.queries);
  const keys = arrayOf(layer.keys);
  const width = heads * headDim;
  const row = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    for (let h = 0; h < heads; h++) {
      const q = i * width + h * headDim;
      let largest = -Infinity;
      for (let j = 0; j < n; j++) {
        const k = j * width + h * headDim;
        let dot = 0;
        for (let c = 0; c < headDim; c++) dot += queries[q + c]! * keys[k + c]!;
        row[j] = dot * scale;
        largest = Math.max(largest, row[j]!);
      }
      let sum = 0;
      for (let j = 0; j < n; j++) sum += row[j] = Math.exp(row[j]! - largest);
      const factor = share / sum;
      for (let j = 0; j < n; j++) level[i * n + j]! += row[j]! * factor;
    }
  }
}

/**
 * Adds a resolution's attention to the walk on the grid (DiffSeg's rule): keys
 * bilinear with half-pixel centres and each row renormalised, queries repeated to
 * the nearest. A resolution finer than the grid is gathered: the mean over the
 * queries and the sum over the keys of a node's cell, which stays row-stochastic.
 *
 * @param level `[R², R²]`, rows of positive sum.
 * @param walk `[grid², grid²]`, added to.
 */
function addLevel(
  level: Float32Array,
  resolution: number,
  grid: number,
  weight: number,
  walk: Float32Array,
): void {
  const source = new Float64Array(resolution ** 2);
  for (let node = 0; node < grid ** 2; node++) {
    sourceRow(level, resolution, grid, node, source);
    const row = resolution > grid ? gathered(source, resolution, grid) : upsampled(source, resolution, grid);
    let sum = 0;
    for (const value of row) sum += value;
    for (let j = 0; j < row.length; j++) walk[node * row.length + j]! += weight * row[j]! / sum;
  }
}

/** The attention of a node's query: the nearest one's row, or the sum of those in its cell. */
function sourceRow(level: Float32Array, resolution: number, grid: number, node: number, row: Float64Array) {
  const cells = resolution ** 2;
  const [x, y] = [node % grid, Math.floor(node / grid)];
  const range = (at: number) => {
    if (resolution > grid) return cellsOf(at, resolution, grid);
    const from = Math.floor((at + 0.5) * resolution / grid);
    return { from, to: from + 1 };
  };
  const [xs, ys] = [range(x), range(y)];
  row.fill(0);
  for (let qy = ys.from; qy < ys.to; qy++) {
    for (let qx = xs.from; qx < xs.to; qx++) {
      const base = (qy * resolution + qx) * cells;
      for (let j = 0; j < cells; j++) row[j]! += level[base + j]!;
    }
  }
}

function upsampled(source: Float64Array, resolution: number, grid: number): Float64Array {
  const row = new Float64Array(grid ** 2);
  const axis = Array.from({ length: grid }, (_, node) => bilinearAt(node, resolution, grid));
  axis.forEach((y, j) => {
    axis.forEach((x, i) => {
      const top = source[y.low * resolution + x.low]! * (1 - x.fraction) +
        source[y.low * resolution + x.high]! * x.fraction;
      const bottom = source[y.high * resolution + x.low]! * (1 - x.fraction) +
        source[y.high * resolution + x.high]! * x.fraction;
      row[j * grid + i] = top * (1 - y.fraction) + bottom * y.fraction;
    });
  });
  return row;
}

function gathered(source: Float64Array, resolution: number, grid: number): Float64Array {
  const row = new Float64Array(grid ** 2);
  for (let ky = 0; ky < resolution; ky++) {
    for (let kx = 0; kx < resolution; kx++) {
      const node = Math.floor(ky * grid / resolution) * grid + Math.floor(kx * grid / resolution);
      row[node]! += source[ky * resolution + kx]!;
    }
  }
  return row;
}

/** P of one frame, `[grid², grid²]` row-major: what `WalkDevice.walk` computes. */
export function aggregateWalk(
  layers: readonly AttentionLayer[],
  grid: number,
  weights: ReadonlyMap<number, number>,
): Float32Array<ArrayBuffer> {
  const walk = new Float32Array(grid ** 4);
  for (const { resolution, weight, layers: group } of levelsOf(layers, weights)) {
    const level = new Float32Array(resolution ** 4);
    for (const layer of group) addAttention(layer, 1 / (layer.heads * group.length), level);
    addLevel(level, resolution, grid, weight, walk);
  }
  return walk;
}

/** op(A)·B with op(A) = A or Aᵀ; A `[n, n]`, B `[n, columns]`, row-major. */
export function multiply(
  matrix: Float32Array,
  n: number,
  block: Float32Array,
  columns: number,
  transposed: boolean,
): Float32Array<ArrayBuffer> {
  const sum = new Float64Array(n * columns);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const value = matrix[i * n + j]!;
      const [to, from] = transposed ? [j * columns, i * columns] : [i * columns, j * columns];
      for (let c = 0; c < columns; c++) sum[to + c]! += value * block[from + c]!;
    }
  }
  return Float32Array.from(sum);
}

/** Applies a product's word to its block, from left to right. */
export function applyWord(
  matrix: Float32Array,
  n: number,
  product: { readonly block: Float32Array; readonly columns: number; readonly word: string },
): Float32Array<ArrayBuffer> {
  let block = Float32Array.from(product.block);
  for (const letter of product.word) block = multiply(matrix, n, block, product.columns, letter === "t");
  return block;
}

function arrayOf(data: TensorData): Float32Array {
  if (data instanceof Float32Array) return data;
  throw new TypeError("Cannot compute attention on the CPU: the layer lies in a GPU buffer");
}
