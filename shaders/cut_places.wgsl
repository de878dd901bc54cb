// The position of each node among the sorted ones; it stays within the node's segment until a later level.
//
// Bindings: 4 tiles; 14 sorted [1, n]; 44 positions [n]. Workgroup: 64 threads, one tile. Dispatch: tiles.
// Cost: one read of the nodes.

@group(0) @binding(4) var<storage, read> tiles: array<Tile>;
@group(0) @binding(14) var<storage, read> sorted: array<u32>;
@group(0) @binding(44) var<storage, read_write> places: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let tile = tiles[group.x];
  if (thread < tile.count) {
    places[sorted[group.y * level.n + tile.begin + thread]] = tile.begin + thread;
  }
}
