// F = Q·Rᵀ where A projected on the orthonormal columns Q is Q·(YᵀY)·Qᵀ, Y = Mᵀ·Q, and
// YᵀY = RᵀR with R upper triangular: A ≈ F·Fᵀ without another product with M.
//
// Bindings: 31 Q [n, stride]; 33 G = YᵀY [c, c], c = r + probes; 34 R·D of
// `basis_cholesky.wgsl`, D_a = 1/√G_aa; 35 F [n, stride], whose first r columns are written.
// Workgroup: 256 threads make 64×64 values of F, 4×4 a thread, in steps of 16 columns of Q.
// Dispatch: (⌈r/64⌉, ⌈n/64⌉). Cost: n·r² operations.

@group(0) @binding(31) var<storage, read> columns: array<f32>;
@group(0) @binding(33) var<storage, read> gram: array<f32>;
@group(0) @binding(34) var<storage, read> triangle: array<f32>;
@group(0) @binding(35) var<storage, read_write> solution: array<f32>;

var<workgroup> left: array<f32, 1024>;
var<workgroup> right: array<f32, 1024>;

// R[a, b], zero below the diagonal.
fn entry(a: u32, b: u32) -> f32 {
  let count = level.rank + level.probes;
  if (a > b || b >= level.rank) { return 0.0; }
  return triangle[a * count + b] * sqrt(gram[b * count + b]);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let a0 = group.x * 64u;
  let row0 = group.y * 64u;
  var block = mat4x4f();
  // Columns before a0 have no part: R is upper triangular.
  for (var b = a0; b < level.rank; b += 16u) {
    for (var at = thread; at < 1024u; at += 256u) {
      let row = row0 + at % 64u;
      let column = b + at / 64u;
      left[at] = 0.0;
      if (row < level.n && column < level.rank) {
        left[at] = columns[row * level.stride + column];
      }
      right[at] = entry(a0 + at % 64u, column);
    }
    workgroupBarrier();
    for (var k = 0u; k < 16u; k++) {
      let l = k * 64u + (thread / 16u) * 4u;
      let r = k * 64u + (thread % 16u) * 4u;
      let values = vec4f(right[r], right[r + 1u], right[r + 2u], right[r + 3u]);
      block += mat4x4f(left[l] * values, left[l + 1u] * values, left[l + 2u] * values, left[l + 3u] * values);
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < 4u; i++) {
    for (var j = 0u; j < 4u; j++) {
      let row = row0 + (thread / 16u) * 4u + i;
      let a = a0 + (thread % 16u) * 4u + j;
      if (row < level.n && a < level.rank) {
        solution[row * level.stride + a] = block[i][j];
      }
    }
  }
}
