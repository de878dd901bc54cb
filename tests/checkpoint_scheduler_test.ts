import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { parseSchedulerConfig } from "../lib/checkpoint/config.ts";
import { openSafetensors, readFloat32 } from "../lib/checkpoint/safetensors.ts";
import { Schedule } from "../lib/checkpoint/scheduler.ts";
import { UsageError } from "../lib/errors.ts";
import { fixture, freshSeed, randomNumbers, SCHEDULER } from "./checkpoint_make.ts";

const schedule = new Schedule(parseSchedulerConfig(SCHEDULER, "scheduler_config.json"));

Deno.test({
  name: "Schedule has the timesteps and ᾱ of diffusers",
  ignore: fixture === undefined,
  fn: async () => {
    const file = await openSafetensors(`${fixture}/reference.safetensors`);
    const steps = new BigInt64Array((await file.read("ddim50.timesteps")).buffer);
    const alphas = await readFloat32(file, "alphas_cumprod");
    file.close();
    assertEquals(schedule.timesteps(50).reverse(), Array.from(steps, Number));
    // The reference is a product of a thousand float32 numbers.
    alphas.forEach((alpha, t) => assertAlmostEquals(schedule.alphas[t]! / alpha, 1, 1e-4));
    assertEquals(schedule.alphas.length, alphas.length);
  },
});

Deno.test("Schedule.step() moves along x_t = √ᾱ·x₀ + √(1−ᾱ)·ε where the noise is known", () => {
  const seed = freshSeed();
  const random = randomNumbers(seed);
  const numbers = () => Float32Array.from({ length: 50 }, random);
  const [clean, noise] = [numbers(), numbers()];
  for (const [from, to] of [[1, 181], [181, 961], [961, 21], [500, 500]] as const) {
    const x = schedule.addNoise(clean, noise, from);
    schedule.step(x, noise, from, to);
    const expected = schedule.addNoise(clean, noise, to);
    x.forEach((v, i) => assertAlmostEquals(v, expected[i]!, 1e-4, `seed ${seed}, ${from} → ${to}`));
    const found = schedule.noiseBetween(clean, expected, to);
    found.forEach((v, i) => assertAlmostEquals(v, noise[i]!, 1e-3, `seed ${seed}, noise at ${to}`));
  }
});

Deno.test("Schedule.toNoise() turns a predicted velocity into the noise it was made of", () => {
  const seed = freshSeed();
  const random = randomNumbers(seed);
  const numbers = () => Float32Array.from({ length: 50 }, random);
  const velocity = new Schedule(parseSchedulerConfig({ ...SCHEDULER, prediction_type: "v_prediction" }, "s"));
  const [clean, noise] = [numbers(), numbers()];
  const keep = Math.sqrt(velocity.alphas[400]!);
  const share = Math.sqrt(1 - velocity.alphas[400]!);
  const v = Float32Array.from(clean, (x, i) => keep * noise[i]! - share * x);
  const found = velocity.toNoise(v, velocity.addNoise(clean, noise, 400), 400);
  found.forEach((e, i) => assertAlmostEquals(e, noise[i]!, 1e-5, `seed ${seed}`));
});

Deno.test("Schedule.alpha() of the clean picture follows set_alpha_to_one", () => {
  assertEquals(schedule.alpha(-1), schedule.alphas[0]);
  const other = parseSchedulerConfig({ ...SCHEDULER, set_alpha_to_one: true }, "s");
  assertEquals(new Schedule(other).alpha(-1), 1);
  assert(schedule.alpha(999) < 0.005);
});

Deno.test("parseSchedulerConfig() names what it cannot use", () => {
  const parse = (change: Record<string, unknown>) => () =>
    parseSchedulerConfig({ ...SCHEDULER, ...change }, "s");
  assertThrows(
    parse({ prediction_type: "flow" }),
    UsageError,
    'prediction_type must be epsilon or v_prediction: "flow"',
  );
  assertThrows(parse({ beta_schedule: "cosine" }), UsageError, "beta_schedule must be");
  assertThrows(parse({ rescale_betas_zero_snr: true }), UsageError, "rescale_betas_zero_snr");
});
