/**
 * How the tables that the kernels of the cut share are laid out; `cut_types.wgsl` has their structs.
 *
 * @module
 */
import type { CutSettings } from "../cut_frame.ts";

/** Room for a tree: what its tables and its schedule hold. */
export interface TreeRoom {
  readonly leaves: number;
  /** Levels of the schedule. */
  readonly levels: number;
}

/** Room for the trees of the paper's own stop, which has some 10 to 25 leaves. */
export const USUAL_ROOM: TreeRoom = { leaves: 64, levels: 16 };

/**
 * Room for any tree that the device cuts, as a fixed threshold wants it: `cut_decide.wgsl` has a thread a
 * segment, and `cut_heirs.wgsl` counts 256 leaves.
 */
export const LARGE_ROOM: TreeRoom = { leaves: 256, levels: 24 };

/** Share of its room from which a tree's successor is given more. */
const CROWDED = 0.75;

/**
 * The room that a frame's tree is given; one that wants more than {@linkcode LARGE_ROOM} is cut on the CPU.
 *
 * @param last what the last frame's tree took.
 */
export function roomFor(
  { stop, maxSegments, adjacency }: Pick<CutSettings, "stop" | "maxSegments" | "adjacency">,
  last: TreeRoom | undefined,
): TreeRoom {
  if (maxSegments > 0 && maxSegments <= USUAL_ROOM.levels) return USUAL_ROOM;
  const crowded = last !== undefined &&
    (last.leaves > CROWDED * USUAL_ROOM.leaves || last.levels > CROWDED * USUAL_ROOM.levels);
  // The random walk of one step is cut into 20 to 75 segments of a photograph.
  return stop.kind === "ncut" || adjacency === "walk" || crowded ? LARGE_ROOM : USUAL_ROOM;
}

/** Nodes of the largest tree. */
export function nodesIn({ leaves }: TreeRoom): number {
  return 2 * leaves - 1;
}

/** Columns of the certificate: the leaves' indicators and the cuts' vectors. */
export function certificateWidth({ leaves }: TreeRoom): number {
  return 2 * leaves;
}

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
export function tilesOf(n: number, { leaves }: TreeRoom): number {
  return Math.ceil(n / TILE) + leaves;
}
