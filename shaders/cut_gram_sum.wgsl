// K of each segment: the sum of its tiles' matrices.
//
// Bindings: 3 segments; 8 grams [tile, r, r]; 9 K [segment, r, r].
// Workgroup: 256 threads, an entry each. Dispatch: (⌈r²/256⌉, segments).
// Cost: one read of the tiles' matrices.

@group(0) @binding(3) var<storage, read> segments: array<Segment>;
@group(0) @binding(8) var<storage, read> grams: array<f32>;
@group(0) @binding(9) var<storage, read_write> matrices: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let entries = level.rank * level.rank;
  let entry = group.x * 256u + thread;
  if (entry >= entries) { return; }
  let segment = segments[group.y];
  var sum = 0.0;
  for (var t = 0u; t < segment.tiles; t++) {
    sum += grams[(segment.tile + t) * entries + entry];
  }
  matrices[group.y * entries + entry] = sum;
}
