import { assert, assertEquals, assertMatch } from "@std/assert";
import { writeNpy } from "../lib/npy.ts";
import { uniform } from "../lib/random.ts";

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
    const cases: [string[], RegExp][] = [
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
