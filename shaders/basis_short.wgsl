// Whether a renewed basis is short of the trace as far as its projection shows, ‖QᵀM·V‖² =
// Σ L², L of `basis_project.wgsl`. Where it is not, M·V itself is not computed, and the probes'
// images shrink to what the projection leaves of the trace.
//
// Bindings: 5 sums of the root's tiles; 17 state; 30 workgroups, of which the
// product's are written; 33 G and 34 R as in `basis_project.wgsl`.
// Workgroup: 256 threads, a column each in turn. Dispatch: 1. Cost: c²/2 multiply-adds,
// nothing where the basis is not renewed.

@group(0) @binding(5) var<storage, read> sums: array<f32>;
@group(0) @binding(17) var<storage, read_write> state: State;
@group(0) @binding(30) var<storage, read_write> basisGroups: array<u32>;
@group(0) @binding(33) var<storage, read> gram: array<f32>;
@group(0) @binding(34) var<storage, read> triangle: array<f32>;

var<workgroup> parts: array<f32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
  if (state.renewed == 0u) { return; }
  let count = level.rank + level.probes;
  var part = 0.0;
  for (var b = thread; b < count; b += 256u) {
    var own = 0.0;
    for (var a = 0u; a < min(b + 1u, level.rank); a++) {
      own += triangle[a * count + b] * triangle[a * count + b];
    }
    part += own * gram[b * count + b];
  }
  parts[thread] = part;
  workgroupBarrier();
  for (var half = 128u; half > 0u; half /= 2u) {
    if (thread < half) {
      parts[thread] += parts[thread + half];
    }
    workgroupBarrier();
  }
  if (thread > 0u) { return; }
  var held = 0.0;
  var trace = 0.0;
  for (var t = 0u; t < state.tiles; t++) {
    held += sums[t * level.stride + level.rank];
    trace += sums[t * level.stride + level.rank + 1u];
  }
  let short = u32(parts[0] < level.settled * trace);
  state.renewed = 1u + short;
  state.missed = sqrt(max(trace - parts[0], 0.0) / max(trace - held, 1e-37));
  basisGroups[0] *= short;
}
