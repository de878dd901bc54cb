// One step of each segment's iteration, once the image of its last direction is there: Lanczos for
// the second eigenvector of B = D^-1/2·A·D^-1/2 with the known one, D^1/2·1, deflated and every
// direction orthogonalised twice against all before it.
//
// The largest eigenvalue of the tridiagonal matrix is found by sections into 257 parts, each thread
// counting signs at a point of its own, and its vector by inverse iteration. A vector counts as found
// by ‖Bx − θx‖ ≤ β·|last weight|; then it is multiplied itself, for its own θ and residual. Where a start is
// refined whose place among its neighbours is known, the residual alone decides, and no product is spent on that.
//
// Put behind `exact_krylov.wgsl`.
// Bindings: 2 order; 3 segments; 10 Krylov bases [STEPS + 1, n]; 12 pairs; 13 values by node;
// 17 state; 36 A_ii; 39 iterates; 40 progress; 41 gates.
// Workgroup: 256 threads, one segment. Dispatch: segments.
// Cost: 4·j + 6 reads of the segment's part of a vector at step j.

@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> segments: array<Segment>;
@group(0) @binding(10) var<storage, read_write> krylov: array<f32>;
@group(0) @binding(12) var<storage, read_write> pairs: array<Pair>;
@group(0) @binding(13) var<storage, read_write> values: array<f32>;
@group(0) @binding(17) var<storage, read_write> state: State;
@group(0) @binding(36) var<storage, read> loops: array<f32>;
@group(0) @binding(39) var<storage, read_write> iterates: array<f32>;
@group(0) @binding(40) var<storage, read_write> progress: array<Progress>;
@group(0) @binding(41) var<storage, read_write> gates: Gates;

// The vector is good enough, unless another one is better.
const LOOK = 2u;
// Largest ‖Bx − θx‖/θ, and that a θ below the least one counts as that.
override tolerance: f32 = 1e-5;
// Most directions, at most STEPS.
override most: u32 = 48u;
// Whether the start lies near the vector, and where that lies among others is known.
override placed: bool = false;
const LEAST_THETA = 1e-3;
// Largest ‖Bx − θx‖ as a share of λ = 1 − θ, above what f32 sums leave.
const SHARE_OF_LAMBDA = 0.003;
const ROUNDING = 2e-6;
// Directions to have before a vector is believed, and most that are spent on its rival after.
const FEWEST = 6u;
const MOST_RIVALS = 10u;
const VANISHING = 1e-6;
// Noise in a start that is guessed, so that no eigenvector is out of reach.
const SPICE = 0.1;

// Of the directions in the vector found.
var<workgroup> weights: array<f32, 48>;
// θ and ‖Bx − θx‖ of the vector found.
var<workgroup> found: vec2f;
var<workgroup> alpha: array<f32, 48>;
var<workgroup> beta: array<f32, 48>;
var<workgroup> above: atomic<u32>;
var<workgroup> section: vec2f;
// Elimination of T − θ: its rows, multipliers and exchanges.
var<workgroup> eliminated: array<vec4f, 48>;
var<workgroup> exchanged: array<u32, 48>;

// Of D^1/2·1, whose square is 1ᵀA1 of the segment.
fn known(position: u32) -> f32 { return iterates[ROOTS * level.n + position]; }

fn to_be_given(w: f32, position: u32) -> f32 { return w / known(position); }

// The eigenvalue of the tridiagonal matrix of `count` rows that has `place` − 1 above it.
fn eigenvalue(count: u32, place: u32, thread: u32) -> f32 {
  if (thread == 0u) {
    section = vec2f(0.0, 1.001);
    atomicStore(&above, 0u);
  }
  workgroupBarrier();
  for (var round = 0u; round < 3u; round++) {
    let low = section.x;
    let part = (section.y - low) / 257.0;
    let point = low + part * f32(thread + 1u);
    var pivot = 1.0;
    var over = 0u;
    for (var i = 0u; i < count; i++) {
      var coupling = 0.0;
      if (i > 0u) { coupling = beta[i - 1u] * beta[i - 1u] / pivot; }
      pivot = alpha[i] - point - coupling;
      if (abs(pivot) < 1e-20) { pivot = -1e-20; }
      over += u32(pivot > 0.0);
    }
    if (over >= place) { atomicAdd(&above, 1u); }
    workgroupBarrier();
    if (thread == 0u) {
      let steps = f32(atomicLoad(&above));
      section = vec2f(low + part * steps, low + part * (steps + 1.0));
      atomicStore(&above, 0u);
    }
    workgroupBarrier();
  }
  return (section.x + section.y) / 2.0;
}

// `weights`: the eigenvector of the tridiagonal matrix, by one thread.
fn tridiagonal_vector(count: u32, theta: f32) {
  var row = vec2f(alpha[0] - theta, select(0.0, beta[0], count > 1u));
  for (var i = 0u; i + 1u < count; i++) {
    let below = beta[i];
    let diagonal = alpha[i + 1u] - theta;
    var beside = 0.0;
    if (i + 2u < count) { beside = beta[i + 1u]; }
    if (abs(below) > abs(row.x)) {
      let factor = row.x / below;
      eliminated[i] = vec4f(below, diagonal, beside, factor);
      exchanged[i] = 1u;
      row = vec2f(row.y - factor * diagonal, -factor * beside);
    } else {
      let pivot = select(row.x, 1e-9, abs(row.x) < 1e-9);
      let factor = below / pivot;
      eliminated[i] = vec4f(pivot, row.y, 0.0, factor);
      exchanged[i] = 0u;
      row = vec2f(diagonal - factor * row.y, beside);
    }
  }
  eliminated[count - 1u] = vec4f(select(row.x, 1e-9, abs(row.x) < 1e-9), 0.0, 0.0, 0.0);
  for (var i = 0u; i < count; i++) { weights[i] = 1.0; }
  for (var iteration = 0u; iteration < 3u; iteration++) {
    for (var i = 0u; i + 1u < count; i++) {
      let factor = eliminated[i].w;
      if (exchanged[i] == 1u) {
        let upper = weights[i];
        weights[i] = weights[i + 1u];
        weights[i + 1u] = upper - factor * weights[i];
      } else {
        weights[i + 1u] -= factor * weights[i];
      }
    }
    var square = 0.0;
    for (var back = 0u; back < count; back++) {
      let i = count - 1u - back;
      var sum = weights[i];
      if (back > 0u) { sum -= eliminated[i].y * weights[i + 1u]; }
      if (back > 1u) { sum -= eliminated[i].z * weights[i + 2u]; }
      sum /= eliminated[i].x;
      weights[i] = sum;
      square += sum * sum;
    }
    for (var i = 0u; i < count; i++) { weights[i] *= inverseSqrt(square); }
  }
}

// The degrees are there: the first direction, as it is guessed. False where there is nothing to iterate.
fn guess(s: u32, segment: Segment, thread: u32) -> bool {
  var sums = vec4f();
  for (var i = thread; i < segment.size; i += 256u) {
    let position = segment.begin + i;
    let degree = iterates[IMAGE * level.n + position];
    let root = sqrt(max(degree, 0.0));
    let guessed = krylov[position] * root;
    iterates[ROOTS * level.n + position] = root;
    krylov[position] = guessed;
    sums += vec4f(degree, loops[order[position]], guessed * guessed, select(1.0, 0.0, degree > 0.0));
  }
  sums = total(sums, thread);
  if (thread == 0u) {
    progress[s].phase = 1u;
    whole = sums.x;
    progress[s].weight = sums.x;
    progress[s].loops = sums.y;
    // What nothing ties to its segment is the host's.
    if (sums.w > 0.0 && !placed) { state.overflow = 2u; }
  }
  if (placed && sums.w > 0.0) {
    close(s, segment.size, thread);
    return false;
  }
  if (segment.size < 2u || sums.w > 0.0) {
    for (var i = thread; i < segment.size; i += 256u) {
      values[order[segment.begin + i]] = 0.0;
    }
    if (thread == 0u) { pairs[s] = Pair(0.0, 0.0, 0.0, 0u, sums.x, sums.y, 0.0, 0.0); }
    close(s, segment.size, thread);
    return false;
  }
  let known = select(0.0, inverseSqrt(sums.z), sums.z > 0.0);
  // A unit vector of noise, nearly: a value of it has the variance 1/3.
  let spice = select(1.0, select(SPICE, 0.0, placed), sums.z > 0.0) * sqrt(3.0 / f32(segment.size));
  for (var i = thread; i < segment.size; i += 256u) {
    let position = segment.begin + i;
    krylov[position] = known * krylov[position] + spice * noise(position + 7919u * segment.size);
  }
  return true;
}

// The image of direction `count` − 1 is there, and with it a new one; the weights of those before.
fn take(s: u32, segment: Segment, count: u32, thread: u32) {
  for (var i = thread; i < segment.size; i += 256u) {
    let position = segment.begin + i;
    krylov[count * level.n + position] =
      iterates[IMAGE * level.n + position] / iterates[ROOTS * level.n + position];
  }
  if (thread == 0u) { whole = progress[s].weight; }
  if (thread + 1u < count) {
    alpha[thread] = progress[s].alpha[thread];
    beta[thread] = progress[s].beta[thread];
  }
}

// Whether `count` directions have the vector, the new one being of that length before it is scaled. A second
// vector that may still overtake, θ₂ + ‖Bx₂ − θ₂x₂‖ > θ, is followed before the first is believed.
fn is_found(s: u32, segment: Segment, count: u32, size: f32, thread: u32) -> bool {
  if (thread == 0u) {
    alpha[count - 1u] = along[count];
    beta[count - 1u] = size;
  }
  workgroupBarrier();
  var theta = 0.0;
  for (var place = 1u; place <= 2u; place++) {
    let value = eigenvalue(count, place, thread);
    if (place == 1u) { theta = value; }
    if (thread == 0u) {
      tridiagonal_vector(count, value);
      let error = size * abs(weights[count - 1u]);
      if (place == 1u) {
        progress[s].alpha[count - 1u] = alpha[count - 1u];
        progress[s].beta[count - 1u] = size;
        let small = error <= tolerance * max(theta, LEAST_THETA) &&
          (placed || error <= max(SHARE_OF_LAMBDA * (1.0 - theta), ROUNDING));
        let exhausted = size <= VANISHING || count == min(segment.size - 1u, most);
        let believed = exhausted || placed || progress[s].rivals >= MOST_RIVALS;
        entry = select(0u, select(LOOK, 1u, believed), exhausted || (small && (placed || count >= FEWEST)));
        found = vec2f(theta, error);
      } else if (value + error > theta) {
        progress[s].rivals += 1u;
        entry = 0u;
      } else {
        tridiagonal_vector(count, theta);
        entry = 1u;
      }
    }
    let verdict = workgroupUniformLoad(&entry);
    if (verdict != LOOK) { return verdict == 1u; }
  }
  return false;
}

// The vector found, in the place of the new direction: to be multiplied itself, or as it is.
fn combine(s: u32, segment: Segment, count: u32, thread: u32) {
  // The first direction is the guess, so its weight says which way the vector points.
  let sign = select(1.0, -1.0, weights[0] < 0.0);
  for (var i = thread; i < segment.size; i += 256u) {
    let position = segment.begin + i;
    var x = 0.0;
    for (var v = 0u; v < count; v++) {
      x += sign * weights[v] * krylov[v * level.n + position];
    }
    krylov[count * level.n + position] = x;
    if (placed) { values[order[position]] = x / iterates[ROOTS * level.n + position]; }
  }
  if (thread == 0u) {
    progress[s].found = count;
    progress[s].phase = VERIFY;
    if (placed) {
      let residual = found.y / max(found.x, LEAST_THETA);
      pairs[s] = Pair(found.x, residual, 0.0, 0u, progress[s].weight, progress[s].loops, pairs[s].held, 0.0);
    }
  }
  if (placed) {
    close(s, segment.size, thread);
  } else {
    give(segment, count, 1.0, thread);
  }
}

// The image of the vector found is there.
fn verify(s: u32, segment: Segment, thread: u32) {
  let slot = progress[s].found * level.n;
  var sums = vec4f();
  for (var i = thread; i < segment.size; i += 256u) {
    let position = segment.begin + i;
    let x = krylov[slot + position];
    let root = iterates[ROOTS * level.n + position];
    let image = iterates[IMAGE * level.n + position] / root;
    sums += vec4f(x * image, x * x, root * image, 0.0);
  }
  sums = total(sums, thread);
  let theta = select(0.0, sums.x / sums.y, sums.y > 0.0);
  let known = sums.z / progress[s].weight;
  let scale = select(0.0, inverseSqrt(sums.y), sums.y > 0.0);
  var square = 0.0;
  for (var i = thread; i < segment.size; i += 256u) {
    let position = segment.begin + i;
    let x = krylov[slot + position];
    let root = iterates[ROOTS * level.n + position];
    let rest = iterates[IMAGE * level.n + position] / root - theta * x - known * root;
    square += rest * rest;
    values[order[position]] = scale * x / root;
  }
  let error = scale * sqrt(total(vec4f(square, 0.0, 0.0, 0.0), thread).x);
  if (thread == 0u) {
    let residual = error / max(theta, LEAST_THETA);
    pairs[s] = Pair(theta, residual, 0.0, 0u, progress[s].weight, progress[s].loops, 0.0, 0.0);
  }
  close(s, segment.size, thread);
}
