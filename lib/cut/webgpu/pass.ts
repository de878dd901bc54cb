/**
 * A pass of the device over a frame: submitted by itself, so that the next frame's can follow it
 * before it is known how it came out.
 *
 * @module
 */
import { takeColumns } from "../../walk/block.ts";
import type { WebGpuWalk } from "../../walk/webgpu/walk_device.ts";
import type { CutSettings } from "../cut_frame.ts";
import { COLD_RESIDUAL } from "../confirm.ts";
import { mayForm } from "../power.ts";
import type { ResidentBasis } from "./basis_steps.ts";
import { fitsExactly } from "./exact_recursion.ts";
import { type HeldBuffers, type HeldTables, releaseHeld } from "./held_buffers.ts";
import type { TreeRoom } from "./layout.ts";
import { recursionSettings } from "./level_buffers.ts";
import { type FactorTree, type Recursion, type RecursionStart, submitRecursion } from "./recursion.ts";
import {
  basisLike,
  isUnsettled,
  keepBasis,
  principal,
  randomBlock,
  residentBasis,
} from "./resident_basis.ts";

/** How a pass came out. */
export interface Outcome {
  readonly tree: FactorTree;
  readonly traceShare: number;
  /** The basis it ended with. */
  readonly basis: Float32Array<ArrayBuffer>;
  /** The basis that the next frame starts from. */
  readonly next: Float32Array<ArrayBuffer>;
  /** Products that it took beside the certificate. */
  readonly applications: number;
}

/** What a pass starts from. */
export interface PassStart {
  readonly held: HeldTables | undefined;
  readonly room: TreeRoom;
  /** Renew the basis even where it holds enough of the trace. */
  readonly renew?: boolean;
  /** Keep its tree on the device, so that a pass can follow it. */
  readonly keep?: boolean;
}

/** A pass that the device was given. */
export class Pass {
  readonly #recursion: Recursion;
  /** The tree for a next pass, until it is given back. */
  #held: HeldBuffers | undefined;

  private constructor(
    readonly walk: WebGpuWalk,
    private readonly settings: CutSettings,
    private readonly onDevice: ResidentBasis,
    private readonly room: TreeRoom,
    start: RecursionStart & { readonly renew?: boolean },
  ) {
    const { renew = false } = start;
    this.#recursion = submitRecursion(walk, onDevice, { ...recursionSettings(settings, room), renew }, start);
    this.#held = this.#recursion.held;
  }

  /** A pass with a given basis; nothing where its rank is too large. */
  static submit(
    walk: WebGpuWalk,
    settings: CutSettings,
    basis: Float32Array<ArrayBuffer>,
    start: PassStart,
  ): Pass | undefined {
    const { room, ...rest } = start;
    const onDevice = residentBasis(walk, basis, room);
    return onDevice &&
      new Pass(walk, settings, onDevice, room, { ...rest, renew: rest.renew || isUnsettled(basis) });
  }

  /** A pass that makes its own basis from a random block of so many columns, its probes among them. */
  static sketch(
    walk: WebGpuWalk,
    settings: CutSettings,
    width: number,
    { held, room }: PassStart,
  ): Pass {
    // With nothing to start from every vector is to be as good as is promised of a single picture.
    const refines = !held && fitsExactly(walk) && mayForm(settings);
    const tolerance = refines ? COLD_RESIDUAL : undefined;
    return new Pass(walk, settings, randomBlock(walk, width), room, { held, sketch: true, tolerance });
  }

  /**
   * The next frame's pass, from the basis and the tree that this one leaves on the device; nothing
   * where the tree was not kept, or is given back.
   */
  next(walk: WebGpuWalk, settings: CutSettings): Pass | undefined {
    const held = this.#held;
    if (!held) return undefined;
    const own = basisLike(walk.gpu, this.onDevice);
    return new Pass(walk, settings, own, this.room, { held, copied: this.onDevice, keep: true });
  }

  /** Rank of its basis. */
  get rank(): number {
    return this.onDevice.rank;
  }

  /**
   * Reads back how it came out, by one `mapAsync`; not twice.
   *
   * @param before the basis that it began with.
   */
  async outcome(before: Float32Array<ArrayBuffer>): Promise<Outcome> {
    const { walk, onDevice } = this;
    keepBasis(walk.gpu, before, onDevice);
    const tree = await this.#recursion.tree();
    let basis = before;
    if (tree.renewals > 0) {
      basis = takeColumns(tree.basis, walk.n, onDevice.width, 0, onDevice.rank);
      keepBasis(walk.gpu, basis, onDevice);
    }
    return this.#judged(tree, { basis, next: basis }, 1);
  }

  /** Reads back how it came out, for a pass that made its own basis; not twice. */
  async sketched(): Promise<Outcome> {
    const { walk: { gpu, n }, onDevice } = this;
    try {
      const tree = await this.#recursion.tree();
      const basis = takeColumns(tree.basis, n, onDevice.width, 0, onDevice.rank);
      const trace = tree.nodes[0]!.loops;
      return this.#judged(tree, { basis, next: principal(basis, n, onDevice, tree.gram, trace) }, 4);
    } finally {
      gpu.pool.release(onDevice.buffer);
    }
  }

  /** @param words products with M of the basis's columns, beside those of a renewal. */
  #judged(tree: FactorTree, bases: Pick<Outcome, "basis" | "next">, words: number): Outcome {
    const { settings: { steps }, onDevice } = this;
    const columns = onDevice.rank + onDevice.probes;
    const root = tree.nodes[0]!;
    return {
      ...bases,
      tree,
      traceShare: root.held / root.loops,
      applications: steps * (columns * (words + tree.renewals) + 2 * tree.tried) + Math.ceil(tree.products),
    };
  }

  /** Gives back the tree that it kept for a next pass. */
  releaseTree(): void {
    if (this.#held) releaseHeld(this.walk.gpu, this.#held);
    this.#held = undefined;
  }

  /** Gives up a pass that followed another one; its outcome is never read. */
  discard(): void {
    this.#recursion.discard();
    this.releaseTree();
    this.walk.gpu.pool.release(this.onDevice.buffer);
  }
}
