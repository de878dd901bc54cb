/**
 * SIGINT and SIGTERM: the first asks the run to end well, the second ends it at once.
 *
 * @module
 */
import { ExitCode, InterruptedError } from "../errors.ts";
import { killAllFfmpeg } from "../ffmpeg/process.ts";

const SIGNALS: readonly Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];

/** Listens for the signals that end a run, until it is disposed of. */
export class Interrupts implements Disposable {
  readonly #controller = new AbortController();

  constructor() {
    for (const name of SIGNALS) Deno.addSignalListener(name, this.#take);
  }

  /** Aborted by the first signal. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /**
   * Waits for work that cannot be ended half-way and has written nothing yet.
   *
   * @throws {InterruptedError} As soon as the first signal comes.
   */
  async during<T>(work: Promise<T>): Promise<T> {
    const { signal } = this;
    const { promise, reject } = Promise.withResolvers<never>();
    const interrupt = () => reject(new InterruptedError({ what: "Interrupted; nothing was written" }));
    signal.addEventListener("abort", interrupt);
    if (signal.aborted) interrupt();
    try {
      return await Promise.race([work, promise]);
    } finally {
      signal.removeEventListener("abort", interrupt);
      work.catch(() => {}); // Of no interest once the signal has come first.
    }
  }

  [Symbol.dispose](): void {
    for (const name of SIGNALS) Deno.removeSignalListener(name, this.#take);
  }

  readonly #take = () => {
    if (this.#controller.signal.aborted) {
      killAllFfmpeg();
      Deno.exit(ExitCode.Interrupted);
    }
    this.#controller.abort();
  };
}
