/**
 * SIGINT and SIGTERM: the first asks the run to end well, the second ends it at once.
 *
 * @module
 */
import { ExitCode } from "../errors.ts";
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
