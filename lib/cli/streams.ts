/**
 * Async iterables with a bound: what lets decoding, computing and encoding overlap
 * in constant memory.
 *
 * @module
 */

/**
 * Runs an iterable up to `depth` items ahead of its reader.
 *
 * An error of the iterable reaches the reader after the items before it. When the
 * reader stops early, the iterable is ended too.
 */
export async function* ahead<T>(items: AsyncIterable<T>, depth: number): AsyncGenerator<T, void, void> {
  const queue: T[] = [];
  let done = false;
  let failure: { error: unknown } | undefined;
  let wake = () => {};
  const changed = () => new Promise<void>((resolve) => wake = resolve);
  let change = changed();
  const notify = () => {
    const last = wake;
    change = changed();
    last();
  };
  const pump = (async () => {
    try {
      for await (const item of items) {
        queue.push(item);
        notify();
        while (queue.length >= depth && !done) await change;
        if (done) return;
      }
    } catch (error) {
      failure = { error };
    } finally {
      done = true;
      notify();
    }
  })();
  try {
    for (;;) {
      const waiting = change;
      if (queue.length > 0) {
        const item = queue.shift() as T;
        notify();
        yield item;
      } else if (done) break;
      else await waiting;
    }
    if (failure) throw failure.error;
  } finally {
    done = true;
    notify();
    await pump;
  }
}

/** The items until `signal` is aborted, also while one is being waited for. */
export async function* until<T>(items: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T, void, void> {
  const iterator = items[Symbol.asyncIterator]();
  // Not Promise.race with one promise for the signal: that would keep every item until the end.
  let interrupt = () => {};
  const listener = () => interrupt();
  signal.addEventListener("abort", listener);
  let pending: Promise<IteratorResult<T>> | undefined;
  try {
    while (!signal.aborted) {
      pending = iterator.next();
      const next = Promise.withResolvers<IteratorResult<T> | undefined>();
      interrupt = () => next.resolve(undefined);
      pending.then(next.resolve, next.reject);
      const result = await next.promise;
      if (result === undefined) return;
      pending = undefined;
      if (result.done) return;
      yield result.value;
    }
  } finally {
    signal.removeEventListener("abort", listener);
    // A read that is still waiting ends when the source is closed; its error is of no interest then.
    if (pending) pending.catch(() => {});
    else await iterator.return?.();
  }
}

/**
 * Ends an iterable quietly where it fails, and keeps the error for later: what was
 * read before the failure is then worked off first.
 */
export class Guarded<T> implements AsyncIterable<T> {
  /** What the iterable failed with, once it did. */
  failure: { readonly error: unknown } | undefined;
  /** True while an item is being waited for. */
  waiting = false;
  readonly #items: AsyncIterable<T>;

  constructor(items: AsyncIterable<T>) {
    this.#items = items;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    const iterator = this.#items[Symbol.asyncIterator]();
    try {
      for (;;) {
        this.waiting = true;
        const result = await iterator.next();
        this.waiting = false;
        if (result.done) return;
        yield result.value;
      }
    } catch (error) {
      this.failure = { error };
    } finally {
      this.waiting = false;
      await iterator.return?.();
    }
  }
}
