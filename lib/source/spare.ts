/**
 * Memory of pictures that are done with, for those to come: to reserve and to free megabytes with every frame
 * would cost more than what is done with them.
 *
 * @module
 */

/** Buffers that are kept: as many pictures as are on their way through a run. */
const MOST = 6;

const spare: ArrayBuffer[] = [];

/** A buffer of `size` bytes with anything in it. */
export function spareBuffer(size: number): ArrayBuffer {
  const at = spare.findIndex(({ byteLength }) => byteLength === size);
  return at < 0 ? new ArrayBuffer(size) : spare.splice(at, 1)[0]!;
}

/** Gives memory back; whoever still holds the array finds it empty. */
export function recycle({ buffer }: Uint8Array<ArrayBuffer>): void {
  if (buffer.byteLength === 0) return;
  if (spare.length >= MOST) spare.shift();
  spare.push(buffer.transfer());
}
