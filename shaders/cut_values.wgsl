// The Fiedler vectors, y_i = ⟨F_i, z/√θ⟩ / d_i, so that yᵀDy = 1.
//
// Bindings: 1 F; 2 order; 4 tiles; 7 degrees; 11 vectors [segment, 2, stride];
// 13 values [2, n] by node. Workgroup: 256 threads, four a node.
// Dispatch: (tiles, 2 candidates). Cost: one read of F a candidate.

@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(4) var<storage, read> tiles: array<Tile>;
@group(0) @binding(7) var<storage, read> degrees: array<f32>;
@group(0) @binding(11) var<storage, read> vectors: array<f32>;
@group(0) @binding(13) var<storage, read_write> values: array<f32>;

var<workgroup> parts: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let tile = tiles[group.x];
  var sum = 0.0;
  if (thread / 4u < tile.count) {
    let row = order[tile.begin + thread / 4u] * level.stride;
    let vector = (tile.segment * 2u + group.y) * level.stride;
    for (var a = thread % 4u; a < level.rank; a += 4u) {
      sum += rows[row + a] * vectors[vector + a];
    }
  }
  parts[thread] = sum;
  workgroupBarrier();
  if (thread < tile.count) {
    let node = order[tile.begin + thread];
    let at = thread * 4u;
    sum = parts[at] + parts[at + 1u] + parts[at + 2u] + parts[at + 3u];
    values[group.y * level.n + node] = sum / degrees[node];
  }
}
