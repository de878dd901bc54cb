// Takes over each segment's chosen candidate: its order and its vector.
//
// Bindings: 2 order; 3 segments; 4 tiles; 13 values [2, n]; 14 sorted [2, n];
// 26 vectors by depth [depth, n], by node.
// Workgroup: 64 threads, one tile. Dispatch: tiles. Cost: one read of the nodes.

@group(0) @binding(2) var<storage, read_write> order: array<u32>;
@group(0) @binding(3) var<storage, read> segments: array<Segment>;
@group(0) @binding(4) var<storage, read> tiles: array<Tile>;
@group(0) @binding(13) var<storage, read> values: array<f32>;
@group(0) @binding(14) var<storage, read> sorted: array<u32>;
@group(0) @binding(26) var<storage, read_write> byDepth: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let tile = tiles[group.x];
  if (thread >= tile.count) { return; }
  let base = segments[tile.segment].unused0 * level.n;
  let node = sorted[base + tile.begin + thread];
  order[tile.begin + thread] = node;
  byDepth[level.depth * level.n + node] = values[base + node];
}
