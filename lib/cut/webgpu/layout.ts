/**
 * How the tables that the kernels of the cut share are laid out; `cut_types.wgsl` has their structs.
 *
 * @module
 */

/** Most leaves that the device's tree holds. */
export const MAX_LEAVES = 64;

/** Levels of the schedule; a tree that wants more is cut on the CPU. */
export const MAX_DEPTH = 16;

/** Nodes of the largest tree. */
export const MAX_NODES = 2 * MAX_LEAVES - 1;

/** Columns of the certificate: the leaves' indicators and the cuts' vectors. */
export const CERTIFICATE_WIDTH = 2 * MAX_LEAVES;

/** Most positions of a tile. */
export const TILE = 64;

/** No node. */
export const NONE = 0xffffffff;

/** Words of the struct `Node`. */
export const NODE_WORDS = 16;

/** Words of the struct `Segment`. */
export const SEGMENT_WORDS = 8;

/** Words of the struct `Cut`. */
export const CUT_WORDS = 3;

/** Words of the struct `HeldNode`. */
export const HELD_WORDS = 8;

/** Words of the struct `State`. */
export const STATE_WORDS = 9;

/** Most tiles that the segments of a level have. */
export function tilesOf(n: number): number {
  return Math.ceil(n / TILE) + MAX_LEAVES;
}
