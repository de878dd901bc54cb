/**
 * Work that is waited for, but not for ever.
 *
 * @module
 */

/** Waits for work, but no longer than some milliseconds. */
export async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, ms);
  try {
    await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
