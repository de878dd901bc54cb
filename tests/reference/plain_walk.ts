/**
 * A walk in plain float64 loops: what the devices are held to.
 *
 * @module
 */
import type { Product, Walk } from "../../lib/walk/walk.ts";

/** A walk over a dense matrix, multiplied by the definition. */
export class PlainWalk implements Walk {
  constructor(readonly matrix: Float32Array<ArrayBuffer>, readonly n: number) {}

  products(list: readonly Product[]): Promise<Float32Array<ArrayBuffer>[]> {
    return Promise.resolve(
      list.map(({ block, columns, word }) =>
        [...word].reduce((x, letter) => multiply(this.matrix, this.n, x, columns, letter === "t"), block)
      ),
    );
  }

  dense(): Promise<Float32Array<ArrayBuffer>> {
    return Promise.resolve(this.matrix);
  }

  async power(k: number): Promise<Walk> {
    const [matrix] = await this.products([{ block: this.matrix, columns: this.n, word: "n".repeat(k - 1) }]);
    return new PlainWalk(matrix!, this.n);
  }

  release(): void {}
}

/** P·X or Pᵀ·X, `[n, columns]`. */
export function multiply(
  matrix: Float32Array,
  n: number,
  x: Float32Array,
  columns: number,
  transpose: boolean,
): Float32Array<ArrayBuffer> {
  const out = new Float64Array(n * columns);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const p = transpose ? matrix[j * n + i]! : matrix[i * n + j]!;
      if (p === 0) continue;
      for (let c = 0; c < columns; c++) out[i * columns + c]! += p * x[j * columns + c]!;
    }
  }
  return Float32Array.from(out);
}
