// Second eigenvector of each segment's K = Gᵀ·G [r, r] by Lanczos with the known
// vector Fᵀ1 deflated and full reorthogonalisation, twice; and the part of the last
// frame's vector in the eigenvectors whose value is within CLUSTER of the leading one.
// x = G·z/√θ is the eigenvector of B = D^-1/2·A·D^-1/2, so y_i = ⟨F_i, z⟩/(√θ·d_i).
//
// Bindings: 3 segments; 5 sums; 6 starts; 9 K; 10 Krylov basis [segment, STEPS, stride];
// 11 vectors z/√θ [segment, 2, stride]; 12 pairs; 29 rotations [segment, ROTATIONS].
// Workgroup: 256 threads, two components each, t and t + 256 (r ≤ 512). Dispatch: segments.
// Cost: at most STEPS · (r² + 4·STEPS·r) multiply-adds. The tridiagonal matrix is
// diagonalised by implicit QL: one thread finds the rotations and writes them down,
// then each turns its own row of the eigenvectors.

@group(0) @binding(3) var<storage, read> segments: array<Segment>;
@group(0) @binding(5) var<storage, read> sums: array<f32>;
@group(0) @binding(6) var<storage, read> starts: array<f32>;
@group(0) @binding(9) var<storage, read> matrices: array<f32>;
@group(0) @binding(10) var<storage, read_write> krylov: array<f32>;
@group(0) @binding(11) var<storage, read_write> vectors: array<f32>;
@group(0) @binding(12) var<storage, read_write> pairs: array<Pair>;
@group(0) @binding(29) var<storage, read_write> rotations: array<vec4f>;

const STEPS = 48u;
const ROTATIONS = 4096u;
const TOLERANCE = 3e-6;
const VANISHING = 1e-6;
const CLUSTER = 0.1;
const CONTINUES = 0.25;   // square of the least part a start must have in the cluster

var<workgroup> shared_vector: array<f32, 512>;
var<workgroup> parts: array<vec2f, 256>;
var<workgroup> folded: array<vec2f, 16>;
var<workgroup> coefficients: array<f32, 48>;
var<workgroup> alpha: array<f32, 48>;
var<workgroup> beta: array<f32, 48>;
// Weights of the Krylov vectors: [leading, continued].
var<workgroup> weights: array<array<f32, 48>, 2>;
var<workgroup> first: array<f32, 48>;
var<workgroup> finished: u32;
var<workgroup> clustered: f32;

// Tridiagonal matrix while it is diagonalised; rows of its eigenvectors, by thread.
var<workgroup> diagonal: array<f32, 48>;
var<workgroup> off: array<f32, 48>;
var<workgroup> turned: array<f32, 2304>;
var<workgroup> rotation_count: u32;

// Sums over the workgroup. Few barriers and few uses keep this shader quick to compile.
fn total(value: vec2f, thread: u32) -> vec2f {
  parts[thread] = value;
  workgroupBarrier();
  if (thread < 16u) {
    var sum = vec2f();
    for (var i = 0u; i < rolled(16u); i++) {
      sum += parts[i * 16u + thread];
    }
    folded[thread] = sum;
  }
  workgroupBarrier();
  var sum = vec2f();
  for (var i = 0u; i < rolled(16u); i++) {
    sum += folded[i];
  }
  return sum;
}

fn share_vector(x: vec2f, thread: u32) {
  shared_vector[thread] = x.x;
  shared_vector[thread + 256u] = x.y;
}

// The thread's components of K·x; K is symmetric, so its columns are read along the threads.
fn apply(segment: u32, x: vec2f, thread: u32) -> vec2f {
  share_vector(x, thread);
  workgroupBarrier();
  var sum = vec2f();
  let base = segment * level.rank * level.rank + thread;
  if (thread + 256u < level.rank) {
    for (var b = 0u; b < level.rank; b++) {
      let at = base + b * level.rank;
      sum += vec2f(matrices[at], matrices[at + 256u]) * shared_vector[b];
    }
  } else if (thread < level.rank) {
    for (var b = 0u; b < level.rank; b++) {
      sum.x += matrices[base + b * level.rank] * shared_vector[b];
    }
  }
  workgroupBarrier();
  return sum;
}

// Implicit QL on the tridiagonal matrix by one thread: eigenvalues in `diagonal`, and
// the rotations (c, s, column) that make the eigenvectors.
fn diagonalise(count: u32, first_rotation: u32) {
  var written = 0u;
  for (var i = 0u; i < count; i++) {
    diagonal[i] = alpha[i];
    off[i] = select(0.0, beta[i], i + 1u < count);
  }
  for (var l = 0u; l < count; l++) {
    for (var iteration = 0u; iteration < 30u; iteration++) {
      var m = l;
      while (m + 1u < count) {
        if (abs(off[m]) <= 6e-8 * (abs(diagonal[m]) + abs(diagonal[m + 1u]))) { break; }
        m++;
      }
      if (m == l || written + m - l > ROTATIONS) { break; }
      var g = (diagonal[l + 1u] - diagonal[l]) / (2.0 * off[l]);
      var r = sqrt(g * g + 1.0);
      g = diagonal[m] - diagonal[l] + off[l] / (g + select(-r, r, g >= 0.0));
      var s = 1.0;
      var c = 1.0;
      var p = 0.0;
      var stopped = false;
      for (var i = m; i > l; i--) {
        let j = i - 1u;
        let f = s * off[j];
        let b = c * off[j];
        r = sqrt(f * f + g * g);
        off[i] = r;
        if (r == 0.0) {
          diagonal[i] -= p;
          off[m] = 0.0;
          stopped = true;
          break;
        }
        s = f / r;
        c = g / r;
        g = diagonal[i] - p;
        r = (diagonal[j] - g) * s + 2.0 * c * b;
        p = s * r;
        diagonal[i] = g + p;
        g = c * r - b;
        rotations[first_rotation + written] = vec4f(c, s, f32(j), 0.0);
        written++;
      }
      if (stopped) { continue; }
      diagonal[l] -= p;
      off[l] = g;
      off[m] = 0.0;
    }
  }
  rotation_count = written;
}

// Row `row` of the eigenvectors: the rotations applied to that row of the identity.
fn turn(count: u32, row: u32, first_rotation: u32) {
  let base = row * STEPS;
  for (var i = 0u; i < count; i++) {
    turned[base + i] = select(0.0, 1.0, i == row);
  }
  for (var i = 0u; i < rotation_count; i++) {
    let rotation = rotations[first_rotation + i];
    let at = base + u32(rotation.z);
    let lower = turned[at];
    let upper = turned[at + 1u];
    turned[at + 1u] = rotation.y * lower + rotation.x * upper;
    turned[at] = rotation.x * lower - rotation.y * upper;
  }
}

// The thread's components of the Krylov vector that begins at `at − thread`.
fn krylov_parts(at: u32, inside: vec2<bool>) -> vec2f {
  var parts = vec2f();
  if (inside.x) { parts.x = krylov[at]; }
  if (inside.y) { parts.y = krylov[at + 256u]; }
  return parts;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let s = group.x;
  let segment = segments[s];
  let inside = vec2<bool>(thread < level.rank, thread + 256u < level.rank);
  var known = vec2f();
  var begin = vec2f();
  var loops = 0.0;
  var factor = 0.0;
  for (var t = segment.tile; t < segment.tile + segment.tiles; t++) {
    let at = t * level.stride + thread;
    if (inside.x) {
      known.x += sums[at];
      begin.x += starts[at];
    }
    if (inside.y) {
      known.y += sums[at + 256u];
      begin.y += starts[at + 256u];
    }
    factor += sums[t * level.stride + level.rank];
    loops += sums[t * level.stride + level.rank + 1u];
  }
  let sizes = total(vec2f(dot(known, known), dot(begin, begin)), thread);
  known *= select(0.0, inverseSqrt(sizes.x), sizes.x > 0.0);
  let started = sizes.y > 0.0;
  let counter = thread + s * 512u;
  let random = select(vec2f(), vec2f(noise(counter), noise(counter + 256u)), inside);
  // What K does not reach would take the place of a direction where the segment is small.
  let reached = apply(s, random, thread);
  let reach = total(vec2f(dot(reached, reached), 0.0), thread).x;
  // The vector that comes next in the basis, before it is made orthogonal to the others.
  var w = begin * inverseSqrt(max(sizes.y, 1e-37));
  if (!started) { w = reached * inverseSqrt(max(reach, 1e-37)); }

  let most = min(min(level.rank, segment.size) - 1u, STEPS);
  let base = s * STEPS * level.stride + thread;
  var count = 0u;
  for (var j = 0u; j <= STEPS; j++) {
    if (j > most) { break; }
    for (var round = 0u; round < 2u; round++) {
      w -= known * total(vec2f(dot(known, w), 0.0), thread).x;
      share_vector(w, thread);
      storageBarrier();
      workgroupBarrier();
      if (thread < j) {
        var inner = 0.0;
        let at = (s * STEPS + thread) * level.stride;
        for (var i = 0u; i < level.rank; i++) {
          inner += krylov[at + i] * shared_vector[i];
        }
        coefficients[thread] = inner;
      }
      workgroupBarrier();
      for (var i = 0u; i < j; i++) {
        w -= coefficients[i] * krylov_parts(base + i * level.stride, inside);
      }
    }
    let size = sqrt(total(vec2f(dot(w, w), 0.0), thread).x);
    let exhausted = size <= VANISHING || j == most;
    if (thread == 0u) {
      finished = u32(exhausted);
      if (j > 0u) { beta[j - 1u] = size; }
    }
    workgroupBarrier();
    // Ritz vectors, once in a while.
    count = j;
    let looks = j > 0u && (exhausted || j % 8u == 4u);
    if (looks && thread == 0u) {
      diagonalise(count, s * ROTATIONS);
    }
    storageBarrier();
    workgroupBarrier();
    if (looks && thread < count) {
      turn(count, thread, s * ROTATIONS);
      let row = thread * STEPS;
      var top = 0u;
      for (var i = 1u; i < count; i++) {
        if (diagonal[i] > diagonal[top]) { top = i; }
      }
      weights[0][thread] = turned[row + top];
      if (thread == count - 1u && size * abs(turned[row + top]) <= TOLERANCE * diagonal[top]) {
        finished = 1u;
      }
      if (thread == 0u) {
        clustered = 0.0;
        for (var i = 0u; i < count; i++) {
          first[i] = select(0.0, turned[row + i], diagonal[i] >= diagonal[top] * (1.0 - CLUSTER));
          clustered += first[i] * first[i];
        }
      }
    }
    if (workgroupUniformLoad(&finished) == 1u) { break; }
    w *= select(0.0, 1.0 / size, size > 0.0);
    let slot = base + j * level.stride;
    if (inside.x) { krylov[slot] = w.x; }
    if (inside.y) { krylov[slot + 256u] = w.y; }
    let x = w;
    w = apply(s, x, thread);
    let along = total(vec2f(dot(w, x), 0.0), thread).x;
    if (thread == 0u) { alpha[j] = along; }
  }
  if (thread < count) {
    var sum = 0.0;
    for (var i = 0u; i < count; i++) {
      sum += first[i] * turned[thread * STEPS + i];
    }
    weights[1][thread] = sum;
  }
  storageBarrier();
  workgroupBarrier();
  let share = select(0.0, clustered, count > 0u);
  var found = array<vec2f, 2>();
  for (var candidate = 0u; candidate < 2u; candidate++) {
    var z = vec2f();
    for (var i = 0u; i < count; i++) {
      z += weights[candidate][i] * krylov_parts(base + i * level.stride, inside);
    }
    // The basis starts with the start, so its weight says which way the vector points.
    if (count > 0u) {
      z *= select(1.0, -1.0, weights[candidate][0] < 0.0);
    }
    if (candidate == 1u) {
      z *= select(0.0, inverseSqrt(share), share > 0.0);
    }
    let image = apply(s, z, thread);
    let theta = total(vec2f(dot(z, image), 0.0), thread).x;
    let rest = image - theta * z;
    let error = sqrt(total(vec2f(dot(rest, rest), 0.0), thread).x);
    let positive = theta > 0.0;
    let scaled = z * select(0.0, inverseSqrt(theta), positive);
    let slot = (s * 2u + candidate) * level.stride + thread;
    if (inside.x) { vectors[slot] = scaled.x; }
    if (inside.y) { vectors[slot + 256u] = scaled.y; }
    // ‖Bx − θx‖ = ‖G·rest‖/√θ, at most ‖rest‖ as K is at most θ beside the known vector.
    found[candidate] = vec2f(theta, select(0.0, error / theta, positive));
  }
  if (thread == 0u) {
    let hasHeld = started && share >= CONTINUES && found[1].x > 0.0;
    pairs[s] = Pair(found[0].x, found[0].y, found[1].y, u32(hasHeld), sizes.x, loops, factor, 0.0);
  }
}
