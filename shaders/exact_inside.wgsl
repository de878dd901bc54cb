// The images (M·z_S)_i = R_i·Σ_{j in S} M_ij·z_j of the nodes i of each segment S that is not done: what stays
// inside the segment.
//
// Bindings: 1 M; 2 order; 3 segments; 4 tiles; 38 R; 39 iterates; 40 progress; 44 the position of each node.
// Workgroup: 256 threads make eight nodes of a tile, 32 threads share a row, in steps of 1024 columns.
// Dispatch: (tiles, 8). Cost: one read of M's rows that are in open segments.

@group(0) @binding(1) var<storage, read> rows: array<vec4<Left>>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> segments: array<Segment>;
@group(0) @binding(4) var<storage, read> tiles: array<Tile>;
@group(0) @binding(38) var<storage, read> scales: array<f32>;
@group(0) @binding(39) var<storage, read_write> iterates: array<f32>;
@group(0) @binding(40) var<storage, read> progress: array<Progress>;
@group(0) @binding(44) var<storage, read> places: array<u32>;

var<workgroup> factors: array<vec4f, 256>;
var<workgroup> parts: array<f32, 256>;

// z_S of a column.
fn factor_of(column: u32, segment: Segment) -> f32 {
  if (column >= level.n) { return 0.0; }
  let place = places[column];
  // A position before the segment wraps round and is beyond it as well.
  if (place - segment.begin >= segment.size) { return 0.0; }
  return iterates[GIVEN * level.n + place];
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let tile = tiles[group.x];
  if (progress[tile.segment].done == 1u) { return; }
  let segment = segments[tile.segment];
  let stride = level.stride / 4u;
  let i = group.y * 8u + thread / 32u;
  let lane = thread % 32u;
  let inside = i < tile.count;
  let node = order[tile.begin + select(0u, i, inside)];
  var sum = 0.0;
  for (var column0 = 0u; column0 < stride; column0 += 256u) {
    let column = 4u * (column0 + thread);
    factors[thread] = vec4f(
      factor_of(column, segment),
      factor_of(column + 1u, segment),
      factor_of(column + 2u, segment),
      factor_of(column + 3u, segment),
    );
    workgroupBarrier();
    if (inside) {
      for (var c = lane; c < min(256u, stride - column0); c += 32u) {
        sum += dot(vec4f(rows[node * stride + column0 + c]), factors[c]);
      }
    }
    workgroupBarrier();
  }
  parts[thread] = sum;
  workgroupBarrier();
  if (lane == 0u && inside) {
    for (var other = 1u; other < 32u; other++) {
      sum += parts[thread + other];
    }
    iterates[IMAGE * level.n + tile.begin + i] = scales[node] * sum;
  }
}
