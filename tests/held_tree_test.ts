import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { CutSettings } from "../lib/cut/cut_frame.ts";
import { cutWalk } from "../lib/cut/cut_walk.ts";
import { branchesOf } from "../lib/cut/grow.ts";
import { heirOf, type HeldTree, wasCut } from "../lib/cut/held_tree.ts";
import { thresholdOf } from "../lib/cut/stop.ts";
import { branchesFrom } from "../lib/cut/webgpu/branches.ts";
import { heldTables } from "../lib/cut/webgpu/held_buffers.ts";
import { USUAL_ROOM } from "../lib/cut/webgpu/layout.ts";
import { Pass } from "../lib/cut/webgpu/pass.ts";
import { uniform } from "../lib/random.ts";
import { blockWalk, disturbed, newSeed, withDevice } from "./device_matrices.ts";

/** A tree of leaves 0, 1 and 2, the first two in one part. */
function threeLeaves(labels: Uint16Array<ArrayBuffer>): HeldTree {
  const node = (leaves: number[], leftLeaves: number) => ({
    leaves,
    leftLeaves,
    size: labels.filter((leaf) => leaves.includes(leaf)).length,
    vector: new Float32Array(labels.length),
  });
  return { labels, nodes: [node([0, 1, 2], 2), node([0, 1], 1), node([2], 0), node([0], 0), node([1], 0)] };
}

Deno.test("wasCut() is true where both parts are the last frame's, whichever way round", () => {
  const seed = newSeed();
  const next = uniform(seed);
  const found = new Map<boolean | undefined, number>();
  for (let round = 0; round < 200; round++) {
    const n = 20 + Math.floor(200 * next());
    const bounds = [next() * n, next() * n].sort((a, b) => a - b);
    const tree = threeLeaves(Uint16Array.from({ length: n }, (_, i) => bounds.filter((b) => b <= i).length));
    const heir = tree.nodes[0]!;
    const parts = [[0, 1], [2]].map((leaves) =>
      new Set([...tree.labels.keys()].filter((i) => leaves.includes(tree.labels[i]!)))
    );
    // Some nodes change sides, some are new, and the sides are named by chance.
    const moved = next() ** 2;
    const turned = next() < 0.5;
    const sides: [number[], number[]] = [[], []];
    for (let i = 0; i < n; i++) {
      if (next() < 0.1) continue;
      const side = parts[0]!.has(i) !== next() < moved / 2;
      sides[Number(side !== turned)]!.push(i);
    }
    const [left, right] = sides.map((nodes) => Uint32Array.from(nodes)) as [Uint32Array, Uint32Array];
    const iou = (a: Uint32Array, b: Set<number>) => {
      const both = a.filter((i) => b.has(i)).length;
      return both / (a.length + b.size - both);
    };
    const same = (a: Uint32Array, b: Uint32Array) => iou(a, parts[0]!) >= 0.5 && iou(b, parts[1]!) >= 0.5;
    const expected = same(left, right) || same(right, left) ? true : undefined;
    const answer = wasCut(tree, heir, { left, right });
    assertEquals(answer, expected, `round ${round}, seed ${seed}`);
    found.set(answer, (found.get(answer) ?? 0) + 1);
    assertEquals(wasCut(tree, tree.nodes[2], { left, right }), false);
    assertEquals(wasCut(undefined, undefined, { left, right }), undefined);
  }
  assert(found.get(true)! > 20 && found.get(undefined)! > 20, `${[...found]}, seed ${seed}`);
});

Deno.test("the device moves a threshold by what the last frame did, as wasCut() says", async () => {
  const seed = newSeed();
  const n = 333;
  await withDevice(async (device) => {
    const found = new Map<boolean | undefined, number>();
    // Four graphs, and as many more as it takes to see every kind of history.
    for (let round = 0; round < 4 || found.size < 3 && round < 16; round++) {
      const stop = round % 2 === 0
        ? { kind: "manc-ncut" } as const
        : { kind: "ncut", threshold: 0.7 } as const;
      const settings: CutSettings = { steps: 1, stop, maxSegments: 0, minPart: 1, solver: "factor" };
      const [one, other] = [1, 2].map((part) => blockWalk(n, 9 + part, seed + 10 * round + part));
      const first = await device.fromDense(one!, n);
      const { state } = await cutWalk(first, settings);
      first.release();
      // Half of another picture: some cuts stay, others are new.
      const mixed = one!.map((v, at) => Math.floor(at / n) < n * 0.6 ? v : other![at]!);
      const walk = await device.fromDense(disturbed(mixed, n, 0.05, seed), n);
      const tables = heldTables(state.tree);
      const { tree } = await Pass.submit(walk, settings, state.basis!, {
        held: tables,
        room: USUAL_ROOM,
        renew: true,
      })!
        .outcome(state.basis!);
      walk.release();
      const { root } = branchesFrom(tree, state.tree);
      for (const { proposal, history, threshold, held } of branchesOf(root)) {
        const message = `${proposal.nodes.length} nodes, ${stop.kind}, round ${round}, seed ${seed}`;
        if (proposal.nodes.length < 2) continue;
        assertEquals(held, heirOf(state.tree, proposal.nodes), message);
        assertAlmostEquals(threshold / thresholdOf(stop, proposal, history), 1, 1e-3, message);
        found.set(history, (found.get(history) ?? 0) + 1);
      }
    }
    for (const history of [true, false, undefined]) {
      assert(found.get(history)! > 0, `${[...found]}, seed ${seed}`);
    }
  });
});
