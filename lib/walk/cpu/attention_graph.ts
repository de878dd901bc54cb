/**
 * Attention and its aggregation as one ONNX graph, for the CPU.
 *
 * @module
 */
import { float, GraphBuilder, int, string } from "../../features/onnx.ts";
import type { Level } from "../reference.ts";

/** Name of the queries' input of the i-th layer, counted over all levels. */
export const queriesName = (i: number): string => `q${i}`;

/** Name of the keys' input of the i-th layer. */
export const keysName = (i: number): string => `k${i}`;

/** Whether the graph can aggregate these levels: their resolutions divide the grid or are multiples of it. */
export function fitsGraph(levels: readonly Level[], grid: number): boolean {
  return levels.every(({ resolution }) => grid % resolution === 0 || resolution % grid === 0);
}

/**
 * The graph from queries and keys to the walk `p` `[grid², grid²]`.
 *
 * The same arithmetic as `aggregateWalk`: softmax a head, mean over heads and
 * layers, keys upsampled bilinearly and renormalised, queries repeated, levels
 * weighted. Heads are added one after the other, so that a head's matrix lives
 * only until the next one's.
 */
export function attentionGraph(levels: readonly Level[], grid: number): Uint8Array<ArrayBuffer> {
  const g = new GraphBuilder("attention");
  let layer = 0;
  let walk: string | undefined;
  for (const { resolution, weight, layers } of levels) {
    const n = resolution ** 2;
    let sum: string | undefined;
    for (const { heads, headDim, scale } of layers) {
      const queries = g.input(queriesName(layer), [n, heads * headDim]);
      const keys = g.input(keysName(layer++), [n, heads * headDim]);
      for (let h = 0; h < heads; h++) {
        const attention = headAttention(
          g,
          headOf(g, queries, h, headDim),
          headOf(g, keys, h, headDim),
          scale,
        );
        const share = g.op("Mul", [attention, g.constant(1 / (heads * layers.length))]);
        sum = sum ? g.op("Add", [sum, share]) : share;
      }
    }
    const level = g.op("Mul", [onGrid(g, sum!, resolution, grid), g.constant(weight)]);
    walk = walk ? g.op("Add", [walk, level]) : level;
  }
  g.output("p", walk!, [grid ** 2, grid ** 2]);
  return g.build();
}

function headOf(g: GraphBuilder, block: string, head: number, headDim: number): string {
  return g.op("Slice", [
    block,
    g.indices([head * headDim]),
    g.indices([(head + 1) * headDim]),
    g.indices([1]),
  ]);
}

function headAttention(g: GraphBuilder, queries: string, keys: string, scale: number): string {
  const scaled = g.op("Mul", [queries, g.constant(scale)]);
  const logits = g.op("Gemm", [scaled, keys], { transB: int(1), alpha: float(1) });
  return g.op("Softmax", [logits], { axis: int(-1) });
}

function onGrid(g: GraphBuilder, level: string, resolution: number, grid: number): string {
  if (resolution === grid) return level;
  return resolution < grid ? spread(g, level, resolution, grid) : gather(g, level, resolution, grid);
}

/** Keys bilinear and renormalised, queries repeated. */
function spread(g: GraphBuilder, level: string, resolution: number, grid: number): string {
  const factor = grid / resolution;
  const nodes = grid ** 2;
  const maps = g.op("Reshape", [level, g.indices([1, resolution ** 2, resolution, resolution])]);
  const upsampled = g.op("Resize", [maps, "", g.constant([1, 1, factor, factor], [4])], {
    mode: string("linear"),
    coordinate_transformation_mode: string("half_pixel"),
  });
  const rows = g.op("Reshape", [upsampled, g.indices([resolution ** 2, nodes])]);
  const stochastic = g.op("Div", [rows, g.op("ReduceSum", [rows, g.indices([1])], { keepdims: int(1) })]);
  const spaced = g.op("Reshape", [stochastic, g.indices([resolution, 1, resolution, 1, nodes])]);
  const repeated = g.op("Expand", [spaced, g.indices([resolution, factor, resolution, factor, nodes])]);
  return g.op("Reshape", [repeated, g.indices([nodes, nodes])]);
}

/** Mean over the queries and sum over the keys of each node's cell. */
function gather(g: GraphBuilder, level: string, resolution: number, grid: number): string {
  const factor = resolution / grid;
  const nodes = grid ** 2;
  const byKeyCell = g.op("Reshape", [level, g.indices([resolution ** 2, grid, factor, grid, factor])]);
  const keys = g.op("ReduceSum", [byKeyCell, g.indices([2, 4])], { keepdims: int(0) });
  const byQueryCell = g.op("Reshape", [keys, g.indices([grid, factor, grid, factor, nodes])]);
  const queries = g.op("ReduceMean", [byQueryCell], { axes: int([1, 3]), keepdims: int(0) });
  return g.op("Reshape", [queries, g.indices([nodes, nodes])]);
}
