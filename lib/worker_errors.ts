/**
 * Errors on their way out of a Worker, where structured cloning would drop their class.
 *
 * @module
 */
import { DeviceError, FfmpegError, UsageError, WalkcutError } from "./errors.ts";

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
