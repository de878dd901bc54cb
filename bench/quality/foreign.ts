/**
 * Baselines in Python: labels to a folder of their own, scored as ours are.
 *
 * @module
 */
import { WalkcutError } from "../../lib/errors.ts";
import type { Dataset } from "../../lib/eval/datasets.ts";
import { scoreDataset, summarise, type Summary } from "../../lib/eval/run.ts";

/** Runs one baseline of `bench/peers/felzenszwalb.py` on all pictures and scores it. */
export async function scoreForeign(method: string, dataset: Dataset, python: string): Promise<Summary> {
  const out = await Deno.makeTempDir({ prefix: "walkcut-quality-" });
  try {
    const script = new URL("../peers/felzenszwalb.py", import.meta.url).pathname;
    const list = `${out}/pictures.txt`;
    await Deno.writeTextFile(list, dataset.items.map(({ image }) => image).join("\n"));
    const { code, stdout, stderr } = await runPython(python, [script, list, out, method]);
    if (code !== 0) {
      throw new WalkcutError({
        what: "The baselines failed",
        found: new TextDecoder().decode(stderr).trim().split("\n").at(-1) || `exit code ${code}`,
        advice: "install python3-skimage, or pass --python or --peers none",
      });
    }
    const { ms } = JSON.parse(new TextDecoder().decode(stdout));
    const scores = await scoreDataset(dataset, { folder: `${out}/${method}` });
    return { ...summarise(scores, dataset), ms };
  } finally {
    await Deno.remove(out, { recursive: true });
  }
}

async function runPython(python: string, args: string[]): Promise<Deno.CommandOutput> {
  try {
    return await new Deno.Command(python, { args }).output();
  } catch (cause) {
    throw new WalkcutError({
      what: "Cannot start Python for the baselines",
      found: python,
      advice: "install python3-skimage, or pass --python or --peers none",
      cause,
    });
  }
}
