// F ← M·V projected on the columns Q of a stale F and its probes' images: with Y = Mᵀ·Q and
// YᵀY = L·Lᵀ, V is the basis of Y's first r columns and QᵀM·V those of L, so that F = Q·L takes
// no product with M. The probes' images are scaled so that with them each node's Σ F² stays the
// estimate of A_ii that it was.
//
// Bindings: 1 F; 31 Q [n, stride]; 33 YᵀY = G [c, c], c = r + probes; 34 R with
// RᵀR = D·G·D, D_a = 1/√G_aa. Workgroup: 64 threads, a row each. Dispatch: ⌈n/64⌉.
// Cost: c²/2 multiply-adds a row.

@group(0) @binding(1) var<storage, read_write> rows: array<f32>;
@group(0) @binding(31) var<storage, read> columns: array<f32>;
@group(0) @binding(33) var<storage, read> gram: array<f32>;
@group(0) @binding(34) var<storage, read> triangle: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= level.n) { return; }
  let count = level.rank + level.probes;
  let base = id.x * level.stride;
  var before = 0.0;
  var inside = 0.0;
  for (var a = 0u; a < level.rank; a++) {
    before += rows[base + a] * rows[base + a];
    var sum = 0.0;
    for (var b = a; b < count; b++) {
      sum += columns[base + b] * sqrt(gram[b * count + b]) * triangle[a * count + b];
    }
    rows[base + a] = sum;
    inside += sum * sum;
  }
  var missed = 0.0;
  for (var a = level.rank; a < count; a++) {
    missed += rows[base + a] * rows[base + a];
  }
  let left = max(before + missed / f32(max(level.probes, 1u)) - inside, 0.0);
  let shrink = select(0.0, sqrt(left * f32(level.probes) / missed), missed > 0.0);
  for (var a = level.rank; a < count; a++) {
    rows[base + a] *= shrink;
  }
}
