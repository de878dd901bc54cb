/**
 * What imported diffusion networks cost, and how exact they are.
 *
 * @module
 */
import { UsageError } from "../../lib/errors.ts";
import { fullSize } from "./full_size.ts";
import { motion } from "./motion.ts";
import { parity } from "./parity.ts";

const USAGE = `usage: diffusion WORD

  full-size [cpu|webgpu] [STEPS]  Stable Diffusion 1.4 with random weights: import, load, two frames
                                  (default cpu, 0 steps of inversion)
  parity                          the same UNet in float16 on WebGPU beside float32 on the CPU
  motion NETWORK [SEEDS]          what reusing the noise does to P as the picture moves (default 3)
`;

/** Runs one of the measurements. */
export async function main([word, ...args]: string[]): Promise<void> {
  switch (word) {
    case "full-size":
      return await fullSize(args[0] ?? "cpu", Number(args[1] ?? 0));
    case "parity":
      return await parity();
    case "motion":
      if (args[0] === undefined) break;
      return await motion(args[0], Number(args[1] ?? 3));
    case "--help":
      return console.log(USAGE);
  }
  throw new UsageError({ what: "bench diffusion needs a word", advice: "see --help" });
}
