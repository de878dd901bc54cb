/**
 * WebAssembly written out instruction by instruction: expressions as lists of bytes, and the module round them.
 *
 * @module
 */

/** Instructions in the binary format. */
export type Code = readonly number[];

/** A function of a module; all its parameters are 32-bit integers, and so is what it may return. */
export interface WasmFunction {
  readonly name: string;
  readonly parameters: number;
  readonly results: 0 | 1;
  /** Numbers of the locals after the parameters: integers first, vectors then. */
  readonly integers: number;
  readonly vectors: number;
  /** Leaves its results on the stack. */
  readonly code: Code;
}

const I32 = 0x7f;
const V128 = 0x7b;
const FUNCTION = 0x60;
const SIMD = 0xfd;

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
  const low = value & 0x7f;
  const rest = value >> 7;
  const done = rest === 0 && !(low & 0x40) || rest === -1 && Boolean(low & 0x40);
  return done ? [low] : [low | 0x80, ...signed(rest)];
}

const vector = (items: readonly Code[]): number[] => [...unsigned(items.length), ...items.flat()];
const sized = (bytes: Code): number[] => [...unsigned(bytes.length), ...bytes];
const section = (id: number, body: Code): number[] => [id, ...sized(body)];
const limits = (shared?: number): number[] => shared ? [0x03, 0x00, ...unsigned(shared)] : [0x00, 0x00];
const name = (text: string): number[] => sized([...new TextEncoder().encode(text)]);

/**
 * The module of some functions over a memory, which it imports as `env.memory`.
 *
 * @param shared most pages of a memory that threads share; else one of any size.
 */
export function wasmModule(functions: readonly WasmFunction[], shared?: number): Uint8Array<ArrayBuffer> {
  const integers = (count: number) => vector(Array.from({ length: count }, () => [I32]));
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(
      1,
      vector(functions.map((f) => [FUNCTION, ...integers(f.parameters), ...integers(f.results)])),
    ),
    ...section(2, vector([[...name("env"), ...name("memory"), 0x02, ...limits(shared)]])),
    ...section(3, vector(functions.map((_, i) => unsigned(i)))),
    ...section(7, vector(functions.map((f, i) => [...name(f.name), 0x00, ...unsigned(i)]))),
    ...section(
      10,
      vector(functions.map((f) => {
        const locals = vector([[...unsigned(f.integers), I32], [...unsigned(f.vectors), V128]]);
        return sized([...locals, ...f.code, 0x0b]);
      })),
    ),
  ]);
}

/** Instantiates a module over a memory; its functions are those named. */
export function instantiate<T>(module: Uint8Array<ArrayBuffer>, memory: WebAssembly.Memory): T {
  return new WebAssembly.Instance(new WebAssembly.Module(module), { env: { memory } }).exports as T;
}

/** The value of a local. */
export const get = (local: number): number[] => [0x20, ...unsigned(local)];
/** Gives a local a value. */
export const set = (local: number, value: Code): number[] => [...value, 0x21, ...unsigned(local)];
/** Gives a local a value and leaves it on the stack. */
export const tee = (local: number, value: Code): number[] => [...value, 0x22, ...unsigned(local)];
/** A number. */
export const integer = (value: number): number[] => [0x41, ...signed(value)];
const binary = (op: number) => (a: Code, b: Code): number[] => [...a, ...b, op];
export const add = binary(0x6a);
export const subtract = binary(0x6b);
export const multiply = binary(0x6c);
export const equal = binary(0x46);
/** Lower, of numbers without sign. */
export const less = binary(0x49);
/** Adds to a local. */
export const advance = (local: number, by: Code): number[] => set(local, add(get(local), by));
/** Runs one or the other. */
export const choose = (condition: Code, then: Code, otherwise: Code = []): number[] => [
  ...condition,
  ...[0x04, 0x40, ...then],
  ...(otherwise.length > 0 ? [0x05, ...otherwise] : []),
  0x0b,
];
/** Repeats while the condition holds at the end of a turn. */
export const repeatWhile = (condition: Code, body: Code): number[] => [
  ...[0x03, 0x40, ...body, ...condition],
  ...[0x0d, 0x00, 0x0b],
];
/** Writes an integer. */
export const storeInteger = (address: Code, value: Code): number[] => [...address, ...value, 0x36, 2, 0];
/** A number of 16 bits without sign. */
export const loadShort = (address: Code): number[] => [...address, 0x2f, 1, 0];

const simd = (op: number): number[] => [SIMD, ...unsigned(op)];
/** No alignment is promised: it would be but a hint. */
const loading = (op: number) => (address: Code, offset = 0): number[] => [
  ...address,
  ...simd(op),
  0,
  ...unsigned(offset),
];
const onTwo = (op: number) => (a: Code, b: Code): number[] => [...a, ...b, ...simd(op)];
const onOne = (op: number) => (a: Code): number[] => [...a, ...simd(op)];

/** Instructions on vectors; integers of 8, 16 and 32 bits as their names say, floats of 32 bits. */
export const v = {
  load: loading(0x00),
  /** Eight bytes as numbers of 16 bits. */
  load8: loading(0x02),
  splat32: loading(0x09),
  store: (address: Code, value: Code, offset = 0): number[] => [
    ...address,
    ...value,
    ...simd(0x0b),
    0,
    ...unsigned(offset),
  ],
  /** The lower half. */
  storeHalf: (address: Code, value: Code): number[] => [...address, ...value, ...simd(0x5b), 0, 0, 0],
  /** Bytes of two vectors in a new order; those of the second count from 16. */
  shuffle: (a: Code, b: Code, order: Code): number[] => [...a, ...b, ...simd(0x0d), ...order],
  zero: [...simd(0x0c), ...new Array<number>(16).fill(0)] as Code,
  fill16: onOne(0x10),
  equal16: onTwo(0x2d),
  and: onTwo(0x4e),
  allTrue16: onOne(0x83),
  add16: onTwo(0x8e),
  subtract16: onTwo(0x91),
  multiply16: onTwo(0x95),
  shiftLeft16: onTwo(0x8b),
  shiftRight16: onTwo(0x8c),
  add32: onTwo(0xae),
  shiftRight32: onTwo(0xac),
  /** Sums of the products of neighbours, in 32 bits. */
  dot: onTwo(0xba),
  addFloats: onTwo(0xe4),
  multiplyFloats: onTwo(0xe6),
  /** a·b + c, rounded once where the machine can; a later addition to the instruction set. */
  fusedFloats: (a: Code, b: Code, c: Code): number[] => [...a, ...b, ...c, ...simd(0x105)],
  /** Sums of neighbouring bytes, in 16 bits. */
  sumPairs: onOne(0x7d),
  lowBytes: onOne(0x89),
  highBytes: onOne(0x8a),
  /** Two vectors as one of half the width, what is out of its range as the next that is in it. */
  narrow32: onTwo(0x85),
  narrow16: onTwo(0x66),
  /** The lower halves of two vectors of 16-bit numbers, by turns. */
  mixLow: (a: Code, b: Code): number[] => v.shuffle(a, b, turns(0)),
  /** The higher halves. */
  mixHigh: (a: Code, b: Code): number[] => v.shuffle(a, b, turns(8)),
} as const;

function turns(first: number): number[] {
  return Array.from({ length: 16 }, (_, i) => first + (i >> 2 << 1) + (i & 1) + (i & 2 ? 16 : 0));
}
