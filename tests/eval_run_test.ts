/**
 * `walkcut eval` from end to end: data sets as they lie on disk, label videos, scenes, tables, peers.
 */
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { evaluate } from "../lib/cli/eval.ts";
import { WalkcutError } from "../lib/errors.ts";
import { readLabelMap } from "../lib/eval/label_map.ts";
import { overlap } from "../lib/eval/metrics.ts";
import { OverlapMatcher } from "../lib/eval/overlap_matcher.ts";
import { uniform } from "../lib/random.ts";
import { encodeLabelPng, encodePng } from "../lib/sink/png.ts";
import { ffmpeg, inFolder } from "./io_media.ts";

const [WIDTH, HEIGHT] = [48, 32];

/** What the command prints on stdout, as JSON. */
// deno-lint-ignore no-explicit-any -- each way of scoring has its own shape
async function scoresOf(...args: string[]): Promise<any> {
  const { log } = console;
  const lines: string[] = [];
  console.log = (line: string) => lines.push(line);
  try {
    assertEquals(await evaluate([...args, "--json", "--quiet"]), 0);
  } finally {
    console.log = log;
  }
  return JSON.parse(lines.join(""));
}

/** Writes a file, with its folders. */
async function put(path: string, bytes: Uint8Array): Promise<void> {
  await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  await Deno.writeFile(path, bytes);
}

/** A label map of upright stripes of equal width. */
function stripes(...labels: number[]): Uint16Array<ArrayBuffer> {
  return Uint16Array.from(
    { length: WIDTH * HEIGHT },
    (_, p) => labels[Math.floor((p % WIDTH) * labels.length / WIDTH)]!,
  );
}

const labelPng = (labels: Uint16Array<ArrayBuffer>) =>
  encodeLabelPng({ width: WIDTH, height: HEIGHT, pts: 0, labels });

/** A picture with a colour for each label. */
function picture(labels: Uint16Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(WIDTH * HEIGHT * 3);
  labels.forEach((label, p) => {
    for (let c = 0; c < 3; c++) data[3 * p + c] = (label * (97 + 31 * c)) % 256;
  });
  return encodePng({ width: WIDTH, height: HEIGHT, pts: 0, channels: 3, data });
}

/** Where each data set has a picture, its annotation, and labels: two of one class, one other, one that is ignored. */
const LAYOUTS = {
  // Cat and dog are both animals; 255 is not labelled.
  "coco-stuff-27": {
    image: "images/val2017/000000000139.jpg",
    truth: "annotations/val2017/000000000139.png",
    labels: [16, 17, 0, 255],
  },
  // Road, road, sky, ego vehicle.
  "cityscapes-27": {
    image: "leftImg8bit/val/lindau/lindau_000000_000019_leftImg8bit.png",
    truth: "gtFine/val/lindau/lindau_000000_000019_gtFine_labelIds.png",
    labels: [7, 7, 23, 1],
  },
  // Wall, wall, building, other.
  "ade20k-150": {
    image: "images/validation/ADE_val_00000001.jpg",
    truth: "annotations/validation/ADE_val_00000001.png",
    labels: [1, 1, 2, 0],
  },
} as const;

for (const [name, { image, truth, labels }] of Object.entries(LAYOUTS)) {
  Deno.test(`eval --dataset ${name} reads its layout, merges its classes and leaves out what is ignored`, () =>
    inFolder(async (root) => {
      const id = image.split("/").at(-1)!.replace(/(_leftImg8bit)?\.\w+$/, "");
      await put(`${root}/${image}`, picture(stripes(...labels)));
      await put(`${root}/${truth}`, labelPng(stripes(...labels)));
      // The centre square holds the two middle stripes and half of each outer one.
      await put(`${root}/right/${id}.png`, labelPng(stripes(8, 8, 9, 9)));
      await put(`${root}/split/${id}.png`, labelPng(stripes(7, 8, 9, 9)));
      const of = (segments: string) =>
        scoresOf("--dataset", name, "--data", root, "--segments", `${root}/${segments}`);
      const right = await of("right");
      assertEquals([right.images, right.miou, right.accuracy, right.f1], [1, 1, 1, 1]);
      // Of the class of two stripes, 4 and 12 columns in the square, the larger part is right.
      const split = await of("split");
      assertAlmostEquals(split.accuracy, (12 + 12) / 28, 1e-3);
    }));
}

Deno.test("eval --dataset coco-stuff-27 takes the listed pictures only, bsds500 several annotators", () =>
  inFolder(async (root) => {
    for (const id of ["a", "b"]) {
      await put(`${root}/coco/images/val2017/${id}.jpg`, picture(stripes(1, 2)));
      await put(`${root}/coco/annotations/val2017/${id}.png`, labelPng(stripes(0, 100)));
      await put(`${root}/segments/${id}.png`, labelPng(stripes(1, 2)));
      await put(`${root}/bsds/images/${id}.jpg`, picture(stripes(1, 2)));
      await put(`${root}/bsds/labels/${id}_1.png`, labelPng(stripes(3, 4)));
      await put(`${root}/bsds/labels/${id}_2.png`, labelPng(stripes(3)));
    }
    const list = "coco/curated/val2017/Coco164kFull_Stuff_Coarse_7.txt";
    await put(`${root}/${list}`, new TextEncoder().encode("b\n"));
    const segments = ["--segments", `${root}/segments`];
    assertEquals(
      (await scoresOf("--dataset", "coco-stuff-27", "--data", `${root}/coco`, ...segments)).images,
      1,
    );
    const bsds = await scoresOf("--dataset", "bsds500", "--data", `${root}/bsds`, ...segments);
    // Right by the first annotator; one region in two halves by the second: covering ½, VoI 1 bit.
    assertEquals([bsds.images, bsds.covering, bsds.voi], [2, 0.75, 0.5]);
  }));

Deno.test("eval --dataset davis segments each sequence and scores it; 0 does not count", () =>
  inFolder(async (root) => {
    for (const index of ["00000", "00001"]) {
      await put(`${root}/JPEGImages/480p/bear/${index}.jpg`, picture(stripes(1, 2, 3)));
      await put(`${root}/Annotations_unsupervised/480p/bear/${index}.png`, labelPng(stripes(0, 5, 0)));
    }
    await put(`${root}/ImageSets/2017/val.txt`, new TextEncoder().encode("bear\n"));
    const found = await scoresOf("--dataset", "davis", "--data", root, "--device", "cpu", "--grid", "32");
    assertEquals(found.sequences.map((s: { name: string; frames: number }) => [s.name, s.frames]), [[
      "bear",
      2,
    ]]);
    assert(found.jf > 0.8, `${found.jf}`);
    await Deno.remove(`${root}/JPEGImages/480p/bear/00001.jpg`);
    await assertRejects(
      () => evaluate(["--dataset", "davis", "--data", root]),
      WalkcutError,
      "of bear differ",
    );
  }));

/** A lossless video of label maps. */
async function labelVideo(path: string, maps: readonly Uint16Array<ArrayBuffer>[]): Promise<void> {
  const raw = `${path}.raw`;
  const bytes = maps.flatMap((map) => [...new Uint8Array(map.buffer)]);
  await Deno.writeFile(raw, new Uint8Array(bytes));
  const format = ["-f", "rawvideo", "-pix_fmt", "gray16le", "-s", `${WIDTH}x${HEIGHT}`, "-r", "5"];
  await ffmpeg(...format, "-i", raw, "-c:v", "ffv1", path);
}

Deno.test("eval --video scores label videos against truth, and against the clip alone", () =>
  inFolder(async (root) => {
    const truth = [stripes(300, 400), stripes(300, 400), stripes(300, 400)];
    const labels = [stripes(1, 2), stripes(1, 2), stripes(1, 3)];
    await labelVideo(`${root}/truth.mkv`, truth);
    await labelVideo(`${root}/labels.mkv`, labels);
    await put(`${root}/0.png`, picture(stripes(1, 2)));
    await ffmpeg(
      "-loop",
      "1",
      "-i",
      `${root}/0.png`,
      "-frames:v",
      "3",
      "-r",
      "5",
      "-c:v",
      "ffv1",
      `${root}/clip.mkv`,
    );
    const scored = await scoresOf(
      ...["--video", `${root}/labels.mkv`, "--truth", `${root}/truth.mkv`, "--input", `${root}/clip.mkv`],
      ...["--per-image", `${root}/tracks.csv`],
    );
    assertEquals([scored.frames, scored.truth.miou, scored.truth.switches], [3, 1, 1]);
    // Whole: 1; in parts of 2 and 1 frames: (2·2/3 + 1·1/3)/3 = 5/9.
    assertAlmostEquals(scored.truth.aq, (1 + 5 / 9) / 2, 1e-9);
    // Nothing moves: half of the pixels change their id in one of two steps.
    assertAlmostEquals(scored.steady.flicker, 0.25, 1e-9);
    assertEquals((await Deno.readTextFile(`${root}/tracks.csv`)).split("\n").slice(0, 3), [
      "id,frames,followed,switches,fragmentations",
      "300,3,3,0,0",
      "400,3,3,1,0",
    ]);
    const alone = await scoresOf("--video", `${root}/labels.mkv`, "--input", `${root}/clip.mkv`);
    assertEquals([alone.truth, alone.steady], [undefined, scored.steady]);

    const fails = async (expected: string, ...args: string[]) => {
      const error = await assertRejects(() => evaluate(["--video", ...args, "-q"]), WalkcutError, expected);
      assert(!error.message.includes("\n"), error.message);
    };
    await labelVideo(`${root}/short.mkv`, truth.slice(1));
    await fails("The truth has fewer frames", `${root}/labels.mkv`, "--truth", `${root}/short.mkv`);
    await fails("The truth has more frames", `${root}/short.mkv`, "--truth", `${root}/truth.mkv`);
    await fails("has 3 channels", `${root}/clip.mkv`, "--truth", `${root}/truth.mkv`);
    await ffmpeg("-i", `${root}/clip.mkv`, "-vf", "scale=24:16", "-c:v", "ffv1", `${root}/small.mkv`);
    await fails("Labels and input differ in size", `${root}/labels.mkv`, "--input", `${root}/small.mkv`);
  }));

Deno.test("eval --scene scores a sample scene by the tracker's ids and by overlap alone", async () => {
  const scene = ["--scene", "easy", "--seconds", "0.2", "--device", "cpu", "--grid", "32"];
  const tracked = await scoresOf(...scene);
  const bare = await scoresOf(...scene, "--no-warm-start", "--match", "overlap");
  assert(tracked.frames > 1 && tracked.frames === bare.frames);
  for (const { truth, steady } of [tracked, bare]) {
    assert(truth.aq > 0.3 && truth.aq <= 1, `${truth.aq}`);
    assert(steady.flicker >= 0 && steady.flicker < 0.5, `${steady.flicker}`);
  }
});

Deno.test("eval --table runs each row on the embedded network beside the paper's figures, and goes on", () =>
  inFolder(async (root) => {
    await put(`${root}/images/a.png`, picture(stripes(1, 2, 3)));
    await put(`${root}/labels/a.png`, labelPng(stripes(1, 2, 3)));
    const args = [
      ...["--table", "paper5", "--images", `${root}/images`, "--labels", `${root}/labels`],
      ...["--device", "cpu", "--grid", "32", "--resume", `${root}/table`],
    ];
    const { rows } = await scoresOf(...args);
    assertEquals(rows.map((row: { label: string }) => row.label), [
      ...["diffcut", "diffcut + PAMR", "walkcut", "walkcut + PAMR"],
    ]);
    for (const { published, summary } of rows) {
      assert(published.miou > 30);
      assert(summary.covering > 0.6, `${summary.covering}`);
    }
    const journal = await Deno.readTextFile(`${root}/table.3`);
    assertEquals(journal.trim().split("\n").length, 2);
    await Deno.writeTextFile(`${root}/table.3`, journal.replace(/"covering":[\d.]+/, '"covering":0.125'));
    assertEquals((await scoresOf(...args)).rows[2].summary.covering, 0.125);
    // The same pictures as COCO-Stuff, in the folder of its name.
    await put(`${root}/data/coco-stuff-27/images/val2017/a.jpg`, picture(stripes(1, 2, 3)));
    await put(`${root}/data/coco-stuff-27/annotations/val2017/a.png`, labelPng(stripes(0, 100, 130)));
    const classes = await scoresOf("--table", "paper5", "--data", `${root}/data`, ...args.slice(6, 10));
    assert(classes.rows.every((row: { summary: { miou: number } }) => row.summary.miou > 0.3));
    await assertRejects(
      () => evaluate(["--table", "paper5"]),
      WalkcutError,
      "needs pictures; give --data ROOT",
    );
    // Levels of 64 are all there is in this row of the paper.
    const third = await scoresOf("--table", "paper3", ...args.slice(2, -2), "--limit", "1");
    assert(third.rows.filter((row: { reason?: string }) => !row.reason).length === third.rows.length - 2);
  }));

Deno.test("eval refuses options that its way of scoring does not take", async () => {
  const fails = (expected: string, ...args: string[]) =>
    assertRejects(() => evaluate(args), WalkcutError, expected);
  await fails(
    "--worst does not apply to --video",
    "--video",
    "a",
    "--truth",
    "b",
    "--worst",
    "1",
    "--out",
    "x",
  );
  await fails("--method does not apply to --table", "--table", "paper1", "--method", "diffseg");
  await fails("--match does not apply to --images", "--images", "a", "--labels", "b", "--match", "overlap");
  await fails("--resume does not apply to --scene", "--scene", "easy", "--resume", "x");
  await fails("--class-map does not apply to --dataset davis", "--dataset", "davis", "--class-map", "x");
});

Deno.test("eval scores every peer and the refinement on the same pictures", () =>
  inFolder(async (root) => {
    await put(`${root}/images/a.png`, picture(stripes(1, 2, 3)));
    await put(`${root}/labels/a.png`, labelPng(stripes(1, 2, 3)));
    const of = (...args: string[]) => {
      const folders = ["--images", `${root}/images`, "--labels", `${root}/labels`];
      return scoresOf(...folders, "--device", "cpu", "--grid", "32", ...args);
    };
    for (const method of ["walkcut", "diffseg", "diffcut"]) {
      const found = await of("--method", method, "--refine", "pamr");
      assert(found.pri > 0.8 && found.ms > 0, `${method}: ${found.pri}`);
    }
    // K-means of a dozen regions at least: what one truth region holds is cut up, nothing is lumped.
    const masks = await of("--method", "emerdiff");
    assert(masks.segments > 10, `${masks.segments}`);
    // DiffCut cuts nothing at τ = 0; DiffSeg lumps what it can at a large distance.
    assertEquals((await of("--method", "diffcut", "--threshold", "0")).segments, 1);
    const fewer = await of("--method", "diffseg", "--threshold", "2");
    const more = await of("--method", "diffseg", "--threshold", "0.1");
    assert(fewer.segments < more.segments, `${fewer.segments} and ${more.segments}`);
    await assertRejects(() => of("--method", "diffcut", "--walk-steps", "2"), WalkcutError, "--walk-steps");
    await assertRejects(() => of("--method", "emerdiff", "--threshold", "1"), WalkcutError, "--threshold");
  }));

Deno.test("eval --worst draws image, truth and labels side by side, the worst first", () =>
  inFolder(async (root) => {
    for (const [id, segments] of [["good", [1, 2]], ["bad", [1, 1]]] as const) {
      await put(`${root}/images/${id}.png`, picture(stripes(1, 2)));
      await put(`${root}/labels/${id}.png`, labelPng(stripes(5, 6)));
      await put(`${root}/segments/${id}.png`, labelPng(stripes(...segments)));
    }
    const folders = ["images", "labels", "segments"].flatMap((name) => [`--${name}`, `${root}/${name}`]);
    await scoresOf(...folders, "--worst", "20", "--out", `${root}/worst`);
    const names = [...Deno.readDirSync(`${root}/worst`)].map(({ name }) => name).sort();
    assertEquals(names, ["001_bad.png", "002_good.png"]);
    const raw = await ffmpeg("-i", `${root}/worst/001_bad.png`, "-f", "rawvideo", "-pix_fmt", "rgb24", "-");
    assertEquals(raw.length, 3 * WIDTH * HEIGHT * 3);
    const at = (x: number) => [...raw.subarray(3 * x, 3 * x + 3)].join();
    assertEquals([at(0), at(WIDTH - 1)], ["97,128,159", "194,0,62"], "the picture");
    assert(at(WIDTH + 4) !== at(2 * WIDTH - 4), "two regions of the truth");
    assertEquals(at(2 * WIDTH + 4), at(3 * WIDTH - 4), "one segment");
    await assertRejects(() => readLabelMap(`${root}/worst/001_bad.png`), WalkcutError, "3 channels");
  }));

Deno.test("OverlapMatcher keeps ids by the best sum of overlaps and gives none twice", () => {
  const seed = Math.floor(Math.random() * 1e9);
  const random = uniform(seed);
  const matcher = new OverlapMatcher();
  const first = matcher.match(stripes(7, 9));
  assertEquals([...new Set(first)], [1, 2]);
  // Other names, the border moved: the ids stay. A third segment is new, and the next to come is new again.
  assertEquals([...new Set(matcher.match(stripes(3, 3, 3, 5, 5)))], [1, 2]);
  assertEquals(new Set(matcher.match(stripes(4, 8, 6))), new Set([1, 3, 2]));
  matcher.match(stripes(1));
  assert(![2, 3].includes(Math.max(...matcher.match(stripes(1, 1, 2)))));
  // The names of labels never matter.
  for (let round = 0; round < 20; round++) {
    const maps = Array.from(
      { length: 3 },
      () => Uint16Array.from({ length: 60 }, () => Math.floor(4 * random())),
    );
    const [a, b] = [new OverlapMatcher(), new OverlapMatcher()];
    for (const map of maps) {
      const [plain, renamed] = [a.match(map), b.match(map.map((label) => 50 - label))];
      assertEquals(overlap(plain, renamed).pairs.length, new Set(plain).size, `seed ${seed}`);
    }
  }
});
