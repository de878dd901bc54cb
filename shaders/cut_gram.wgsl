// Degrees inside the segment, d_i = ⟨F_i, Σ_S F⟩, and per tile Σ F_i·F_iᵀ / d_i,
// the tile's part of K = Gᵀ·G with G = D^-1/2·F_S.
//
// Bindings: 1 F; 2 order; 3 segments; 4 tiles; 5 sums; 7 degrees; 8 grams [tile, r, r].
// Workgroup: 256 threads make a 64×64 block of the tile's matrix, 4×4 values a
// thread, in steps of 16 nodes. Dispatch: (tiles, ⌈r/64⌉²).
// Cost: 2·64·r² operations a tile.

@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> segments: array<Segment>;
@group(0) @binding(4) var<storage, read> tiles: array<Tile>;
@group(0) @binding(5) var<storage, read> sums: array<f32>;
@group(0) @binding(7) var<storage, read_write> degrees: array<f32>;
@group(0) @binding(8) var<storage, read_write> grams: array<f32>;

// Degrees below this share of the segment's mean are the factor's error, not the graph's.
const LEAST_DEGREE = 1e-4;

var<workgroup> sum: array<f32, 512>;
var<workgroup> parts: array<f32, 256>;
var<workgroup> nodes: array<u32, 64>;
var<workgroup> inverse: array<f32, 64>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let tile = tiles[group.x];
  let segment = segments[tile.segment];
  let blocks = (level.rank + 63u) / 64u;
  let row0 = (group.y / blocks) * 64u;
  let column0 = (group.y % blocks) * 64u;
  var square = 0.0;
  for (var a = thread; a < level.rank; a += 256u) {
    var own = 0.0;
    for (var t = 0u; t < segment.tiles; t++) {
      own += sums[(segment.tile + t) * level.stride + a];
    }
    sum[a] = own;
    square += own * own;
  }
  parts[thread] = square;
  if (thread < tile.count) {
    nodes[thread] = order[tile.begin + thread];
  }
  workgroupBarrier();
  for (var half = 128u; half > 0u; half /= 2u) {
    if (thread < half) {
      parts[thread] += parts[thread + half];
    }
    workgroupBarrier();
  }
  let least = max(parts[0] / f32(segment.size) * LEAST_DEGREE, 1e-30);
  workgroupBarrier();
  // Four threads a node.
  var degree = 0.0;
  if (thread / 4u < tile.count) {
    let at = nodes[thread / 4u] * level.stride;
    for (var a = thread % 4u; a < level.rank; a += 4u) {
      degree += rows[at + a] * sum[a];
    }
  }
  parts[thread] = degree;
  workgroupBarrier();
  if (thread < tile.count) {
    let at = thread * 4u;
    degree = max(parts[at] + parts[at + 1u] + parts[at + 2u] + parts[at + 3u], least);
    inverse[thread] = 1.0 / degree;
    if (group.y == 0u) {
      degrees[nodes[thread]] = degree;
    }
  }
  workgroupBarrier();
  var block = mat4x4f();
  for (var i0 = 0u; i0 < tile.count; i0 += 16u) {
    for (var at = thread; at < 1024u; at += 256u) {
      let i = i0 + at / 64u;
      let a = row0 + at % 64u;
      let b = column0 + at % 64u;
      var l = 0.0;
      var r = 0.0;
      if (i < tile.count) {
        let row = nodes[i] * level.stride;
        if (a < level.rank) { l = rows[row + a] * inverse[i]; }
        if (b < level.rank) { r = rows[row + b]; }
      }
      left[at] = l;
      right[at] = r;
    }
    workgroupBarrier();
    block = added(block, thread);
    workgroupBarrier();
  }
  for (var i = 0u; i < 4u; i++) {
    for (var j = 0u; j < 4u; j++) {
      let a = row0 + ownRow(thread) + i;
      let b = column0 + ownColumn(thread) + j;
      if (a < level.rank && b < level.rank) {
        grams[(group.x * level.rank + a) * level.rank + b] = block[i][j];
      }
    }
  }
}
