import { assert, assertEquals, assertGreaterOrEqual, assertMatch, assertRejects } from "@std/assert";
import { limitsOf, measure } from "../bench/cut/measure.ts";
import { main } from "../bench/cut/cut.ts";
import { PEERS, runPeers } from "../bench/cut/peers.ts";
import { walksOf } from "../bench/cut/walks.ts";
import { UsageError, WalkcutError } from "../lib/errors.ts";
import { adjustedRand } from "../lib/eval/metrics.ts";
import { scene } from "../lib/eval/scene.ts";
import { encodePng } from "../lib/sink/png.ts";
import { createCpuWalkDevice } from "../lib/walk/cpu/walk_device.ts";

/** A Python with NumPy and SciPy. */
async function scientificPython(): Promise<string | undefined> {
  for (const python of ["python3", "/usr/bin/python3"]) {
    const output = await new Deno.Command(python, { args: ["-c", "import numpy, scipy"] }).output()
      .catch(() => undefined);
    if (output?.success) return python;
  }
  return undefined;
}

Deno.test("the cut's bench counts what is done, and its peers find the same partition", async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const folder = await Deno.makeTempDir();
  const device = await createCpuWalkDevice();
  try {
    const { value } = scene({ seed, grade: "easy", width: 160, height: 120, seconds: 1 }).next();
    assert(value);
    const file = `${folder}/scene.png`;
    await Deno.writeFile(file, encodePng({ ...value.frame, channels: 3 }));
    const [pair] = await walksOf([file], 256);
    assert(pair);
    assertEquals([pair.n, pair.before.length, pair.now.length], [256, 256 ** 2, 256 ** 2]);
    assert(pair.before.some((v, i) => v !== pair.now[i]), "the shifted picture is the same");
    const limits = await limitsOf(device, pair);
    assert(limits.bandwidth > 0 && limits.arithmetic > 0);
    const [cold, warm] = await measure(device, pair, 2, 1);
    assert(cold && warm);
    assertEquals([cold.start, warm.start], ["cold", "warm"]);
    assert(warm.products < cold.products, `${warm.products} of ${cold.products}, seed ${seed}`);
    for (const run of [cold, warm]) {
      assert(run.bytes > 0 && run.ms > 0);
      assertGreaterOrEqual(run.operations, 2 * 256 ** 2 * run.products);
    }
    const python = await scientificPython();
    if (!python) return console.log("skipped: there is no Python with NumPy and SciPy for the peers");
    const peers = await runPeers(pair, 2, ["dense", "eigsh", "lobpcg"], python);
    assertEquals(peers.map(({ method }) => method), Object.keys(PEERS));
    for (const { method, labels, segments } of peers) {
      assertEquals(new Set(labels).size, segments);
      // They try 100 thresholds, we all.
      const agreement = adjustedRand(cold.labels, labels);
      assertGreaterOrEqual(agreement, 0.8, `${method}, seed ${seed}`);
    }
  } finally {
    await device.close();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the cut's bench says in one line what is wrong with its options, or that Python is missing", async () => {
  const told = async (...args: string[]) => {
    const error = await assertRejects(() => main(args), WalkcutError);
    assertMatch(error.message, /^[^\n]+$/);
    return error;
  };
  for (
    const args of [
      ["--sizes", "100x"],
      ["--sizes", "8192"],
      ["--steps", "9"],
      ["--device", "tpu"],
      [
        "--peers",
        "magma",
      ],
      ["--fast"],
      ["--repeats", "0"],
    ]
  ) assert(await told(...args) instanceof UsageError, args.join(" "));
  const pair = { source: "none", n: 1, before: new Float32Array(1), now: new Float32Array(1).fill(1) };
  const error = await assertRejects(() => runPeers(pair, 1, ["eigsh"], "/no/python"), WalkcutError);
  assertMatch(error.message, /^Cannot start Python for the peers: \/no\/python; .*python3-scipy[^\n]*$/);
});
