/**
 * A thread that helps with products, as {@linkcode TileTeam} starts it.
 *
 * @module
 */
import { instantiateTiles, type TileModule } from "./tile_module.ts";
import { help, type HelperStart } from "./tile_team.ts";

let start: HelperStart | undefined;
let tiles: TileModule | undefined;

// Not `self`: ONNX Runtime takes that name away from Workers that start after it has loaded.
globalThis.onmessage = ({ data }: MessageEvent<HelperStart | undefined>) => {
  start ??= data!;
  tiles ??= instantiateTiles(start.memory);
  help(start, tiles);
};
