/**
 * Buffers that come back: acquired by name and size, given back, used again.
 *
 * A buffer belongs to whoever acquired it until it is released. Contents are
 * whatever the last owner left.
 *
 * @module
 */

/** What a buffer is for; each kind has a cap on what lies unused. */
export type BufferKind = "matrix" | "block" | "indirect" | "uniform" | "stage";

/** Most unused bytes kept a kind; beyond it released buffers are destroyed. */
const CAPS: Readonly<Record<BufferKind, number>> = {
  matrix: 512 << 20,
  block: 256 << 20,
  indirect: 1 << 20,
  uniform: 4 << 20,
  stage: 128 << 20,
};

const USAGES: Readonly<Record<BufferKind, number>> = {
  matrix: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  block: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  indirect: GPUBufferUsage.INDIRECT | GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC |
    GPUBufferUsage.COPY_DST,
  uniform: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
  stage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
};

/** The buffers of one device. */
export class BufferPool {
  readonly #device: GPUDevice;
  readonly #free = new Map<string, GPUBuffer[]>();
  readonly #unused: Record<BufferKind, number> = {
    matrix: 0,
    block: 0,
    indirect: 0,
    uniform: 0,
    stage: 0,
  };
  readonly #kinds = new Map<GPUBuffer, BufferKind>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Buffers that are out, i.e. acquired and not released. */
  get inUse(): number {
    return this.#kinds.size;
  }

  /** A buffer of at least `size` bytes; `label` says what it holds now. */
  acquire(kind: BufferKind, size: number, label: string): GPUBuffer {
    const bytes = Math.max(16, Math.ceil(size / 16) * 16);
    const buffer = this.#free.get(keyOf(kind, bytes))?.pop();
    if (buffer) {
      this.#unused[kind] -= bytes;
      buffer.label = label;
      this.#kinds.set(buffer, kind);
      return buffer;
    }
    const fresh = this.#device.createBuffer({ label, size: bytes, usage: USAGES[kind] });
    this.#kinds.set(fresh, kind);
    return fresh;
  }

  /** Gives a buffer back; releasing twice, or a stranger's, does nothing. */
  release(buffer: GPUBuffer): void {
    const kind = this.#kinds.get(buffer);
    if (!kind) return;
    this.#kinds.delete(buffer);
    if (this.#unused[kind] + buffer.size > CAPS[kind]) {
      buffer.destroy();
      return;
    }
    this.#unused[kind] += buffer.size;
    const key = keyOf(kind, buffer.size);
    const list = this.#free.get(key);
    if (list) list.push(buffer);
    else this.#free.set(key, [buffer]);
  }

  /** Destroys all buffers, also those in use. */
  clear(): void {
    for (const list of this.#free.values()) for (const buffer of list) buffer.destroy();
    for (const buffer of this.#kinds.keys()) buffer.destroy();
    this.#free.clear();
    this.#kinds.clear();
    for (const kind of Object.keys(this.#unused) as BufferKind[]) this.#unused[kind] = 0;
  }
}

function keyOf(kind: BufferKind, bytes: number): string {
  return `${kind}:${bytes}`;
}
