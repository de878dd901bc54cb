/**
 * The configurations of the paper's tables, with the figures that it publishes.
 *
 * @module
 */
import type { DatasetName } from "./datasets.ts";
import type { StillOptions } from "./still.ts";

/** Published accuracy, F1 and mIoU in percent; what the paper does not give is absent. */
export interface Published {
  readonly accuracy?: number;
  readonly f1?: number;
  readonly miou?: number;
}

/** One row of a table. */
export interface TableRow {
  readonly label: string;
  readonly options: StillOptions;
  readonly published: Published;
  /** The data set of the row, where the table compares data sets. */
  readonly dataset?: DatasetName;
}

/** Names of the tables. */
export const TABLES = ["paper1", "paper2", "paper3", "paper4", "paper5"] as const;
/** Name of one of them. */
export type TableName = typeof TABLES[number];

const published = (accuracy: number, f1: number, miou: number): Published => ({ accuracy, f1, miou });

const ALL = [8, 16, 32, 64] as const;
const BEST: StillOptions = { stop: "manc-ncut", levels: [16, 32, 64], walkSteps: 1 };

const thresholds = (adjacency: "dot" | "cosine", figures: readonly (readonly [number, number, number])[]) =>
  figures.map(([accuracy, f1, miou], i): TableRow => {
    const threshold = 0.4 + 0.1 * i;
    return {
      label: `${adjacency}, NCut < ${threshold.toFixed(1)}`,
      options: {
        adjacency,
        stop: "ncut",
        threshold: Number(threshold.toFixed(1)),
        levels: ALL,
        walkSteps: 1,
      },
      published: published(accuracy, f1, miou),
    };
  });

const levels = (stop: "manc-ncut" | "manc-mincut", figures: readonly (readonly [number, number, number])[]) =>
  figures.map(([accuracy, f1, miou], i): TableRow => ({
    label: `${stop}, ${ALL.slice(i).join(" ")}`,
    options: { stop, levels: ALL.slice(i), walkSteps: 1 },
    published: published(accuracy, f1, miou),
  }));

const diffSeg = (threshold: number): StillOptions => ({
  method: "diffseg",
  threshold,
  levels: ALL,
});
/** τ = 0.2, as its authors found best on Stable Diffusion 1.4. */
const DIFFCUT: StillOptions = { method: "diffcut", threshold: 0.2, levels: [32] };

const compare = (
  dataset: DatasetName,
  kld: number,
  figures: readonly [number, number, number],
): TableRow[] => [
  { label: "diffseg", options: diffSeg(kld), published: { miou: figures[0] }, dataset },
  { label: "diffcut", options: DIFFCUT, published: { miou: figures[1] }, dataset },
  { label: "walkcut", options: BEST, published: { miou: figures[2] }, dataset },
];

/** The rows of each table. */
export const PAPER: Readonly<
  Record<TableName, { readonly title: string; readonly rows: readonly TableRow[] }>
> = {
  paper1: {
    title: "Table 1: adjacency × NCut threshold",
    rows: [
      ...thresholds("dot", [[74.0, 58.4, 44.0], [71.6, 56.7, 43.1], [60.0, 45.2, 32.1]]),
      ...thresholds("cosine", [[72.4, 56.0, 41.7], [71.5, 56.0, 42.2], [62.9, 47.7, 34.4]]),
    ],
  },
  paper2: {
    title: "Table 2: steps of the walk, scaled minimum cut",
    rows: ([
      [45.9, 36.1, 23.8],
      [67.0, 54.4, 40.7],
      [71.2, 56.9, 42.4],
      [70.7, 55.8, 41.1],
      [70.0, 54.2, 39.6],
    ] as const).map(([accuracy, f1, miou], i) => ({
      label: `k = ${i + 1}`,
      options: { stop: "manc-mincut", levels: ALL, walkSteps: i + 1 },
      published: published(accuracy, f1, miou),
    })),
  },
  paper3: {
    title: "Table 3: stops × resolutions",
    rows: [
      {
        label: "random walk, NCut < 0.3",
        options: {
          adjacency: "walk",
          stop: "ncut",
          threshold: 0.3,
          levels: ALL,
          walkSteps: 1,
        },
        published: published(72.2, 56.9, 43.3),
      },
      ...levels("manc-ncut", [[74.7, 60.6, 46.1], [74.1, 60.8, 46.6], [70.1, 56.4, 42.7], [
        63.9,
        49.6,
        36.4,
      ]]),
      ...levels("manc-mincut", [[45.9, 36.1, 23.8], [42.0, 32.0, 20.6], [37.2, 27.6, 17.0], [
        36.1,
        25.0,
        15.3,
      ]]),
      { label: "diffseg", options: diffSeg(1.1), published: published(72.5, 58.5, 43.6) },
      { label: "diffcut", options: DIFFCUT, published: published(59.6, 44.5, 31.3) },
    ],
  },
  paper4: {
    title: "Table 4: methods × data sets",
    rows: [
      ...compare("coco-stuff-27", 1.1, [43.6, 31.3, 46.6]),
      ...compare("cityscapes-27", 0.9, [21.2, 18.1, 22.0]),
      ...compare("ade20k-150", 1.1, [37.7, 40.1, 41.2]),
    ],
  },
  paper5: {
    title: "Table 5: with and without PAMR (the rows of SD 1.4)",
    rows: [
      { label: "diffcut", options: DIFFCUT, published: { miou: 31.3 } },
      { label: "diffcut + PAMR", options: { ...DIFFCUT, refine: "pamr" }, published: { miou: 45.2 } },
      { label: "walkcut", options: BEST, published: { miou: 46.6 } },
      { label: "walkcut + PAMR", options: { ...BEST, refine: "pamr" }, published: { miou: 47.1 } },
    ],
  },
};
