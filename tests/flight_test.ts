import { assertEquals } from "@std/assert";
import { Flight } from "../lib/flight.ts";

/** Sends frames through both parts, all asked for at once; what happens when. */
async function fly(frames: number, overlaps: boolean, fails: readonly string[] = []): Promise<string[]> {
  const log: string[] = [];
  const step = async (name: string) => {
    // Long enough for whatever need not wait to go first.
    for (let i = 0; i < 20; i++) await Promise.resolve();
    log.push(name);
    if (fails.includes(name)) throw new Error(name);
  };
  let latest: Flight | undefined;
  const all = Array.from({ length: frames }, async (_, i) => {
    const flight = latest = new Flight(latest, overlaps);
    try {
      await flight.mayBegin();
      await step(`network ${i}`);
      flight.fed();
      await step(`walk ${i}`);
      flight.begun();
      await flight.mayFinish();
      await step(`labels ${i}`);
    } finally {
      flight.done();
    }
  });
  await Promise.allSettled(all);
  await latest!.left;
  return log;
}

Deno.test("Flight feeds the device with the next frame's network before a frame is read back", async () => {
  assertEquals(await fly(4, true), [
    ...["network 0", "walk 0", "network 1", "walk 1", "labels 0"],
    ...["network 2", "walk 2", "labels 1", "network 3", "walk 3", "labels 2", "labels 3"],
  ]);
});

Deno.test("Flight lets one frame after the other through where they may not overlap", async () => {
  const expected = Array.from({ length: 3 }, (_, i) => [`network ${i}`, `walk ${i}`, `labels ${i}`]).flat();
  assertEquals(await fly(3, false), expected);
});

Deno.test("Flight goes on after a frame that fails, in either part", async () => {
  for (const overlaps of [true, false]) {
    for (const failing of ["network 1", "walk 1", "labels 1"]) {
      const log = await fly(4, overlaps, [failing]);
      const labels = log.filter((name) => name.startsWith("labels"));
      const dropped = failing.startsWith("labels") ? [] : ["labels 1"];
      assertEquals(
        labels,
        ["labels 0", "labels 1", "labels 2", "labels 3"].filter((name) => !dropped.includes(name)),
        `${failing}, ${overlaps}`,
      );
    }
  }
});
