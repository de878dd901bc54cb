/**
 * One attention layer of a network, for the peers that look at features, not at the walk.
 *
 * @module
 */
import { WalkcutError } from "../../errors.ts";
import type { AttentionLayer } from "../../features/network.ts";
import { Recorder } from "../../walk/webgpu/recorder.ts";
import { WebGpuWalkDevice } from "../../walk/webgpu/walk_device.ts";
import type { WalkDevice } from "../../walk/walk.ts";

/**
 * The layer whose resolution is nearest to the wanted one, the finer of two as near, the first of several.
 *
 * @throws {WalkcutError} If there is none.
 */
export function nearestLayer(layers: readonly AttentionLayer[], resolution: number): AttentionLayer {
  const away = (layer: AttentionLayer) => Math.abs(Math.log2(layer.resolution / resolution));
  const [first, ...others] = layers;
  if (!first) throw new WalkcutError({ what: "The network gave no attention layer" });
  return others.reduce((best, layer) => {
    const [a, b] = [away(layer), away(best)];
    return a < b || (a === b && layer.resolution > best.resolution) ? layer : best;
  }, first);
}

/** A layer's queries in main memory, `[R², heads·headDim]`. */
export async function queriesOf(
  { queries, resolution, heads, headDim }: AttentionLayer,
  device: WalkDevice,
): Promise<Float32Array<ArrayBuffer>> {
  const length = resolution ** 2 * heads * headDim;
  if (queries instanceof Float32Array) return queries.subarray(0, length);
  if (!(device instanceof WebGpuWalkDevice)) {
    throw new WalkcutError({ what: "Queries lie on a GPU that the walk does not use" });
  }
  const recorder = new Recorder(device.gpu, "download of queries");
  recorder.read(queries, 0, 4 * length);
  const { data } = await recorder.finish();
  return new Float32Array(data[0]!);
}
