/**
 * The WebAssembly module behind the CPU's dense products, written out instruction by instruction.
 *
 * The kernels make tiles of C += A·B from 128-bit vectors, a run of them a call: of a
 * matrix A, and of a transposed one. A tile is eight columns wide and six rows high, as
 * many sums as there are registers for; what is left at the end is done four rows at a time.
 *
 * @module
 */

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

/** Instantiates the kernels over a memory. */
export function instantiateTiles(memory: WebAssembly.Memory): TileModule {
  // Fused multiply-add is a later addition to the instruction set; its rounding is the better one.
  const fused = moduleBytes(true);
  const bytes = WebAssembly.validate(fused) ? fused : moduleBytes(false);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
  return exports as unknown as TileModule;
}

/** Numbers of the binary format that are used here. */
const Op = {
  loop: [0x03, 0x40],
  end: [0x0b],
  branchIf: [0x0d],
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  i32Const: 0x41,
  i32Add: [0x6a],
  i32Sub: [0x6b],
  v128Load: 0x00,
  v128Load32Splat: 0x09,
  v128Store: 0x0b,
  v128Const: 0x0c,
  f32x4Add: 0xe4,
  f32x4Multiply: 0xe6,
  f32x4FusedMultiplyAdd: 0x105,
} as const;

const I32 = 0x7f;
const V128 = 0x7b;
const FUNCTION = 0x60;
const SIMD = 0xfd;

/** Most pages of 64 KiB that the memory may have: all that 32 bits address. */
export const MOST_PAGES = 65_536;

type Bytes = readonly number[];

function unsigned(value: number): number[] {
  const out: number[] = [];
  do {
    const low = value & 0x7f;
    value >>>= 7;
    out.push(value ? low | 0x80 : low);
  } while (value);
  return out;
}

function signed(value: number): number[] {
  const out: number[] = [];
  for (;;) {
    const low = value & 0x7f;
    value >>= 7;
    const done = value === 0 && !(low & 0x40) || value === -1 && Boolean(low & 0x40);
    out.push(done ? low : low | 0x80);
    if (done) return out;
  }
}

const vector = (items: readonly Bytes[]): number[] => [...unsigned(items.length), ...items.flat()];
const sized = (bytes: Bytes): number[] => [...unsigned(bytes.length), ...bytes];
const section = (id: number, body: Bytes): number[] => [id, ...sized(body)];
const name = (text: string): number[] => sized([...new TextEncoder().encode(text)]);

const get = (local: number): number[] => [Op.localGet, ...unsigned(local)];
const set = (local: number): number[] => [Op.localSet, ...unsigned(local)];
const constant = (value: number): number[] => [Op.i32Const, ...signed(value)];
const simd = (op: number): number[] => [SIMD, ...unsigned(op)];
/** Alignment is a hint: 2 for single values, 4 for vectors. */
const load = (
  address: number,
  offset: number,
): number[] => [...get(address), ...simd(Op.v128Load), 4, ...unsigned(offset)];
const splat = (
  address: number,
  offset: number,
): number[] => [...get(address), ...simd(Op.v128Load32Splat), 2, ...unsigned(offset)];
const store = (
  address: number,
  offset: number,
  value: Bytes,
): number[] => [...get(address), ...value, ...simd(Op.v128Store), 4, ...unsigned(offset)];
const advance = (local: number, by: Bytes): number[] => [...get(local), ...by, ...Op.i32Add, ...set(local)];
/** Counts a local down and branches to the innermost loop while it is not 0. */
const repeat = (
  count: number,
  by: number,
): number[] => [
  ...get(count),
  ...constant(by),
  ...Op.i32Sub,
  Op.localTee,
  ...unsigned(count),
  ...Op.branchIf,
  0,
];

const zero = [...simd(Op.v128Const), ...new Array<number>(16).fill(0)];

interface Kernel {
  readonly name: string;
  readonly parameters: number;
  readonly locals: readonly (readonly [count: number, type: number])[];
  readonly code: Bytes;
}

/** Steps of the sum that a turn of the loop takes; each of Aᵀ moves a pointer on, so that there are more. */
const UNROLLED = { rows: 4, columns: 8 } as const;

/** A run of tiles: `height` rows of A along the sum, or as many columns. */
function tileKernel(layout: "rows" | "columns", height: number, fused: boolean): Kernel {
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
  const addTo = (at: number, other: number): number[] => {
    if (fused) {
      return [...get(value), ...get(other), ...get(at), ...simd(Op.f32x4FusedMultiplyAdd), ...set(at)];
    }
    return [
      ...get(at),
      ...[...get(value), ...get(other), ...simd(Op.f32x4Multiply)],
      ...simd(Op.f32x4Add),
      ...set(at),
    ];
  };
  const turn = Array.from({ length: steps }, (_, u) => [
    ...[...load(inB, u * 32), ...set(low), ...load(inB, u * 32 + 16), ...set(high)],
    ...rows.flatMap((pointer, r) => [
      ...splat(pointer, byRow ? u * 4 : r * 4),
      ...set(value),
      ...addTo(sum + 2 * r, low),
      ...addTo(sum + 2 * r + 1, high),
    ]),
    ...byRow ? [] : advance(inA, get(step)),
  ]).flat();
  const sums = Array.from({ length: 2 * height }, (_, i) => i);
  return {
    name: `${layout}${height}`,
    parameters,
    locals: [[integers, I32], [2 * height + 3, V128]],
    code: [
      ...Op.loop,
      ...[...get(k), ...set(left), ...get(b), ...set(inB), ...get(a), ...set(inA)],
      ...rows.slice(1, byRow ? height : 1).flatMap((pointer, r) => [
        ...[...get(rows[r]!), ...get(step), ...Op.i32Add, ...set(pointer)],
      ]),
      ...sums.flatMap((i) => [...zero, ...set(sum + i)]),
      ...Op.loop,
      ...turn,
      ...byRow ? rows.flatMap((pointer) => advance(pointer, constant(4 * steps))) : [],
      ...advance(inB, constant(32 * steps)),
      ...repeat(left, steps),
      ...Op.end,
      // Sums of a part are added to what is there, so that long sums are added in parts.
      ...sums.flatMap((i) => store(c, i * 16, [...load(c, i * 16), ...get(sum + i), ...simd(Op.f32x4Add)])),
      ...[[a, aNext], [b, bNext], [c, cNext]].flatMap(([at, next]) => advance(at!, get(next!))),
      ...repeat(count, 1),
      ...Op.end,
    ],
  };
}

function moduleBytes(fused: boolean): Uint8Array<ArrayBuffer> {
  const kernels = (["rows", "columns"] as const).flatMap((layout) =>
    [TALL, LOW].map((height) => tileKernel(layout, height, fused))
  );
  const parameters = (count: number) => vector(Array.from({ length: count }, () => [I32]));
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, vector(kernels.map((kernel) => [FUNCTION, ...parameters(kernel.parameters), 0]))),
    ...section(2, vector([[...name("env"), ...name("memory"), 0x02, 0x00, 0x00]])),
    ...section(3, vector(kernels.map((_, i) => unsigned(i)))),
    ...section(7, vector(kernels.map((kernel, i) => [...name(kernel.name), 0x00, ...unsigned(i)]))),
    ...section(
      10,
      vector(kernels.map(({ locals, code }) =>
        sized([
          ...vector(locals.map(([count, type]) => [...unsigned(count), type])),
          ...code,
          ...Op.end,
        ])
      )),
    ),
  ]);
}
