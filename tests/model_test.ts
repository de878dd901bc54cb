import { assert, assertEquals } from "@std/assert";
import { buildGraph, buildManifest } from "../models/build.ts";

const FOLDER = new URL("../models/", import.meta.url);

Deno.test("buildGraph() gives the committed file, byte for byte", async () => {
  const committed = await Deno.readFile(new URL("embedded.onnx", FOLDER));
  assert(committed.length <= 2 * 2 ** 20, `${committed.length} bytes`);
  const built = buildGraph();
  assertEquals(built.length, committed.length);
  assert(built.every((byte, i) => byte === committed[i]), "run models/build.ts and commit what it writes");
});

Deno.test("buildManifest() gives the committed manifest", async () => {
  const committed = JSON.parse(await Deno.readTextFile(new URL("embedded.json", FOLDER)));
  const built = JSON.parse(JSON.stringify(await buildManifest(buildGraph())));
  assertEquals(built, committed);
  for (const weights of Object.values(built.levelWeights as Record<string, Record<string, number>>)) {
    const sum = Object.values(weights).reduce((a, b) => a + b, 0);
    assert(Math.abs(sum - 1) < 1e-9, `the weights of the levels sum to ${sum}`);
  }
});
