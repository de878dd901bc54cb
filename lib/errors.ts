/**
 * Errors that end a run. Each is one line for a person: what is wrong, the value
 * that was found, what to do.
 *
 * @module
 */

/** Exit codes of the program, as scripts know them. */
export const ExitCode = {
  Done: 0,
  Failed: 1,
  Usage: 2,
  NoDevice: 3,
  Ffmpeg: 4,
  Interrupted: 130,
} as const;

/** The parts of an error's line. */
export interface ErrorParts {
  /** What is wrong, without a full stop. */
  what: string;
  /** The value that was found. */
  found?: string | number;
  /** What the person can do about it. */
  advice?: string;
  /** What threw it, for `--debug`. */
  cause?: unknown;
}

/** An error whose message is meant for the person at the prompt. */
export class WalkcutError extends Error {
  override name = "WalkcutError";
  /** The code with which the process ends. */
  readonly exitCode: number = ExitCode.Failed;

  constructor({ what, found, advice, cause }: ErrorParts) {
    const line = what + (found === undefined ? "" : `: ${oneLine(String(found))}`) +
      (advice ? `; ${advice}` : "");
    super(line, cause === undefined ? undefined : { cause });
  }
}

/** Wrong usage or unreadable input, found before anything was written. */
export class UsageError extends WalkcutError {
  override name = "UsageError";
  override readonly exitCode = ExitCode.Usage;
}

/** The device that was asked for is not there, or was lost. */
export class DeviceError extends WalkcutError {
  override name = "DeviceError";
  override readonly exitCode = ExitCode.NoDevice;
}

/** ffmpeg is missing or failed. */
export class FfmpegError extends WalkcutError {
  override name = "FfmpegError";
  override readonly exitCode = ExitCode.Ffmpeg;
}

/** The run was stopped by a signal; what was done is kept. */
export class InterruptedError extends WalkcutError {
  override name = "InterruptedError";
  override readonly exitCode = ExitCode.Interrupted;
}

/** Makes any text fit one line of a terminal: control characters become escapes. */
export function oneLine(text: string): string {
  return text.replace(
    /\p{Cc}/gu,
    (c) => c === "\n" ? "\\n" : `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

/** The message of what was thrown, which may be anything. */
export function textOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
