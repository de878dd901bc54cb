/**
 * One submission: dispatches, copies, and at most one readback for all of it.
 *
 * `mapAsync` costs 11 ms at least in Deno, so everything that is wanted back from
 * a submission goes through one staging buffer.
 *
 * @module
 */
import type { Gpu } from "./device.ts";

/** Uniform structs are bound at this alignment, the largest that WebGPU allows. */
const UNIFORM_ALIGNMENT = 256;
const ARENA_BYTES = 64 * 1024;
const MAX_STAGES = 32;

/** A stage of a submission and the milliseconds that the GPU spent on it. */
export interface StageTime {
  readonly stage: string;
  readonly ms: number;
}

/** What a finished submission gives back. */
export interface Recorded {
  /** The ranges asked for with {@linkcode Recorder.read}, in order. */
  readonly data: ArrayBuffer[];
  /** GPU time a stage, empty where the device has no timestamps or none was asked for. */
  readonly times: StageTime[];
}

interface Read {
  readonly source: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

interface Range {
  readonly offset: number;
  readonly size: number;
}

/** A submission, and what it gives back. */
export class Submitted {
  #stage: GPUBuffer | undefined;

  /** Use {@linkcode Recorder.submit}. */
  constructor(
    private readonly gpu: Gpu,
    private readonly label: string,
    stage: GPUBuffer | undefined,
    private readonly ranges: readonly Range[],
    private readonly stages: readonly string[],
  ) {
    this.#stage = stage;
  }

  /**
   * Waits for the submission and reads back what was asked for, by one `mapAsync`; not twice.
   *
   * The call blocks the thread until the queue is empty (Deno 2.9), so it should come before
   * what else is submitted, not after.
   * @throws {DeviceError} the device failed.
   */
  async read(): Promise<Recorded> {
    const { gpu, label, ranges, stages } = this;
    const stage = this.#stage;
    if (!stage) return { data: [], times: [] };
    this.#stage = undefined;
    const last = ranges[ranges.length - 1]!;
    const total = last.offset + Math.ceil(last.size / 8) * 8;
    try {
      gpu.counters.readbacks++;
      gpu.counters.bytesDown += total;
      gpu.tell("map", label);
      await stage.mapAsync(GPUMapMode.READ, 0, total);
      gpu.tell("mapped", label);
      gpu.check();
      const mapped = stage.getMappedRange(0, total);
      const data = ranges.map(({ offset, size }) => mapped.slice(offset, offset + size));
      stage.unmap();
      return { data, times: stages.length > 0 ? timesOf(stages, new BigUint64Array(data.pop()!)) : [] };
    } catch (cause) {
      // The uncaptured error, where there is one, says more than the failed map.
      gpu.check();
      throw gpu.fail(cause);
    } finally {
      gpu.pool.release(stage);
    }
  }

  /** Gives up what was asked for. */
  discard(): void {
    if (this.#stage) this.gpu.pool.release(this.#stage);
    this.#stage = undefined;
  }
}

function timesOf(stages: readonly string[], stamps: BigUint64Array): StageTime[] {
  return stages.map((stage, i) => ({
    stage,
    ms: Number(stamps[i * 2 + 1]! - stamps[i * 2]!) / 1e6,
  }));
}

/** Buffers of group 0 by binding number. */
type Bindings = Readonly<Record<number, GPUBuffer | GPUBufferBinding>>;

/** Workgroups along x, y and z. */
type Workgroups = readonly [number, number?, number?];

/** A kernel with its bindings. */
export interface Bound {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
}

/** Records commands for one submission. */
export class Recorder {
  readonly #gpu: Gpu;
  readonly #label: string;
  readonly #encoder: GPUCommandEncoder;
  readonly #reads: Read[] = [];
  readonly #temporary: GPUBuffer[] = [];
  readonly #stages: string[] = [];
  #pass: GPUComputePassEncoder | undefined;
  #arena: { buffer: GPUBuffer; data: Uint8Array<ArrayBuffer>; used: number } | undefined;
  #queries: GPUQuerySet | undefined;
  #pendingStage: string | undefined;

  constructor(gpu: Gpu, label: string) {
    gpu.check();
    this.#gpu = gpu;
    this.#label = label;
    this.#encoder = gpu.device.createCommandEncoder({ label });
  }

  /** Starts a stage whose time the GPU measures. Stages end where the next begins. */
  stage(name: string): void {
    if (!this.#gpu.hasTimestamps || this.#stages.length >= MAX_STAGES) return;
    this.#queries ??= this.#gpu.device.createQuerySet({
      label: `${this.#label} timestamps`,
      type: "timestamp",
      count: MAX_STAGES * 2,
    });
    this.#endPass();
    this.#pendingStage = name;
  }

  /** A buffer that lives until the submission is done. */
  temporary(size: number, label: string, kind: "block" | "indirect" = "block"): GPUBuffer {
    const buffer = this.#gpu.pool.acquire(kind, size, label);
    this.#temporary.push(buffer);
    return buffer;
  }

  /** Hands a buffer of the pool back when the submission is done. */
  releaseLater(buffer: GPUBuffer): void {
    this.#temporary.push(buffer);
  }

  /** A uniform struct for a dispatch of this submission. */
  uniform(values: readonly (number | { readonly f32: number })[]): GPUBufferBinding {
    const size = Math.ceil(values.length / 4) * 16;
    const arena = this.#arenaFor(size);
    const view = new DataView(arena.data.buffer, arena.used, size);
    values.forEach((value, i) => {
      if (typeof value === "number") view.setUint32(i * 4, value, true);
      else view.setFloat32(i * 4, value.f32, true);
    });
    const binding = { buffer: arena.buffer, offset: arena.used, size };
    arena.used += Math.ceil(size / UNIFORM_ALIGNMENT) * UNIFORM_ALIGNMENT;
    return binding;
  }

  /** One dispatch; `bindings` are those of group 0, by binding number. */
  dispatch(pipeline: GPUComputePipeline, bindings: Bindings, groups: Workgroups): void {
    this.run(this.bind(pipeline, bindings), groups);
  }

  /** One dispatch whose number of workgroups lies in a buffer. */
  dispatchIndirect(
    pipeline: GPUComputePipeline,
    bindings: Bindings,
    indirect: GPUBuffer,
    offset: number,
  ): void {
    this.runIndirect(this.bind(pipeline, bindings), indirect, offset);
  }

  /** A kernel with its bindings, for one that is dispatched many times. */
  bind(pipeline: GPUComputePipeline, bindings: Bindings): Bound {
    const entries = Object.entries(bindings).map(([binding, resource]) => ({
      binding: Number(binding),
      resource: resource instanceof GPUBuffer ? { buffer: resource } : resource,
    }));
    const layout = pipeline.getBindGroupLayout(0);
    return { pipeline, group: this.#gpu.device.createBindGroup({ label: pipeline.label, layout, entries }) };
  }

  /** As {@linkcode Recorder.dispatch}. */
  run(bound: Bound, groups: Workgroups): void {
    this.#passWith(bound).dispatchWorkgroups(groups[0], groups[1] ?? 1, groups[2] ?? 1);
    this.#gpu.counters.dispatches++;
  }

  /** As {@linkcode Recorder.dispatchIndirect}. */
  runIndirect(bound: Bound, indirect: GPUBuffer, offset: number): void {
    this.#passWith(bound).dispatchWorkgroupsIndirect(indirect, offset);
    this.#gpu.counters.dispatches++;
  }

  /** Copies between buffers, in order with the dispatches. */
  copy(source: GPUBuffer, sourceOffset: number, target: GPUBuffer, targetOffset: number, size: number): void {
    this.#endPass();
    this.#encoder.copyBufferToBuffer(source, sourceOffset, target, targetOffset, size);
  }

  /** Sets a buffer to zero, in order with the dispatches. */
  clear(buffer: GPUBuffer, offset = 0, size = buffer.size - offset): void {
    this.#endPass();
    this.#encoder.clearBuffer(buffer, offset, size);
  }

  /** Uploads before any command of this submission runs. */
  upload(buffer: GPUBuffer, data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>, offset = 0): void {
    this.#gpu.device.queue.writeBuffer(buffer, offset, data);
    this.#gpu.counters.bytesUp += data.byteLength;
  }

  /** Asks for a range of a buffer to be read back after the commands so far. */
  read(source: GPUBuffer, offset: number, size: number): void {
    this.#reads.push({ source, offset, size });
  }

  /** Submits; nothing may be recorded after. Reads back, once, if anything was asked for. */
  async finish(): Promise<Recorded> {
    return await this.submit().read();
  }

  /** Submits; nothing may be recorded after. What was asked for waits on the device until it is read. */
  submit(): Submitted {
    const gpu = this.#gpu;
    this.#endPass();
    const timing = this.#resolveTimes();
    const wanted = timing ? [...this.#reads, timing] : this.#reads;
    const ranges: Range[] = [];
    let total = 0;
    for (const { size } of wanted) {
      ranges.push({ offset: total, size });
      total += Math.ceil(size / 8) * 8;
    }
    const stage = wanted.length > 0 ? gpu.pool.acquire("stage", total, `${this.#label} stage`) : undefined;
    wanted.forEach(({ source, offset, size }, i) => {
      const bytes = Math.ceil(size / 4) * 4;
      this.#encoder.copyBufferToBuffer(source, offset, stage!, ranges[i]!.offset, bytes);
    });
    this.#flushArena();
    gpu.device.queue.submit([this.#encoder.finish({ label: this.#label })]);
    gpu.counters.submissions++;
    gpu.tell("submit", this.#label);
    // Reuse after release is safe: the queue runs submissions and writes in order.
    this.#releaseTemporaries();
    return new Submitted(gpu, this.#label, stage, ranges, timing ? this.#stages : []);
  }

  #passWith({ pipeline, group }: Bound): GPUComputePassEncoder {
    this.#pass ??= this.#beginPass();
    this.#pass.setPipeline(pipeline);
    this.#pass.setBindGroup(0, group);
    return this.#pass;
  }

  #beginPass(): GPUComputePassEncoder {
    if (this.#pendingStage === undefined || !this.#queries) {
      return this.#encoder.beginComputePass({ label: this.#label });
    }
    const index = this.#stages.push(this.#pendingStage) - 1;
    this.#pendingStage = undefined;
    return this.#encoder.beginComputePass({
      label: `${this.#label} ${this.#stages[index]}`,
      timestampWrites: {
        querySet: this.#queries,
        beginningOfPassWriteIndex: index * 2,
        endOfPassWriteIndex: index * 2 + 1,
      },
    });
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = undefined;
  }

  #resolveTimes(): Read | undefined {
    const count = this.#stages.length * 2;
    if (!this.#queries || count === 0 || this.#reads.length === 0) return undefined;
    const buffer = this.#gpu.device.createBuffer({
      label: `${this.#label} resolved timestamps`,
      size: count * 8,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    this.#temporary.push(buffer);
    this.#encoder.resolveQuerySet(this.#queries, 0, count, buffer, 0);
    return { source: buffer, offset: 0, size: count * 8 };
  }

  #arenaFor(size: number): { buffer: GPUBuffer; data: Uint8Array<ArrayBuffer>; used: number } {
    if (this.#arena && this.#arena.used + size > ARENA_BYTES) this.#flushArena();
    if (!this.#arena) {
      const buffer = this.#gpu.pool.acquire("uniform", ARENA_BYTES, `${this.#label} uniforms`);
      this.#temporary.push(buffer);
      this.#arena = { buffer, data: new Uint8Array(ARENA_BYTES), used: 0 };
    }
    return this.#arena;
  }

  #flushArena(): void {
    if (!this.#arena) return;
    this.#gpu.device.queue.writeBuffer(this.#arena.buffer, 0, this.#arena.data, 0, this.#arena.used);
    this.#arena = undefined;
  }

  #releaseTemporaries(): void {
    this.#queries?.destroy();
    for (const buffer of this.#temporary) {
      if (buffer.usage & GPUBufferUsage.QUERY_RESOLVE) buffer.destroy();
      else this.#gpu.pool.release(buffer);
    }
    this.#temporary.length = 0;
  }
}
