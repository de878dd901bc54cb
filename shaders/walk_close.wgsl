// The cut of each segment by the random walk inside it, once both its vectors are multiplied: the values that are
// thresholded, and what the flow W_ij = w_i·M_ij says of the segment.
//
// x + i·y the right vector, without its mean (y = 0 unless it is one of a complex pair, x ⟂ y), and g = P̃x:
//   Re μ = ⟨x, g⟩/⟨x, x⟩, Im μ = −⟨y, g⟩/⟨y, y⟩, residual = ‖g − mean(g) − Re μ·x + Im μ·y‖/(‖x‖·Re μ).
// v = x + c·1 with c from πᵀv = 0 is P̃'s own, π ∝ degrees. Degrees are w_i·d_i, in the stationary state what arrives,
// (Mᵀw)_i, as well; vᵀ·diag(degrees)·v = 1; T = Σ(degrees − loops)/2, loops w_i·M_ii.
//
// The residual is 1 where the directions ended before a vector had stayed good enough.
//
// Put behind `workgroup_total.wgsl`.
// Bindings: 2 order; 3 segments; 12 pairs; 13 values by node; 17 state; 36 M_ii; 38 R, the rows' weights w by node;
// 39 iterates and 40 progress of the right vectors; 45 flow [3, n]. Workgroup: 256 threads, one segment. Dispatch: segments.
// Cost: five reads of the segment's part of a vector.

@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> segments: array<Segment>;
@group(0) @binding(12) var<storage, read_write> pairs: array<Pair>;
@group(0) @binding(13) var<storage, read_write> values: array<f32>;
@group(0) @binding(17) var<storage, read_write> state: State;
@group(0) @binding(36) var<storage, read> loops: array<f32>;
@group(0) @binding(38) var<storage, read_write> scales: array<f32>;
@group(0) @binding(39) var<storage, read> iterates: array<f32>;
@group(0) @binding(40) var<storage, read> progress: array<Progress>;
@group(0) @binding(45) var<storage, read> flow: array<f32>;

// Largest ‖w·d − Mᵀw‖₁ as a share of Σ w·d: above it the state is not stationary.
const TOLERANCE = 3e-5;
const LEAST_THETA = 1e-3;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let segment = segments[group.x];
  let alone = segment.size < 2u;
  // Whether nothing stays of some row; ⟨x, x⟩, ⟨x, g⟩ and Σg.
  var first = vec4f();
  // Σ w·d, Σ w·M_ii, Σ|w·d − Mᵀw|, Σ w·d·x.
  var second = vec4f();
  // ⟨y, y⟩, ⟨y, g⟩.
  var turning = vec4f();
  for (var i = thread; i < segment.size; i += 256u) {
    let position = segment.begin + i;
    let stay = flow[STAY * level.n + position];
    let x = iterates[GIVEN * level.n + position];
    let y = iterates[IMAGINARY * level.n + position];
    let g = iterates[IMAGE * level.n + position] / stay;
    first += vec4f(select(1.0, 0.0, stay > 0.0), x * x, x * g, g);
    turning += vec4f(y * y, y * g, 0.0, 0.0);
    let w = select(flow[WEIGHT * level.n + position], 1.0, alone);
    let degree = w * stay;
    let gap = abs(degree - flow[CAME * level.n + position]);
    second += vec4f(degree, w * loops[order[position]], gap, degree * x);
  }
  first = total(first, thread);
  second = total(second, thread);
  turning = total(turning, thread);
  if (alone || first.x > 0.0) {
    for (var i = thread; i < segment.size; i += 256u) {
      values[order[segment.begin + i]] = 0.0;
      scales[order[segment.begin + i]] = level.entryScale;
    }
    if (thread == 0u) {
      pairs[group.x] = Pair(0.0, 0.0, 0.0, 0u, second.x, second.y, 0.0, 0.0);
      // What nothing ties to its segment is the host's.
      if (first.x > 0.0) { state.overflow = 2u; }
    }
    return;
  }
  let theta = first.z / first.y;
  let imaginary = select(0.0, -turning.y / turning.x, turning.x > 0.0);
  let mean = first.w / f32(segment.size);
  let shift = -second.w / second.x;
  // ‖g − mean − Re μ·x + Im μ·y‖², Σ degree·v².
  var third = vec4f();
  for (var i = thread; i < segment.size; i += 256u) {
    let position = segment.begin + i;
    let stay = flow[STAY * level.n + position];
    let x = iterates[GIVEN * level.n + position];
    let y = iterates[IMAGINARY * level.n + position];
    let rest = iterates[IMAGE * level.n + position] / stay - mean - theta * x + imaginary * y;
    let v = x + shift;
    third += vec4f(rest * rest, flow[WEIGHT * level.n + position] * stay * v * v, 0.0, 0.0);
  }
  third = total(third, thread);
  for (var i = thread; i < segment.size; i += 256u) {
    let position = segment.begin + i;
    let node = order[position];
    values[node] = (iterates[GIVEN * level.n + position] + shift) * inverseSqrt(third.y);
    scales[node] = level.entryScale * flow[WEIGHT * level.n + position];
  }
  if (thread == 0u) {
    let own = sqrt(third.x / first.y) / max(theta, LEAST_THETA);
    let residual = select(1.0, own, progress[group.x].found > 0u);
    pairs[group.x] = Pair(theta, residual, 0.0, 0u, second.x, second.y, 0.0, 0.0);
    if (!(second.z <= TOLERANCE * second.x)) { state.overflow = 2u; }
  }
}
