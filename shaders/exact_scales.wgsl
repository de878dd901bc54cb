// R and the loops of A = R·M·Mᵀ·R:  dot R_i = 1, A_ii = ‖M_i‖²;  cosine R_i = 1/‖M_i‖, A_ii = 1.
// R takes the scale back in which M is stored.
//
// Bindings: 36 ‖M_i‖², then A_ii; 38 R. Workgroup: 256 threads, a node each.
// Dispatch: ⌈n/256⌉. Cost: one read of the nodes.

@group(0) @binding(36) var<storage, read_write> loops: array<f32>;
@group(0) @binding(38) var<storage, read_write> scales: array<f32>;

override cosine: bool = false;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let node = id.x;
  if (node >= level.n) { return; }
  let square = loops[node];
  var scale = 1.0;
  if (cosine) {
    scale = select(0.0, inverseSqrt(square), square > 0.0);
    loops[node] = select(0.0, 1.0, square > 0.0);
  }
  scales[node] = scale * level.entryScale;
}
