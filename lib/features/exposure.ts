/**
 * How the light changed from one frame to another.
 *
 * @module
 */

/** Values that are looked at, at most: a prime, so as not to fall into step with rows or channels. */
const SAMPLES = 4093;

/**
 * The factor by which a picture became brighter: the median over its values, so that what moves in less than
 * half of it, or to and fro, has no say.
 *
 * @param then levels of 8 bits, of any channels.
 * @param now the same of the same places.
 */
export function exposureChange(then: ArrayLike<number>, now: ArrayLike<number>): number {
  const count = Math.min(SAMPLES, now.length);
  const ratios = Float32Array.from({ length: count }, (_, i) => {
    const at = Math.floor((i + 0.5) * now.length / count);
    // A level more, as the dark has no ratio.
    return (now[at]! + 1) / (then[at]! + 1);
  });
  return ratios.sort()[count >> 1]!;
}
