/**
 * Threads that make a product's parts together, on a memory that they share.
 *
 * Whoever is free takes the next part; the thread that asked takes parts as well and waits for no one but for those
 * that others have begun. So a helper that comes late, or gets no processor, costs nothing.
 *
 * @module
 */
import type { TileModule } from "./tile_module.ts";
import { makePart, partCount, type TileProduct } from "./tile_product.ts";

/** What a helper is told at first; after that each message wakes it. */
export interface HelperStart {
  readonly memory: WebAssembly.Memory;
  readonly control: Int32Array;
  /** Its number. */
  readonly helper: number;
}

// Places in the control block: which part is next, how many are done, the product, who sleeps.
const NEXT = 0;
const DONE = 1;
const PRODUCT = 2;
const ASLEEP = 10;

/** A product's number, its parts and the next one of them, in one word, so that they change together. */
const PART_BITS = 10;
const PART_MASK = 2 ** PART_BITS - 1;

/** Time that a helper waits for the next product before it sleeps, ms: then a message has to wake it. */
const LINGER = 50;

/** Threads and their control block. */
export class TileTeam {
  #control: Int32Array = new Int32Array();
  readonly #helpers: Worker[] = [];
  #product = 0;

  /** Its helpers start with the first product. */
  constructor(
    private readonly memory: WebAssembly.Memory,
    private readonly tiles: TileModule,
    private readonly helpers: number,
  ) {}

  /** Makes a product; all of it is there when this returns. */
  make(product: TileProduct): void {
    this.#start();
    const control = this.#control;
    const parts = partCount(product);
    writeProduct(control, product);
    Atomics.store(control, DONE, 0);
    this.#product++;
    Atomics.store(control, NEXT, this.#product << 2 * PART_BITS | parts << PART_BITS);
    Atomics.notify(control, NEXT);
    this.#helpers.forEach((helper, i) => {
      if (Atomics.exchange(control, ASLEEP + i, 0) === 1) helper.postMessage(undefined);
    });
    takeParts(control, this.tiles);
    for (let done; (done = Atomics.load(control, DONE)) < parts;) Atomics.wait(control, DONE, done);
  }

  /** Ends the helpers; a later product starts others. */
  close(): void {
    for (const helper of this.#helpers.splice(0)) helper.terminate();
  }

  #start(): void {
    if (this.#helpers.length > 0) return;
    // A block of their own: what was ended may still be on its way out.
    this.#control = new Int32Array(new SharedArrayBuffer(4 * (ASLEEP + this.helpers)));
    while (this.#helpers.length < this.helpers) {
      const worker = new Worker(new URL("./tile_worker.ts", import.meta.url), { type: "module" });
      // Without it the others make its parts.
      worker.onerror = (event) => event.preventDefault();
      const { memory } = this;
      const start: HelperStart = { memory, control: this.#control, helper: this.#helpers.length };
      worker.postMessage(start);
      this.#helpers.push(worker);
    }
  }
}

/** A helper's turn: parts as long as there are any, then a wait for more. Returns once it is to be woken. */
export function help({ control, helper }: HelperStart, tiles: TileModule): void {
  for (;;) {
    const seen = takeParts(control, tiles);
    if (Atomics.wait(control, NEXT, seen, LINGER) !== "timed-out") continue;
    Atomics.store(control, ASLEEP + helper, 1);
    // Whoever gave a product before that has not seen it.
    if (Atomics.load(control, NEXT) === seen) return;
    Atomics.store(control, ASLEEP + helper, 0);
  }
}

/** Makes parts until none is left; returns the word that said so. */
function takeParts(control: Int32Array, tiles: TileModule): number {
  for (;;) {
    const word = Atomics.load(control, NEXT);
    const [part, parts] = [word & PART_MASK, word >>> PART_BITS & PART_MASK];
    if (part >= parts) return word;
    if (Atomics.compareExchange(control, NEXT, word, word + 1) !== word) continue;
    // The product stays until this part of it is done.
    makePart(tiles, readProduct(control), part);
    if (Atomics.add(control, DONE, 1) + 1 === parts) Atomics.notify(control, DONE);
  }
}

function writeProduct(control: Int32Array, { transposed, ...rest }: TileProduct): void {
  const { a, stride, inner, height, b, c, panels } = rest;
  control.set([Number(transposed), a, stride, inner, height, b, c, panels], PRODUCT);
}

function readProduct(control: Int32Array): TileProduct {
  const word = (at: number) => control[PRODUCT + at]!;
  return {
    transposed: word(0) === 1,
    ...{
      a: word(1),
      stride: word(2),
      inner: word(3),
      height: word(4),
      b: word(5),
      c: word(6),
      panels: word(7),
    },
  };
}
