// RᵀR = D·G·D with R upper triangular and D_a = 1/√G_aa. The scaling keeps f32 enough:
// the columns are nearly orthogonal, but their lengths differ as the eigenvalues do.
//
// Bindings: 33 G [c, c]; 34 R [c, c]. Workgroup: 256 threads, a column of R each in
// turn. Dispatch: 1. Cost: c³/3 multiply-adds, 2·c barriers.

@group(0) @binding(33) var<storage, read> gram: array<f32>;
@group(0) @binding(34) var<storage, read_write> triangle: array<f32>;

// A column with less than this share of its length beside the others depends on them.
const DEPENDENT = 1e-6;

var<workgroup> pivot: f32;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
  let count = level.rank + level.probes;
  for (var j = 0u; j < count; j++) {
    for (var i = j + thread; i < count; i += 256u) {
      let scale = inverseSqrt(max(gram[j * count + j] * gram[i * count + i], 1e-37));
      var rest = gram[j * count + i] * scale;
      for (var k = 0u; k < j; k++) {
        rest -= triangle[k * count + j] * triangle[k * count + i];
      }
      triangle[j * count + i] = rest;
      if (i == j) {
        pivot = select(0.0, inverseSqrt(rest), rest > DEPENDENT);
      }
    }
    workgroupBarrier();
    let factor = pivot;
    for (var i = j + thread; i < count; i += 256u) {
      triangle[j * count + i] *= factor;
    }
    storageBarrier();
    workgroupBarrier();
  }
}
