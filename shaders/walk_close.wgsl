// The cut of each segment by the random walk inside it, once both its vectors are multiplied: the values that are
// thresholded, and what the flow W_ij = w_i·M_ij says of the segment.
//
// u the right vector and g = P̃u:  θ = ⟨u, g⟩, and v = u + c·1 with c = mean(g)/(θ − 1) is P̃'s own eigenvector,
// ‖P̃v − θv‖ = ‖g − θu − mean(g)·1‖. Degrees are w_i·d_i, in the stationary state what arrives, (Mᵀw)_i, as well;
// vᵀ·diag(degrees)·v = 1; T = Σ(degrees − loops)/2, loops w_i·M_ii.
//
// A segment whose directions ended with a complex pair right of θ has no such vector: its residual is 1, its θ the
// real part of the pair.
//
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

var<workgroup> parts: array<vec4f, 256>;

fn total(value: vec4f, thread: u32) -> vec4f {
  parts[thread] = value;
  workgroupBarrier();
  for (var half = rolled(128u); half > 0u; half /= 2u) {
    if (thread < half) { parts[thread] += parts[thread + half]; }
    workgroupBarrier();
  }
  let sum = parts[0];
  workgroupBarrier();
  return sum;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let segment = segments[group.x];
  let alone = segment.size < 2u;
  // Whether nothing stays of some row; ⟨u, u⟩, ⟨u, g⟩ and Σg.
  var first = vec4f();
  // Σ w·d, Σ w·M_ii, Σ|w·d − Mᵀw|.
  var second = vec4f();
  for (var i = thread; i < segment.size; i += 256u) {
    let position = segment.begin + i;
    let stay = flow[STAY * level.n + position];
    let u = iterates[GIVEN * level.n + position];
    let g = iterates[IMAGE * level.n + position] / stay;
    first += vec4f(select(1.0, 0.0, stay > 0.0), u * u, u * g, g);
    let w = select(flow[WEIGHT * level.n + position], 1.0, alone);
    let degree = w * stay;
    second += vec4f(degree, w * loops[order[position]], abs(degree - flow[CAME * level.n + position]), 0.0);
  }
  first = total(first, thread);
  second = total(second, thread);
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
  let mean = first.w / f32(segment.size);
  let shift = mean / min(theta - 1.0, -1e-7);
  // ‖g − θu − mean‖², Σ degree·v².
  var third = vec4f();
  for (var i = thread; i < segment.size; i += 256u) {
    let position = segment.begin + i;
    let stay = flow[STAY * level.n + position];
    let u = iterates[GIVEN * level.n + position];
    let rest = iterates[IMAGE * level.n + position] / stay - theta * u - mean;
    let v = u + shift;
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
    let residual = sqrt(third.x / first.y) / max(theta, LEAST_THETA);
    let is_vector = progress[group.x].found > 0u;
    let own = select(vec2f(progress[group.x].theta, 1.0), vec2f(theta, residual), is_vector);
    pairs[group.x] = Pair(own.x, own.y, 0.0, 0u, second.x, second.y, 0.0, 0.0);
    if (!(second.z <= TOLERANCE * second.x)) { state.overflow = 2u; }
  }
}
