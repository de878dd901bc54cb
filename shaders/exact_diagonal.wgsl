// The loops A_ii of a matrix that is cut as it is, and R = 1, which takes the scale back in which it is stored.
//
// Bindings: 1 M; 36 M_ii; 38 R. `Left` (f32 or f16) is put before this text. Workgroup: 256 threads, a node each.
// Dispatch: ⌈n/256⌉. Cost: one read of the diagonal.

@group(0) @binding(1) var<storage, read> rows: array<Left>;
@group(0) @binding(36) var<storage, read_write> loops: array<f32>;
@group(0) @binding(38) var<storage, read_write> scales: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let node = id.x;
  if (node >= level.n) { return; }
  loops[node] = level.entryScale * f32(rows[node * level.stride + node]);
  scales[node] = level.entryScale;
}
