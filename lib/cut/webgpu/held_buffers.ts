/**
 * The last frame's tree as the kernels take it up, from the host or where it lies on the device.
 *
 * @module
 */
import type { Gpu } from "../../walk/webgpu/device.ts";
import type { Recorder } from "../../walk/webgpu/recorder.ts";
import type { HeldTree } from "../held_tree.ts";
import { HELD_WORDS, LARGE_ROOM, type TreeRoom } from "./layout.ts";

/** Most levels of a last frame's tree that can be taken up. */
const MAX_HELD_LEVELS = 32;

/** The last frame's tree as the kernels read it. */
export interface HeldTables {
  /** `[nodes, 8]`: first leaf, leaf after the last, size, first leaf of the right part or 0, depth, size of the left part. */
  readonly nodes: Uint32Array<ArrayBuffer>;
  readonly count: number;
  /** What the tree takes. */
  readonly room: TreeRoom;
  /** `[N]`. */
  readonly labels: Uint32Array<ArrayBuffer>;
  /** `[depths, N]`. */
  readonly values: Float32Array<ArrayBuffer>;
}

/** The last frame's tree where it still lies on the device. */
export interface HeldBuffers {
  /** `[count, 8]`, as {@linkcode HeldTables.nodes}; what is no node shares nothing with a segment. */
  readonly nodes: GPUBuffer;
  readonly count: number;
  readonly labels: GPUBuffer;
  readonly values: GPUBuffer;
}

/** The last tree as tables; nothing where it is too large for the device. */
export function heldTables({ labels, nodes }: HeldTree): HeldTables | undefined {
  const ranges = nodes.map(({ leaves }) => ({ low: leaves[0]!, high: leaves[leaves.length - 1]! + 1 }));
  const leaves = ranges[0]!.high;
  if (leaves > LARGE_ROOM.leaves) return undefined;
  const depths = ranges.map((own, i) =>
    ranges.filter((other, j) => j !== i && other.low <= own.low && other.high >= own.high).length
  );
  const n = labels.length;
  const levels = Math.max(...depths) + 1;
  if (levels > MAX_HELD_LEVELS) return undefined;
  const table = new Uint32Array(nodes.length * HELD_WORDS);
  const values = new Float32Array(levels * n);
  nodes.forEach((node, i) => {
    const { low, high } = ranges[i]!;
    const middle = node.leftLeaves > 0 ? low + node.leftLeaves : 0;
    const left = labels.reduce((sum, leaf) => sum + Number(leaf >= low && leaf < middle), 0);
    table.set([low, high, node.size, middle, depths[i]!, left], i * HELD_WORDS);
    for (let k = 0; k < n; k++) {
      if (labels[k]! >= low && labels[k]! < high) values[depths[i]! * n + k] = node.vector[k]!;
    }
  });
  return {
    nodes: table,
    count: nodes.length,
    room: { leaves, levels },
    labels: Uint32Array.from(labels),
    values,
  };
}

/** Whether a last tree comes from the host. */
export function isOnHost(held: HeldTables | HeldBuffers): held is HeldTables {
  return held.nodes instanceof Uint32Array;
}

/** Room for the tree that a next frame takes up. */
export function acquireHeld(gpu: Gpu, n: number, room: TreeRoom): HeldBuffers {
  return heldIn((words, label) => gpu.pool.acquire("block", words * 4, `kept ${label}`), n, room);
}

/** Room for a tree that is taken up within the submission. */
export function temporaryHeld(recorder: Recorder, n: number, room: TreeRoom): HeldBuffers {
  return heldIn((words, label) => recorder.temporary(words * 4, `kept ${label}`), n, room);
}

function heldIn(
  buffer: (words: number, label: string) => GPUBuffer,
  n: number,
  { leaves, levels }: TreeRoom,
): HeldBuffers {
  const count = 2 * leaves;
  return {
    nodes: buffer(count * HELD_WORDS, "nodes"),
    count,
    labels: buffer(n, "labels"),
    values: buffer(levels * n, "vectors"),
  };
}

/** Gives back what was kept for a next frame; the queue has done with it by then. */
export function releaseHeld(gpu: Gpu, { nodes, labels, values }: HeldBuffers): void {
  for (const buffer of [nodes, labels, values]) gpu.pool.release(buffer);
}
