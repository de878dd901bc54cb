/**
 * The WebAssembly module behind the CPU's dense products, written out instruction by instruction.
 *
 * The kernels make tiles of C += A·B from 128-bit vectors, a run of them a call: of a
 * matrix A, and of a transposed one. A tile is eight columns wide and six rows high, as
 * many sums as there are registers for; what is left at the end is done four rows at a time.
 *
 * @module
 */
import * as wasm from "../../wasm_code.ts";
import { type Code, get, integer, set, v } from "../../wasm_code.ts";

/** Rows of a tile, and of those at the end. */
export const TALL = 6;
export const LOW = 4;

/** A run of tiles; addresses and steps are in bytes. */
export type TileKernel = (
  /** First of the tile's rows, each contiguous and `step` apart; of Aᵀ, first of k rows of a number a tile's row. */
  a: number,
  step: number,
  /** `[k, 8]`, contiguous. */
  b: number,
  /** `[rows, 8]`, contiguous. */
  c: number,
  /** A positive multiple of 8. */
  k: number,
  /** Number of tiles, positive, and how far a, b and c move from one to the next. */
  count: number,
  aNext: number,
  bNext: number,
  cNext: number,
) => void;

/** What the module exports: C[r, 0…7] += Σ_k A[r, k]·B[k, 0…7], by the number of rows and the layout of A. */
export type TileModule = Readonly<
  Record<`${"rows" | "columns"}${typeof TALL | typeof LOW}`, TileKernel>
>;

/** Instantiates the kernels over a memory; one that threads share has room for {@linkcode MOST_PAGES}. */
export function instantiateTiles(memory: WebAssembly.Memory): TileModule {
  const shared = memory.buffer instanceof SharedArrayBuffer ? MOST_PAGES : undefined;
  // Fused multiply-add is a later addition to the instruction set; its rounding is the better one.
  const fused = moduleBytes(true, shared);
  return wasm.instantiate(WebAssembly.validate(fused) ? fused : moduleBytes(false, shared), memory);
}

/** Most pages of 64 KiB that the memory may have: all that 32 bits address. */
export const MOST_PAGES = 65_536;

/** Steps of the sum that a turn of the loop takes; each of Aᵀ moves a pointer on, so that there are more. */
const UNROLLED = { rows: 4, columns: 8 } as const;

/** A run of tiles: `height` rows of A along the sum, or as many columns. */
function tileKernel(layout: "rows" | "columns", height: number, fused: boolean): wasm.WasmFunction {
  const [a, step, b, c, k, count, aNext, bNext, cNext] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
  const parameters = 9;
  // What is left of the sum, where it is in B and in each row of A; then the sums, two vectors of B and a value of A.
  const [left, inB, inA] = [parameters, parameters + 1, parameters + 2];
  const byRow = layout === "rows";
  const steps = UNROLLED[layout];
  const rows = Array.from({ length: height }, (_, r) => byRow ? inA + r : inA);
  const integers = 2 + (byRow ? height : 1);
  const sum = parameters + integers;
  const [low, high, value] = [sum + 2 * height, sum + 2 * height + 1, sum + 2 * height + 2];
  const addTo = (at: number, other: number): Code =>
    set(
      at,
      fused
        ? v.fusedFloats(get(value), get(other), get(at))
        : v.addFloats(get(at), v.multiplyFloats(get(value), get(other))),
    );
  const turn = Array.from({ length: steps }, (_, u) => [
    ...[...set(low, v.load(get(inB), u * 32)), ...set(high, v.load(get(inB), u * 32 + 16))],
    ...rows.flatMap((pointer, r) => [
      ...set(value, v.splat32(get(pointer), byRow ? u * 4 : r * 4)),
      ...addTo(sum + 2 * r, low),
      ...addTo(sum + 2 * r + 1, high),
    ]),
    ...byRow ? [] : wasm.advance(inA, get(step)),
  ]).flat();
  const sums = Array.from({ length: 2 * height }, (_, i) => i);
  return {
    ...{ name: `${layout}${height}`, parameters, results: 0, integers, vectors: 2 * height + 3 },
    code: countDown(count, 1, [
      ...[...set(left, get(k)), ...set(inB, get(b)), ...set(inA, get(a))],
      ...rows.slice(1, byRow ? height : 1).flatMap((pointer, r) =>
        set(pointer, wasm.add(get(rows[r]!), get(step)))
      ),
      ...sums.flatMap((i) => set(sum + i, v.zero)),
      ...countDown(left, steps, [
        ...turn,
        ...byRow ? rows.flatMap((pointer) => wasm.advance(pointer, integer(4 * steps))) : [],
        ...wasm.advance(inB, integer(32 * steps)),
      ]),
      // Sums of a part are added to what is there, so that long sums are added in parts.
      ...sums.flatMap((i) => v.store(get(c), v.addFloats(v.load(get(c), i * 16), get(sum + i)), i * 16)),
      ...[[a, aNext], [b, bNext], [c, cNext]].flatMap(([at, next]) => wasm.advance(at!, get(next!))),
    ]),
  };
}

/** Takes turns until a local, less by so much after each, is 0. */
function countDown(local: number, by: number, body: Code): Code {
  return wasm.repeatWhile(wasm.tee(local, wasm.subtract(get(local), integer(by))), body);
}

function moduleBytes(fused: boolean, shared: number | undefined): Uint8Array<ArrayBuffer> {
  return wasm.wasmModule(
    (["rows", "columns"] as const).flatMap((layout) =>
      [TALL, LOW].map((height) => tileKernel(layout, height, fused))
    ),
    shared,
  );
}
