/**
 * The WebAssembly module behind {@linkcode Planes}: rows of 4:2:0 to rows of RGB.
 *
 * @module
 */
import * as wasm from "../wasm_code.ts";
import { type Code, get, integer, set, v } from "../wasm_code.ts";

/** What the module exports; addresses are in bytes. */
export interface PlanesModule {
  /**
   * Adds two rows of bytes to a row of 16-bit numbers, eight at a time.
   *
   * @param count numbers, > 0.
   */
  readonly sums: (a: number, b: number, out: number, count: number) => void;
  /**
   * One row of RGB, sixteen pixels at a time.
   *
   * @param y brightness, a byte a pixel.
   * @param u sums of two rows of colour difference, one for each two pixels, with one more before and after.
   * @param v the other one's.
   * @param out three bytes a pixel.
   * @param width pixels, > 0.
   * @param weights four pairs of 16-bit numbers and one of 32 bits: what a step of 1/8 of brightness and one
   *   of 1/8 of difference is to red (of v), to blue (of u), to green (of u), to green (of v, brightness 0),
   *   in 1/65536; and what is added.
   */
  readonly rgb: (y: number, u: number, v: number, out: number, width: number, weights: number) => void;
}

/** Instantiates the kernels over a memory. */
export function instantiatePlanes(memory: WebAssembly.Memory): PlanesModule {
  return wasm.instantiate(wasm.wasmModule([sums(), rgb()]), memory);
}

function sums(): wasm.WasmFunction {
  const [a, b, out, count] = [0, 1, 2, 3];
  const end = 4;
  return {
    ...{ name: "sums", parameters: 4, results: 0, integers: 1, vectors: 0 },
    code: [
      ...set(end, wasm.add(get(out), wasm.add(get(count), get(count)))),
      ...wasm.repeatWhile(wasm.less(get(out), get(end)), [
        ...v.store(get(out), v.add16(v.load8(get(a)), v.load8(get(b)))),
        ...wasm.advance(a, integer(8)),
        ...wasm.advance(b, integer(8)),
        ...wasm.advance(out, integer(16)),
      ]),
    ],
  };
}

function rgb(): wasm.WasmFunction {
  const [y, u, diff, out, width, weights] = [0, 1, 2, 3, 4, 5];
  const end = 6;
  const [red, blue, greenU, greenV, constant, middle] = [7, 8, 9, 10, 11, 12];
  const [bytes, uEven, uOdd, vEven, vOdd, luma, us, vs] = [13, 14, 15, 16, 17, 18, 19, 20];
  /** Colours of eight pixels, then of sixteen: red, green, blue. */
  const half = [21, 22, 23];
  const whole = [24, 25, 26];
  const mixed = [27, 28];

  /** Three parts of the nearer difference and one of the next, less what stands for none. */
  const between = (from: number, offset: number): Code =>
    v.subtract16(
      v.add16(
        v.add16(v.load(get(from)), v.shiftLeft16(v.load(get(from)), integer(1))),
        v.load(wasm.add(get(from), integer(offset))),
      ),
      get(middle),
    );
  /** Four numbers of 32 bits to a colour. */
  const scaled = (sum: Code): Code => v.shiftRight32(v.add32(sum, get(constant)), integer(16));
  const eight = (lumaBytes: Code, mix: typeof v.mixLow): Code => [
    ...set(luma, v.shiftLeft16(lumaBytes, integer(3))),
    ...set(us, mix(get(uEven), get(uOdd))),
    ...set(vs, mix(get(vEven), get(vOdd))),
    ...[v.mixLow, v.mixHigh].flatMap((part, i) => [
      ...set(mixed[0]!, part(get(luma), get(us))),
      ...set(mixed[1]!, part(get(luma), get(vs))),
      ...[
        v.dot(get(mixed[1]!), get(red)),
        v.add32(v.dot(get(mixed[0]!), get(greenU)), v.dot(get(mixed[1]!), get(greenV))),
        v.dot(get(mixed[0]!), get(blue)),
      ].flatMap((sum, colour) =>
        set(half[colour]!, i === 0 ? scaled(sum) : v.narrow32(get(half[colour]!), scaled(sum)))
      ),
    ]),
  ];
  return {
    ...{ name: "rgb", parameters: 6, results: 0, integers: 1, vectors: 22 },
    code: [
      ...set(end, wasm.add(get(y), get(width))),
      ...[red, blue, greenU, greenV, constant].flatMap((local, i) =>
        set(local, v.splat32(get(weights), 4 * i))
      ),
      ...set(middle, v.fill16(integer(1024))),
      ...wasm.repeatWhile(wasm.less(get(y), get(end)), [
        ...set(bytes, v.load(get(y))),
        ...[[u, uEven, uOdd], [diff, vEven, vOdd]].flatMap(([from, even, odd]) => [
          ...set(even!, between(from!, -2)),
          ...set(odd!, between(from!, 2)),
        ]),
        ...eight(v.lowBytes(get(bytes)), v.mixLow),
        ...half.flatMap((local, i) => set(whole[i]!, get(local))),
        ...eight(v.highBytes(get(bytes)), v.mixHigh),
        ...half.flatMap((local, i) => set(whole[i]!, v.narrow16(get(whole[i]!), get(local)))),
        ...[0, 16, 32].flatMap((at) =>
          v.store(
            get(out),
            v.shuffle(
              v.shuffle(get(whole[0]!), get(whole[1]!), packing(at, [0, 16, 0])),
              get(whole[2]!),
              Array.from({ length: 16 }, (_, i) => (at + i) % 3 === 2 ? 16 + Math.floor((at + i) / 3) : i),
            ),
            at,
          )
        ),
        ...wasm.advance(y, integer(16)),
        ...wasm.advance(u, integer(16)),
        ...wasm.advance(diff, integer(16)),
        ...wasm.advance(out, integer(48)),
      ]),
    ],
  };
}

/** Which byte of two vectors goes where in the 16 bytes of packed pixels from `at`; `of` is the start of each colour. */
function packing(at: number, of: readonly number[]): number[] {
  return Array.from({ length: 16 }, (_, i) => of[(at + i) % 3]! + Math.floor((at + i) / 3));
}
