/**
 * The part of `@std/assert` that walkcut uses, over `node:assert`, for machines
 * that reach the npm registry but not JSR. Names and signatures are those of the
 * package; delete the `links` entry in `deno.json` to use the package itself.
 *
 * @module
 */
import assertModule, { AssertionError } from "node:assert";

export { AssertionError };

/** Throws an {@linkcode AssertionError} unless `expr` is truthy. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError({ message: msg || "Expected a truthy value", actual: expr });
}

/** Throws unless `actual` and `expected` are deeply, strictly equal. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  assertModule.deepStrictEqual(actual, expected, msg);
}

/** Throws if `actual` and `expected` are deeply, strictly equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  assertModule.notDeepStrictEqual(actual, expected, msg);
}

/** Throws unless `actual` and `expected` are the same value by `Object.is`. */
export function assertStrictEquals<T>(actual: unknown, expected: T, msg?: string): asserts actual is T {
  assertModule.strictEqual(actual, expected, msg);
}

/** Throws unless |actual − expected| ≤ tolerance (default 1e-7 relative to expected). */
export function assertAlmostEquals(actual: number, expected: number, tolerance?: number, msg?: string): void {
  if (Object.is(actual, expected)) return;
  const allowed = tolerance ?? (Number.isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7);
  const delta = Math.abs(expected - actual);
  if (delta <= allowed) return;
  throw new AssertionError({
    message: msg ??
      `Expected actual: "${actual}" to be close to "${expected}": delta "${delta}" is greater than "${allowed}"`,
    actual,
    expected,
  });
}

/** Throws unless `actual >= expected`. */
export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void {
  assert(actual >= expected, msg ?? `Expected ${String(actual)} >= ${String(expected)}`);
}

/** Throws unless `actual <= expected`. */
export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void {
  assert(actual <= expected, msg ?? `Expected ${String(actual)} <= ${String(expected)}`);
}

/** Throws unless `actual` contains `expected`. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  assert(actual.includes(expected), msg ?? `Expected "${actual}" to contain "${expected}"`);
}

/** Throws unless `actual` matches `expected`. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  assert(expected.test(actual), msg ?? `Expected "${actual}" to match ${expected}`);
}

/** Throws unless `error` is an instance of `ErrorClass` whose message includes `msgIncludes`. */
export function assertIsError<E extends Error = Error>(
  error: unknown,
  // deno-lint-ignore no-explicit-any
  ErrorClass?: abstract new (...args: any[]) => E,
  msgIncludes?: string,
  msg?: string,
): asserts error is E {
  assert(error instanceof Error, msg ?? `Expected an Error, found ${typeof error}`);
  if (ErrorClass) {
    assert(
      error instanceof ErrorClass,
      msg ?? `Expected ${ErrorClass.name}, found ${error.constructor.name}: ${error.message}`,
    );
  }
  if (msgIncludes !== undefined) assertStringIncludes(error.message, msgIncludes, msg);
}

/** Runs `fn`, which must throw; returns what it threw. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  // deno-lint-ignore no-explicit-any
  ErrorClass?: abstract new (...args: any[]) => E,
  msgIncludes?: string,
  msg?: string,
): E {
  try {
    fn();
  } catch (error) {
    assertIsError(error, ErrorClass, msgIncludes, msg);
    return error;
  }
  throw new AssertionError({ message: msg ?? "Expected function to throw" });
}

/** Awaits `fn()`, which must reject; resolves to what it rejected with. */
export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  // deno-lint-ignore no-explicit-any
  ErrorClass?: abstract new (...args: any[]) => E,
  msgIncludes?: string,
  msg?: string,
): Promise<E> {
  try {
    await fn();
  } catch (error) {
    assertIsError(error, ErrorClass, msgIncludes, msg);
    return error;
  }
  throw new AssertionError({ message: msg ?? "Expected function to reject" });
}
