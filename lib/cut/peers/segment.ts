/**
 * The peers, by name: published methods in the cut's place on the same network.
 *
 * @module
 */
import type { AttentionLayer } from "../../features/network.ts";
import type { Walk, WalkDevice } from "../../walk/walk.ts";
import type { Segmentation } from "../segmentation.ts";
import { diffCut } from "./diffcut.ts";
import { diffSeg } from "./diffseg.ts";
import { emerDiff } from "./emerdiff.ts";
import { nearestLayer } from "./layer.ts";

/** Names of the peers. */
export const PEERS = ["diffseg", "diffcut", "emerdiff"] as const;
/** Name of one of them. */
export type PeerMethod = typeof PEERS[number];

/** Resolution at which DiffCut takes its features. */
const DIFFCUT_SIDE = 32;
/** Resolution at which EmerDiff takes its queries. */
const EMERDIFF_SIDE = 16;

/** Settings of {@linkcode segmentByPeer}. */
export interface PeerOptions {
  /** DiffSeg's distance, in all passes, or DiffCut's τ. Default: the published 1.1 and 0.5. */
  readonly threshold?: number;
  /** EmerDiff's K. Default: the published 30. */
  readonly masks?: number;
}

/** Whether a method is a peer's. */
export function isPeer(method: string | undefined): method is PeerMethod {
  return PEERS.some((name) => name === method);
}

/**
 * Segments a frame as one of the peers does.
 *
 * @param layers what the network gave for the frame.
 * @param walk their walk P, on `device`.
 */
export async function segmentByPeer(
  method: PeerMethod,
  layers: readonly AttentionLayer[],
  walk: Walk,
  device: WalkDevice,
  { threshold, masks }: PeerOptions = {},
): Promise<Segmentation> {
  const grid = Math.round(Math.sqrt(walk.n));
  switch (method) {
    case "diffseg":
      return await diffSeg(
        walk,
        device,
        threshold === undefined ? {} : { thresholds: Array(3).fill(threshold) },
      );
    case "diffcut": {
      const layer = nearestLayer(layers, DIFFCUT_SIDE);
      return await diffCut(layer, device, grid, threshold === undefined ? {} : { tau: threshold });
    }
    case "emerdiff": {
      const layer = nearestLayer(layers, EMERDIFF_SIDE);
      return await emerDiff(layer, device, grid, masks === undefined ? {} : { masks });
    }
  }
}
