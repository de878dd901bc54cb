/**
 * Whole partitions of real pictures against the dense recursion in float64.
 *
 * ```sh
 * deno run --allow-read --allow-env --allow-sys --allow-run=ffmpeg tests/reference/partition_check.ts 20
 * ```
 *
 * @module
 */
import { cutFrame, type CutSettings } from "../../lib/cut/cut_frame.ts";
import type { Segmentation } from "../../lib/cut/segmentation.ts";
import { createCpuWalkDevice } from "../../lib/walk/cpu/walk_device.ts";
import type { WalkDevice } from "../../lib/walk/walk.ts";
import {
  adjustedRand,
  type Dense,
  denseAdjacency,
  denseFiedler,
  denseNcut,
  densePower,
  denseRecursion,
  denseSweep,
  denseTotal,
  submatrix,
} from "./dense.ts";
import { type RealWalk, realWalks } from "./real_walk.ts";

/** One picture's partition beside the reference's. */
export interface PartitionCheck {
  readonly segmentation: Segmentation;
  /** Adjusted Rand index. */
  readonly agreement: number;
  /** Segments of the reference. */
  readonly expected: number;
  /**
   * Where the two parted, if they did, each as its share: how much worse a cut of ours is than
   * the best of its segment, or how near to 1 NCut over threshold was where they decided otherwise.
   */
  readonly ties: readonly number[];
}

/** Cuts P^k by the library and by the reference. */
export async function checkPartition(
  device: WalkDevice,
  { matrix, n }: RealWalk,
  settings: CutSettings,
): Promise<PartitionCheck> {
  const walk = await device.fromDense(matrix.slice(), n);
  const { segmentation } = await cutFrame(walk, settings);
  walk.release();
  const a = denseAdjacency(densePower(Float64Array.from(matrix), n, settings.steps), n, "dot");
  const labels = denseRecursion(a, n);
  const agreement = adjustedRand(segmentation.labels, labels);
  const ties = agreement > 1 - 1e-9 ? [] : tiesOf(a, n, segmentation);
  return { segmentation, agreement, expected: new Set(labels).size, ties };
}

/** Holds each node of a tree against the reference's view of the same nodes. */
function tiesOf(a: Dense, n: number, { tree, leaves, labels }: Segmentation): number[] {
  const under = (id: number): number[] => tree[id]!.children?.flatMap(under) ?? [leaves.indexOf(id)];
  const nodesOf = (id: number) => {
    const own = new Set(under(id));
    return [...labels.keys()].filter((i) => own.has(labels[i]!));
  };
  return tree.flatMap(({ id, children }) => {
    const nodes = nodesOf(id);
    const m = nodes.length;
    if (m < 2) return [];
    const sub = submatrix(a, n, nodes);
    const best = denseSweep(sub, m, denseFiedler(sub, m).y).ncut;
    const threshold = denseTotal(sub, m) / (m - 1);
    const decision = (best < threshold) === (children !== undefined) ? [] : [best / threshold - 1];
    if (!children) return decision;
    const left = new Set(nodesOf(children[0]));
    const own = denseNcut(sub, m, new Set(nodes.flatMap((node, i) => left.has(node) ? [i] : [])));
    return [...decision, ...(Math.abs(own / best - 1) > 1e-9 ? [own / best - 1] : [])];
  });
}

if (import.meta.main) {
  const pictures = Number(Deno.args[0] ?? 20);
  const device = await createCpuWalkDevice();
  console.log("bandwidth  k  picture      solver    rank  share  segments  reference  ARI     ties");
  for (const sharpness of [1, 4]) {
    const walks = await realWalks(sharpness, pictures);
    for (const steps of [1, 2, 3]) {
      const agreements: number[] = [];
      for (const walk of walks) {
        const settings: CutSettings = { steps, stop: { kind: "manc-ncut" }, maxSegments: 0, minPart: 1 };
        const { segmentation: { stats, segments }, agreement, expected, ties } = await checkPartition(
          device,
          walk,
          settings,
        );
        agreements.push(agreement);
        console.log(
          [
            (sharpness === 1 ? "recipe's" : "half").padEnd(9),
            ` ${steps} `,
            walk.name.padEnd(11),
            stats.solver.padEnd(8),
            String(stats.rank).padStart(5),
            stats.traceShare.toFixed(3).padStart(6),
            String(segments).padStart(9),
            String(expected).padStart(10),
            agreement.toFixed(4).padStart(8),
            ties.map((tie) => tie.toExponential(1)).join(" "),
          ].join(" "),
        );
      }
      const mean = agreements.reduce((sum, v) => sum + v, 0) / agreements.length;
      console.log(`mean ${mean.toFixed(4)}, least ${Math.min(...agreements).toFixed(4)}`);
    }
  }
  await device.close();
}
