/**
 * What `segment` and `cut` check alike of how a walk is cut.
 *
 * @module
 */
import { UsageError } from "../errors.ts";

/** Most thresholds that are told apart from all. */
const MOST = 65_536;

/**
 * Number of thresholds that `exact|N` asks for; undefined for all.
 *
 * @throws {UsageError} for anything else.
 */
export function thresholdsOf(value: string | undefined): number | undefined {
  if (value === undefined || value === "exact") return undefined;
  const count = Number(value);
  if (/^\d+$/.test(value) && count >= 1 && count <= MOST) return count;
  throw new UsageError({
    what: "--thresholds is neither exact nor a number",
    found: value,
    advice: `give exact, or a whole number from 1 to ${MOST}`,
  });
}
