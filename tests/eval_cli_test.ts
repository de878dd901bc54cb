import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import { encode } from "fast-png";
import { evaluate } from "../lib/cli/eval.ts";
import { UsageError, WalkcutError } from "../lib/errors.ts";
import { openDataset, protocolOf } from "../lib/eval/datasets.ts";
import { readLabelMap, readLabelMaps } from "../lib/eval/label_map.ts";
import { encodeNpy } from "../lib/npy.ts";
import { encodeLabelPng, encodePng } from "../lib/sink/png.ts";

const [WIDTH, HEIGHT] = [24, 16];

/** Left half 3, right half 9. */
const halves = Uint16Array.from({ length: WIDTH * HEIGHT }, (_, p) => p % WIDTH < WIDTH / 2 ? 3 : 9);
const labelPng = (labels: Uint16Array<ArrayBuffer>, width = WIDTH, height = HEIGHT) =>
  encodeLabelPng({ width, height, pts: 0, labels });
const picture = encodePng({
  width: WIDTH,
  height: HEIGHT,
  pts: 0,
  channels: 3,
  data: new Uint8Array(WIDTH * HEIGHT * 3).fill(90),
});

/** A folder with images, labels and segments of two pictures, which `change` may spoil. */
async function withData(run: (root: string) => Promise<void>): Promise<void> {
  const root = await Deno.makeTempDir();
  try {
    for (const folder of ["images", "labels", "segments"]) await Deno.mkdir(`${root}/${folder}`);
    for (const id of ["a", "b"]) {
      await Deno.writeFile(`${root}/images/${id}.png`, picture);
      await Deno.writeFile(`${root}/labels/${id}.png`, labelPng(halves));
    }
    await Deno.writeFile(`${root}/segments/a.png`, labelPng(halves));
    await Deno.writeFile(`${root}/segments/b.png`, labelPng(new Uint16Array(WIDTH * HEIGHT).fill(1)));
    await run(root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

const folders = (root: string) => [
  ...["--images", `${root}/images`, "--labels", `${root}/labels`, "--segments", `${root}/segments`, "-q"],
];

/** What the command prints on stdout, as JSON. */
async function scoresOf(args: string[]): Promise<Record<string, number>> {
  const { log } = console;
  const lines: string[] = [];
  console.log = (line: string) => lines.push(line);
  try {
    assertEquals(await evaluate([...args, "--json"]), 0);
  } finally {
    console.log = log;
  }
  return JSON.parse(lines.join(""));
}

Deno.test("eval scores label maps of folders, by regions and by classes", () =>
  withData(async (root) => {
    const regions = await scoresOf([...folders(root), "--per-image", `${root}/rows.csv`]);
    // One picture is right, the other is one region over two halves: IoU ½ each, VoI 1 bit.
    assertEquals([regions.images, regions.covering, regions.voi], [2, 0.75, 0.5]);
    const rows = (await Deno.readTextFile(`${root}/rows.csv`)).trim().split("\n");
    assertEquals(rows.length, 3);
    assert(rows[2]!.startsWith("b,0.50000,"), rows[2]);
    await Deno.writeTextFile(`${root}/map.json`, '{"classes": 2, "map": {"3": 0, "9": 1}}');
    const classes = await scoresOf([...folders(root), "--class-map", `${root}/map.json`]);
    // TP 192 + 96 … over both pictures: accuracy 3/4.
    assertEquals(classes.accuracy, 0.75);
    assert(classes.miou! > 0.5 && classes.miou! < 0.75);
  }));

Deno.test("eval goes on where its journal ends, and refuses another run's", () =>
  withData(async (root) => {
    const args = [...folders(root), "--resume", `${root}/run.jsonl`];
    const whole = await scoresOf(args);
    const [header, first, second] = (await Deno.readTextFile(`${root}/run.jsonl`)).split("\n");
    // Stopped in the middle of the second line, and the first score replaced to see that it is used.
    const other = JSON.stringify({ ...JSON.parse(first!), covering: 0 });
    await Deno.writeTextFile(`${root}/run.jsonl`, `${header}\n${other}\n${second!.slice(0, 20)}`);
    const resumed = await scoresOf(args);
    assertEquals(resumed.covering, whole.covering! - 0.5);
    assertEquals((await Deno.readTextFile(`${root}/run.jsonl`)).trim().split("\n").length, 3);
    await assertRejects(() => evaluate([...args, "--refine", "pamr"]), UsageError, "other settings");
  }));

Deno.test("eval draws the worst pictures beside their truth", () =>
  withData(async (root) => {
    assertEquals(await evaluate([...folders(root), "--worst", "1", "--out", `${root}/worst`]), 0);
    const names = [...Deno.readDirSync(`${root}/worst`)].map((entry) => entry.name);
    assertEquals(names, ["001_b.png"]);
  }));

Deno.test("eval tells bad data in one line each", () =>
  withData(async (root) => {
    const fails = async (expected: string, args = folders(root)) => {
      const error = await assertRejects(() => evaluate(args), WalkcutError, expected);
      assert(!error.message.includes("\n"), error.message);
    };
    const labels = `${root}/labels/a.png`;
    await Deno.writeFile(labels, labelPng(new Uint16Array(12), 4, 3));
    await fails("differ in size");
    await Deno.writeFile(labels, picture);
    await fails("A label map has 3 channels");
    await Deno.writeTextFile(labels, "not a picture");
    await fails("is no PNG");
    await Deno.remove(labels);
    await fails("1 of 2 images have no label map");
    await Deno.writeFile(labels, labelPng(halves));
    await Deno.writeFile(`${root}/labels/stray.png`, labelPng(halves));
    await fails("1 label maps have no image: stray.png");
    await Deno.remove(`${root}/labels/stray.png`);
    await Deno.remove(`${root}/segments/b.png`);
    await fails("There is no label map of an image");
    const many = Float64Array.from({ length: 70_000 }, (_, i) => i);
    await Deno.writeFile(`${root}/segments/b.npy`, encodeNpy(many, [280, 250]));
    await fails("more labels than 16 bits hold: 70000");
    await Deno.mkdir(`${root}/empty`);
    await fails("holds no images", ["--images", `${root}/empty`, "--labels", `${root}/labels`]);
    await fails("holds no label maps", ["--images", `${root}/images`, "--labels", `${root}/empty`]);
    await fails("No such folder", ["--images", `${root}/nowhere`, "--labels", `${root}/labels`]);
    await fails("expected ROOT/images/val2017", ["--dataset", "coco-stuff-27", "--data", root]);
    await fails("needs --data ROOT", ["--dataset", "ade20k-150"]);
    await fails("expected ROOT/JPEGImages", ["--dataset", "davis", "--data", root]);
    await fails("nothing to score", []);
    await fails("go together", [...folders(root), "--worst", "3"]);
    await fails("several things", ["--scene", "easy", "--video", "x.mkv"]);
    await Deno.writeTextFile(`${root}/map.json`, '{"classes": 2, "map": {"3": 5}}');
    await fails("class map is malformed", [...folders(root), "--class-map", `${root}/map.json`]);
    await fails("score it on", ["--video", "x.mkv"]);
    await fails("Cannot read the label video", ["--video", `${root}/map.json`, "--truth", "y.mkv"]);
  }));

Deno.test("readLabelMap() reads grey of 1 to 16 bits and .npy", () =>
  withData(async (root) => {
    const data = new Uint8Array([0b1010_0000, 0b0110_0000]);
    await Deno.writeFile(`${root}/bits.png`, encode({ width: 3, height: 2, data, channels: 1, depth: 1 }));
    assertEquals([...(await readLabelMap(`${root}/bits.png`)).labels], [1, 0, 1, 0, 1, 1]);
    await Deno.writeFile(`${root}/wide.png`, labelPng(Uint16Array.of(1, 40_000), 2, 1));
    assertEquals([...(await readLabelMap(`${root}/wide.png`)).labels], [1, 40_000]);
    await Deno.writeFile(`${root}/m.npy`, encodeNpy(Float32Array.of(7, 70_000, 7, 2), [2, 2]));
    assertEquals([...(await readLabelMap(`${root}/m.npy`)).labels], [1, 2, 1, 0]);
    // Large and next to each other: float32 would take them for one.
    await Deno.writeFile(`${root}/m.npy`, encodeNpy(Int32Array.of(2 ** 30, 2 ** 30 + 1, 0, 2 ** 30), [2, 2]));
    assertEquals([...(await readLabelMap(`${root}/m.npy`)).labels], [1, 2, 0, 1]);
  }));

Deno.test("openDataset() knows the layouts and classes", async () => {
  const coco = protocolOf("coco-stuff-27");
  assertEquals([0, 1, 90, 91, 181, 182, 255].map(coco.classOf), [9, 11, 4, 17, 24, 65_535, 65_535]);
  assertEquals(new Set(Array.from({ length: 182 }, (_, i) => coco.classOf(i))).size, 27);
  assertEquals([6, 7, 33, 34].map(protocolOf("cityscapes-27").classOf), [65_535, 0, 26, 65_535]);
  assertEquals([0, 1, 150, 151].map(protocolOf("ade20k-150").classOf), [65_535, 0, 149, 65_535]);
  const root = await Deno.makeTempDir();
  try {
    for (
      const path of [
        "leftImg8bit/val/bonn/bonn_0_leftImg8bit.png",
        "images/validation/v1.jpg",
        "annotations/validation/v1.png",
        "images/val2017/000.jpg",
        "annotations/val2017/000.png",
      ]
    ) {
      await Deno.mkdir(`${root}/${path.slice(0, path.lastIndexOf("/"))}`, { recursive: true });
      await Deno.writeTextFile(`${root}/${path}`, "");
    }
    const city = await openDataset("cityscapes-27", root);
    assertEquals(city.items.map((item) => item.id), ["bonn_0"]);
    assertEquals(city.items[0]!.truths, [`${root}/gtFine/val/bonn/bonn_0_gtFine_labelIds.png`]);
    assertEquals((await openDataset("ade20k-150", root)).items.length, 1);
    assertEquals((await openDataset("coco-stuff-27", root)).items[0]!.id, "000");
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});

/** What SciPy's `savemat` writes of two annotators' maps with their boundaries, compressed. */
const MAT =
  "TUFUTEFCIDUuMCBNQVQtZmlsZSBQbGF0Zm9ybTogcG9zaXgsIENyZWF0ZWQgb246IFdlZCBOb3YgMjUgMDA6NDQ6NTggMjAy" +
  "NgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABSU0PAAAAjwAAAHic42NgYOBg" +
  "YmBgA9FAzMgAAaxIfCYozQ3E6UX5pXkpIUWlJRlgdXxA/IABoZ8Ji35GFHNZGHihfCkgDk5Nz03NK0ksyczPY3ACmZ1YlJla" +
  "zAADIPMdkMznRjMfZB8zkvksQMwD5oMgM1CeCW6OBZI5nEz4zWGCqgUJMTIObn8ygaEOI2X+ZAT7EwBNNRuq";
/** The same, not compressed. */
const PLAIN_MAT =
  "TUFUTEFCIDUuMCBNQVQtZmlsZSBQbGF0Zm9ybTogcG9zaXgsIENyZWF0ZWQgb246IFdlZCBOb3YgMjUgMDA6NDQ6NTggMjAy" +
  "NgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABSU0OAAAACAIAAAYAAAAIAAAA" +
  "AQAAAAAAAAAFAAAACAAAAAEAAAACAAAAAQAAAAsAAABncm91bmRUcnV0aAAAAAAADgAAAOAAAAAGAAAACAAAAAIAAAAAAAAA" +
  "BQAAAAgAAAABAAAAAQAAAAEAAAAAAAAABQAEAA0AAAABAAAAGgAAAFNlZ21lbnRhdGlvbgBCb3VuZGFyaWVzAAAAAAAAAAAA" +
  "DgAAAEAAAAAGAAAACAAAAAsAAAAAAAAABQAAAAgAAAACAAAAAwAAAAEAAAAAAAAABAAAAAwAAAABAAEAAQADAAIAAgAAAAAA" +
  "DgAAADgAAAAGAAAACAAAAAkCAAAAAAAABQAAAAgAAAACAAAAAwAAAAEAAAAAAAAAAgAAAAYAAAAAAAABAQEAAA4AAADgAAAA" +
  "BgAAAAgAAAACAAAAAAAAAAUAAAAIAAAAAQAAAAEAAAABAAAAAAAAAAUABAANAAAAAQAAABoAAABTZWdtZW50YXRpb24AQm91" +
  "bmRhcmllcwAAAAAAAAAAAA4AAABAAAAABgAAAAgAAAALAAAAAAAAAAUAAAAIAAAAAgAAAAMAAAABAAAAAAAAAAQAAAAMAAAA" +
  "AQABAAIAAgACACwBAAAAAA4AAAA4AAAABgAAAAgAAAAJAgAAAAAAAAUAAAAIAAAAAgAAAAMAAAABAAAAAAAAAAIAAAAGAAAA" +
  "AAABAQEBAAA=";

Deno.test("eval reads BSDS500 as it is published, all annotators of a .mat", async () => {
  const root = await Deno.makeTempDir();
  try {
    const [images, truths] = [`${root}/data/images/test`, `${root}/data/groundTruth/test`];
    for (const folder of [images, truths, `${root}/segments`]) await Deno.mkdir(folder, { recursive: true });
    for (const [id, text] of [["a", MAT], ["b", PLAIN_MAT]] as const) {
      await Deno.writeFile(`${truths}/${id}.mat`, Uint8Array.fromBase64(text));
      const maps = await readLabelMaps(`${truths}/${id}.mat`);
      assertEquals(maps.map(({ width, height, labels }) => [width, height, ...labels]), [
        [3, 2, 1, 1, 2, 1, 3, 2],
        [3, 2, 1, 2, 2, 1, 2, 300],
      ]);
      const data = new Uint8Array(18);
      await Deno.writeFile(
        `${images}/${id}.png`,
        encodePng({ width: 3, height: 2, pts: 0, channels: 3, data }),
      );
      await Deno.writeFile(`${root}/segments/${id}.png`, labelPng(Uint16Array.of(1, 1, 2, 1, 3, 2), 3, 2));
    }
    const args = ["--dataset", "bsds500", "--data", root, "--segments", `${root}/segments`, "-q"];
    const found = await scoresOf(args);
    // Equal to the first annotator; against the second 1, 2 and 300 lie best in 1 (2/3), 3 (1/3) and 2 (1/2).
    assertAlmostEquals(found.covering!, (1 + (2 * 2 / 3 + 3 / 3 + 1 / 2) / 6) / 2, 1e-9);
    const fails = async (bytes: Uint8Array<ArrayBuffer>, expected: string) => {
      await Deno.writeFile(`${truths}/a.mat`, bytes);
      const error = await assertRejects(() => evaluate(args), UsageError, expected);
      assert(!error.message.includes("\n"), error.message);
    };
    const whole = Uint8Array.fromBase64(PLAIN_MAT);
    for (const length of [0, 100, 131, 300, whole.length - 9]) {
      await fails(whole.slice(0, length), "is no MATLAB file");
    }
    const squeezed = Uint8Array.fromBase64(MAT);
    await fails(squeezed.fill(7, 150), "is no MATLAB file");
    await fails(whole.slice(0, 128), "holds no segmentation");
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
