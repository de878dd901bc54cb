// The rows that a sweep adds up where a matrix is cut itself: those of R·M, a flow that is the same from L to R as
// from R to L, as it is symmetric or in its stationary state. Put before `cut_sorted_sums.wgsl` and
// `cut_sweep.wgsl`, and itself after the alias `Left` (f32 or f16).
//
// Bindings: 1 M; 38 R; 44 the position of each node. Workgroup: none. Cost: none of its own.

@group(0) @binding(1) var<storage, read> rows: array<Left>;
@group(0) @binding(38) var<storage, read> scales: array<f32>;
@group(0) @binding(44) var<storage, read> places: array<u32>;

fn row_value(node: u32, column: u32) -> f32 {
  return scales[node] * f32(rows[node * level.stride + column]);
}

// What a column adds to the weight that is cut behind a position, and to that of the part before it and the one
// behind: sums of positive terms, no difference that a small part would drown in.
fn weighed(part: f32, whole: f32, column: u32, position: u32, segment: Segment) -> vec3f {
  let place = places[column];
  if (place - segment.begin >= segment.size) { return vec3f(); }
  return select(vec3f(0.0, whole, 0.0), vec3f(part, 0.0, whole), place >= position);
}
