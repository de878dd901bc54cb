import { assert, assertEquals, assertRejects } from "@std/assert";
import { UsageError } from "../lib/errors.ts";
import { encodeNpy, readNpy, readNpyNumbers, readSquareNpy, writeNpy } from "../lib/npy.ts";
import { gaussian } from "../lib/random.ts";

async function withFile(bytes: Uint8Array, body: (path: string) => Promise<unknown>): Promise<void> {
  const path = await Deno.makeTempFile({ suffix: ".npy" });
  try {
    await Deno.writeFile(path, bytes);
    await body(path);
  } finally {
    await Deno.remove(path);
  }
}

/** A file whose header says `text`. */
function handmade(text: string, values: Uint8Array, version = 1): Uint8Array {
  const start = version === 1 ? 10 : 12;
  const header = new Uint8Array(start + text.length);
  header.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0]);
  const view = new DataView(header.buffer);
  if (version === 1) view.setUint16(8, text.length, true);
  else view.setUint32(8, text.length, true);
  header.set(new TextEncoder().encode(text), start);
  return new Uint8Array([...header, ...values]);
}

Deno.test("readNpy() gives back what encodeNpy() and writeNpy() wrote, float32 and float64", async () => {
  const seed = Math.floor(Math.random() * 1e9);
  for (const n of [1, 3, 17]) {
    const data = gaussian(n * n, seed + n);
    await withFile(encodeNpy(data, [n, n]), async (path) => {
      assertEquals(await readSquareNpy(path, 100), { n, data }, `seed ${seed}`);
      await writeNpy(path, Float64Array.from(data), [n * n]);
      const back = await readNpy(path);
      assertEquals(back, { shape: [n * n], data }, `seed ${seed}`);
      assertEquals((await Deno.readFile(path)).length % 8, 0);
    });
  }
});

Deno.test("readNpy() reads arrays longer than the pieces it reads", async () => {
  const n = 1500;
  const data = Float64Array.from({ length: n * n }, (_, i) => i % 1013);
  await withFile(encodeNpy(data, [n, n]), async (path) => {
    const back = await readSquareNpy(path, n);
    for (let i = 0; i < n * n; i++) if (back.data[i] !== i % 1013) throw new Error(`Value ${i} is wrong`);
  });
});

Deno.test("readNpyNumbers() reads every type of numbers, also more than a piece of them", async () => {
  const bytesOf = (values: ArrayBufferView) => new Uint8Array(values.buffer as ArrayBuffer);
  for (
    const [type, values] of [
      ["|b1", Uint8Array.of(0, 1)],
      ["|u1", Uint8Array.of(7, 255)],
      ["|i1", Int8Array.of(-7, 127)],
      ["<u2", Uint16Array.of(7, 65_535)],
      ["<i2", Int16Array.of(-7, 32_767)],
      ["<u4", Uint32Array.of(7, 2 ** 32 - 1)],
      ["<i4", Int32Array.of(-7, 2 ** 31 - 1)],
      ["<u8", BigUint64Array.of(7n, 2n ** 53n)],
      ["<i8", BigInt64Array.of(-7n, 2n ** 53n)],
      ["<f4", Float32Array.of(0.5, -3)],
      ["<f8", Float64Array.of(0.1, 1e300)],
    ] as const
  ) {
    const text = `{'descr': '${type}', 'fortran_order': False, 'shape': (2,), }\n`;
    await withFile(handmade(text, bytesOf(values)), async (path) => {
      assertEquals(await readNpyNumbers(path), { shape: [2], data: Float64Array.from(values, Number) }, type);
    });
  }
  const many = Int32Array.from({ length: 2_200_000 }, (_, i) => i);
  await withFile(encodeNpy(many, [2200, 1000]), async (path) => {
    const { data } = await readNpyNumbers(path);
    for (let i = 0; i < many.length; i++) if (data[i] !== i) throw new Error(`Value ${i} is wrong`);
  });
  await withFile(
    handmade("{'descr': '<c8', 'fortran_order': False, 'shape': (2,), }\n", new Uint8Array(16)),
    async (path) => {
      await assertRejects(() => readNpyNumbers(path), UsageError, "neither integers nor floats");
    },
  );
});

Deno.test("readNpy() takes the headers that numpy writes, versions 1 to 3", async () => {
  const values = new Uint8Array(new Float32Array([1, 2, 3, 4]).buffer);
  for (const version of [1, 2, 3]) {
    const text = `{"descr": "<f4", "fortran_order": False, "shape": (2, 2), }\n`;
    await withFile(handmade(text, values, version), async (path) => {
      assertEquals([...(await readSquareNpy(path, 2)).data], [1, 2, 3, 4]);
    });
  }
});

Deno.test("readSquareNpy() says in one line what is wrong with a file", async () => {
  const values = new Uint8Array(16);
  const header = (descr: string, order: string, shape: string) =>
    handmade(`{'descr': '${descr}', 'fortran_order': ${order}, 'shape': (${shape}), }\n`, values);
  const whole = encodeNpy(new Float32Array(4), [2, 2]);
  const cases: [name: string, bytes: Uint8Array, part: string][] = [
    ["empty", new Uint8Array(0), "not a .npy file"],
    ["text", new TextEncoder().encode("1 2\n3 4\n and more"), "not a .npy file"],
    ["zip", new Uint8Array([0x50, 0x4b, 3, 4, ...values]), "not a .npy file"],
    ["version 9", whole.map((b, i) => i === 6 ? 9 : b), "version is unknown"],
    ["header only in part", whole.slice(0, 30), "header is cut off"],
    ["signature alone", whole.slice(0, 10), "header is cut off"],
    ["truncated", whole.slice(0, whole.length - 1), "truncated: 15 bytes of 16"],
    ["too long", new Uint8Array([...whole, 0]), "longer than its header says"],
    ["Fortran order", header("<f4", "True", "2, 2"), "Fortran order"],
    ["integers", header("<i8", "False", "2, 2"), "neither float32 nor float64"],
    ["big-endian", header(">f4", "False", "2, 2"), "neither float32 nor float64"],
    ["objects", header("|O", "False", "2, 2"), "neither float32 nor float64"],
    [
      "a record",
      handmade("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4,), }", values),
      "neither",
    ],
    ["no header", handmade("nothing", values), "not understood"],
    ["not square", header("<f4", "False", "1, 4"), "not a square matrix: shape (1, 4)"],
    ["a vector", header("<f4", "False", "4,"), "not a square matrix: shape (4)"],
    ["no rows", header("<f4", "False", "0, 0"), "not a square matrix"],
    ["three dimensions", header("<f4", "False", "2, 2, 1"), "not a square matrix"],
    ["20,000 nodes", header("<f4", "False", "20000, 20000"), "too many nodes: 20000"],
    ["beyond all memory", header("<f4", "False", "99999999999, 99999999999"), "too many nodes"],
  ];
  for (const [name, bytes, part] of cases) {
    await withFile(bytes, async (path) => {
      const error = await assertRejects(() => readSquareNpy(path, 16_384), UsageError, part, name);
      assert(!error.message.includes("\n"), name);
    });
  }
});

Deno.test("readNpy() reserves no memory for what the file does not hold", async () => {
  const text = `{'descr': '<f8', 'fortran_order': False, 'shape': (90000000000000, 900000), }`;
  await withFile(handmade(text, new Uint8Array(8)), async (path) => {
    await assertRejects(() => readNpy(path), UsageError, "truncated");
  });
});

Deno.test("readNpy() refuses missing files and folders", async () => {
  const folder = await Deno.makeTempDir();
  await assertRejects(() => readNpy(`${folder}/none.npy`), UsageError, "No such file");
  await assertRejects(() => readNpy(folder), UsageError);
  await Deno.remove(folder);
});
