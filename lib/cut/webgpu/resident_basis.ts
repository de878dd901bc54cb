/**
 * The basis of the factor where the kernels find it, kept from frame to frame.
 *
 * @module
 */
import { gaussian } from "../../random.ts";
import { joinBlocks } from "../../walk/block.ts";
import type { Gpu } from "../../walk/webgpu/device.ts";
import { BLOCK_ALIGNMENT, roundUp } from "../../walk/webgpu/kernels.ts";
import type { WebGpuWalk } from "../../walk/webgpu/walk_device.ts";
import { combine, deflate, orthonormalise } from "../blocks.ts";
import { columnsFor, PROBES } from "../factor.ts";
import { symmetricEigen } from "../small_eigen.ts";
import type { ResidentBasis } from "./basis_steps.ts";
import type { TreeRoom } from "./layout.ts";
import { largestRank } from "./recursion.ts";

/** The basis that a device holds, and the array that it equals. */
const resident = new WeakMap<Gpu, { from: Float32Array; basis: ResidentBasis }>();

/** V with its probes on the device, uploaded when it changed; nothing where its rank is too large. */
export function residentBasis(
  walk: WebGpuWalk,
  basis: Float32Array,
  room: TreeRoom,
): ResidentBasis | undefined {
  const { gpu, n, matrix } = walk;
  const rank = basis.length / n;
  if (rank > largestRank(walk, room)) return undefined;
  const kept = resident.get(gpu);
  if (kept?.from === basis) return kept.basis;
  const probes = rank < n ? PROBES : 0;
  // Two columns beyond the rank hold the tiles' traces.
  const width = roundUp(rank + Math.max(probes, 2), BLOCK_ALIGNMENT);
  const random = gaussian(n * probes, rank + n);
  deflate(random, probes, basis, n, rank);
  const block = new Float32Array(matrix.size * width);
  for (let i = 0; i < n; i++) {
    block.set(basis.subarray(i * rank, (i + 1) * rank), i * width);
    block.set(random.subarray(i * probes, (i + 1) * probes), i * width + rank);
  }
  const buffer = gpu.pool.acquire("block", block.byteLength, "basis of the factor");
  gpu.device.queue.writeBuffer(buffer, 0, block);
  gpu.counters.bytesUp += block.byteLength;
  const onDevice = { buffer, width, rank, probes };
  keepBasis(gpu, basis, onDevice);
  return onDevice;
}

/** Says that a basis on the device equals an array; one that it takes the place of is given back. */
export function keepBasis(gpu: Gpu, from: Float32Array, basis: ResidentBasis): void {
  const kept = resident.get(gpu);
  if (kept && kept.basis.buffer !== basis.buffer) gpu.pool.release(kept.basis.buffer);
  resident.set(gpu, { from, basis });
}

/** Forgets the basis that lies on a device, e.g. before it closes. */
export function releaseBasis(gpu: Gpu): void {
  const kept = resident.get(gpu);
  if (kept) gpu.pool.release(kept.basis.buffer);
  resident.delete(gpu);
}

/** Room for a basis like another one. */
export function basisLike(gpu: Gpu, basis: ResidentBasis): ResidentBasis {
  return { ...basis, buffer: gpu.pool.acquire("block", basis.buffer.size, "basis of the factor") };
}

/**
 * A random block of so many columns, a multiple of {@linkcode BLOCK_ALIGNMENT}, its probes among them;
 * whoever asks gives its buffer back.
 */
export function randomBlock({ gpu, n, matrix }: WebGpuWalk, width: number): ResidentBasis {
  const block = new Float32Array(matrix.size * width);
  block.set(gaussian(n * width, n));
  const buffer = gpu.pool.acquire("block", block.byteLength, "sketch");
  gpu.device.queue.writeBuffer(buffer, 0, block);
  gpu.counters.bytesUp += block.byteLength;
  return { buffer, width, rank: width - PROBES, probes: PROBES };
}

/** Bases with random columns that the next pass has to renew. */
const unsettled = new WeakSet<Float32Array>();

/** Whether a basis has random columns that no pass has renewed yet. */
export function isUnsettled(basis: Float32Array): boolean {
  return unsettled.has(basis);
}

/**
 * The principal directions of F = M·V as a basis: as many as hold enough of the trace, widened. What else
 * the sketch holds is this frame's own; directions renewed with the next frame last longer (measured).
 *
 * @param basis V, `[N, r]`.
 * @param gram FᵀF in its first r rows and columns, `[c, c]` with c the columns of `sketch`.
 * @param trace tr A.
 */
export function principal(
  basis: Float32Array<ArrayBuffer>,
  n: number,
  { rank, probes }: ResidentBasis,
  gram: Float32Array,
  trace: number,
): Float32Array<ArrayBuffer> {
  const own = new Float64Array(rank * rank);
  for (let a = 0; a < rank; a++) {
    own.set(gram.subarray(a * (rank + probes), a * (rank + probes) + rank), a * rank);
  }
  const { values, vectors } = symmetricEigen(own, rank);
  const needed = columnsFor(values, trace);
  const next = widened(combine(basis, n, rank, vectors, needed), n, needed);
  if (next.length > n * needed) unsettled.add(next);
  return next;
}

/** Most columns of a basis that is carried on. */
const WIDEST = 256;

/** A basis has this much more columns than it needs, so that the next frames do not outgrow it. */
const SLACK = 1.25;

/**
 * A basis with random columns beside it, up to the width that the kernels compute in any
 * case. They become directions of M when the basis is renewed.
 */
export function widened(
  basis: Float32Array<ArrayBuffer>,
  n: number,
  rank: number,
): Float32Array<ArrayBuffer> {
  const width = roundUp(Math.ceil(rank * SLACK) + PROBES, BLOCK_ALIGNMENT) - PROBES;
  const extra = Math.min(width, WIDEST, Math.floor(n / 2)) - rank;
  if (extra <= 0) return basis;
  const random = gaussian(n * extra, rank);
  deflate(random, extra, basis, n, rank);
  const more = orthonormalise(random, n, extra);
  return joinBlocks([basis, more.basis], [rank, more.rank], n);
}
