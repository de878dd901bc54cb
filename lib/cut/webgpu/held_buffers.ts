/**
 * The last frame's tree as the kernels take it up, from the host or where it lies on the device.
 *
 * @module
 */
import type { Gpu } from "../../walk/webgpu/device.ts";
import type { Recorder } from "../../walk/webgpu/recorder.ts";
import type { HeldTree } from "../held_tree.ts";
import { HELD_WORDS, MAX_DEPTH } from "./layout.ts";

/** Most leaves of a last frame's tree that can be taken up. */
const MAX_HELD_LEAVES = 256;

/** Nodes that `cut_hold.wgsl` writes. */
const KEPT = 128;

/** The last frame's tree as the kernels read it. */
export interface HeldTables {
  /** `[nodes, 8]`: first leaf, leaf after the last, size, first leaf of the right part or 0, depth, size of the left part. */
  readonly nodes: Uint32Array<ArrayBuffer>;
  readonly count: number;
  /** `[N]`. */
  readonly labels: Uint32Array<ArrayBuffer>;
  /** `[depths, N]`. */
  readonly values: Float32Array<ArrayBuffer>;
}

/** The last frame's tree where it still lies on the device. */
export interface HeldBuffers {
  /** `[KEPT, 8]`, as {@linkcode HeldTables.nodes}; what is no node shares nothing with a segment. */
  readonly nodes: GPUBuffer;
  readonly count: number;
  readonly labels: GPUBuffer;
  readonly values: GPUBuffer;
}

/** The last tree as tables; nothing where it is too large for the device. */
export function heldTables({ labels, nodes }: HeldTree): HeldTables | undefined {
  const ranges = nodes.map(({ leaves }) => ({ low: leaves[0]!, high: leaves[leaves.length - 1]! + 1 }));
  if (ranges[0]!.high > MAX_HELD_LEAVES) return undefined;
  const depths = ranges.map((own, i) =>
    ranges.filter((other, j) => j !== i && other.low <= own.low && other.high >= own.high).length
  );
  const n = labels.length;
  const rows = Math.max(...depths) + 1;
  if (rows > MAX_DEPTH * 2) return undefined;
  const table = new Uint32Array(nodes.length * HELD_WORDS);
  const values = new Float32Array(rows * n);
  nodes.forEach((node, i) => {
    const { low, high } = ranges[i]!;
    const middle = node.leftLeaves > 0 ? low + node.leftLeaves : 0;
    const left = labels.reduce((sum, leaf) => sum + Number(leaf >= low && leaf < middle), 0);
    table.set([low, high, node.size, middle, depths[i]!, left], i * HELD_WORDS);
    for (let k = 0; k < n; k++) {
      if (labels[k]! >= low && labels[k]! < high) values[depths[i]! * n + k] = node.vector[k]!;
    }
  });
  return { nodes: table, count: nodes.length, labels: Uint32Array.from(labels), values };
}

/** Whether a last tree comes from the host. */
export function isOnHost(held: HeldTables | HeldBuffers): held is HeldTables {
  return held.nodes instanceof Uint32Array;
}

/** Room for the tree that a next frame takes up. */
export function acquireHeld(gpu: Gpu, n: number): HeldBuffers {
  return heldIn((words, label) => gpu.pool.acquire("block", words * 4, `kept ${label}`), n);
}

/** Room for a tree that is taken up within the submission. */
export function temporaryHeld(recorder: Recorder, n: number): HeldBuffers {
  return heldIn((words, label) => recorder.temporary(words * 4, `kept ${label}`), n);
}

function heldIn(room: (words: number, label: string) => GPUBuffer, n: number): HeldBuffers {
  return {
    nodes: room(KEPT * HELD_WORDS, "nodes"),
    count: KEPT,
    labels: room(n, "labels"),
    values: room(MAX_DEPTH * n, "vectors"),
  };
}

/** Gives back what was kept for a next frame; the queue has done with it by then. */
export function releaseHeld(gpu: Gpu, { nodes, labels, values }: HeldBuffers): void {
  for (const buffer of [nodes, labels, values]) gpu.pool.release(buffer);
}
