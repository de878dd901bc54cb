// Squared length of each row of the walk's matrix, ‖M_i‖² = A_ii: the loops of A as they are.
//
// Bindings: 0 sizes; 1 a band of M; 2 squares [rows of M]. `Left` (f32 or f16) is put
// before this text. Workgroup: 128 threads, one row. Dispatch: rows of the band.
// Cost: one read of the band.

struct Sizes {
  stride: u32,     // row length of M, in vec4
  firstRow: u32,   // of the band
  scale: f32,      // of a value as it is stored
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> matrix: array<vec4<Left>>;
@group(0) @binding(2) var<storage, read_write> squares: array<f32>;

var<workgroup> parts: array<f32, 128>;

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  var sum = 0.0;
  for (var at = thread; at < sizes.stride; at += 128u) {
    let value = sizes.scale * vec4f(matrix[group.x * sizes.stride + at]);
    sum += dot(value, value);
  }
  parts[thread] = sum;
  workgroupBarrier();
  for (var half = 64u; half > 0u; half /= 2u) {
    if (thread < half) {
      parts[thread] += parts[thread + half];
    }
    workgroupBarrier();
  }
  if (thread == 0u) {
    squares[sizes.firstRow + group.x] = parts[0];
  }
}
