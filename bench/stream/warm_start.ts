/**
 * What the start from the last frame's basis changes by itself: every frame is cut once from it and once from
 * nothing, both with the same history of cuts and boundaries, so that neither blinks where the other does not.
 *
 * @module
 */
import { cutFrame, type CutSettings, type CutState } from "../../lib/cut/cut_frame.ts";
import { findRegions, type LastRegions, namedRegions, regionsOfNodes } from "../../lib/cut/regions.ts";
import type { Segmentation } from "../../lib/cut/segmentation.ts";
import { labelPixels } from "../../lib/cut/upsample.ts";
import { UsageError } from "../../lib/errors.ts";
import { adjustedRand } from "../../lib/eval/metrics.ts";
import { nodeColours } from "../../lib/features/node_colours.ts";
import { openModel } from "../../lib/features/open_model.ts";
import type { Frame } from "../../lib/source/frame.ts";
import { openVideo } from "../../lib/source/mod.ts";
import { Tracker } from "../../lib/track/tracker.ts";
import { createCpuWalkDevice } from "../../lib/walk/cpu/walk_device.ts";

/** Nodes a side, and cells a side by which regions are tracked. */
const GRID = 32;
const TRACKED = 64;

/** Agreement that counts. */
const ENOUGH = 0.95;

/** Prints a line a clip. */
export async function warmStart(clips: readonly string[], frames: number): Promise<void> {
  if (!(frames >= 2)) {
    throw new UsageError({
      what: "--frames leaves no warm frame",
      found: String(frames),
      advice: "2 or more",
    });
  }
  console.log("| clip | frames | products warm / cold | agreement, mean | least | frames >= 0.95 |");
  console.log("|---|---|---|---|---|---|");
  for (const clip of clips) {
    const source = await openVideo(clip, { frames });
    const found = await warmAgainstCold(source.frames());
    await source.close();
    const agreements = found.map(({ agreement }) => agreement);
    const mean = agreements.reduce((sum, v) => sum + v, 0) / found.length;
    const ratio = found.reduce((sum, { warm }) => sum + warm, 0) /
      found.reduce((sum, { cold }) => sum + cold, 0);
    console.log(
      `| ${clip.split("/").at(-1)} | ${found.length} | ${ratio.toFixed(2)} | ${mean.toFixed(4)} | ` +
        `${Math.min(...agreements).toFixed(3)} | ${agreements.filter((v) => v >= ENOUGH).length} |`,
    );
  }
}

/** One frame cut both ways. */
export interface WarmFrame {
  /** Adjusted Rand index of the pixels' regions. */
  readonly agreement: number;
  /** Products with P. */
  readonly warm: number;
  readonly cold: number;
}

/** All frames of a stream but the first, each cut warm and cold with the same history, on the CPU. */
export async function warmAgainstCold(
  frames: AsyncIterable<Frame> | Iterable<Frame>,
): Promise<WarmFrame[]> {
  const device = await createCpuWalkDevice();
  const network = await openModel("embedded", { device: "cpu" }, { grid: GRID });
  const settings: CutSettings = {
    steps: network.walkSteps,
    stop: { kind: "manc-ncut" },
    maxSegments: 0,
    minPart: 1,
  };
  const contours = { contour: network.contour ?? 0, minArea: 0, maxSegments: 0 };
  const tracker = new Tracker();
  const found: WarmFrame[] = [];
  let state: CutState | undefined;
  let last: LastRegions | undefined;
  for await (const frame of frames) {
    const { layers } = await network.evaluate(frame);
    const walk = await device.walk(layers, GRID, network.levelWeights);
    const regionsOf = (segmentation: Segmentation) =>
      findRegions(labelPixels(segmentation.scores, segmentation.segments, GRID, frame), frame, contours, {
        walk: segmentation,
        last,
      });
    const warm = await cutFrame(walk, settings, state);
    const regions = regionsOf(warm.segmentation);
    if (state) {
      const { tree, age } = state;
      const cold = await cutFrame(walk, settings, { basis: undefined, tree, age });
      found.push({
        agreement: adjustedRand(regions.pixels, regionsOf(cold.segmentation).pixels),
        warm: warm.segmentation.stats.operatorApplications,
        cold: cold.segmentation.stats.operatorApplications,
      });
    }
    walk.release();
    const { cells, count } = regions;
    const ids = tracker.assign({
      labels: regionsOfNodes(cells, count, TRACKED),
      segments: count,
      colours: nodeColours(frame, TRACKED),
    });
    last = namedRegions(cells, ids, last);
    state = warm.state;
  }
  await network.close();
  await device.close();
  return found;
}
