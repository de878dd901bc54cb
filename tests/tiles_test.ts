import { assertEquals, assertLessOrEqual, assertRejects } from "@std/assert";
import { WalkcutError } from "../lib/errors.ts";
import { deflate, gram, orthonormalise, roundedGram, rowGram, scaledGram } from "../lib/cut/blocks.ts";
import { gaussian } from "../lib/random.ts";
import { instantiateTiles, LOW, TALL } from "../lib/walk/cpu/tile_module.ts";
import { type Region, TileMemory } from "../lib/walk/cpu/tiles.ts";
import { createCpuWalkDevice } from "../lib/walk/cpu/walk_device.ts";
import { applyWord, multiply } from "../lib/walk/reference.ts";

const freshSeed = () => Math.floor(Math.random() * 2 ** 31);

/** Largest difference as a share of the largest value. */
function relativeError(found: Float32Array, expected: Float32Array): number {
  assertEquals(found.length, expected.length);
  let [error, size] = [0, 0];
  expected.forEach((value, i) => {
    error = Math.max(error, Math.abs(value - found[i]!));
    size = Math.max(size, Math.abs(value));
  });
  return error / size;
}

Deno.test("TileMemory.multiply() is the reference's product, for A and Aᵀ of any shape", () => {
  const seed = freshSeed();
  const memory = new TileMemory();
  // What lies in the memory beforehand must not matter.
  const dirt = memory.allocate(1 << 20);
  memory.numbers.fill(NaN, dirt.at, dirt.at + dirt.length);
  memory.free(dirt);
  for (
    const [n, columns] of [[1, 1], [3, 9], [8, 8], [128, 3], [63, 5], [266, 40], [129, 130], [517, 17], [
      700,
      1,
    ]] as const
  ) {
    const values = gaussian(n * n, seed + n);
    const block = gaussian(n * columns, seed + n + 1);
    const a = memory.matrix(values, n, n);
    for (const transposed of [false, true]) {
      const b = memory.panels(block, n, columns);
      const c = memory.multiply(a, transposed, b);
      const error = relativeError(memory.read(c), multiply(values, n, block, columns, transposed));
      assertLessOrEqual(error, 2e-6, `n ${n}, columns ${columns}, transposed ${transposed}, seed ${seed}`);
      memory.free(b);
      memory.free(c);
    }
    assertEquals(memory.values(a), values);
    memory.free(a);
  }
});

Deno.test("TileMemory makes large products with helpers, bit for bit those of one thread, whenever they wake", async () => {
  const seed = freshSeed();
  const alone = new TileMemory();
  const helped = new TileMemory(2);
  for (let round = 0; round < 12; round++) {
    const n = 1030 + (seed + 97 * round) % 300;
    const columns = [1, 9, 130][round % 3]!;
    const values = gaussian(n * n, seed + round);
    const block = gaussian(n * columns, seed + n);
    const products = [alone, helped].map((memory) => {
      const a = memory.matrix(values, n, n);
      const b = memory.panels(block, n, columns);
      const found = [false, true].map((transposed) => {
        const c = memory.multiply(a, transposed, b);
        const product = memory.read(c);
        memory.free(c);
        return product;
      });
      memory.free(a);
      memory.free(b);
      return found;
    });
    const message = `n ${n}, columns ${columns}, seed ${seed}`;
    assertEquals(products[1], products[0], message);
    const expected = multiply(values, n, block, columns, true);
    assertLessOrEqual(relativeError(products[1]![1]!, expected), 2e-6, message);
    // Some products find them asleep, and some closed.
    if (round % 4 === 2) await new Promise((resolve) => setTimeout(resolve, 120));
    if (round === 5) helped.close();
  }
  helped.close();
});

Deno.test("TileMemory.allocate() gives regions apart from each other and uses freed ones again", () => {
  const seed = freshSeed();
  const memory = new TileMemory();
  const random = gaussian(4000, seed);
  let held: Region[] = [];
  for (let round = 0; round < 2000; round++) {
    const pick = Math.abs(random[2 * round]!);
    if (held.length > 0 && (held.length > 20 || pick < 0.6)) {
      memory.free(held.splice(Math.floor(pick * 100) % held.length, 1)[0]!);
    } else held.push(memory.allocate(1 + Math.floor(Math.abs(random[2 * round + 1]!) * 5000)));
    const sorted = held.toSorted((a, b) => a.at - b.at);
    sorted.forEach(({ at, length }, i) => {
      assertLessOrEqual(at + length, sorted[i + 1]?.at ?? memory.numbers.length, `seed ${seed}`);
    });
  }
  const size = memory.numbers.length;
  for (const region of held) memory.free(region);
  held = [memory.allocate(size)];
  assertEquals(memory.numbers.length, size, `holes were not joined, seed ${seed}`);
});

Deno.test("instantiateTiles() gives kernels that add runs of tiles to what is there", () => {
  const seed = freshSeed();
  const memory = new WebAssembly.Memory({ initial: 1 });
  const tiles = instantiateTiles(memory);
  const numbers = new Float32Array(memory.buffer);
  const [k, count, step] = [8, 3, 40];
  const [a, b, c] = [0, 2000, 4000];
  for (const layout of ["rows", "columns"] as const) {
    for (const rows of [TALL, LOW] as const) {
      // Tiles that are apart in all three, as panels are, and ones that share B, as rows do.
      for (const next of [{ a: 0, b: 8 * k, c: 8 * rows + 16 }, { a: rows, b: 0, c: 8 * rows }]) {
        numbers.set(gaussian(6000, seed));
        const before = numbers.slice();
        const kernel = tiles[`${layout}${rows}`];
        kernel(4 * a, 4 * step, 4 * b, 4 * c, k, count, 4 * next.a, 4 * next.b, 4 * next.c);
        const expected = before.slice();
        for (let tile = 0; tile < count; tile++) {
          for (let row = 0; row < rows; row++) {
            for (let column = 0; column < 8; column++) {
              for (let i = 0; i < k; i++) {
                const at = a + tile * next.a + (layout === "rows" ? row * step + i : i * step + row);
                const right = before[b + tile * next.b + i * 8 + column]!;
                expected[c + tile * next.c + row * 8 + column]! += before[at]! * right;
              }
            }
          }
        }
        const message = `${layout}, ${rows} rows, seed ${seed}`;
        assertLessOrEqual(relativeError(numbers.slice(0, 6000), expected.slice(0, 6000)), 1e-6, message);
      }
    }
  }
});

Deno.test("the CPU's walk applies words, forms powers and hands out a copy of itself", async () => {
  const seed = freshSeed();
  const device = await createCpuWalkDevice();
  try {
    for (const n of [2, 30, 257]) {
      const matrix = gaussian(n * n, seed).map((v) => Math.abs(v) / n);
      const walk = await device.fromDense(matrix, n);
      assertEquals(await walk.dense(), matrix);
      const blocks = [3, 1, 4].map((columns, i) => ({ columns, block: gaussian(n * columns, seed + i) }));
      const list = blocks.map((block, i) => ({ ...block, word: ["ttnn", "n", "ttnn"][i]! }));
      const found = await walk.products(list);
      found.forEach((product, i) =>
        assertLessOrEqual(relativeError(product, applyWord(matrix, n, list[i]!)), 1e-5, `seed ${seed}`)
      );
      for (const k of [1, 2, 3, 5]) {
        const power = await walk.power(k);
        let expected = matrix;
        for (let i = 1; i < k; i++) expected = multiply(expected, n, matrix, n, false);
        assertLessOrEqual(relativeError(await power.dense(), expected), 1e-5, `k ${k}, seed ${seed}`);
        power.release();
      }
      (await walk.dense()).fill(0);
      assertEquals(await walk.dense(), matrix);
      walk.release();
      await assertRejects(() => Promise.resolve().then(() => walk.dense()), TypeError, "released");
    }
    const walk = await device.fromDense(new Float32Array(4).fill(0.5), 2);
    const short = { block: new Float32Array(3), columns: 2, word: "n" };
    await assertRejects(() => walk.products([short]), RangeError, "4 values: current length is 3");
    const unknown = { block: new Float32Array(4), columns: 2, word: "nx" };
    await assertRejects(() => walk.products([unknown]), TypeError, "x is neither");
    await assertRejects(() => device.fromDense(new Float32Array(5), 2), WalkcutError, "4 numbers: 5");
  } finally {
    await device.close();
  }
});

Deno.test("rowGram() is the product of all pairs of rows, symmetric to the last bit", () => {
  const seed = freshSeed();
  for (const [m, n] of [[1, 1], [5, 130], [131, 7], [200, 517]] as const) {
    const x = gaussian(m * n, seed + m);
    const found = rowGram(x, m, n);
    for (let i = 0; i < m; i++) {
      for (let j = 0; j <= i; j++) {
        let sum = 0;
        for (let k = 0; k < n; k++) sum += x[i * n + k]! * x[j * n + k]!;
        assertLessOrEqual(Math.abs(found[i * m + j]! - sum), 3e-6 * n, `(${i}, ${j}) of ${m}, seed ${seed}`);
        assertEquals(found[i * m + j], found[j * m + i], `seed ${seed}`);
      }
    }
  }
});

Deno.test("roundedGram() and scaledGram() are the sums that gram() adds up in float64", () => {
  const seed = freshSeed();
  for (const [n, r] of [[1, 1], [5, 9], [37, 8], [700, 20], [1030, 63]] as const) {
    const x = gaussian(n * r, seed + n);
    const nodes = Uint32Array.from({ length: n }, (_, i) => i).filter((i) => i === 0 || i % 3 !== 1);
    const scale = Float64Array.from(nodes, (i) => 0.5 + (i % 7) / 7);
    const part = new Float32Array(nodes.length * r);
    nodes.forEach((node, i) => {
      for (let a = 0; a < r; a++) part[i * r + a] = x[node * r + a]! * scale[i]!;
    });
    const message = `n ${n}, r ${r}, seed ${seed}`;
    const pairs = [[roundedGram(x, n, r), gram(x, n, r)], [
      scaledGram(x, r, nodes, scale),
      gram(part, nodes.length, r),
    ]];
    for (const [found, expected] of pairs) {
      const error = relativeError(Float32Array.from(found!), Float32Array.from(expected!));
      assertLessOrEqual(error, 2e-6, message);
      for (let a = 0; a < r; a++) {
        for (let b = 0; b < a; b++) assertEquals(found![a * r + b], found![b * r + a], message);
      }
    }
    // The definition, entry by entry.
    let own = 0;
    for (let i = 0; i < n; i++) own += x[i * r]! * x[i * r + r - 1]!;
    assertLessOrEqual(Math.abs(gram(x, n, r)[r - 1]! - own), 1e-9 * n, message);
  }
});

Deno.test("orthonormalise() gives orthonormal columns that span the block, and no more than it has", () => {
  const seed = freshSeed();
  for (const [n, r, rank] of [[1, 1, 1], [40, 12, 12], [300, 50, 20], [513, 64, 33], [20, 30, 20]] as const) {
    // Directions graded over three powers of ten, mixed by random combinations.
    const directions = gaussian(n * rank, seed + n);
    const mix = gaussian(rank * r, seed + n + 1);
    const x = new Float32Array(n * r);
    for (let i = 0; i < n; i++) {
      for (let a = 0; a < r; a++) {
        let sum = 0;
        for (let k = 0; k < rank; k++) {
          sum += directions[i * rank + k]! * 10 ** (-3 * k / rank) * mix[k * r + a]!;
        }
        x[i * r + a] = sum;
      }
    }
    const found = orthonormalise(x, n, r);
    const message = `${n}×${r} of rank ${rank}, seed ${seed}`;
    assertLessOrEqual(found.rank, rank + 1, message);
    const inner = gram(found.basis, n, found.rank);
    for (let a = 0; a < found.rank; a++) {
      for (let b = 0; b < found.rank; b++) {
        assertLessOrEqual(Math.abs(inner[a * found.rank + b]! - Number(a === b)), 1e-5, message);
      }
    }
    const rest = x.slice();
    deflate(rest, r, found.basis, n, found.rank);
    const norm = (values: Float32Array) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0));
    assertLessOrEqual(norm(rest) / norm(x), 1e-4, message);
    assertEquals(orthonormalise(x, n, r, 1).rank, 1, message);
  }
});
