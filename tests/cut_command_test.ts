import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { encodeNpy, writeNpy } from "../lib/npy.ts";
import { uniform } from "../lib/random.ts";
import { stoerWagner } from "./reference/dense.ts";

const MAIN = new URL("../main.ts", import.meta.url).pathname;

async function cut(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "--no-check", "--no-prompt", "--allow-read", "--allow-env", MAIN, "cut", ...args],
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = new TextDecoder();
  return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await run(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Symmetric weights of `blocks` equal groups. */
function blockMatrix(n: number, blocks: number, leak: number, seed: number): Float32Array<ArrayBuffer> {
  const next = uniform(seed);
  const matrix = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      const same = Math.floor(i * blocks / n) === Math.floor(j * blocks / n);
      matrix[i * n + j] = matrix[j * n + i] = (same ? 1 : leak) * (0.5 + next());
    }
  }
  return matrix;
}

Deno.test("walkcut cut finds the groups of a matrix and starts again from its output", () =>
  inFolder(async (folder) => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const n = 60;
    const path = `${folder}/m.npy`;
    await writeNpy(path, blockMatrix(n, 3, 0.01, seed), [n, n]);
    const first = await cut(path, "--device", "cpu");
    assertEquals([first.code, first.stderr], [0, ""], `seed ${seed}`);
    const { labels, segments, tree, device, ...rest } = JSON.parse(first.stdout);
    assertEquals([rest.n, segments.length, device, rest.warm], [n, 3, "cpu", false], `seed ${seed}`);
    for (let i = 0; i < n; i++) assertEquals(labels[i], labels[20 * Math.floor(i / 20)], `seed ${seed}`);
    assertEquals(new Set(labels).size, 3);
    assertEquals(tree.length, 5);
    await Deno.writeTextFile(`${folder}/first.json`, first.stdout);
    const again = JSON.parse((await cut(path, "--device", "cpu", "--init", `${folder}/first.json`)).stdout);
    assertEquals([again.labels, again.warm], [labels, true], `seed ${seed}`);
    const whole = JSON.parse((await cut(path, "--rows", "adjacency", "--threshold", "0.3")).stdout);
    assertEquals(new Set(labels.map((label: number, i: number) => `${label} ${whole.labels[i]}`)).size, 3);
  }));

Deno.test("walkcut cut separates a hundred blocks", () =>
  inFolder(async (folder) => {
    await writeNpy(`${folder}/m.npy`, blockMatrix(400, 100, 0, 1), [400, 400]);
    const { segments, labels } = JSON.parse((await cut(`${folder}/m.npy`, "--device", "cpu")).stdout);
    assertEquals(segments.length, 100);
    for (let i = 0; i < 400; i++) assertEquals(labels[i], labels[i - i % 4]);
  }));

Deno.test("walkcut cut refuses a bad matrix or start in one line", () =>
  inFolder(async (folder) => {
    const good = blockMatrix(6, 2, 0.1, 1);
    const bad = async (name: string, change: (matrix: Float32Array) => void) => {
      const matrix = good.slice();
      change(matrix);
      await writeNpy(`${folder}/${name}.npy`, matrix, [6, 6]);
      return [`${folder}/${name}.npy`];
    };
    await writeNpy(`${folder}/one.npy`, new Float32Array(1).fill(1), [1, 1]);
    await writeNpy(`${folder}/good.npy`, good, [6, 6]);
    await Deno.writeTextFile(`${folder}/init.json`, '{"labels": [1, 2]}');
    const bytes = encodeNpy(good, [6, 6]);
    const changed = async (name: string, from: string, to: string, size = bytes.length) => {
      const header = new TextDecoder("latin1").decode(bytes.subarray(0, 128)).replace(from, to);
      const file = bytes.slice(0, size);
      file.set(Uint8Array.from(header.slice(10, 128), (c) => c.charCodeAt(0)), 10);
      await Deno.writeFile(`${folder}/${name}.npy`, file);
      return [`${folder}/${name}.npy`];
    };
    await writeNpy(`${folder}/wide.npy`, good, [4, 9]);
    const cases: [string[], RegExp][] = [
      [[`${folder}/wide.npy`], /not a square matrix: shape \(4, 9\)/],
      [await changed("cut-off", "", "", bytes.length - 7), /truncated: 137 bytes of 144/],
      [await changed("fortran", "False", "True "), /Fortran order.*ascontiguousarray/],
      [await changed("integer", "<f4", "<i4"), /neither float32 nor float64.*<i4/],
      // The header alone is enough to refuse it.
      [
        await changed("large", "(6, 6), }        ", "(20000, 20000), }"),
        /too many nodes: 20000; 16384 are the most/,
      ],
      [[`${folder}/good.npy`, "--walk-steps", "9"], /walk-steps.*9/],
      [[`${folder}/good.npy`, "--thresholds", "few"], /neither exact nor a number: few/],
      [[`${folder}/good.npy`, "--stop", "manc-ncut", "--threshold", "1"], /no meaning for --stop manc-ncut/],
      [
        [`${folder}/good.npy`, "--rows", "adjacency", "--walk-steps", "2"],
        /no meaning with --rows adjacency: 2/,
      ],
      [await bad("nan", (m) => m[3] = NaN), /entry \(0, 3\) is no finite non-negative number: NaN/],
      [await bad("negative", (m) => m[8] = -1), /entry \(1, 2\) is no finite non-negative number: -1/],
      [await bad("empty", (m) => m.fill(0, 12, 18)), /a row is empty: 2/],
      [[`${folder}/one.npy`], /one node/],
      [
        [...await bad("skew", (m) => m[1]! += 1), "--rows", "adjacency"],
        /entries \(1, 0\) and \(0, 1\) differ/,
      ],
      [[`${folder}/good.npy`, "--init", `${folder}/init.json`], /labels of another number than 6/],
      [[`${folder}/good.npy`, "--stop", "ncut"], /needs a threshold/],
      [[`${folder}/missing.npy`], /missing\.npy/],
    ];
    for (const [args, line] of cases) {
      const { code, stdout, stderr } = await cut(...args);
      assertEquals([code, stdout], [2, ""], stderr);
      assertMatch(stderr, line);
      assert(stderr.trim().split("\n").length === 1, stderr);
    }
  }));

Deno.test("walkcut cut handles matrices at the edge, on both devices", () =>
  inFolder(async (folder) => {
    const equal = new Float32Array(64).fill(3);
    await writeNpy(`${folder}/equal.npy`, equal, [8, 8]);
    const two = Float64Array.of(1, 0, 0, 2);
    await writeNpy(`${folder}/two.npy`, two, [2, 2]);
    // Blocks of different size without any tie, in mixed order.
    const n = 90;
    const block = Array.from({ length: n }, (_, i) => [0, 1, 2, 1, 2, 2][i * 7 % 6]!);
    const apart = Float32Array.from({ length: n * n }, (_, at) => {
      const [i, j] = [Math.floor(at / n), at % n];
      return block[i] === block[j] ? 1 + (i * j) % 3 : 0;
    });
    await writeNpy(`${folder}/apart.npy`, apart, [n, n]);
    for (const device of ["cpu", "webgpu"]) {
      const run = async (name: string, ...args: string[]) => {
        const { code, stdout, stderr } = await cut(`${folder}/${name}.npy`, "--device", device, ...args);
        assertEquals([code, stderr], [0, ""], `${name}, ${device}`);
        return JSON.parse(stdout);
      };
      const whole = await run("equal");
      assertEquals([whole.segments.length, whole.device], [1, device]);
      assertEquals(new Set((await run("two", "--threshold", "0.5")).labels).size, 2, device);
      const { labels, segments } = await run("apart", "--stop", "ncut", "--threshold", "0.1");
      assertEquals(segments.length, 3, device);
      assertEquals(new Set(labels.map((label: number, i: number) => `${label} ${block[i]}`)).size, 3, device);
    }
  }));

Deno.test("walkcut cut tells the exact minimum cut of each segment, and counts what it did", () =>
  inFolder(async (folder) => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const n = 24;
    const a = Float32Array.from(blockMatrix(n, 2, 0.05, seed), (v) => v / 30);
    await writeNpy(`${folder}/a.npy`, a, [n, n]);
    const run = async (...args: string[]) =>
      JSON.parse((await cut(`${folder}/a.npy`, "--device", "cpu", ...args)).stdout);
    const { segments, labels } = await run(
      "--rows",
      "adjacency",
      "--stop",
      "manc-mincut",
      "--max-segments",
      "2",
    );
    for (const { id, size, mincut } of segments) {
      const nodes = [...labels.keys()].filter((i) => labels[i] === id);
      assertEquals(nodes.length, size);
      const inside = Float64Array.from({ length: size * size }, (_, at) => {
        return a[nodes[Math.floor(at / size)]! * n + nodes[at % size]!]!;
      });
      const expected = size > 1 ? stoerWagner(inside, size) : undefined;
      if (expected === undefined) assertEquals(mincut, undefined);
      else assertAlmostEquals(mincut, expected, 1e-5 * expected, `seed ${seed}, segment of ${size}`);
    }
    const formed = await run(
      "--walk-steps",
      "3",
      "--power",
      "form",
      "--thresholds",
      "4",
      "--solver",
      "operator",
    );
    assertEquals([formed.power, formed.matrix_products, formed.solver], ["form", 2, "operator"]);
    const applied = await run("--walk-steps", "3", "--power", "apply");
    assertEquals([applied.power, applied.matrix_products], ["apply", 0]);
    const walks = ["form", "apply"].map((power) =>
      run(
        "--walk-steps",
        "3",
        "--adjacency",
        "walk",
        "--power",
        power,
        "--max-segments",
        "2",
        "--threshold",
        "1.2",
      )
    );
    const [own, through] = await Promise.all(walks);
    assertEquals([own!.matrix_products, through!.power, through!.matrix_products], [2, "apply", 0]);
    assertEquals([own!.segments.length, through!.labels], [2, own!.labels], `seed ${seed}`);
    assert(through!.operator_applications >= 3 * n, `${through!.operator_applications} products`);
    const bounded = await run("--max-segments", "2", "--min-area", "0.4", "--threshold", "1.9");
    assertEquals(bounded.segments.length, 2);
    for (const { size } of bounded.segments) assert(size >= 0.4 * n - 0.5, `seed ${seed}: ${size}`);
  }));
