import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { cutFrame, type CutResult, type CutSettings } from "../lib/cut/cut_frame.ts";
import { cutOnDevice } from "../lib/cut/webgpu/cut_on_device.ts";
import { exactDispatchesOf } from "../lib/cut/webgpu/exact_recursion.ts";
import { LARGE_ROOM, roomFor, USUAL_ROOM } from "../lib/cut/webgpu/layout.ts";
import { dispatchesOf } from "../lib/cut/webgpu/recursion.ts";
import { differences } from "./cut_trees.ts";
import { disturbed, gridWalk, newSeed, withDevice } from "./device_matrices.ts";
import { densePower } from "./reference/dense.ts";

const SIDE = 20;
const N = SIDE ** 2;

const SETTINGS: CutSettings = {
  steps: 1,
  stop: { kind: "manc-ncut" },
  maxSegments: 0,
  minPart: 1,
};

Deno.test("a tree of more than 64 leaves is cut with one readback a frame, cold and warm, as on the host", async () => {
  const seed = newSeed();
  await withDevice(async (device) => {
    const grid = gridWalk(SIDE, seed);
    // A factor is for what has a spectrum that falls.
    const squared = Float32Array.from(densePower(Float64Array.from(grid), N, 2));
    for (const [solver, threshold, first] of [["operator", 0.75, grid], ["factor", 0.83, squared]] as const) {
      const settings: CutSettings = { ...SETTINGS, solver, stop: { kind: "ncut", threshold } };
      let matrix = first;
      let last: CutResult | undefined;
      for (let frame = 0; frame < 2; frame++) {
        const walk = await device.fromDense(matrix, N);
        const before = { ...device.counters };
        const found = await cutOnDevice(walk, settings, last?.state);
        const message = `${solver}, frame ${frame}, seed ${seed}`;
        assert(found, message);
        const { segments, stats } = found.segmentation;
        assert(segments > USUAL_ROOM.leaves, message);
        assertEquals(device.counters.readbacks - before.readbacks, 1, message);
        const dispatches = solver === "operator"
          ? exactDispatchesOf(N, LARGE_ROOM, frame > 0)
          : dispatchesOf(1, frame > 0, { room: LARGE_ROOM, exact: frame > 0 ? 0 : N, refined: frame > 0 });
        assertEquals(device.counters.dispatches - before.dispatches, dispatches, message);
        const onHost = await cutFrame(walk, settings, last?.state);
        walk.release();
        const apart = differences(found, onHost);
        // A tie in the sweep; the factor misses some of what the smallest segments are cut by.
        const tie = solver === "operator" ? 1e-3 : 0.05;
        assert(apart.every((by) => by <= tie), `${apart}, ${message}`);
        if (solver === "operator" || frame === 0) assertLessOrEqual(stats.residual, 1e-4, message);
        last = found;
        matrix = disturbed(matrix, N, 0.02, seed + frame);
      }
    }
  });
});

Deno.test("a tree that outgrows its room is cut again with more, which the next frame's has from the start", async () => {
  const seed = newSeed();
  // Its threshold grows with the scale of A, so that it makes as many leaves as a fixed one.
  const settings: CutSettings = { ...SETTINGS, solver: "operator" };
  await withDevice(async (device) => {
    const matrix = gridWalk(SIDE, seed).map((v) => 2 * v);
    const walk = await device.fromDense(matrix, N);
    let last: CutResult | undefined;
    for (const readbacks of [2, 1]) {
      const before = device.counters.readbacks;
      const found = await cutOnDevice(walk, settings, last?.state);
      const message = `${found?.segmentation.segments} leaves, ${readbacks} readbacks, seed ${seed}`;
      assert(found, message);
      assert(found.segmentation.segments > USUAL_ROOM.leaves, message);
      assertEquals(device.counters.readbacks - before, readbacks, message);
      last = found;
    }
    walk.release();
  });
});

Deno.test("roomFor() gives more to a fixed threshold and to what follows a crowded tree", () => {
  const manc = { stop: { kind: "manc-ncut" }, maxSegments: 0 } as const;
  const fixed = { stop: { kind: "ncut", threshold: 0.5 }, maxSegments: 0 } as const;
  assertEquals(roomFor(manc, undefined), USUAL_ROOM);
  assertEquals(roomFor(manc, { leaves: 30, levels: 8 }), USUAL_ROOM);
  assertEquals(roomFor(manc, { leaves: 60, levels: 8 }), LARGE_ROOM);
  assertEquals(roomFor(manc, { leaves: 30, levels: 15 }), LARGE_ROOM);
  assertEquals(roomFor(fixed, undefined), LARGE_ROOM);
  // So few leaves never take more levels.
  assertEquals(roomFor({ ...fixed, maxSegments: 16 }, undefined), USUAL_ROOM);
  assertEquals(roomFor({ ...fixed, maxSegments: 17 }, undefined), LARGE_ROOM);
});
