import { assert, assertAlmostEquals } from "@std/assert";
import { slopeOf } from "../bench/soak/soak.ts";
import { gaussian } from "../lib/random.ts";

Deno.test("slopeOf() finds what memory grows by, and how sure that is", () => {
  const line = Array.from({ length: 200 }, (_, i) => ({ frame: 20 * i, memory: 1000 + 0.5 * 20 * i }));
  const exact = slopeOf(line);
  assertAlmostEquals(exact.slope, 0.5, 1e-9);
  assertAlmostEquals(exact.error, 0, 1e-9);
  const seed = Math.floor(Math.random() * 2 ** 32);
  let [far, sum] = [0, 0];
  for (let run = 0; run < 200; run++) {
    const noise = gaussian(line.length, seed + run);
    const { slope, error } = slopeOf(
      line.map(({ frame, memory }, i) => ({ frame, memory: memory + 50 * noise[i]! })),
    );
    sum += (slope - 0.5) ** 2 / error ** 2;
    if (Math.abs(slope - 0.5) > 2.1 * error) far++;
  }
  // Student's t of 18 degrees of freedom: one in twenty is that far off, and the variance is 18 / 16.
  assert(far <= 30, `seed ${seed}: ${far} of 200 are far off`);
  assert(sum / 200 > 0.7 && sum / 200 < 1.7, `seed ${seed}: ${sum / 200}`);
});
