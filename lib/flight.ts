/**
 * Frames that are on their way through the segmenter at the same time.
 *
 * A frame has two parts. The first gives the network, the walk and, where it can, the cut to the
 * device; the second reads the cut back and makes labels of it. On a GPU the second part of a frame
 * and the first of the next one overlap: a readback takes 11 ms at least, in which the device would
 * have nothing to do.
 *
 * @module
 */
import type { CutTurn } from "./cut/webgpu/cut_turn.ts";

/** One frame on its way. */
export class Flight {
  /** The frame before it, until that is done. */
  #before: Flight | undefined;
  #next: Flight | undefined;
  readonly #fed = Promise.withResolvers<void>();
  readonly #begun = Promise.withResolvers<void>();
  readonly #done = Promise.withResolvers<void>();
  /** Its cut, where the next frame's may follow. */
  turn: CutTurn | undefined;

  /**
   * @param before the frame before it.
   * @param overlaps whether it may be taken up before that one is done.
   */
  constructor(before: Flight | undefined, private readonly overlaps: boolean) {
    this.#before = before;
    if (before) before.#next = this;
  }

  /**
   * Waits until this frame's first part may start: the last one's is over, and the frame before
   * that has left; where frames do not overlap the last one has.
   */
  async mayBegin(): Promise<void> {
    const before = this.#before;
    if (!before) return;
    await before.#begun.promise;
    const last = this.overlaps ? before.#before : before;
    if (last) await last.#done.promise;
  }

  /** Says that the device has the network's work. */
  fed(): void {
    this.#fed.resolve();
  }

  /** Says that the first part is over, well or not. */
  begun(): void {
    this.#fed.resolve();
    this.#begun.resolve();
  }

  /**
   * Waits until this frame's second part may start: the last one's is over, and the device has the
   * network's work of the next frame, if there is one. A readback blocks the thread until the
   * device has nothing left to do, so the work that is to fill that time must be there before.
   */
  async mayFinish(): Promise<void> {
    if (this.#before) await this.#before.#done.promise;
    if (this.#next && this.#next.overlaps) await this.#next.#fed.promise;
  }

  /** The cut of the frame before it, while that is under way. */
  get turnBefore(): CutTurn | undefined {
    return this.#before && this.#before.turn;
  }

  /** Says that the frame has left, well or not. */
  done(): void {
    this.begun();
    this.#before = undefined;
    this.turn = undefined;
    this.#done.resolve();
  }

  /** Waits until it has left. */
  get left(): Promise<void> {
    return this.#done.promise;
  }
}
