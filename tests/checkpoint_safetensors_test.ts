import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  openSafetensors,
  openSharded,
  readFloat32,
  requireTensor,
  writeSafetensors,
} from "../lib/checkpoint/safetensors.ts";
import { UsageError } from "../lib/errors.ts";
import { freshSeed, randomNumbers } from "./checkpoint_make.ts";

/** Bytes of a file from a header and its data; nothing is checked. */
function fileOf(header: unknown, data: Uint8Array, length?: bigint): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

async function withFile<T>(bytes: Uint8Array, use: (path: string) => Promise<T>): Promise<T> {
  const path = await Deno.makeTempFile({ suffix: ".safetensors" });
  try {
    await Deno.writeFile(path, bytes);
    return await use(path);
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("openSafetensors() reads F32, F16, BF16 and F64 as float32", async () => {
  const seed = freshSeed();
  const random = randomNumbers(seed);
  const values = Array.from({ length: 6 }, () => 100 * random());
  const f16 = Float16Array.from(values);
  // A bfloat16 is a float32 without its lower half; these values have none.
  const kept = new Float32Array(
    Uint32Array.from(new Uint32Array(Float32Array.from(values).buffer), (w) => w & 0xffff0000).buffer,
  );
  const bf16 = Uint16Array.from(new Uint32Array(kept.buffer), (word) => word >>> 16);
  const parts = [Float32Array.from(values), f16, bf16, Float64Array.from(values)];
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  const data: number[] = [];
  for (const [i, dtype] of ["F32", "F16", "BF16", "F64"].entries()) {
    const bytes = new Uint8Array(parts[i]!.buffer);
    header[dtype] = { dtype, shape: [2, 3], data_offsets: [data.length, data.length + bytes.length] };
    data.push(...bytes);
  }
  await withFile(fileOf(header, Uint8Array.from(data)), async (path) => {
    const source = await openSafetensors(path);
    assertEquals([...source.tensors.keys()], ["F32", "F16", "BF16", "F64"]);
    assertEquals(await readFloat32(source, "F32"), Float32Array.from(values), `seed ${seed}`);
    assertEquals(await readFloat32(source, "F16"), Float32Array.from(f16), `seed ${seed}`);
    assertEquals(await readFloat32(source, "BF16"), kept, `seed ${seed}`);
    assertEquals(await readFloat32(source, "F64"), Float32Array.from(values), `seed ${seed}`);
    source.close();
  });
});

Deno.test("openSharded() finds each tensor in its shard", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const tensor = (value: number) => ({ shape: [2], data: Float32Array.of(value, -value) });
    await writeSafetensors(`${folder}/m-00001-of-00002.safetensors`, { a: tensor(1), b: tensor(2) });
    await writeSafetensors(`${folder}/m-00002-of-00002.safetensors`, { c: tensor(3) });
    const index = (map: Record<string, string>) =>
      Deno.writeTextFile(`${folder}/m.safetensors.index.json`, JSON.stringify({ weight_map: map }));
    const [first, second] = ["m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors"];
    await index({ a: first, b: first, c: second });
    const source = await openSharded(`${folder}/m.safetensors.index.json`);
    assertEquals(await readFloat32(source, "c"), Float32Array.of(3, -3));
    assertEquals(await readFloat32(source, "b"), Float32Array.of(2, -2));
    source.close();
    await index({ a: first, d: second });
    await assertRejects(() => openSharded(`${folder}/m.safetensors.index.json`), UsageError, "is missing: d");
    await index({ a: "../../secret.safetensors" });
    await assertRejects(
      () => openSharded(`${folder}/m.safetensors.index.json`),
      UsageError,
      "beside it: ../../secret",
    );
    await Deno.writeTextFile(`${folder}/m.safetensors.index.json`, "[]");
    await assertRejects(
      () => openSharded(`${folder}/m.safetensors.index.json`),
      UsageError,
      "has no weight_map",
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("openSafetensors() refuses a damaged file with one line that says where", async () => {
  const entry = (begin: number, end: number, shape = [(end - begin) / 4], dtype = "F32") => ({
    dtype,
    shape,
    data_offsets: [begin, end],
  });
  const data = new Uint8Array(16);
  const cases: [Uint8Array, RegExp][] = [
    [new Uint8Array(3), /shorter than the 8 bytes/],
    [fileOf({}, data, 2n ** 62n), /header ends behind the file of 26 bytes: 4611686018427387904;/],
    [fileOf("{", data), /header is not JSON: \{/],
    [fileOf("[1]", data), /header is not an object/],
    [fileOf({ a: entry(0, 8), b: entry(4, 12) }, data), /two tensors lie on the same bytes: a and b/],
    [fileOf({ a: entry(0, 32) }, data), /truncated, a ends at byte \d+: \d+ bytes/],
    [fileOf({ a: entry(0, 8, [3]) }, data), /a needs 12 bytes for its shape: 8/],
    [fileOf({ a: entry(0, 8, [-2]) }, data), /shape of a is invalid: \[-2\]/],
    [fileOf({ a: entry(0, 8, [2], "Q4_0") }, data), /type of a is unknown: Q4_0/],
    [fileOf({ a: { dtype: "F32", shape: [2], data_offsets: [0] } }, data), /offsets of a are invalid: \[0\]/],
    [fileOf({ "a\u001b[2J\n": entry(0, 8, [3]) }, data), /a\\x1b\[2J\\n needs 12 bytes/],
  ];
  for (const [bytes, pattern] of cases) {
    const error = await withFile(bytes, (path) => assertRejects(() => openSafetensors(path), UsageError));
    assert(pattern.test(error.message), error.message);
    assertEquals(error.message.split("\n").length, 1);
  }
  await assertRejects(() => openSafetensors("/nowhere/x.safetensors"), UsageError, "Cannot open the weights");
});

Deno.test("requireTensor() names a missing tensor, and both shapes of a wrong one", async () => {
  const tensor = { shape: [2, 3], data: new Float32Array(6) };
  const path = await Deno.makeTempFile();
  await writeSafetensors(path, { a: tensor });
  const source = await openSafetensors(path);
  try {
    requireTensor(source, "a", [2, 3]);
    requireTensor(source, "a", [2, 3, 1, 1]);
    await assertRejects(() => Promise.try(() => requireTensor(source, "b", [2])), UsageError, "missing: b;");
    const error = await assertRejects(
      () => Promise.try(() => requireTensor(source, "a", [3, 2])),
      UsageError,
    );
    assert(/a must have the shape \[3,2\].*: \[2,3\];/.test(error.message), error.message);
  } finally {
    source.close();
    await Deno.remove(path);
  }
});
