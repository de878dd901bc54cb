/**
 * What `catch` gets, which may be anything.
 *
 * @module
 */

/** The message of what was thrown. */
export function textOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
