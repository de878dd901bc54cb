/**
 * Notices a run that stands still, and says which stage does.
 *
 * @module
 */
import { WalkcutError } from "../errors.ts";

/** Waits for promises, but not for ever. */
export class Watchdog {
  readonly #seconds: number | undefined;
  readonly #stage: () => string;

  /**
   * @param seconds how long a promise may take; undefined for ever.
   * @param stage names what is being waited for, where `over` is not told.
   */
  constructor(seconds: number | undefined, stage: () => string) {
    this.#seconds = seconds;
    this.#stage = stage;
  }

  /**
   * What `work` resolves to.
   *
   * @throws {WalkcutError} If that takes too long.
   */
  async over<T>(work: Promise<T>, stage?: string): Promise<T> {
    const seconds = this.#seconds;
    if (seconds === undefined) return await work;
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      reject(
        new WalkcutError({
          what: `No frame has moved for ${seconds} s`,
          found: stage ?? this.#stage(),
          advice: "a longer --stall-timeout waits longer",
        }),
      );
    }, seconds * 1000);
    try {
      return await Promise.race([work, promise]);
    } finally {
      clearTimeout(timer);
      work.catch(() => {}); // Where it was given up, its error comes too late.
    }
  }
}
