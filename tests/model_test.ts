import { assert, assertEquals } from "@std/assert";
import { buildGraph, buildManifest, fileOf, RECIPE } from "../models/build.ts";

const FOLDER = new URL("../models/", import.meta.url);

for (const grid of RECIPE.grids) {
  Deno.test(`buildGraph() gives the committed file of grid ${grid}, byte for byte`, async () => {
    const committed = await Deno.readFile(new URL(fileOf(grid), FOLDER));
    assert(committed.length <= 2 ** 20, `${committed.length} bytes`);
    const built = buildGraph(grid);
    assertEquals(built.length, committed.length);
    assert(built.every((byte, i) => byte === committed[i]), "run models/build.ts and commit what it writes");
  });
}

Deno.test("buildManifest() gives the committed manifest", async () => {
  const committed = JSON.parse(await Deno.readTextFile(new URL("embedded.json", FOLDER)));
  const built = JSON.parse(JSON.stringify(await buildManifest()));
  assertEquals(built, committed);
  for (const weights of Object.values(built.levelWeights as Record<string, Record<string, number>>)) {
    const sum = Object.values(weights).reduce((a, b) => a + b, 0);
    assert(Math.abs(sum - 1) < 1e-9, `the weights of the levels sum to ${sum}`);
  }
});
