// One step of each segment's iteration on the walk that stays inside it, P̃ = D^-1·M_S with d_i = Σ_{j in S} M_ij
// (paper, sections 3.2 and 4.1), once the image of its last direction is there: Arnoldi, for two vectors.
//
// right: the second right eigenvector. P̃·1 = 1 is known, so Q·P̃·Q with Q = I − 1·1ᵀ/m has the other eigenvalues of
//   P̃, and its eigenvector u differs from P̃'s by a multiple of 1, which moves no threshold between two nodes.
// left: π·P̃ = π, the stationary state, from P̃ᵀ. What is left is the flow W_ij = w_i·M_ij, w = π/d, Σw = m.
//
// The largest real eigenvalue of the Hessenberg matrix H is found by Laguerre's method on Hyman's recurrence, x with
// (H − t)·x = p(t)·e_1, whose last value tells ‖P̃x − θx‖ = β·|last weight|. Where that is small powers of (H + 1)/2
// tell whether anything lies right of it: a complex pair, which comes of directions that are missing or is the host's
// to cut, or what such a pair led Laguerre's method past. The weights come from inverse iteration, as the recurrence
// loses those that the start has little of. Then the vector is multiplied itself.
//
// Put behind `exact_krylov.wgsl`.
// Bindings: 2 order; 3 segments; 10 Krylov bases [STEPS + 1, n]; 39 iterates; 40 progress; 41 gates;
// 42 Mᵀ·z [segment, stride]; 45 flow [3, n]; 46 H and two matrices to work in [segment, 3, STEPS, STEPS].
// Workgroup: 256 threads, one segment. Dispatch: segments.
// Cost: 4·j + 6 reads of the segment's part of a vector at step j, some 15·j² operations of one thread, and 14·j³ of
// all of them where a vector may be found.

@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> segments: array<Segment>;
@group(0) @binding(10) var<storage, read_write> krylov: array<f32>;
@group(0) @binding(39) var<storage, read_write> iterates: array<f32>;
@group(0) @binding(40) var<storage, read_write> progress: array<Progress>;
@group(0) @binding(41) var<storage, read_write> gates: Gates;
@group(0) @binding(42) var<storage, read> folded: array<f32>;
@group(0) @binding(45) var<storage, read_write> flow: array<f32>;
@group(0) @binding(46) var<storage, read_write> hessenberg: array<f32>;

override left: bool = false;
// Largest ‖P̃x − θx‖/θ.
override tolerance: f32 = 3e-5;
// Directions to have before a vector is believed, and how often it is to be good enough in a row: a slower mode may
// have had hardly any part in the first of them.
override fewest: u32 = 12u;
override steady: u32 = 4u;

// A vector may be good enough.
const LOOK = 2u;
const LEAST_THETA = 1e-3;
// Largest ‖P̃x − θx‖ as a share of λ = 1 − θ, above what f32 sums leave.
const SHARE_OF_LAMBDA = 0.003;
const ROUNDING = 2e-6;
const VANISHING = 1e-6;
// Noise in a start that is guessed, so that no eigenvector is out of reach.
const SPICE = 0.1;
// Where Laguerre's method begins: right of every eigenvalue.
const RIGHTMOST = 1.25;
const MOST_ROUNDS = 16u;
// Values of the recurrence are scaled down from here.
const LARGE = 1e10;
// Squarings of (H + 1)/2, and what its powers may be wrong by.
const SQUARINGS = 14u;
const SLACK = 1e-3;

// A value of the recurrence, and its first and second derivative.
var<workgroup> recurrence: array<vec3f, 48>;
// Multipliers and exchanges of the elimination of H − θ.
var<workgroup> factors: array<f32, 48>;
var<workgroup> exchanged: array<u32, 48>;
// θ, and the share of the last direction in its vector.
var<workgroup> pair: vec2f;
// The largest entry of a power, as bits.
var<workgroup> largest_bits: atomic<u32>;

fn known(position: u32) -> f32 { return select(1.0, 0.0, left); }

fn to_be_given(w: f32, position: u32) -> f32 {
  if (left) { return w / flow[STAY * level.n + position]; }
  return w;
}

// The image of what was given: of P̃ᵀ or M·z.
fn image(s: u32, position: u32) -> f32 {
  if (left) { return folded[s * level.stride + order[position]]; }
  return iterates[IMAGE * level.n + position];
}

// M·1 or Mᵀ·1 is there: the first direction. False where there is nothing to iterate.
fn guess(s: u32, segment: Segment, thread: u32) -> bool {
  var sums = vec4f();
  for (var i = thread; i < segment.size; i += 256u) {
    let position = segment.begin + i;
    let first = image(s, position);
    if (left) { krylov[position] = first; } else { flow[STAY * level.n + position] = first; }
    let guessed = krylov[position];
    // The right side wrote what stays.
    let stay = flow[STAY * level.n + position];
    sums += vec4f(guessed * guessed, guessed, select(1.0, 0.0, stay > 0.0), 0.0);
  }
  sums = total(sums, thread);
  if (thread == 0u) {
    progress[s].phase = 1u;
    whole = f32(segment.size);
  }
  if (segment.size < 2u || sums.z > 0.0) {
    close(s, segment.size, thread);
    return false;
  }
  let size = f32(segment.size);
  // Of the guess but for its part along 1.
  let square = sums.x - select(sums.y * sums.y / size, 0.0, left);
  let guided = square > 1e-6 * sums.x;
  let scale = select(0.0, inverseSqrt(square), guided);
  // A unit vector of noise, nearly: a value of it has the variance 1/3.
  let spice = select(select(1.0, SPICE, guided), 0.0, left) * sqrt(3.0 / size);
  for (var i = thread; i < segment.size; i += 256u) {
    let position = segment.begin + i;
    krylov[position] = scale * krylov[position] + spice * noise(position + 7919u * segment.size);
  }
  return true;
}

// The image of direction `count` − 1 is there, and with it a new one.
fn take(s: u32, segment: Segment, count: u32, thread: u32) {
  for (var i = thread; i < segment.size; i += 256u) {
    let position = segment.begin + i;
    var w = image(s, position);
    if (!left) { w /= flow[STAY * level.n + position]; }
    krylov[count * level.n + position] = w;
  }
  if (thread == 0u) { whole = f32(segment.size); }
}

// Where row `row` of a matrix lies: 0 H, 1 what elimination leaves of H − θ; 1 and 2 powers of (H + 1)/2.
fn row_of(s: u32, row: u32, matrix: u32) -> u32 {
  return ((3u * s + matrix) * STEPS + row) * STEPS;
}

// p(t) and its derivatives, from the last value of its vector up (Hyman).
fn recur(s: u32, count: u32, t: f32) -> vec3f {
  recurrence[count - 1u] = vec3f(1.0, 0.0, 0.0);
  for (var back = 0u; back < count; back++) {
    let row = count - 1u - back;
    let own = recurrence[row];
    var rest = vec3f(t * own.x, own.x + t * own.y, 2.0 * own.y + t * own.z);
    let at = row_of(s, row, 0u);
    for (var j = row; j < count; j++) {
      rest -= hessenberg[at + j] * recurrence[j];
    }
    if (row == 0u) { return -rest; }
    rest /= hessenberg[at + row - 1u];
    recurrence[row - 1u] = rest;
    if (abs(rest.x) > LARGE) {
      for (var j = row - 1u; j < count; j++) { recurrence[j] /= LARGE; }
    }
  }
  return vec3f();
}

// The largest real eigenvalue of H's first `count` rows, and the share of the last direction in its vector; by one
// thread.
fn dominant(s: u32, count: u32) -> vec2f {
  let degree = f32(count);
  var t = RIGHTMOST;
  // One place that calls the recurrence: compilers put its text wherever it is called.
  for (var round = 0u; round <= rolled(MOST_ROUNDS); round++) {
    let p = recur(s, count, t);
    let g = p.y / p.x;
    let root = sqrt(max((degree - 1.0) * (degree * (g * g - p.z / p.x) - g * g), 0.0));
    let step = degree / select(g - root, g + root, g > 0.0);
    if (!(abs(step) > 1e-7)) { break; }
    t -= step;
  }
  var square = 0.0;
  for (var i = 0u; i < count; i++) { square += recurrence[i].x * recurrence[i].x; }
  return vec2f(t, abs(recurrence[count - 1u].x) * inverseSqrt(square));
}

// `weights`: the eigenvector of H's first `count` rows at θ by inverse iteration, by one thread.
fn hessenberg_vector(s: u32, count: u32, theta: f32) {
  for (var j = 0u; j < count; j++) {
    hessenberg[row_of(s, 0u, 1u) + j] = hessenberg[row_of(s, 0u, 0u) + j] - select(0.0, theta, j == 0u);
  }
  for (var i = 0u; i + 1u < count; i++) {
    let upper = row_of(s, i, 1u);
    let lower = row_of(s, i + 1u, 1u);
    let plain = row_of(s, i + 1u, 0u);
    let below = hessenberg[plain + i];
    var pivot = hessenberg[upper + i];
    let exchange = abs(below) > abs(pivot);
    if (abs(pivot) < 1e-9) { pivot = 1e-9; }
    let factor = select(below / pivot, pivot / below, exchange);
    exchanged[i] = u32(exchange);
    factors[i] = factor;
    for (var j = i; j < count; j++) {
      let above = hessenberg[upper + j];
      let beneath = hessenberg[plain + j] - select(0.0, theta, j == i + 1u);
      hessenberg[upper + j] = select(above, beneath, exchange);
      hessenberg[lower + j] = select(beneath - factor * above, above - factor * beneath, exchange);
    }
    if (!exchange) { hessenberg[upper + i] = pivot; }
  }
  let corner = row_of(s, count - 1u, 1u) + count - 1u;
  if (abs(hessenberg[corner]) < 1e-9) { hessenberg[corner] = 1e-9; }
  for (var i = 0u; i < count; i++) { weights[i] = 1.0; }
  for (var iteration = 0u; iteration < rolled(3u); iteration++) {
    for (var i = 0u; i + 1u < count; i++) {
      let upper = weights[i];
      let lower = weights[i + 1u];
      let exchange = exchanged[i] == 1u;
      weights[i] = select(upper, lower, exchange);
      weights[i + 1u] = select(lower - factors[i] * upper, upper - factors[i] * lower, exchange);
    }
    var square = 0.0;
    for (var back = 0u; back < count; back++) {
      let i = count - 1u - back;
      let at = row_of(s, i, 1u);
      var sum = weights[i];
      for (var j = i + 1u; j < count; j++) { sum -= hessenberg[at + j] * weights[j]; }
      sum /= hessenberg[at + i];
      weights[i] = sum;
      square += sum * sum;
    }
    for (var i = 0u; i < count; i++) { weights[i] *= inverseSqrt(square); }
  }
}

// The largest real part of H's eigenvalues, nearly, by how fast the powers of (H + 1)/2 grow.
fn rightmost_part(s: u32, count: u32, thread: u32) -> f32 {
  // The last power is e^grown times the matrix whose largest entry is 1.
  var grown = 0.0;
  var rate = 0.0;
  var scale = 1.0;
  for (var step = 0u; step <= rolled(SQUARINGS); step++) {
    if (thread == 0u) { atomicStore(&largest_bits, 0u); }
    storageBarrier();
    workgroupBarrier();
    for (var at = thread; at < count * count; at += 256u) {
      let row = at / count;
      let column = at % count;
      var sum = 0.0;
      if (step == 0u) {
        if (column + 1u >= row) { sum = hessenberg[row_of(s, row, 0u) + column] / 2.0; }
        if (row == column) { sum += 0.5; }
      } else {
        let left_row = row_of(s, row, 2u - step % 2u);
        let right_column = row_of(s, 0u, 2u - step % 2u) + column;
        for (var k = 0u; k < count; k++) {
          sum += hessenberg[left_row + k] * hessenberg[right_column + k * STEPS];
        }
        sum *= scale * scale;
      }
      hessenberg[row_of(s, row, 1u + step % 2u) + column] = sum;
      // Positive numbers keep their order as bits.
      atomicMax(&largest_bits, bitcast<u32>(abs(sum)));
    }
    workgroupBarrier();
    let largest = bitcast<f32>(atomicLoad(&largest_bits));
    scale = 1.0 / largest;
    let more = log(largest);
    if (step > 0u) { rate = (grown + more) / exp2(f32(step - 1u)); }
    grown = select(2.0 * grown + more, more, step == 0u);
    workgroupBarrier();
  }
  return 2.0 * exp(rate) - 1.0;
}

// Whether `count` directions have the vector, the new one being of that length before it is scaled.
fn is_found(s: u32, segment: Segment, count: u32, size: f32, thread: u32) -> bool {
  if (thread <= count && thread < STEPS) {
    let value = select(along[thread + 1u], size, thread == count);
    hessenberg[row_of(s, thread, 0u) + count - 1u] = value;
  }
  storageBarrier();
  workgroupBarrier();
  let room = min(segment.size - select(1u, 0u, left), STEPS);
  let exhausted = size <= VANISHING || count >= room;
  if (thread == 0u) {
    entry = 0u;
    if (exhausted || count >= min(fewest, room)) {
      pair = dominant(s, count);
      let small = is_small(size * pair.y, pair.x);
      progress[s].rivals = select(0u, progress[s].rivals + 1u, small);
      entry = select(0u, LOOK, exhausted || progress[s].rivals > steady);
    }
  }
  if (workgroupUniformLoad(&entry) != LOOK) { return false; }
  let theta = workgroupUniformLoad(&pair).x;
  var most = theta;
  if (!left) { most = rightmost_part(s, count, thread); }
  if (thread == 0u) {
    let rightmost = most <= theta + SLACK;
    hessenberg_vector(s, count, theta);
    let found = rightmost && is_small(size * abs(weights[count - 1u]), theta);
    entry = u32(found || exhausted);
    progress[s].found = select(0u, count, rightmost);
    progress[s].theta = most;
  }
  return workgroupUniformLoad(&entry) == 1u;
}

fn is_small(error: f32, theta: f32) -> bool {
  return error <= tolerance * max(theta, LEAST_THETA) &&
    (left || error <= max(SHARE_OF_LAMBDA * (1.0 - theta), ROUNDING));
}

// The vector found, in the place of the new direction: to be multiplied itself.
fn combine(s: u32, segment: Segment, count: u32, thread: u32) {
  var sums = vec4f();
  for (var i = thread; i < segment.size; i += 256u) {
    let position = segment.begin + i;
    var x = 0.0;
    for (var v = 0u; v < count; v++) {
      x += weights[v] * krylov[v * level.n + position];
    }
    // The first direction is the guess, so its weight says which way the right vector points.
    if (!left && weights[0] < 0.0) { x = -x; }
    krylov[count * level.n + position] = x;
    sums += vec4f(x, 0.0, 0.0, 0.0);
  }
  let sign = select(1.0, -1.0, total(sums, thread).x < 0.0);
  if (left) {
    // w = π/d; what rounding left negative has next to no weight.
    sums = vec4f();
    for (var i = thread; i < segment.size; i += 256u) {
      let position = segment.begin + i;
      let w = max(sign * krylov[count * level.n + position], 0.0) / flow[STAY * level.n + position];
      flow[WEIGHT * level.n + position] = w;
      sums += vec4f(w, 0.0, 0.0, 0.0);
    }
    let scale = f32(segment.size) / total(sums, thread).x;
    for (var i = thread; i < segment.size; i += 256u) {
      let position = segment.begin + i;
      let w = scale * flow[WEIGHT * level.n + position];
      flow[WEIGHT * level.n + position] = w;
      iterates[GIVEN * level.n + position] = w;
    }
  } else {
    for (var i = thread; i < segment.size; i += 256u) {
      let position = segment.begin + i;
      iterates[GIVEN * level.n + position] = krylov[count * level.n + position];
    }
  }
  if (thread == 0u) { progress[s].phase = VERIFY; }
}

// The image of the vector found is there.
fn verify(s: u32, segment: Segment, thread: u32) {
  if (left) {
    for (var i = thread; i < segment.size; i += 256u) {
      let position = segment.begin + i;
      flow[CAME * level.n + position] = image(s, position);
    }
  }
  close(s, segment.size, thread);
}
