/**
 * The noise schedule, and DDIM's steps along it.
 *
 * @module
 */
import type { SchedulerConfig } from "./config.ts";

/** A schedule: how much of the picture is left at each timestep. */
export class Schedule {
  /** ᾱ_t, the share of the picture's variance that is left, `[trainSteps]`. */
  readonly alphas: Float64Array;

  constructor(readonly config: SchedulerConfig) {
    this.alphas = cumulativeAlphas(config);
  }

  /** The timesteps of a grid of `steps`, ascending: the order of inversion. */
  timesteps(steps: number): number[] {
    const { trainSteps, stepsOffset } = this.config;
    const ratio = Math.floor(trainSteps / steps);
    return Array.from({ length: steps }, (_, i) => Math.min(i * ratio + stepsOffset, trainSteps - 1));
  }

  /** ᾱ of a timestep; −1 stands for the clean picture. */
  alpha(timestep: number): number {
    if (timestep >= 0) return this.alphas[timestep]!;
    return this.config.setAlphaToOne ? 1 : this.alphas[0]!;
  }

  /** What a network predicts for a latent at timestep `level`, turned into noise ε, in place. */
  toNoise(
    prediction: Float32Array<ArrayBuffer>,
    sample: Float32Array,
    level: number,
  ): Float32Array<ArrayBuffer> {
    if (this.config.prediction === "epsilon") return prediction;
    // v = √ᾱ·ε − √(1−ᾱ)·x₀, hence ε = √ᾱ·v + √(1−ᾱ)·x.
    const [keep, noise] = roots(this.alpha(level));
    for (let i = 0; i < prediction.length; i++) prediction[i] = keep * prediction[i]! + noise * sample[i]!;
    return prediction;
  }

  /**
   * One deterministic step from a latent at timestep `from` to `to`, in place:
   * x_to = √ᾱ_to·(x_from − √(1−ᾱ_from)·ε)/√ᾱ_from + √(1−ᾱ_to)·ε. Denoises or inverts alike.
   */
  step(sample: Float32Array, noise: Float32Array, from: number, to: number): void {
    const [keepFrom, noiseFrom] = roots(this.alpha(from));
    const [keepTo, noiseTo] = roots(this.alpha(to));
    const scale = keepTo / keepFrom;
    const shift = noiseTo - scale * noiseFrom;
    for (let i = 0; i < sample.length; i++) sample[i] = scale * sample[i]! + shift * noise[i]!;
  }

  /** x_t = √ᾱ_t·x₀ + √(1−ᾱ_t)·ε. */
  addNoise(clean: Float32Array, noise: Float32Array, timestep: number): Float32Array<ArrayBuffer> {
    const [keep, share] = roots(this.alpha(timestep));
    return Float32Array.from(clean, (x, i) => keep * x + share * noise[i]!);
  }

  /** The ε with which {@linkcode addNoise} makes `noisy` of `clean`. */
  noiseBetween(clean: Float32Array, noisy: Float32Array, timestep: number): Float32Array<ArrayBuffer> {
    const [keep, share] = roots(this.alpha(timestep));
    return Float32Array.from(clean, (x, i) => (noisy[i]! - keep * x) / share);
  }
}

function roots(alpha: number): [keep: number, noise: number] {
  return [Math.sqrt(alpha), Math.sqrt(1 - alpha)];
}

function cumulativeAlphas({ trainSteps, betaStart, betaEnd, schedule }: SchedulerConfig): Float64Array {
  const scaled = schedule === "scaled_linear";
  const [first, last] = scaled ? [Math.sqrt(betaStart), Math.sqrt(betaEnd)] : [betaStart, betaEnd];
  const alphas = new Float64Array(trainSteps);
  let product = 1;
  for (let t = 0; t < trainSteps; t++) {
    const value = first + (last - first) * t / Math.max(1, trainSteps - 1);
    product *= 1 - (scaled ? value * value : value);
    alphas[t] = product;
  }
  return alphas;
}
