/**
 * Starts the peers' scripts.
 *
 * @module
 */
import { WalkcutError } from "../../lib/errors.ts";

/**
 * Runs a script of this folder; resolves to what it printed.
 *
 * @param packages what a person has to install for it.
 * @throws {WalkcutError} Where Python is missing or the script failed.
 */
export async function runPeer(
  python: string,
  script: string,
  args: readonly string[],
  packages: string,
): Promise<string> {
  const advice = `install ${packages}, or pass --python or --peers none`;
  const path = new URL(script, import.meta.url).pathname;
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(python, { args: [path, ...args] }).output();
  } catch (cause) {
    throw new WalkcutError({ what: "Cannot start Python for the peers", found: python, advice, cause });
  }
  const { code, stdout, stderr } = output;
  if (code !== 0) {
    throw new WalkcutError({
      what: "The peers failed",
      found: new TextDecoder().decode(stderr).trim().split("\n").at(-1) || `exit code ${code}`,
      advice,
    });
  }
  return new TextDecoder().decode(stdout);
}
