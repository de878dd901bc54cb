/**
 * A frame's turn in a stream whose frames overlap: its cut is given to the device before that of
 * the frame before it is known.
 *
 * The device has the last frame's basis and tree in any case, so the pass can follow at once. What
 * the host finds out about the last frame later (a certificate that fails, a basis that is too
 * small even when renewed, a tree too large for the device) changes the start: then the pass is
 * given up and the frame cut again, so that the results are those of frames one after the other.
 *
 * @module
 */
import type { Walk } from "../../walk/walk.ts";
import { WebGpuWalk } from "../../walk/webgpu/walk_device.ts";
import { type CutResult, type CutSettings, type CutState, takesExact } from "../cut_frame.ts";
import { cutWalk } from "../cut_walk.ts";
import { cheaperPower, expectedVectors, type Power } from "../power.ts";
import type { PassChain } from "./cut_on_device.ts";
import type { Pass } from "./pass.ts";

/** The pass that left on the device the very tree of a state. */
const passes = new WeakMap<CutState, Pass>();

/** One frame's cut, in the order of frames. */
export class CutTurn implements PassChain {
  /** Its pass, where it was submitted ahead and not yet taken. */
  #ahead: Pass | undefined;
  /** What that pass follows. */
  #follows: Pass | undefined;
  /** The pass that the next frame's may follow. */
  #running: Pass | undefined;
  /** P^k where its pass is over that, and nobody has asked for it. */
  #formed: WebGpuWalk | undefined;
  /** Leaves of the tree that the frame started from. */
  #leaves = 0;
  #verdict: "kept" | "discarded" | undefined;
  readonly #started = Promise.withResolvers<void>();

  private constructor(private readonly walk: Walk, private readonly settings: CutSettings) {}

  /**
   * Takes up a frame; its pass is submitted at once where it can follow that of `before`.
   *
   * @param before the last frame's turn; absent where this frame starts from nothing.
   */
  static async begin(walk: Walk, settings: CutSettings, before?: CutTurn): Promise<CutTurn> {
    if (before) await before.#started.promise;
    const turn = new CutTurn(walk, settings);
    const last = before && before.#running;
    if (!last || !(walk instanceof WebGpuWalk) || takesExact(settings, walk.n)) return turn;
    const power = powerAhead(settings, walk.n, { rank: last.rank, leaves: before.#leaves });
    if (!power) return turn;
    if (power === "form") turn.#formed = await walk.power(settings.steps);
    turn.#ahead = last.next(turn.#formed ?? walk, turn.#formed ? { ...settings, steps: 1 } : settings);
    turn.#follows = last;
    return turn;
  }

  /** Cuts the frame; `last` is the state that the frame before it left. */
  async cut(last: CutState | undefined): Promise<CutResult> {
    if (last) this.#leaves = last.tree.nodes[0]!.leaves.length;
    // A cold frame leaves nothing that a pass can follow: the host makes the next basis of its sketch.
    if (!last?.basis) this.#started.resolve();
    try {
      const result = await cutWalk(this.walk, this.settings, last, this);
      if (this.#verdict === undefined) return result;
      const { segmentation } = result;
      const stats = { ...segmentation.stats, ahead: this.#verdict };
      return { ...result, segmentation: { ...segmentation, stats } };
    } finally {
      this.end();
    }
  }

  /** Ends the turn, also of a frame that is not cut after all. */
  end(): void {
    this.#started.resolve();
    this.#discard();
    if (this.#running) this.#running.releaseTree();
    this.#running = undefined;
    if (this.#formed) this.#formed.release();
    this.#formed = undefined;
  }

  #discard(): void {
    if (!this.#ahead) return;
    this.#ahead.discard();
    this.#ahead = undefined;
    this.#verdict = "discarded";
  }

  formed(): Promise<Walk> | undefined {
    const formed = this.#formed;
    this.#formed = undefined;
    return formed && Promise.resolve(formed);
  }

  take(walk: WebGpuWalk, last: CutState): Pass | undefined {
    const pass = this.#ahead;
    if (!pass || pass.walk !== walk || passes.get(last) !== this.#follows) {
      this.#discard();
      return undefined;
    }
    this.#ahead = undefined;
    this.#verdict = "kept";
    return pass;
  }

  running(pass: Pass): void {
    this.#running = pass;
    this.#started.resolve();
  }

  kept(pass: Pass, state: CutState): void {
    passes.set(state, pass);
  }
}

/**
 * Whether P^k is formed or P applied; nothing where that depends on how many more or fewer leaves the last frame
 * has than `leaves`, those of the one before it.
 */
function powerAhead(
  { steps, power }: CutSettings,
  n: number,
  { rank, leaves }: { readonly rank: number; readonly leaves: number },
): Power | undefined {
  if (steps === 1) return "apply";
  if (power) return power;
  const [fewest, most] = [leaves / 2, leaves * 2].map((some) =>
    cheaperPower(n, steps, expectedVectors(n, { rank, leaves: some }))
  );
  return fewest === most ? fewest : undefined;
}
