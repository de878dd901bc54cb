/**
 * The WebAssembly module behind the CPU's dense products, written out instruction by instruction.
 *
 * Two kernels make a tile of four rows and eight columns of C += A·B from 128-bit
 * vectors: of a matrix A, and of a transposed one.
 *
 * @module
 */

/** What the module exports; addresses and steps are in bytes. */
export interface TileModule {
  /**
   * C[0…3, 0…7] += Σ_k A[0…3, k]·B[k, 0…7].
   *
   * @param a first of four rows, each contiguous, `step` bytes apart.
   * @param b `[k, 8]`, contiguous.
   * @param c `[4, 8]`, contiguous.
   * @param k a positive multiple of 4.
   */
  readonly rows: (a: number, step: number, b: number, c: number, k: number) => void;
  /**
   * The same with A transposed.
   *
   * @param a first of k rows of four numbers, `step` bytes apart.
   */
  readonly columns: (a: number, step: number, b: number, c: number, k: number) => void;
}

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

interface Kernel {
  readonly name: string;
  readonly parameters: number;
  readonly locals: readonly (readonly [count: number, type: number])[];
  readonly code: Bytes;
}

/** Steps of the sum that a turn of the loop takes. */
const UNROLLED = 4;

/** A tile kernel: four rows of A along the sum, or four columns. */
function tileKernel(layout: "rows" | "columns", fused: boolean): Kernel {
  const [a, step, b, c, k] = [0, 1, 2, 3, 4];
  const parameters = 5;
  // Pointers to the rows of A, then eight sums, two vectors of B and one value of A.
  const rows = layout === "rows" ? [a, parameters, parameters + 1, parameters + 2] : [a, a, a, a];
  const pointers = layout === "rows" ? 3 : 0;
  const sum = parameters + pointers;
  const [left, right, value] = [sum + 8, sum + 9, sum + 10];
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
  const turn = Array.from({ length: UNROLLED }, (_, u) => [
    ...[...load(b, u * 32), ...set(left), ...load(b, u * 32 + 16), ...set(right)],
    ...rows.flatMap((pointer, r) => [
      ...splat(pointer, layout === "rows" ? u * 4 : r * 4),
      ...set(value),
      ...addTo(sum + 2 * r, left),
      ...addTo(sum + 2 * r + 1, right),
    ]),
    ...layout === "columns" ? advance(a, get(step)) : [],
  ]).flat();
  return {
    name: layout,
    parameters,
    locals: [...pointers ? [[pointers, I32] as const] : [], [11, V128]],
    code: [
      ...rows.slice(1, 1 + pointers).flatMap((
        pointer,
        r,
      ) => [...get(rows[r]!), ...get(step), ...Op.i32Add, ...set(pointer)]),
      ...Op.loop,
      ...turn,
      ...layout === "rows" ? rows.flatMap((pointer) => advance(pointer, constant(4 * UNROLLED))) : [],
      ...advance(b, constant(32 * UNROLLED)),
      ...repeat(k, UNROLLED),
      ...Op.end,
      // Sums of a part are added to what is there, so that long sums are added in parts.
      ...Array.from(
        { length: 8 },
        (_, i) => store(c, i * 16, [...load(c, i * 16), ...get(sum + i), ...simd(Op.f32x4Add)]),
      ).flat(),
    ],
  };
}

function moduleBytes(fused: boolean): Uint8Array<ArrayBuffer> {
  const kernels = [tileKernel("rows", fused), tileKernel("columns", fused)];
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
