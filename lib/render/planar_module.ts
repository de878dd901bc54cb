/**
 * The WebAssembly module behind {@linkcode PlanarOverlay}: two rows of a 4:2:0 picture under their tint.
 *
 * @module
 */
import * as wasm from "../wasm_code.ts";
import { type Code, get, integer, set, v } from "../wasm_code.ts";

/** Pixels of a block along a row. */
export const BLOCK = 16;
/** Bytes of the weights of one id. */
export const WEIGHTS = 32;
/** Binary digits of the weights behind the point. */
export const DIGITS = 13;

/** What the module exports; addresses are in bytes. */
export interface PlanarModule {
  /**
   * Tints, in place, the blocks of 16×2 pixels in which all pixels have one id, as have those to which an
   * outline reaches; lists the others, which stay as they are.
   *
   * @param y brightness of the upper row; the lower one's follows.
   * @param width bytes of a row.
   * @param u first difference of both rows.
   * @param diff the second one.
   * @param ids of the upper row, 16 bits each, `line` more than its pixels; those of the lower one and of the
   *   `line` rows below follow.
   * @param line pixels that an outline is wide.
   * @param blocks their number, > 0.
   * @param table {@linkcode WEIGHTS} by id, two 16-bit numbers or one of 32 bits each: brightness by itself
   *   and by shade, constant; first difference by itself and by the brightness of four pixels, by shade (and
   *   0), constant; the second one's three likewise.
   * @param shade two 16-bit numbers: what a step of each difference is to the shade, in 1/256.
   * @param list numbers of the blocks that were left, 32 bits each.
   * @returns how many those are.
   */
  readonly tint: (
    y: number,
    width: number,
    u: number,
    diff: number,
    ids: number,
    line: number,
    blocks: number,
    table: number,
    shade: number,
    list: number,
  ) => number;
}

/** Instantiates the kernel over a memory. */
export function instantiatePlanar(memory: WebAssembly.Memory): PlanarModule {
  return wasm.instantiate(wasm.wasmModule([tint()]), memory);
}

function tint(): wasm.WasmFunction {
  const [y, width, u, diff, ids, line, blocks, table, shade, list] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  const [block, left, id, last, wide, ahead, below, weights] = [10, 11, 12, 13, 14, 15, 16, 17];
  /** The id eight times; its weights; those of the shade; brightness, differences, and shade of 8 and of 16 pixels. */
  const same = 18;
  const ofId = Array.from({ length: WEIGHTS / 4 }, (_, i) => 19 + i);
  const [shadeU, shadeV, none, top, bottom, us, vs, sum, dark, low, high, out] = Array.from(
    { length: 12 },
    (_, i) => 27 + i,
  ) as [number, number, number, number, number, number, number, number, number, number, number, number];
  const rounded = (value: Code, constant: number): Code =>
    v.shiftRight32(v.add32(value, get(ofId[constant]!)), integer(DIGITS));
  const lower = wasm.add(get(ids), get(wide));
  const reached = [get(ids), lower].flatMap((row) =>
    [[], get(ahead), get(below)].flatMap((by) => {
      const from = by.length > 0 ? wasm.add(row, by) : row;
      return [0, 16].map((offset) => v.equal16(v.load(from, offset), get(same)));
    })
  );
  const brightness = (bytes: Code, shades: number): Code =>
    v.narrow32(
      rounded(v.dot(v.mixLow(bytes, get(shades)), get(ofId[0]!)), 1),
      rounded(v.dot(v.mixHigh(bytes, get(shades)), get(ofId[0]!)), 1),
    );
  const difference = (from: number, first: number): Code => {
    const four = (mix: typeof v.mixLow, shades: number) =>
      rounded(
        v.add32(
          v.dot(mix(get(from), get(sum)), get(ofId[first]!)),
          v.dot(get(shades), get(ofId[first + 1]!)),
        ),
        first + 2,
      );
    return v.narrow32(four(v.mixLow, low), four(v.mixHigh, high));
  };
  const uniform = [
    ...wasm.choose(wasm.equal(get(id), get(last)), [], [
      ...set(last, get(id)),
      ...set(weights, wasm.add(get(table), wasm.multiply(get(id), integer(WEIGHTS)))),
      ...ofId.flatMap((local, i) => set(local, v.splat32(get(weights), 4 * i))),
    ]),
    ...[...set(us, v.load8(get(u))), ...set(vs, v.load8(get(diff)))],
    ...[...set(top, v.load(get(y))), ...set(bottom, v.load(wasm.add(get(y), get(width))))],
    ...set(sum, v.add16(v.sumPairs(get(top)), v.sumPairs(get(bottom)))),
    ...set(
      dark,
      v.shiftRight16(
        v.add16(
          v.multiply16(v.subtract16(get(us), get(none)), get(shadeU)),
          v.multiply16(v.subtract16(get(vs), get(none)), get(shadeV)),
        ),
        integer(4),
      ),
    ),
    ...[...set(low, v.mixLow(get(dark), get(dark))), ...set(high, v.mixHigh(get(dark), get(dark)))],
    ...[top, bottom].flatMap((row) =>
      v.store(
        row === top ? get(y) : wasm.add(get(y), get(width)),
        v.narrow16(brightness(v.lowBytes(get(row)), low), brightness(v.highBytes(get(row)), high)),
      )
    ),
    ...[[u, us, 2], [diff, vs, 5]].flatMap(([at, from, first]) => [
      ...set(out, difference(from!, first!)),
      ...v.storeHalf(get(at!), v.narrow16(get(out), get(out))),
    ]),
  ];
  return {
    ...{ name: "tint", parameters: 10, results: 1, integers: 8, vectors: 21 },
    code: [
      ...[...set(last, integer(-1)), ...set(ahead, wasm.add(get(line), get(line)))],
      ...set(wide, wasm.add(wasm.add(get(width), get(width)), get(ahead))),
      ...set(below, wasm.multiply(get(line), get(wide))),
      ...[...set(none, v.fill16(integer(128))), ...set(shadeU, v.fill16(wasm.loadShort(get(shade))))],
      ...set(shadeV, v.fill16(wasm.loadShort(wasm.add(get(shade), integer(2))))),
      ...wasm.repeatWhile(wasm.less(get(block), get(blocks)), [
        ...[...set(id, wasm.loadShort(get(ids))), ...set(same, v.fill16(get(id)))],
        ...wasm.choose(
          v.allTrue16(reached.reduce((all, one) => v.and(all, one))),
          uniform,
          [
            ...wasm.storeInteger(wasm.add(get(list), wasm.multiply(get(left), integer(4))), get(block)),
            ...wasm.advance(left, integer(1)),
          ],
        ),
        ...[...wasm.advance(block, integer(1)), ...wasm.advance(y, integer(BLOCK))],
        ...[...wasm.advance(u, integer(BLOCK / 2)), ...wasm.advance(diff, integer(BLOCK / 2))],
        ...wasm.advance(ids, integer(2 * BLOCK)),
      ]),
      ...get(left),
    ],
  };
}
