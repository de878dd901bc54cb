/**
 * `deno task bench NAME …`: measurements, each beside its peers in the same run.
 *
 * @module
 */
const BENCHES: Readonly<Record<string, () => Promise<{ main(args: string[]): Promise<void> | void }>>> = {
  quality: () => import("./quality/quality.ts"),
  stream: () => import("./stream/stream.ts"),
};

const [name = "", ...args] = Deno.args;
const open = BENCHES[name];
if (!open) {
  console.error(`bench: no such bench: ${name}; choose among ${Object.keys(BENCHES).join(", ")}`);
  Deno.exit(2);
}
await (await open()).main(args);
