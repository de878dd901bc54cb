/**
 * `deno task bench NAME …`: measurements, each beside its peers in the same run.
 *
 * @module
 */
import { WalkcutError } from "../lib/errors.ts";

const BENCHES: Readonly<Record<string, () => Promise<{ main(args: string[]): Promise<void> | void }>>> = {
  cut: () => import("./cut/cut.ts"),
  diffusion: () => import("./diffusion/diffusion.ts"),
  quality: () => import("./quality/quality.ts"),
  soak: () => import("./soak/soak.ts"),
  stream: () => import("./stream/stream.ts"),
};

const [name = "", ...args] = Deno.args;
const open = BENCHES[name];
if (!open) {
  console.error(`bench: no such bench: ${name}; choose among ${Object.keys(BENCHES).join(", ")}`);
  Deno.exit(2);
}
try {
  await (await open()).main(args);
} catch (error) {
  if (!(error instanceof WalkcutError)) throw error;
  console.error(`bench: ${error.message}`);
  Deno.exit(error.exitCode);
}
