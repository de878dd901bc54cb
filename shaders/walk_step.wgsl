// One step of each segment's iteration on the walk that stays inside it, P̃ = D^-1·M_S with d_i = Σ_{j in S} M_ij
// (paper, sections 3.2 and 4.1), once the image of its last direction is there: Arnoldi, for two vectors.
//
// right: the second right eigenvector. P̃·1 = 1 is known, so Q·P̃·Q with Q = I − 1·1ᵀ/m has the other eigenvalues of
//   P̃, and its eigenvector u differs from P̃'s by a multiple of 1, which moves no threshold between two nodes.
// left: π·P̃ = π, the stationary state, from P̃ᵀ. What is left is the flow W_ij = w_i·M_ij, w = π/d, Σw = m.
//
// The largest real eigenvalue of the Hessenberg matrix H is found by Laguerre's method on Hyman's recurrence, x with
// (H − t)·x = p(t)·e_1, whose last value tells ‖P̃x − θx‖ = β·|last weight|. Where that is small powers of (H + 1)/2
// tell whether another mode is slower, one that led Laguerre's method past it or a complex pair, μ and its conjugate;
// then μ is H's in the plane that the last power leaves. The weights come from inverse iteration, as the recurrence
// loses those that the start has little of. Of a pair's z = x + i·y x is taken, in the phase that makes it longest: the
// longer axis of the ellipses that the walk turns on. It is multiplied itself; y is kept for P̃x = Re μ·x − Im μ·y.
//
// Put behind `exact_krylov.wgsl`.
// Bindings: 2 order; 3 segments; 10 Krylov bases [STEPS + 1, n]; 39 iterates; 40 progress; 41 gates;
// 42 Mᵀ·z [segment, stride]; 45 flow [3, n]; 46 H and two matrices to work in [segment, 3, STEPS, STEPS].
// Workgroup: 256 threads, one segment. Dispatch: segments.
// Cost: 4·j + 6 reads of the segment's part of a vector at step j, some 15·j² operations of one thread, and where a
// vector may be found 18·j³ of all of them and 30·j² of one.

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
const SQUARINGS = 18u;
const SLACK = 2e-5;
// ‖Hz − μz‖ below which z is a mode.
const MODE = 2e-5;
// ‖Hx − θx‖ below which x has no plane, of length 1.
const LINE = 1e-5;

// A value of the recurrence, and its first and second derivative.
var<workgroup> recurrence: array<vec3f, 48>;
// Multipliers and exchanges of the elimination of H − μ.
var<workgroup> factors: array<vec2f, 48>;
var<workgroup> exchanged: array<u32, 48>;
// z in terms of the directions.
var<workgroup> modes: array<vec2f, 48>;
// The largest real eigenvalue, and the share of the last direction in its vector.
var<workgroup> real_mode: vec2f;
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

// Where row `row` of a matrix lies: 0 H; 1 and 2 powers of (H + 1)/2 in turn, or real and imaginary part of what
// elimination leaves of H − μ.
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

fn times(a: vec2f, b: vec2f) -> vec2f { return vec2f(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x); }

fn over(a: vec2f, b: vec2f) -> vec2f { return times(a, vec2f(b.x, -b.y)) / dot(b, b); }

fn left_over(s: u32, row: u32, column: u32) -> vec2f {
  return vec2f(hessenberg[row_of(s, row, 1u) + column], hessenberg[row_of(s, row, 2u) + column]);
}

fn leave(s: u32, row: u32, column: u32, value: vec2f) {
  hessenberg[row_of(s, row, 1u) + column] = value.x;
  hessenberg[row_of(s, row, 2u) + column] = value.y;
}

// Row `row` of H − μ.
fn shifted(s: u32, row: u32, column: u32, mu: vec2f) -> vec2f {
  return vec2f(hessenberg[row_of(s, row, 0u) + column], 0.0) - select(vec2f(), mu, row == column);
}

// A pivot that can be divided by.
fn pivot_of(value: vec2f) -> vec2f { return select(value, vec2f(1e-9, 0.0), dot(value, value) < 1e-18); }

// `modes`: the eigenvector z of H's first `count` rows at μ by inverse iteration, by one thread.
// Returns ‖(H − μ)·z‖.
fn hessenberg_vector(s: u32, count: u32, mu: vec2f) -> f32 {
  var shrunk = 0.0;
  for (var j = 0u; j < count; j++) { leave(s, 0u, j, shifted(s, 0u, j, mu)); }
  for (var i = 0u; i + 1u < count; i++) {
    let below = hessenberg[row_of(s, i + 1u, 0u) + i];
    let own = left_over(s, i, i);
    let exchange = below * below > dot(own, own);
    let pivot = pivot_of(own);
    var factor = over(vec2f(below, 0.0), pivot);
    if (exchange) { factor = own / below; }
    exchanged[i] = u32(exchange);
    factors[i] = factor;
    for (var j = i; j < count; j++) {
      let above = left_over(s, i, j);
      let beneath = shifted(s, i + 1u, j, mu);
      leave(s, i, j, select(above, beneath, exchange));
      leave(s, i + 1u, j, select(beneath, above, exchange) - times(factor, select(above, beneath, exchange)));
    }
    if (!exchange) { leave(s, i, i, pivot); }
  }
  leave(s, count - 1u, count - 1u, pivot_of(left_over(s, count - 1u, count - 1u)));
  for (var i = 0u; i < count; i++) { modes[i] = vec2f(1.0, 0.0); }
  for (var iteration = 0u; iteration < rolled(3u); iteration++) {
    for (var i = 0u; i + 1u < count; i++) {
      let exchange = exchanged[i] == 1u;
      let upper = select(modes[i], modes[i + 1u], exchange);
      let lower = select(modes[i + 1u], modes[i], exchange);
      modes[i] = upper;
      modes[i + 1u] = lower - times(factors[i], upper);
    }
    var square = 0.0;
    for (var back = 0u; back < count; back++) {
      let i = count - 1u - back;
      var sum = modes[i];
      for (var j = i + 1u; j < count; j++) { sum -= times(left_over(s, i, j), modes[j]); }
      modes[i] = over(sum, left_over(s, i, i));
      square += dot(modes[i], modes[i]);
    }
    shrunk = inverseSqrt(square);
    for (var i = 0u; i < count; i++) { modes[i] *= shrunk; }
  }
  // The phase that makes zᵀz positive makes the real part longest.
  var turn = vec2f();
  for (var i = 0u; i < count; i++) { turn += times(modes[i], modes[i]); }
  let angle = -0.5 * atan2(turn.y, turn.x);
  for (var i = 0u; i < count; i++) { modes[i] = times(modes[i], vec2f(cos(angle), sin(angle))); }
  return shrunk;
}

// An eigenvalue of H in the plane that its power in matrix 1 leaves of two slowest modes; by one thread. Of
// `recurrence` x and y are a basis of the plane, z an image.
fn turning(s: u32, count: u32) -> vec2f {
  var square = 0.0;
  for (var i = 0u; i < count; i++) {
    var sum = 0.0;
    for (var j = 0u; j < count; j++) { sum += hessenberg[row_of(s, i, 1u) + j] * noise(j); }
    recurrence[i] = vec3f(sum, 0.0, 0.0);
    square += sum * sum;
  }
  for (var i = 0u; i < count; i++) { recurrence[i].x *= inverseSqrt(square); }
  // H in the plane, a column each.
  var first = vec2f();
  var second = vec2f();
  for (var v = 0u; v < rolled(2u); v++) {
    var inner = vec2f();
    for (var i = 0u; i < count; i++) {
      var sum = 0.0;
      for (var j = max(i, 1u) - 1u; j < count; j++) {
        sum += hessenberg[row_of(s, i, 0u) + j] * select(recurrence[j].x, recurrence[j].y, v == 1u);
      }
      recurrence[i].z = sum;
      inner += sum * recurrence[i].xy;
    }
    if (v == 1u) {
      second = inner;
      break;
    }
    square = 0.0;
    for (var i = 0u; i < count; i++) {
      recurrence[i].y = recurrence[i].z - inner.x * recurrence[i].x;
      square += recurrence[i].y * recurrence[i].y;
    }
    first = vec2f(inner.x, sqrt(square));
    if (first.y < LINE) { return vec2f(first.x, 0.0); }
    for (var i = 0u; i < count; i++) { recurrence[i].y /= first.y; }
  }
  let middle = (first.x + second.y) / 2.0;
  let half = (first.x - second.y) / 2.0;
  let discriminant = half * half + first.y * second.x;
  let root = sqrt(abs(discriminant));
  return select(vec2f(middle + root, 0.0), vec2f(middle, root), discriminant < 0.0);
}

// The largest |1 + μ| − 1 of H's eigenvalues, nearly, by how fast the powers of (H + 1)/2 grow.
fn slowness(s: u32, count: u32, thread: u32) -> f32 {
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
  storageBarrier();
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
      real_mode = dominant(s, count);
      let small = is_small(size * real_mode.y, real_mode.x);
      progress[s].rivals = select(0u, progress[s].rivals + 1u, small);
      // In the last directions in any case: another mode than the largest real one has to stay as well.
      entry = select(0u, LOOK, progress[s].rivals > steady || count + steady >= room);
    }
  }
  if (workgroupUniformLoad(&entry) != LOOK) { return false; }
  let theta = workgroupUniformLoad(&real_mode).x;
  var most = theta;
  if (!left) { most = slowness(s, count, thread); }
  if (thread == 0u) {
    // A θ beyond the slowest mode is none: Laguerre's method may end anywhere where the rightmost are pairs.
    let overtaken = !left && !(abs(most - theta) <= SLACK);
    var mu = vec2f(theta, 0.0);
    var pair = mu;
    if (overtaken) {
      // A real mode, or else one of a pair.
      mu = vec2f(most, 0.0);
      pair = turning(s, count);
    }
    for (var attempt = 0u; attempt < rolled(2u); attempt++) {
      let error = hessenberg_vector(s, count, mu);
      if (!overtaken || error < MODE) { break; }
      mu = pair;
    }
    let small = is_small(size * length(modes[count - 1u]), mu.x);
    progress[s].overtaken = select(0u, progress[s].overtaken + 1u, overtaken && small);
    // Once there are no directions left there is nothing that could overtake.
    let stays = select(small, progress[s].overtaken > steady || size <= VANISHING, overtaken);
    entry = u32(exhausted || stays);
    progress[s].found = select(0u, count, stays);
  }
  return workgroupUniformLoad(&entry) == 1u;
}

fn is_small(error: f32, theta: f32) -> bool {
  return error <= tolerance * max(theta, LEAST_THETA) &&
    (left || error <= max(SHARE_OF_LAMBDA * (1.0 - theta), ROUNDING));
}

// The vector found, in the place of the new direction: to be multiplied itself.
fn combine(s: u32, segment: Segment, count: u32, thread: u32) {
  // The first direction is the guess, so its weight says which way the right vector points.
  let turned = select(1.0, -1.0, !left && modes[0].x < 0.0);
  var sums = vec4f();
  for (var i = thread; i < segment.size; i += 256u) {
    let position = segment.begin + i;
    var z = vec2f();
    for (var v = 0u; v < count; v++) {
      z += modes[v] * krylov[v * level.n + position];
    }
    z *= turned;
    krylov[count * level.n + position] = z.x;
    iterates[IMAGINARY * level.n + position] = z.y;
    sums += vec4f(z.x, 0.0, 0.0, 0.0);
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
