/**
 * Baselines in Python: labels to a folder of their own, scored as ours are.
 *
 * @module
 */
import type { Dataset } from "../../lib/eval/datasets.ts";
import { scoreDataset, summarise, type Summary } from "../../lib/eval/run.ts";
import { runPeer } from "../peers/python.ts";

/** Runs one baseline of `bench/peers/felzenszwalb.py` on all pictures and scores it. */
export async function scoreForeign(method: string, dataset: Dataset, python: string): Promise<Summary> {
  const out = await Deno.makeTempDir({ prefix: "walkcut-quality-" });
  try {
    const list = `${out}/pictures.txt`;
    await Deno.writeTextFile(list, dataset.items.map(({ image }) => image).join("\n"));
    const { ms } = JSON.parse(
      await runPeer(python, "felzenszwalb.py", [list, out, method], "python3-skimage"),
    );
    const scores = await scoreDataset(dataset, { folder: `${out}/${method}` });
    return { ...summarise(scores, dataset), ms };
  } finally {
    await Deno.remove(out, { recursive: true });
  }
}
