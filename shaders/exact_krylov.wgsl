// What the steps of exact products share: directions of a segment's Krylov space, each orthogonal to those before
// it and to a known vector, and the course of a step.
//
// Put behind `exact_types.wgsl` and `workgroup_total.wgsl`, and before a step, which says what is known() at a
// position; how to guess() the first direction and take() an image; what of a direction is to_be_given() to the
// product; whether the vector is_found(), how directions combine() to it, and how to verify() it by its own image.
// Bindings: 3 segments; 10 Krylov bases [STEPS + 1, n]; 39 iterates; 40 progress; 41 gates, declared by the step.
// Workgroup: 256 threads, one segment. Cost: 4·j + 1 reads of the segment's part of a vector at direction j.

// The segment has its vector.
const IDLE = 0xffffffffu;

// What is to be done next, as one thread decides it.
var<workgroup> entry: u32;
// ‖known‖².
var<workgroup> whole: f32;
// Of the known vector, then of the Krylov vectors: those of a pass, and of both.
var<workgroup> coefficients: array<f32, 52>;
var<workgroup> along: array<f32, 52>;

// Direction v − 1 at a position; 0 is the known vector.
fn direction(v: u32, position: u32) -> f32 {
  if (v == 0u) { return known(position); }
  return krylov[(v - 1u) * level.n + position];
}

// Takes the parts along the known vector and `count` directions from the one behind them, twice;
// `along` adds them up. Returns its length.
fn orthogonalise(segment: Segment, count: u32, thread: u32) -> f32 {
  let slot = count * level.n;
  var size = 0.0;
  for (var round = 0u; round < 3u; round++) {
    // The third round is for the length alone.
    let last = round == 2u;
    let most = select(count, 0u, last);
    for (var v = 0u; v <= most; v += 4u) {
      var inner = vec4f();
      for (var i = thread; i < segment.size; i += 256u) {
        let position = segment.begin + i;
        let w = krylov[slot + position];
        if (last) {
          inner.x += w * w;
          continue;
        }
        for (var c = 0u; c < 4u; c++) {
          if (v + c <= count) { inner[c] += w * direction(v + c, position); }
        }
      }
      let sum = total(inner, thread);
      size = sqrt(sum.x);
      if (!last && thread < 4u && v + thread <= most) {
        let coefficient = sum[thread] / select(1.0, whole, v + thread == 0u);
        coefficients[v + thread] = coefficient;
        along[v + thread] = select(along[v + thread], 0.0, round == 0u) + coefficient;
      }
    }
    if (last) { break; }
    workgroupBarrier();
    for (var i = thread; i < segment.size; i += 256u) {
      let position = segment.begin + i;
      var w = krylov[slot + position];
      for (var v = 0u; v <= count; v++) {
        w -= coefficients[v] * direction(v, position);
      }
      krylov[slot + position] = w;
    }
    workgroupBarrier();
  }
  return size;
}

// The vector in a slot, scaled, becomes what is multiplied next.
fn give(segment: Segment, slot: u32, scale: f32, thread: u32) {
  for (var i = thread; i < segment.size; i += 256u) {
    let position = segment.begin + i;
    let w = scale * krylov[slot * level.n + position];
    krylov[slot * level.n + position] = w;
    iterates[GIVEN * level.n + position] = to_be_given(w, position);
  }
}

// One segment less is open; the last one closes the level's products.
fn close(s: u32, size: u32, thread: u32) {
  if (thread != 0u) { return; }
  progress[s].done = 1u;
  atomicAdd(&gates.multiplied, progress[s].products * size);
  if (atomicSub(&gates.open, 1u) == 1u) {
    gates.columns = array<u32, 3>(0u, 0u, 0u);
    gates.rows = array<u32, 3>(0u, 0u, 0u);
  }
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let s = group.x;
  if (thread == 0u) {
    entry = IDLE;
    if (progress[s].done == 0u) {
      entry = progress[s].phase;
      progress[s].products += 1u;
    }
  }
  let phase = workgroupUniformLoad(&entry);
  if (phase == IDLE) { return; }
  let segment = segments[s];
  if (phase == VERIFY) {
    verify(s, segment, thread);
    return;
  }
  if (phase == 0u) {
    if (!guess(s, segment, thread)) { return; }
  } else {
    take(s, segment, phase, thread);
  }
  let size = orthogonalise(segment, phase, thread);
  if (phase > 0u) {
    if (is_found(s, segment, phase, size, thread)) {
      combine(s, segment, phase, thread);
      return;
    }
    if (thread == 0u) { progress[s].phase = phase + 1u; }
  }
  give(segment, phase, select(0.0, 1.0 / size, size > 0.0), thread);
}
