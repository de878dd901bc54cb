// F ← M·V projected on the columns Q of a stale F and its probes' images: with Y = Mᵀ·Q and
// YᵀY = L·Lᵀ, V is the basis of Y's first r columns and QᵀM·V those of L, so that F = Q·L takes
// no product with M. The probes' images are scaled by what `basis_short.wgsl` found, so that with
// them Σ F² stays the estimate of tr A that it was; not node by node, where a probe may find less
// than there is, and cutting that off at nothing would make the trace larger than it is.
//
// Bindings: 1 F; 17 state; 31 Q [n, stride]; 33 YᵀY = G [c, c], c = r + probes; 34 R with
// RᵀR = D·G·D, D_a = 1/√G_aa. Workgroup: 64 threads, a row each. Dispatch: ⌈n/64⌉.
// Cost: c²/2 multiply-adds a row.

@group(0) @binding(1) var<storage, read_write> rows: array<f32>;
@group(0) @binding(17) var<storage, read> state: State;
@group(0) @binding(31) var<storage, read> columns: array<f32>;
@group(0) @binding(33) var<storage, read> gram: array<f32>;
@group(0) @binding(34) var<storage, read> triangle: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= level.n) { return; }
  let count = level.rank + level.probes;
  let base = id.x * level.stride;
  for (var a = 0u; a < level.rank; a++) {
    var sum = 0.0;
    for (var b = a; b < count; b++) {
      sum += columns[base + b] * sqrt(gram[b * count + b]) * triangle[a * count + b];
    }
    rows[base + a] = sum;
  }
  for (var a = level.rank; a < count; a++) {
    rows[base + a] *= state.missed;
  }
}
