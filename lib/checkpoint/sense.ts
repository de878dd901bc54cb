/**
 * What may be asked of the system.
 *
 * @module
 */

/** True where the program may ask the system for `kind`; it runs without, and is then less careful. */
export function maySense(kind: "statfs" | "systemMemoryInfo"): boolean {
  return Deno.permissions.querySync({ name: "sys", kind: kind as "systemMemoryInfo" }).state === "granted";
}
