import { assert, assertEquals } from "@std/assert";
import type { CutResult, CutSettings, CutState } from "../lib/cut/cut_frame.ts";
import { cutWalk } from "../lib/cut/cut_walk.ts";
import { cutOnDevice } from "../lib/cut/webgpu/cut_on_device.ts";
import { CutTurn } from "../lib/cut/webgpu/cut_turn.ts";
import { formingProducts } from "../lib/cut/power.ts";
import { heldTables, releaseHeld } from "../lib/cut/webgpu/held_buffers.ts";
import { LARGE_ROOM, USUAL_ROOM } from "../lib/cut/webgpu/layout.ts";
import { recursionSettings } from "../lib/cut/webgpu/level_buffers.ts";
import { dispatchesOf, submitRecursion } from "../lib/cut/webgpu/recursion.ts";
import { residentBasis } from "../lib/cut/webgpu/resident_basis.ts";
import type { Gpu } from "../lib/walk/webgpu/device.ts";
import { Recorder } from "../lib/walk/webgpu/recorder.ts";
import type { WebGpuWalkDevice } from "../lib/walk/webgpu/walk_device.ts";
import { blockWalk, disturbed, gridWalk, newSeed, withDevice } from "./device_matrices.ts";

const SETTINGS: CutSettings = {
  steps: 2,
  stop: { kind: "manc-ncut" },
  maxSegments: 0,
  minPart: 1,
  solver: "factor",
};

/** Frames one after the other, each cut once the last one is known. */
async function inOrder(
  device: WebGpuWalkDevice,
  frames: readonly Float32Array<ArrayBuffer>[],
  n: number,
  settings: CutSettings,
): Promise<CutResult[]> {
  const results: CutResult[] = [];
  for (const frame of frames) {
    const walk = await device.fromDense(frame, n);
    results.push(await cutWalk(walk, settings, results.at(-1)?.state));
    walk.release();
  }
  return results;
}

/** The same frames, each taken up while the last one is under way; what happened meanwhile, a frame. */
async function overlapping(
  device: WebGpuWalkDevice,
  frames: readonly Float32Array<ArrayBuffer>[],
  n: number,
  settings: CutSettings,
): Promise<{ results: CutResult[]; events: string[][]; dispatches: number[] }> {
  const { gpu } = device;
  const results: CutResult[] = [];
  const events: string[][] = [];
  const dispatches: number[] = [];
  let walk = await device.fromDense(frames[0]!, n);
  let turn = await CutTurn.begin(walk, settings);
  let state: CutState | undefined;
  for (let i = 0; i < frames.length; i++) {
    const seen: string[] = [];
    const before = gpu.counters.dispatches;
    gpu.onEvent = ({ kind, label }) => seen.push(`${kind} ${label}`);
    const cutting = turn.cut(state);
    const next = frames[i + 1] && await device.fromDense(frames[i + 1]!, n);
    const nextTurn = next && await CutTurn.begin(next, settings, turn);
    const result = await cutting;
    gpu.onEvent = undefined;
    walk.release();
    results.push(result);
    events.push(seen);
    dispatches.push(gpu.counters.dispatches - before);
    state = result.state;
    if (next) [walk, turn] = [next, nextTurn!];
  }
  return { results, events, dispatches };
}

function read(gpu: Gpu, buffers: readonly (readonly [GPUBuffer, number])[]): Promise<ArrayBuffer[]> {
  const recorder = new Recorder(gpu, "test");
  for (const [buffer, words] of buffers) recorder.read(buffer, 0, words * 4);
  return recorder.finish().then(({ data }) => data);
}

Deno.test("cut_hold leaves on the device the tables that heldTables() makes of the same tree", async () => {
  const seed = newSeed();
  const fixed: CutSettings = { ...SETTINGS, steps: 1, stop: { kind: "ncut", threshold: 0.75 } };
  const cases = [
    [blockWalk(260, 7, seed), 260, SETTINGS, USUAL_ROOM, 2],
    [gridWalk(20, seed), 400, fixed, LARGE_ROOM, 64],
  ] as const;
  await withDevice(async (device) => {
    for (const [matrix, n, settings, room, least] of cases) {
      const walk = await device.fromDense(matrix, n);
      const cold = await cutOnDevice(walk, settings);
      // The first frame after a cold one renews its basis; the tables are of one that keeps it.
      const settled = await cutOnDevice(walk, settings, cold!.state);
      const { basis, tree } = settled!.state;
      const warm = await cutOnDevice(walk, settings, settled!.state);
      assertEquals(warm!.segmentation.stats.recertified, 0, `seed ${seed}`);
      assert(warm!.segmentation.segments > least, `seed ${seed}`);
      const recursion = submitRecursion(
        walk,
        residentBasis(walk, basis!, room)!,
        recursionSettings(settings, room),
        { held: heldTables(tree), keep: true },
      );
      const { nodes, labels, values, count } = recursion.held!;
      const expected = heldTables(warm!.state.tree)!;
      const rows = expected.values.length / n;
      const found = await read(walk.gpu, [[nodes, count * 8], [labels, n], [values, rows * n]]);
      recursion.discard();
      releaseHeld(walk.gpu, recursion.held!);
      walk.release();
      const table = new Uint32Array(found[0]!);
      assertEquals(table.subarray(0, expected.nodes.length), expected.nodes, `seed ${seed}`);
      // What is no node shares nothing with a segment.
      assert(table.subarray(expected.nodes.length).every((word) => word === 0), `seed ${seed}`);
      assertEquals(new Uint32Array(found[1]!), expected.labels, `seed ${seed}`);
      const kept = new Float32Array(found[2]!);
      for (let i = 0; i < expected.count; i++) {
        const [low, high, , , depth] = expected.nodes.subarray(i * 8, i * 8 + 5);
        for (let node = 0; node < n; node++) {
          const leaf = expected.labels[node]!;
          if (leaf < low! || leaf >= high!) continue;
          const at = depth! * n + node;
          assertEquals(kept[at], expected.values[at], `node ${i} of the tree, seed ${seed}`);
        }
      }
    }
  });
});

Deno.test("CutTurn has the next frame's walk and cut submitted before a frame's readback is done, once a warm frame", async () => {
  const seed = newSeed();
  const n = 200;
  for (const [steps, power] of [[1, "apply"], [2, "apply"], [3, "form"]] as const) {
    const settings = { ...SETTINGS, steps, power };
    // Forming takes a submission of its own, and leaves k = 1.
    const forms = power === "form";
    const own = forms ? 1 : steps;
    const upload = "submit upload of the walk";
    const meanwhile = forms
      ? [upload, "map cut", `submit walk to the power ${steps}`, "submit cut", "mapped cut"]
      : ["map cut", upload, "submit cut", "mapped cut"];
    const frames = [blockWalk(n, 6, seed)];
    while (frames.length < 6) frames.push(disturbed(frames.at(-1)!, n, 0.03, seed + frames.length));
    await withDevice(async (device) => {
      const expected = await inOrder(device, frames, n, settings);
      const { results, events, dispatches } = await overlapping(device, frames, n, settings);
      results.forEach(({ segmentation, state }, i) => {
        const message = `frame ${i}, k ${steps}, seed ${seed}`;
        const other = expected[i]!;
        assertEquals(segmentation.labels, other.segmentation.labels, message);
        assertEquals(segmentation.scores, other.segmentation.scores, message);
        assertEquals(segmentation.tree, other.segmentation.tree, message);
        assertEquals(state.basis, other.state.basis, message);
        const { ahead: verdict, ...stats } = segmentation.stats;
        assertEquals(stats, other.segmentation.stats, message);
        // The first two have nothing that a pass could follow.
        if (i < 2) return assertEquals(verdict, undefined, message);
        const undisturbed = expected[i - 1]!.segmentation.stats.recertified === 0;
        assertEquals(verdict, undisturbed ? "kept" : "discarded", message);
        if (!undisturbed || stats.recertified > 0) return;
        const last = i === frames.length - 1;
        assertEquals(events[i], last ? ["map cut", "mapped cut"] : meanwhile, message);
        const forming = forms ? formingProducts(steps) : 0;
        assertEquals(
          dispatches[i],
          last ? 0 : dispatchesOf(own, true, { kept: true, refined: own === 1 }) + forming,
          message,
        );
      });
      const kept = results.filter(({ segmentation: { stats } }) => stats.ahead === "kept").length;
      assert(kept >= 2, `${kept} of ${frames.length} frames were cut ahead, k ${steps}, seed ${seed}`);
    });
  }
});

Deno.test("CutTurn cuts again where the last frame came out otherwise than it left the device", async () => {
  const seed = newSeed();
  const n = 150;
  const frames = [blockWalk(n, 5, seed)];
  for (let i = 1; i < 4; i++) frames.push(disturbed(frames.at(-1)!, n, 0.03, seed + i));
  // Something else altogether, twice: of more directions than the basis holds, then of few again.
  for (const groups of [100, 6]) {
    frames.push(blockWalk(n, groups, seed + groups));
    for (let i = 0; i < 2; i++) frames.push(disturbed(frames.at(-1)!, n, 0.03, seed + i));
  }
  await withDevice(async (device) => {
    const settings = { ...SETTINGS, power: "apply" as const, maxSegments: 8 };
    const expected = await inOrder(device, frames, n, settings);
    const { results } = await overlapping(device, frames, n, settings);
    let discarded = 0;
    results.forEach(({ segmentation, state }, i) => {
      const message = `frame ${i}, seed ${seed}`;
      const other = expected[i]!;
      assertEquals(segmentation.labels, other.segmentation.labels, message);
      assertEquals(segmentation.scores, other.segmentation.scores, message);
      assertEquals(state.basis, other.state.basis, message);
      const { ahead, ...stats } = segmentation.stats;
      discarded += Number(ahead === "discarded");
      assertEquals(stats, other.segmentation.stats, message);
    });
    assert(discarded > 0, `nothing was discarded, seed ${seed}`);
  });
});
