import { assert, assertEquals, assertRejects } from "@std/assert";
import { Cache } from "../bench/quality/cache.ts";
import { main } from "../bench/quality/quality.ts";
import { readResults, tableOf, writeResults } from "../bench/quality/report.ts";
import { UsageError, WalkcutError } from "../lib/errors.ts";
import { inFolder } from "./io_media.ts";

Deno.test("the quality bench's results outlive a stopped run, and not a change of what they depend on", () =>
  inFolder(async (root) => {
    let found = 0;
    const find = () => Promise.resolve({ value: ++found });
    const open = (fresh: boolean) => Cache.open("foreign", fresh, `${root}/`);
    assertEquals(await (await open(false)).value({ a: 1 }, find), { value: 1 });
    const again = await open(false);
    assertEquals(await again.value({ a: 1 }, find), { value: 1 });
    assertEquals(await again.value({ a: 2 }, find), { value: 2 });
    await (await again.journal({ b: 1 })).add({ id: "x", segments: 3, ms: 1 });
    assertEquals((await (await open(false)).journal({ b: 1 })).done.get("x")?.segments, 3);
    assertEquals((await (await open(false)).journal({ b: 2 })).done.size, 0);
    // A result whose writing was stopped is found again, one of other sources is removed.
    const [version] = [...Deno.readDirSync(`${root}/foreign`)].map(({ name }) => name);
    for (const { name } of Deno.readDirSync(`${root}/foreign/${version}`)) {
      if (name.endsWith(".json")) await Deno.writeTextFile(`${root}/foreign/${version}/${name}`, '{"val');
    }
    assertEquals(await (await open(false)).value({ a: 1 }, find), { value: 3 });
    await Deno.rename(`${root}/foreign/${version}`, `${root}/foreign/other`);
    assertEquals(await (await open(false)).value({ a: 1 }, find), { value: 4 });
    assertEquals([...Deno.readDirSync(`${root}/foreign`)].map(({ name }) => name), [version]);
    assertEquals(await (await open(true)).value({ a: 1 }, find), { value: 5 });
  }));

Deno.test("the quality bench writes a section beside what other sections found", () =>
  inFolder(async (root) => {
    const [json, page] = [`${root}/results.json`, `${root}/RESULTS.md`];
    const section = { data: "2 pictures", device: "CPU", date: "2026-01-01" };
    const rows = [{ name: "k = 1", covering: 0.5, voi: NaN, segments: 3, images: 2 }];
    assert(tableOf({ ...section, rows }).includes("| k = 1 | 0.500 | – | 3.0 |"));
    await writeResults(json, page, { walk: { ...section, rows } });
    const found = await readResults(json);
    await writeResults(json, page, {
      ...found,
      grid: { ...section, rows: [{ name: "grid 32", pri: 0.75 }] },
    });
    const text = await Deno.readTextFile(page);
    const row = (pattern: RegExp) => text.search(pattern);
    assert(row(/\| grid 32 +\| +0\.750 +\|/) > 0, text);
    assert(row(/\| grid 32 +\| +0\.750 +\|/) < row(/\| k = 1 +\| +0\.500 +\|/), text);
    await Deno.writeTextFile(json, "{");
    await assertRejects(() => readResults(json), WalkcutError, "Cannot read the results");
  }));

Deno.test("the quality bench tells wrong usage in one line", async () => {
  const fails = (expected: string, ...args: string[]) =>
    assertRejects(() => main(args), UsageError, expected);
  await fails("Unknown option of quality: --grids; known are --only", "--grids=32");
  await fails("--only is none of methods", "--only", "colours");
  await fails("--first is no positive number: 0", "--first", "0");
  await fails("--peers is none of ours, diffseg", "--peers", "ours,theirs");
});
