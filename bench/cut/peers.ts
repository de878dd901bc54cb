/**
 * The same walk, power and stop by NumPy and SciPy (`bench/peers/ncut.py`).
 *
 * @module
 */
import { readNpy, writeNpy } from "../../lib/npy.ts";
import { runPeer } from "../peers/python.ts";
import type { WalkPair } from "./walks.ts";

/** Known peers, by the letter that the tables give them. */
export const PEERS = { dense: "a", eigsh: "b", lobpcg: "c" } as const;

/** A peer by name. */
export type Peer = keyof typeof PEERS;

/** What a peer took for one walk, everything counted. */
export interface PeerResult {
  readonly method: Peer;
  /** Milliseconds for P^k and, for `dense`, A. */
  readonly formed: number;
  /** Milliseconds for all nodes of the recursion. */
  readonly recursion: number;
  readonly nodes: number;
  readonly segments: number;
  readonly labels: Float32Array;
}

/** Runs peers on a pair's second walk. */
export async function runPeers(
  pair: WalkPair,
  steps: number,
  peers: readonly Peer[],
  python: string,
): Promise<PeerResult[]> {
  const folder = await Deno.makeTempDir({ prefix: "walkcut-cut-" });
  try {
    const walk = `${folder}/walk.npy`;
    await writeNpy(walk, pair.now, [pair.n, pair.n]);
    const args = [walk, String(steps), folder, ...peers];
    const lines = await runPeer(python, "ncut.py", args, "python3-numpy and python3-scipy");
    const results: PeerResult[] = [];
    for (const line of lines.trim().split("\n")) {
      const result = JSON.parse(line);
      results.push({ ...result, labels: (await readNpy(`${folder}/${result.method}.npy`)).data });
    }
    return results;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
