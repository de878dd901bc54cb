// The images (A·z_S)_i = R_i·⟨M_i, Y_S⟩ of the nodes i of each segment S that is not done.
//
// Bindings: 1 M; 2 order; 4 tiles; 38 R; 39 iterates; 40 progress; 42 Y [segment, stride].
// Workgroup: 256 threads make eight nodes of a tile, 32 threads share a row.
// Dispatch: (tiles, 8). Cost: one read of M's rows that are in open segments.

@group(0) @binding(1) var<storage, read> rows: array<vec4<Left>>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(4) var<storage, read> tiles: array<Tile>;
@group(0) @binding(38) var<storage, read> scales: array<f32>;
@group(0) @binding(39) var<storage, read_write> iterates: array<f32>;
@group(0) @binding(40) var<storage, read> progress: array<Progress>;
@group(0) @binding(42) var<storage, read> folded: array<vec4f>;

var<workgroup> parts: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let tile = tiles[group.x];
  if (progress[tile.segment].done == 1u) { return; }
  let stride = level.stride / 4u;
  let i = group.y * 8u + thread / 32u;
  let lane = thread % 32u;
  var node = 0u;
  var sum = 0.0;
  if (i < tile.count) {
    node = order[tile.begin + i];
    for (var c = lane; c < stride; c += 32u) {
      sum += dot(vec4f(rows[node * stride + c]), folded[tile.segment * stride + c]);
    }
  }
  parts[thread] = sum;
  workgroupBarrier();
  if (lane == 0u && i < tile.count) {
    for (var other = 1u; other < 32u; other++) {
      sum += parts[thread + other];
    }
    iterates[IMAGE * level.n + tile.begin + i] = scales[node] * sum;
  }
}
