/**
 * Errors on their way out of a Worker, where structured cloning would drop their class.
 *
 * @module
 */
import { DeviceError, FfmpegError, textOf, UsageError, WalkcutError } from "./errors.ts";

/** An error as plain data. */
export interface ErrorData {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
}

const KINDS = { DeviceError, FfmpegError, UsageError, WalkcutError };

/** An error's class, line and stack. */
export function errorData(error: unknown): ErrorData {
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  return { name, message, stack };
}

/** The error again; one of no class of ours becomes a {@linkcode WalkcutError}. */
export function reviveError({ name, message, stack }: ErrorData): Error {
  const ours = name in KINDS;
  const Kind = ours ? KINDS[name as keyof typeof KINDS] : WalkcutError;
  const error = new Kind(
    ours ? { what: message } : { what: "The segmenter failed", found: `${name}: ${message}` },
  );
  if (stack !== undefined) error.stack = stack;
  return error;
}

/** The error for something that nothing in a worker caught, or that ended the worker. */
export function crashOf(thrown: unknown): WalkcutError {
  if (thrown instanceof WalkcutError) return thrown;
  const error = new WalkcutError({
    what: "The segmenter's worker stopped",
    found: textOf(thrown),
    advice: "run again with --debug, or with --device cpu",
    cause: thrown,
  });
  if (thrown instanceof Error && thrown.stack !== undefined) error.stack = thrown.stack;
  return error;
}
