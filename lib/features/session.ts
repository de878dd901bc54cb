/**
 * Runs a network with ONNX Runtime, on the CPU or on a WebGPU device.
 *
 * @module
 */
import type * as Ort from "onnxruntime-web";
import { UsageError, WalkcutError } from "../errors.ts";
import type { Frame } from "../source/frame.ts";
import { hasFailed, onWatchedDevice, SMALLER } from "./device_watch.ts";
import { layersOf, levelWeightsOf, type Manifest, type ManifestLayer, parseManifest } from "./manifest.ts";
import type { AttentionLayer, FeatureNetwork, Features, TensorData } from "./network.ts";
import { SquareScaler } from "./preprocess.ts";
import { loadRuntime } from "./runtime.ts";

/** Where a network runs, and so where its queries and keys lie. */
export type NetworkDevice =
  | { readonly device: "cpu" }
  | { readonly device: "webgpu"; readonly gpu: GPUDevice };

/** What is asked of a network. */
export interface NetworkOptions {
  /** Nodes a side of the walk; layers of a finer resolution are left out. */
  readonly grid: number;
  /** Resolutions in use. Default: the network's own. */
  readonly levels?: readonly number[];
}

/** Opens a network by the URL of its manifest. The graph's hash is checked. */
export async function openNetwork(
  manifestUrl: string | URL,
  where: NetworkDevice,
  options: NetworkOptions,
): Promise<FeatureNetwork> {
  const url = new URL(manifestUrl);
  const manifest = parseManifest(new TextDecoder().decode(await readFile(url)), url.pathname);
  const graph = manifest.graphs[options.grid];
  if (!graph || !manifest.input.size[options.grid]) {
    throw new UsageError({
      what: `The network ${manifest.name} has no graph for this grid`,
      found: options.grid,
      advice: `choose among ${Object.keys(manifest.graphs).join(", ")}`,
    });
  }
  const weights = levelWeightsOf(manifest, options.grid, options.levels);
  const bytes = await readFile(new URL(graph.file, url));
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
  if (hash !== graph.sha256) {
    throw new WalkcutError({
      what: "The network's file does not match its manifest's hash",
      found: graph.file,
      advice: "import the network again",
    });
  }
  const ort = await loadRuntime(where.device);
  const create = () =>
    ort.InferenceSession.create(bytes, {
      ...where.device === "webgpu"
        ? {
          executionProviders: [{ name: "webgpu", device: where.gpu }],
          preferredOutputLocation: "gpu-buffer" as const,
        }
        : { executionProviders: ["wasm"] },
      logSeverityLevel: 3,
    });
  const gpu = where.device === "webgpu" ? where.gpu : undefined;
  const session = gpu === undefined ? await create() : await onWatchedDevice(gpu, create, SMALLER);
  return new OnnxNetwork(ort, session, manifest, weights, options.grid, gpu);
}

async function readFile(url: URL): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await Deno.readFile(url);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new UsageError({ what: "The network's file is missing", found: url.pathname, cause });
  }
}

class OnnxNetwork implements FeatureNetwork {
  readonly #ort: typeof Ort;
  readonly #session: Ort.InferenceSession;
  readonly #layers: readonly ManifestLayer[];
  readonly #inputName: string;
  readonly #scaler: SquareScaler;
  #held: Ort.Tensor[] = [];
  readonly walkSteps: number;
  readonly contour: number;

  constructor(
    ort: typeof Ort,
    session: Ort.InferenceSession,
    manifest: Manifest,
    readonly levelWeights: ReadonlyMap<number, number>,
    grid: number,
    private readonly gpu: GPUDevice | undefined,
  ) {
    this.#ort = ort;
    this.#session = session;
    this.#layers = layersOf(manifest, grid).filter((layer) => levelWeights.has(layer.resolution));
    this.#inputName = manifest.input.name;
    this.#scaler = new SquareScaler(manifest.input.size[grid] as number, ...manifest.input.range);
    this.walkSteps = manifest.walkSteps;
    this.contour = manifest.contour ?? 0;
  }

  async evaluate(frame: Frame): Promise<Features> {
    this.#disposeHeld();
    const { size } = this.#scaler;
    const input = new this.#ort.Tensor("float32", this.#scaler.scale(frame), [1, 3, size, size]);
    const wanted = [...new Set(this.#layers.flatMap((layer) => [layer.queries, layer.keys]))];
    const run = () => this.#session.run({ [this.#inputName]: input }, wanted);
    const outputs = this.gpu === undefined ? await run() : await onWatchedDevice(this.gpu, run, SMALLER);
    input.dispose();
    this.#held = Object.values(outputs);
    const layers = this.#layers.map((
      { resolution, heads, headDim, scale, queries, keys },
    ): AttentionLayer => ({
      resolution,
      heads,
      headDim,
      scale,
      queries: dataOf(outputs[queries]),
      keys: dataOf(outputs[keys]),
    }));
    return { layers, unetEvals: 1 };
  }

  async close(): Promise<void> {
    if (this.gpu !== undefined && hasFailed(this.gpu)) return;
    this.#disposeHeld();
    await this.#session.release();
  }

  #disposeHeld(): void {
    for (const tensor of this.#held) tensor.dispose();
    this.#held = [];
  }
}

function dataOf(tensor: Ort.Tensor | undefined): TensorData {
  if (!tensor) throw new WalkcutError({ what: "The network lacks an output that its manifest names" });
  if (tensor.location === "gpu-buffer") return tensor.gpuBuffer as unknown as GPUBuffer;
  return tensor.data as Float32Array<ArrayBuffer>;
}
