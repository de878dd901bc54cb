/**
 * Random damage to bytes, as files get it.
 *
 * @module
 */
import { uniform } from "../../lib/random.ts";

/** Values at which length fields break. */
const EDGES = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

/** Numbers at which text headers break. */
const NUMBERS = [
  "0",
  "-1",
  "1",
  "65536",
  "2147483647",
  "2147483648",
  "4294967296",
  "9007199254740993",
  "1e308",
  "NaN",
  "",
];

/** A source of random numbers that can be repeated from its seed. */
export class Dice {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = uniform(seed);
  }

  /** A whole number from 0 to `n` − 1. */
  below(n: number): number {
    return Math.floor(this.#random() * n);
  }

  /** One of the items. */
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

const MUTATIONS: readonly ((bytes: Uint8Array<ArrayBuffer>, dice: Dice) => Uint8Array<ArrayBuffer>)[] = [
  flipBit,
  setEdge,
  replaceNumber,
  (bytes, dice) => bytes.slice(0, dice.below(bytes.length + 1)),
  (bytes, dice) => {
    const [from, to] = span(bytes, dice);
    return join(bytes.subarray(0, from), bytes.subarray(to));
  },
  (bytes, dice) => {
    const [from, to] = span(bytes, dice);
    return join(bytes.subarray(0, to), bytes.subarray(from));
  },
  (bytes, dice) => {
    const at = dice.below(bytes.length + 1);
    const noise = Uint8Array.from({ length: 1 + dice.below(40) }, () => dice.below(256));
    return join(bytes.subarray(0, at), noise, bytes.subarray(at));
  },
];

/** Damages bytes in one to four ways; the header, where most can go wrong, more than the rest. */
export function mutate(bytes: Uint8Array<ArrayBuffer>, dice: Dice): Uint8Array<ArrayBuffer> {
  let damaged = bytes.slice();
  for (let n = 1 + dice.below(4); n > 0; n--) damaged = dice.pick(MUTATIONS)(damaged, dice);
  return damaged;
}

/** A place in the bytes: the first 200 as often as all others. */
function place(bytes: Uint8Array, dice: Dice): number {
  return dice.below(dice.below(2) === 0 ? Math.min(200, bytes.length) : bytes.length);
}

function span(bytes: Uint8Array, dice: Dice): [from: number, to: number] {
  const from = place(bytes, dice);
  return [from, Math.min(bytes.length, from + 1 + dice.below(64))];
}

function flipBit(bytes: Uint8Array<ArrayBuffer>, dice: Dice): Uint8Array<ArrayBuffer> {
  if (bytes.length > 0) bytes[place(bytes, dice)]! ^= 1 << dice.below(8);
  return bytes;
}

function setEdge(bytes: Uint8Array<ArrayBuffer>, dice: Dice): Uint8Array<ArrayBuffer> {
  const width = dice.pick([1, 2, 4]);
  if (bytes.length < width) return bytes;
  const at = Math.min(place(bytes, dice), bytes.length - width);
  const [value, little] = [dice.pick(EDGES), dice.below(2) === 0];
  for (let i = 0; i < width; i++) bytes[at + i] = value >>> 8 * (little ? i : width - 1 - i);
  return bytes;
}

function replaceNumber(bytes: Uint8Array<ArrayBuffer>, dice: Dice): Uint8Array<ArrayBuffer> {
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, 4096));
  const numbers = [...text.matchAll(/\d+/g)];
  if (numbers.length === 0) return bytes;
  const { index, 0: digits } = dice.pick(numbers);
  const number = new TextEncoder().encode(dice.pick(NUMBERS));
  return join(bytes.subarray(0, index), number, bytes.subarray(index + digits.length));
}

function join(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
