/**
 * Data sets as they lie on disk: pairs of pictures and annotations, and the
 * protocol with which each is scored.
 *
 * @module
 */
import { UsageError } from "../errors.ts";
import { IGNORED } from "./classes.ts";

/** A picture and what people marked in it. */
export interface EvalItem {
  readonly id: string;
  readonly image: string;
  /** One label map an annotator. */
  readonly truths: readonly string[];
}

/** How pictures are scored. */
export interface Protocol {
  /** `regions`: covering, PRI, VoI, boundaries; `classes`: Hungarian-matched mIoU. */
  readonly measure: "regions" | "classes";
  /** Number of classes; 0 for regions. */
  readonly classes: number;
  /** Class of a label of the files, {@linkcode IGNORED} where it does not count. */
  readonly classOf: (label: number) => number;
  /** Side to which the centre square is scaled before anything else; absent: whole pictures as they are. */
  readonly square?: number;
}

/** A data set that is there. */
export interface Dataset extends Protocol {
  readonly name: string;
  readonly items: readonly EvalItem[];
}

/** A clip of a data set: its frames and their annotations, in order. */
export interface Sequence {
  readonly name: string;
  readonly frames: readonly string[];
  readonly truths: readonly string[];
}

/** Data sets that {@linkcode openDataset} knows. */
export const DATASETS = ["bsds500", "coco-stuff-27", "cityscapes-27", "ade20k-150"] as const;
/** Name of one of them. */
export type DatasetName = typeof DATASETS[number];

const LAYOUTS: Readonly<Record<DatasetName | "davis", string>> = {
  "bsds500": "ROOT/data/images/test/ID.jpg and ROOT/data/groundTruth/test/ID.mat as published, " +
    "or ROOT/images/ID.jpg and ROOT/labels/ID_1.png, ID_2.png …",
  "coco-stuff-27": "ROOT/images/val2017/ID.jpg and ROOT/annotations/val2017/ID.png (stuffthingmaps), " +
    "and the list of ids in ROOT/curated/val2017/Coco164kFull_Stuff_Coarse_7.txt where only those count",
  "cityscapes-27":
    "ROOT/leftImg8bit/val/CITY/*_leftImg8bit.png and ROOT/gtFine/val/CITY/*_gtFine_labelIds.png",
  "ade20k-150": "ROOT/images/validation/ID.jpg and ROOT/annotations/validation/ID.png",
  "davis": "ROOT/JPEGImages/480p/SEQ/00000.jpg, ROOT/Annotations_unsupervised/480p/SEQ/00000.png " +
    "and ROOT/ImageSets/2017/val.txt",
};

/** The 182 labels of COCO-Stuff merged to 27 (12 things, 15 stuffs): the first 91 in runs, then one by one. */
const COCO_THINGS = [
  ...[[9, 1], [11, 8], [8, 6], [7, 10], [6, 8], [10, 10], [5, 8], [2, 10], [3, 10], [0, 6], [1, 6], [4, 8]],
].flatMap(([coarse, count]) => new Array<number>(count!).fill(coarse!));
const COCO_STUFF = [
  ...[17, 17, 22, 20, 20, 22, 15, 25, 16, 13, 12, 12, 17, 17, 23, 15, 15, 17, 15, 21, 15, 25, 13, 13, 13, 13],
  ...[13, 22, 26, 14, 14, 15, 22, 21, 21, 24, 20, 22, 15, 17, 16, 15, 22, 24, 21, 17, 25, 16, 21, 17, 22, 16],
  ...[21, 21, 25, 21, 26, 21, 24, 20, 17, 14, 21, 26, 15, 23, 20, 21, 24, 15, 24, 22, 25, 15, 20, 17, 17, 22],
  ...[14, 18, 18, 18, 18, 18, 18, 18, 26, 26, 19, 19, 24],
];
const COCO_COARSE: readonly number[] = [...COCO_THINGS, ...COCO_STUFF];

/** Class of a label of each data set's files. */
const PROTOCOLS: Readonly<Record<DatasetName, Protocol>> = {
  "bsds500": { measure: "regions", classes: 0, classOf: (label) => label },
  "coco-stuff-27": {
    measure: "classes",
    classes: 27,
    square: 512,
    classOf: (label) => COCO_COARSE[label] ?? IGNORED,
  },
  // Label ids 7 … 33 are the 27 classes that are neither void nor the ego vehicle.
  "cityscapes-27": {
    measure: "classes",
    classes: 27,
    square: 512,
    classOf: (label) => label >= 7 && label <= 33 ? label - 7 : IGNORED,
  },
  // 0 is "other".
  "ade20k-150": {
    measure: "classes",
    classes: 150,
    square: 512,
    classOf: (label) => label >= 1 && label <= 150 ? label - 1 : IGNORED,
  },
};

/** The protocol of a data set. */
export function protocolOf(name: DatasetName): Protocol {
  return PROTOCOLS[name];
}

/**
 * Finds a data set.
 *
 * @throws {UsageError} If its folders are not there; the error says what layout is expected.
 */
export async function openDataset(name: DatasetName, root: string): Promise<Dataset> {
  const items = await itemsOf(name, root);
  if (items.length === 0) throw layoutError(name, root, "holds no pairs");
  return { name, items, ...PROTOCOLS[name] };
}

async function itemsOf(name: DatasetName, root: string): Promise<EvalItem[]> {
  const at = async (folder: string) => {
    const list = await filesOf(`${root}/${folder}`);
    if (!list) throw layoutError(name, root, `there is no ${folder}`);
    return list;
  };
  switch (name) {
    case "bsds500": {
      // As it is published, or with label maps in place of MATLAB's files.
      const published = await filesOf(`${root}/data/groundTruth/test`) !== undefined;
      const [images, labels] = published
        ? ["data/images/test", "data/groundTruth/test"]
        : ["images", "labels"];
      await at(images);
      await at(labels);
      return await pairFolders(`${root}/${images}`, `${root}/${labels}`);
    }
    case "coco-stuff-27": {
      const images = await at("images/val2017");
      await at("annotations/val2017");
      const listed = await readLines(`${root}/curated/val2017/Coco164kFull_Stuff_Coarse_7.txt`);
      const ids = listed ?? images.map(stem);
      return ids.map((id) => ({
        id,
        image: `${root}/images/val2017/${id}.jpg`,
        truths: [`${root}/annotations/val2017/${id}.png`],
      }));
    }
    case "cityscapes-27": {
      const items: EvalItem[] = [];
      for (const city of await at("leftImg8bit/val")) {
        for (const file of await at(`leftImg8bit/val/${city}`)) {
          const id = file.replace(/_leftImg8bit\.png$/, "");
          items.push({
            id,
            image: `${root}/leftImg8bit/val/${city}/${file}`,
            truths: [`${root}/gtFine/val/${city}/${id}_gtFine_labelIds.png`],
          });
        }
      }
      return items;
    }
    case "ade20k-150":
      await at("annotations/validation");
      return (await at("images/validation")).map((file) => ({
        id: stem(file),
        image: `${root}/images/validation/${file}`,
        truths: [`${root}/annotations/validation/${stem(file)}.png`],
      }));
  }
}

/**
 * The sequences of DAVIS 2017 (unsupervised), or of a folder laid out like it.
 *
 * @throws {UsageError} If its folders are not there; the error says what layout is expected.
 */
export async function openDavis(root: string): Promise<Sequence[]> {
  const annotations = await filesOf(`${root}/Annotations_unsupervised/480p`)
    ? `${root}/Annotations_unsupervised/480p`
    : `${root}/Annotations/480p`;
  const names = await readLines(`${root}/ImageSets/2017/val.txt`) ?? await filesOf(annotations);
  if (!names || names.length === 0) throw layoutError("davis", root, "there are no annotations");
  const sequences: Sequence[] = [];
  for (const name of names) {
    const frames = await filesOf(`${root}/JPEGImages/480p/${name}`);
    const truths = await filesOf(`${annotations}/${name}`);
    if (!frames || !truths) throw layoutError("davis", root, `${name} has no frames or no annotations`);
    if (frames.map(stem).join() !== truths.map(stem).join()) {
      throw layoutError("davis", root, `frames and annotations of ${name} differ`);
    }
    sequences.push({
      name,
      frames: frames.map((file) => `${root}/JPEGImages/480p/${name}/${file}`),
      truths: truths.map((file) => `${annotations}/${name}/${file}`),
    });
  }
  return sequences;
}

/**
 * Pairs `ID.ext` with `ID.png`, `.npy` or BSDS' `.mat`, or with several annotators' `ID_1.png`, `ID_2.png` ….
 *
 * @throws {UsageError} If a folder is missing or empty, or a picture has no annotation or the other way round.
 */
export async function pairFolders(images: string, labels: string): Promise<EvalItem[]> {
  const [pictures, maps] = [await filesOf(images), await filesOf(labels)];
  if (!pictures) throw new UsageError({ what: "No such folder of images", found: images });
  if (!maps) throw new UsageError({ what: "No such folder of labels", found: labels });
  const wanted = pictures.filter((file) => /\.(jpe?g|png|bmp|tiff?|webp|ppm)$/i.test(file));
  const usable = maps.filter((file) => /\.(png|npy|mat)$/i.test(file));
  const expected = `LABELS/ID.png, or ID_1.png, ID_2.png … of several annotators`;
  if (wanted.length === 0) throw new UsageError({ what: "A folder holds no images", found: images });
  if (usable.length === 0) {
    throw new UsageError({
      what: "A folder holds no label maps",
      found: labels,
      advice: `it needs ${expected}`,
    });
  }
  const byId = new Map<string, string[]>(wanted.map((file) => [stem(file), []]));
  const strays: string[] = [];
  for (const file of usable) {
    const name = stem(file);
    const home = byId.get(name) ?? byId.get(name.replace(/_\d+$/, ""));
    if (home) home.push(`${labels}/${file}`);
    else strays.push(file);
  }
  const bare = wanted.filter((file) => byId.get(stem(file))!.length === 0);
  if (bare.length > 0) {
    throw new UsageError({
      what: `${bare.length} of ${wanted.length} images have no label map`,
      found: bare[0]!,
      advice: `each needs ${expected}`,
    });
  }
  if (strays.length > 0) {
    throw new UsageError({ what: `${strays.length} label maps have no image`, found: strays[0]! });
  }
  return wanted.map((file) => ({
    id: stem(file),
    image: `${images}/${file}`,
    truths: byId.get(stem(file))!,
  }));
}

/**
 * A class map from a JSON file: `{"classes": 3, "map": {"0": 0, "7": 1, "8": 1}}`, labels that are
 * not in it do not count.
 *
 * @throws {UsageError} If it does not say that.
 */
export async function readClassMap(path: string): Promise<Pick<Protocol, "classes" | "classOf">> {
  let value: unknown;
  try {
    value = JSON.parse(await Deno.readTextFile(path));
  } catch (cause) {
    throw new UsageError({ what: "Cannot read the class map", found: path, cause });
  }
  const { classes, map } = (value ?? {}) as { classes?: unknown; map?: unknown };
  const entries = map !== null && typeof map === "object" ? Object.entries(map) : [];
  const sound = Number.isInteger(classes) && (classes as number) >= 1 && entries.length > 0 &&
    entries.every(([from, to]) =>
      /^\d+$/.test(from) && Number.isInteger(to) && to >= 0 && to < (classes as number)
    );
  if (!sound) {
    throw new UsageError({
      what: "A class map is malformed",
      found: path,
      advice: 'it looks like {"classes": 3, "map": {"0": 0, "7": 1, "8": 1}}',
    });
  }
  const table = new Map(entries.map(([from, to]) => [Number(from), to as number]));
  return { classes: classes as number, classOf: (label) => table.get(label) ?? IGNORED };
}

function layoutError(name: DatasetName | "davis", root: string, reason: string): UsageError {
  return new UsageError({
    what: `${root} is not ${name}`,
    found: reason,
    advice: `expected ${LAYOUTS[name]}`,
  });
}

/** Names in a folder, sorted, hidden ones left out; nothing where there is no folder. */
async function filesOf(folder: string): Promise<string[] | undefined> {
  try {
    const names: string[] = [];
    for await (const { name } of Deno.readDir(folder)) if (!name.startsWith(".")) names.push(name);
    return names.sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
    throw error;
  }
}

async function readLines(path: string): Promise<string[] | undefined> {
  try {
    return (await Deno.readTextFile(path)).split(/\s+/).filter((line) => line !== "");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** A file's name without its extension. */
function stem(file: string): string {
  return file.replace(/\.[^.]+$/, "");
}
