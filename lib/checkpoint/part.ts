/**
 * Writes one network of a checkpoint: weights as one file, and its ONNX sections beside it.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { oneLine, textOf, UsageError, WalkcutError } from "../errors.ts";
import { fromFloat32, type Precision, precisionBytes, toFloat32 } from "./dtypes.ts";
import { elements, type Graph, type Parameter } from "./graph.ts";
import type { FileRecord, Part, SectionFile } from "./manifest.ts";
import { writeModel } from "./onnx_file.ts";
import { requireTensor, type TensorSource } from "./safetensors.ts";
import { cutSections, type Section } from "./sections.ts";

/** Parameters start at multiples of this many elements, so that every type is aligned to 64 bytes. */
const ALIGNMENT = 32;

/** Most weights of a section: 1 GiB in float32, which leaves WebAssembly's 4 GiB room for copies. */
export const MAX_SECTION_WEIGHTS = 2 ** 28;

/** A network that is to be written. */
export interface PartPlan {
  /** Stem of the file names. */
  readonly stem: string;
  /** Its graph in a computing type. */
  readonly build: (type: "float16" | "float32") => Graph;
  /** Outputs that the shorter pass gives; all where there is only one pass. */
  readonly wanted: (output: string) => boolean;
  readonly source: TensorSource;
  readonly precision: Precision;
  /** False where float16 has too small a range for its activations. Default true. */
  readonly computeHalf?: boolean;
  /** Most weights a section. */
  readonly maxWeights?: number;
}

/** Throws a `UsageError` unless the source has every parameter in the right shape. */
export function checkParameters(parameters: Iterable<Parameter>, source: TensorSource): void {
  for (const parameter of parameters) requireTensor(source, nameIn(source, parameter), parameter.shape);
}

/** Writes weights and sections into `folder`. `onBytes` is told of progress in written bytes. */
export async function writePart(
  folder: string,
  plan: PartPlan,
  onBytes: (bytes: number) => void,
  signal?: AbortSignal,
): Promise<Part> {
  const { stem, precision, computeHalf = true } = plan;
  const location = `${stem}.weights`;
  const sections = cut(plan, "float32");
  const { layout, ranges } = layOut(sections);
  const weights = await writeWeights(`${folder}/${location}`, location, plan, layout, onBytes, signal);
  const graphs = async (type: "float16" | "float32") => {
    const files: SectionFile[] = [];
    for (const [i, section] of cut(plan, type).entries()) {
      const { offset, length } = ranges[i]!;
      const file = `${stem}.${type}.${i}.onnx`;
      await guardWrite(`${folder}/${file}`, async (path) => {
        await Deno.writeFile(path, writeModel(section, type, layout, offset, location));
      });
      files.push({ file, offset, length, head: section.head });
    }
    return files;
  };
  return {
    weights,
    location,
    stored: precision === "fp16" ? "float16" : "float32",
    graphs: precision === "fp16" && computeHalf
      ? { float32: await graphs("float32"), float16: await graphs("float16") }
      : { float32: await graphs("float32") },
  };
}

/** Bytes that {@linkcode writePart} will write, without the small graphs. */
export function partBytes(plan: PartPlan): number {
  let count = 0;
  for (const { shape } of plan.build("float32").parameters.values()) count += aligned(elements(shape));
  return count * precisionBytes(plan.precision);
}

/** Runs a write and turns its failure into one line. */
export async function guardWrite<T>(path: string, write: (path: string) => Promise<T>): Promise<T> {
  try {
    return await write(path);
  } catch (cause) {
    if (cause instanceof WalkcutError || cause instanceof DOMException) throw cause;
    throw new WalkcutError({
      what: `Cannot write ${oneLine(path)}`,
      found: textOf(cause),
      advice: "make room there, or give another folder with --models",
      cause,
    });
  }
}

function cut({ build, wanted, maxWeights = MAX_SECTION_WEIGHTS }: PartPlan, type: "float16" | "float32") {
  return cutSections(build(type), wanted, maxWeights);
}

function aligned(count: number): number {
  return Math.ceil(count / ALIGNMENT) * ALIGNMENT;
}

/** Places parameters in the order in which sections use them, so that a section's are one range. */
function layOut(sections: readonly Section[]) {
  const layout = new Map<string, number>();
  const ranges: { offset: number; length: number }[] = [];
  let end = 0;
  for (const { parameters } of sections) {
    const offset = end;
    for (const { name, shape } of parameters) {
      if (layout.has(name)) throw new Error(`Sections must not share a parameter: ${name}`);
      layout.set(name, end);
      end += aligned(elements(shape));
    }
    ranges.push({ offset, length: end - offset });
  }
  return { layout, ranges };
}

async function writeWeights(
  path: string,
  file: string,
  plan: PartPlan,
  layout: ReadonlyMap<string, number>,
  onBytes: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<FileRecord> {
  const hash = createHash("sha256");
  const { parameters } = plan.build("float32");
  let bytes = 0;
  await guardWrite(path, async () => {
    using out = await Deno.open(path, { write: true, createNew: true });
    for (const name of layout.keys()) {
      signal?.throwIfAborted();
      const stored = padded(await storedBytes(plan, parameters.get(name)!), plan.precision);
      await writeFully(out, stored);
      hash.update(stored);
      bytes += stored.length;
      onBytes(stored.length);
    }
  });
  return { file, bytes, sha256: hash.digest("hex") };
}

async function storedBytes(
  { source, precision }: PartPlan,
  parameter: Parameter,
): Promise<Uint8Array<ArrayBuffer>> {
  const name = nameIn(source, parameter);
  const values = toFloat32(await source.read(name), source.tensors.get(name)!.dtype);
  if (precision === "fp16") requireHalfRange(values, name, source.label);
  return fromFloat32(parameter.transposed ? transpose(values, parameter.shape) : values, precision);
}

function padded(bytes: Uint8Array<ArrayBuffer>, precision: Precision): Uint8Array<ArrayBuffer> {
  const step = ALIGNMENT * precisionBytes(precision);
  if (bytes.length % step === 0) return bytes;
  const result = new Uint8Array(Math.ceil(bytes.length / step) * step);
  result.set(bytes);
  return result;
}

/** A weight that float16 cannot hold would become infinite without notice. */
function requireHalfRange(values: Float32Array, name: string, label: string): void {
  for (const value of values) {
    if (Math.abs(value) < 65520) continue;
    throw new UsageError({
      what: `Cannot store ${oneLine(name)} of ${oneLine(label)} in fp16, whose numbers end at 65504`,
      found: value,
      advice: Number.isFinite(value) ? "import it with --precision fp32" : "download the checkpoint again",
    });
  }
}

/** `[rows, columns]` → `[columns, rows]`, in tiles that stay in the cache. */
function transpose(values: Float32Array, shape: readonly number[]): Float32Array<ArrayBuffer> {
  const [rows, columns] = [shape[0]!, shape[1]!];
  const result = new Float32Array(values.length);
  const tile = 32;
  for (let r0 = 0; r0 < rows; r0 += tile) {
    for (let c0 = 0; c0 < columns; c0 += tile) {
      const [r1, c1] = [Math.min(rows, r0 + tile), Math.min(columns, c0 + tile)];
      for (let c = c0; c < c1; c++) {
        for (let r = r0; r < r1; r++) result[c * rows + r] = values[r * columns + c]!;
      }
    }
  }
  return result;
}

function nameIn(source: TensorSource, { name, aliases }: Parameter): string {
  if (source.tensors.has(name)) return name;
  return aliases.find((alias) => source.tensors.has(alias)) ?? name;
}

async function writeFully(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
}
