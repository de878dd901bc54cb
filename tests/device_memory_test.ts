import { checkFailingRun, inflate } from "./device_faults.ts";

Deno.test("a run over memory that runs out ends in one line that says what to change, its output playable", () =>
  checkFailingRun(inflate, /memory of the device: .*; use --grid 32, or --device cpu/));
