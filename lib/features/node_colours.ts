/**
 * What colour the frame has at each node of the walk.
 *
 * @module
 */
import type { Frame } from "../source/frame.ts";

/** Samples a side of a node's cell. */
const SAMPLES = 4;

/** Mean RGB of each cell of a grid×grid partition of the frame, 0 … 255, `[grid², 3]`. */
export function nodeColours({ width, height, data }: Frame, grid: number): Float32Array<ArrayBuffer> {
  const colours = new Float32Array(grid * grid * 3);
  const lines = grid * SAMPLES;
  for (let v = 0; v < lines; v++) {
    const row = Math.floor((v + 0.5) * height / lines) * width;
    const nodeRow = Math.floor(v / SAMPLES) * grid;
    for (let u = 0; u < lines; u++) {
      const at = 3 * (row + Math.floor((u + 0.5) * width / lines));
      const node = 3 * (nodeRow + Math.floor(u / SAMPLES));
      for (let c = 0; c < 3; c++) colours[node + c]! += data[at + c]! / SAMPLES ** 2;
    }
  }
  return colours;
}
