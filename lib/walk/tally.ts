/**
 * Products with P, counted.
 *
 * @module
 */
import type { Product, Walk } from "./walk.ts";

/** A walk whose products are counted: an N×N by N×r product counts r. */
export class Tally {
  /** Products of an N×N by an N×1 so far. */
  applications = 0;

  constructor(readonly walk: Walk) {}

  /** {@linkcode Walk.products}, counted. */
  products(list: readonly Product[]): Promise<Float32Array<ArrayBuffer>[]> {
    for (const { columns, word } of list) this.applications += columns * word.length;
    return this.walk.products(list);
  }
}

/** The word that multiplies by M = P^k. */
export const forward = (steps: number): string => "n".repeat(steps);

/** The word that multiplies by Mᵀ. */
export const backward = (steps: number): string => "t".repeat(steps);
