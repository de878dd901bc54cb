/**
 * The tree that a recursion leaves on the device, and how it is read back.
 *
 * @module
 */
import type { Recorder, StageTime } from "../../walk/webgpu/recorder.ts";
import {
  certificateWidth,
  LARGE_ROOM,
  NODE_WORDS,
  nodesIn,
  NONE,
  STATE_WORDS,
  type TreeRoom,
} from "./layout.ts";
import type { TreeBuffers } from "./level_buffers.ts";

/** NCut of a segment that no threshold cuts. */
const NOTHING = 1e29;

/** A node of the tree as the device left it. */
export interface DeviceNode {
  readonly parent: number;
  /** Left part, the right one follows; 0 for a leaf. */
  readonly child: number;
  /** Range of positions in the order. */
  readonly begin: number;
  readonly size: number;
  readonly depth: number;
  /** Node of the last frame's tree, −1. */
  readonly heir: number;
  /** Nodes on the left of the proposed cut. */
  readonly position: number;
  /** NaN where no threshold cuts it. */
  readonly ncut: number;
  readonly threshold: number;
  readonly theta: number;
  readonly residual: number;
  readonly splitValue: number;
  /** 1ᵀA1 inside the segment. */
  readonly weight: number;
  /** Σ A_ii. */
  readonly loops: number;
  /** Σ ‖F_i‖². */
  readonly held: number;
}

/** A frame's recursion, read back. */
export interface DeviceTree {
  /** What it might take. */
  readonly room: TreeRoom;
  /** True where leaves or levels ran out: the tree is not whole. */
  readonly overflow: boolean;
  /** True where it met a segment that the device does not cut: a node that nothing ties to it. */
  readonly refused: boolean;
  readonly nodes: readonly DeviceNode[];
  readonly leaves: number;
  /** Nodes by position. */
  readonly order: Uint32Array<ArrayBuffer>;
  /** Leaf of each node. */
  readonly labels: Uint32Array<ArrayBuffer>;
  /** Fiedler vectors by depth, `[depths, N]`. */
  readonly values: Float32Array<ArrayBuffer>;
  /** A·[H | Y], `[N, width]`: leaves first, then the cuts in the tree's order; empty where it was not asked for. */
  readonly certificate: Float32Array<ArrayBuffer>;
  readonly width: number;
  /** Products with M, of all columns, that renewing the basis took, for a tree that was given up as well. */
  readonly renewals: number;
  /** Columns of the certificate of a tree that was given up for this one; 0 where there was none. */
  readonly tried: number;
  readonly times: readonly StageTime[];
}

/** Whether a tree is all of what was asked for: leaves that ran out are no lack where the caller bounds them. */
export function isWhole({ room, overflow, refused, leaves }: DeviceTree, maxSegments: number): boolean {
  return !refused && (!overflow || maxSegments > 0 && maxSegments <= room.leaves && leaves === maxSegments);
}

/** Whether a tree might be whole if it had more room. */
export function isCrowded(tree: DeviceTree, maxSegments: number): boolean {
  return tree.room !== LARGE_ROOM && tree.overflow && !isWhole(tree, maxSegments);
}

/** Asks for the tree and its certificate to be read back; what is asked for before or after comes beside it. */
export function recordTreeReads(
  recorder: Recorder,
  { state, tree, order, labels, byDepth }: TreeBuffers,
  certificate: GPUBuffer | undefined,
  n: number,
  room: TreeRoom,
): void {
  recorder.read(state, 0, STATE_WORDS * 4);
  recorder.read(tree, 0, nodesIn(room) * NODE_WORDS * 4);
  recorder.read(order, 0, n * 4);
  recorder.read(labels, 0, n * 4);
  recorder.read(byDepth, 0, room.levels * n * 4);
  if (certificate) recorder.read(certificate, 0, n * certificateWidth(room) * 4);
}

/**
 * The tree of what {@linkcode recordTreeReads} asked for; `rest` is what was asked for behind it.
 *
 * @param certified whether its certificate was.
 */
export function treeOf(
  [state, tree, order, labels, values, ...more]: readonly ArrayBuffer[],
  times: readonly StageTime[],
  room: TreeRoom,
  certified = true,
): { tree: DeviceTree; rest: ArrayBuffer[] } {
  const [certificate, rest] = certified ? [more[0]!, more.slice(1)] : [new ArrayBuffer(0), more];
  const words = new Uint32Array(state!);
  return {
    tree: {
      room,
      overflow: words[3]! === 1,
      refused: words[3]! === 2,
      nodes: nodesOf(tree!, words[0]!),
      leaves: words[1]!,
      order: new Uint32Array(order!),
      labels: new Uint32Array(labels!),
      values: new Float32Array(values!),
      certificate: new Float32Array(certificate),
      width: certificateWidth(room),
      renewals: words[6]!,
      tried: words[7]!,
      times,
    },
    rest,
  };
}

function nodesOf(bytes: ArrayBuffer, count: number): DeviceNode[] {
  const integers = new Uint32Array(bytes);
  const floats = new Float32Array(bytes);
  return Array.from({ length: count }, (_, i) => {
    const at = i * NODE_WORDS;
    const [parent, child, begin, size, depth, heir, position] = integers.subarray(at, at + 7);
    const [ncut, threshold, theta, residual, splitValue, weight, loops, held] = floats.subarray(
      at + 8,
      at + 16,
    );
    return {
      parent: parent === NONE ? -1 : parent!,
      child: child!,
      begin: begin!,
      size: size!,
      depth: depth!,
      heir: heir === NONE ? -1 : heir!,
      position: position!,
      ncut: ncut! < NOTHING ? ncut! : NaN,
      threshold: threshold!,
      theta: theta!,
      residual: residual!,
      splitValue: splitValue!,
      weight: weight!,
      loops: loops!,
      held: held!,
    };
  });
}
