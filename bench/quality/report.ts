/**
 * `bench/RESULTS.md`, written from `bench/results.json`.
 *
 * @module
 */
import { WalkcutError } from "../../lib/errors.ts";

/** One section's numbers, and what they were found with. */
export interface Section {
  /** What was scored: a folder's name and how many pictures, or clips and frames. */
  readonly data: string;
  readonly device: string;
  readonly date: string;
  readonly rows: readonly Readonly<Record<string, string | number | undefined>>[];
}

/** Sections by name. */
export type Results = Partial<Record<SectionName, Section>>;

/** Names of the sections, in their order. */
export const SECTIONS = ["methods", "grid", "walk", "refine", "clips", "scenes"] as const;
/** Name of one of them. */
export type SectionName = typeof SECTIONS[number];

/** Heading and digits of each measure, and how many of the heading's units are in one. */
const COLUMNS: Readonly<Record<string, readonly [heading: string, digits: number, units?: number]>> = {
  covering: ["covering ↑", 3],
  pri: ["PRI ↑", 3],
  voi: ["VoI ↓", 2],
  boundaryF: ["boundary F ↑", 3],
  aq: ["AQ ↑", 3],
  jf: ["J&F ↑", 3],
  miou: ["mIoU ↑", 3],
  switches: ["switches ↓", 0],
  fragmentations: ["fragm. ↓", 0],
  tc: ["TC ↑", 3],
  vc8: ["VC8 ↑", 3],
  vc16: ["VC16 ↑", 3],
  flicker: ["flicker, ppm ↓", 1, 1e6],
  rest: ["at rest", 2],
  segments: ["segments", 1],
  ms: ["ms", 0],
};

const TEXTS: Readonly<Record<SectionName, readonly [title: string, text: string]>> = {
  methods: [
    "Methods",
    "One fixed setting each. diffseg, diffcut and the masks of emerdiff run on the same network as ours, with\n" +
    "their published parameters; the others are those of scikit-image. Boundary F with a tolerance of 2 px.\n\n" +
    "What is recognisable of the published methods: DiffSeg cuts even surfaces into bands and patches, as maps of\n" +
    "attention that lie apart do not merge; there are many more of them than on Stable Diffusion, because the\n" +
    "embedded network's attention ends at some distance. DiffCut finds few, large segments, and joins what is\n" +
    "alike across the picture; it has no values to attend to here, so the mean of the queries stands in for the\n" +
    "layer's output (rows of P in its place gave hundreds of segments). EmerDiff's K = 30 masks are K-means\n" +
    "clusters, cut finer than objects, as in its first step; its second, generation, is left out.",
  ],
  grid: ["Nodes a side", "Ours with 32² and 64² nodes."],
  walk: ["Steps of the walk", "Ours with P^k."],
  refine: ["Refinement", "Labels as they are, and with `--refine pamr`."],
  clips: [
    "Clips, without truth",
    "Each frame from the last one's state (warm) or afresh (cold), with ids by the tracker or by overlap with\n" +
    "the last frame alone. TC: labels moved along by block matching; VC and flicker: pixels at rest, where no\n" +
    "channel changed within four frames and nothing moves beside them.",
  ],
  scenes: [
    "Sample scenes, with truth",
    "The same on scenes of graded difficulty, mean over seeds. The camera of the hard ones pans: nothing is at rest.",
  ],
};

/** Reads the numbers of earlier runs; none where there are none. */
export async function readResults(path: string): Promise<Results> {
  try {
    return JSON.parse(await Deno.readTextFile(path));
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return {};
    throw new WalkcutError({
      what: "Cannot read the results",
      found: path,
      advice: "delete the file",
      cause,
    });
  }
}

/** Writes numbers and page. */
export async function writeResults(json: string, page: string, results: Results): Promise<void> {
  try {
    await Deno.writeTextFile(json, JSON.stringify(results, null, 1) + "\n");
    await Deno.writeTextFile(page, pageOf(results));
    // The checkout's own style, which pads tables.
    const { success, stderr } = await new Deno.Command(Deno.execPath(), { args: ["fmt", "-q", json, page] })
      .output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  } catch (cause) {
    throw new WalkcutError({ what: "Cannot write the results", found: page, cause });
  }
}

function pageOf(results: Results): string {
  const parts = SECTIONS.flatMap((name) => {
    const section = results[name];
    if (!section) return [];
    const [title, text] = TEXTS[name];
    const { data, device, date } = section;
    return [`## ${title}\n\n${text}\n\n${tableOf(section)}\n${data}; ${device}; ${date}.\n`];
  });
  return "# Results\n\nWritten by `deno task bench quality`; do not edit. Numbers in full: `results.json`.\n" +
    "Times compare within a section only: the machine was shared.\n\n" + parts.join("\n");
}

/** A section's rows as a table of Markdown. */
export function tableOf({ rows }: Section): string {
  const shown = Object.keys(COLUMNS).filter((key) => rows.some((row) => typeof row[key] === "number"));
  const cell = (value: unknown, key: string) => {
    const [, digits, units = 1] = COLUMNS[key]!;
    return typeof value === "number" && Number.isFinite(value) ? (units * value).toFixed(digits) : "–";
  };
  const lines = rows.map((row) => [String(row.name), ...shown.map((key) => cell(row[key], key))]);
  return [["", ...shown.map((key) => COLUMNS[key]![0])], ["---", ...shown.map(() => "---:")], ...lines]
    .map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}
