// Y_S = Mᵀ·R·z_S for each segment S of a level that is not done:  Y[S, c] = Σ_{i in S} R_i·M_ic·z_i.
//
// Bindings: 1 M; 2 order; 3 segments; 38 R; 39 iterates; 40 progress; 42 Y [segment, stride].
// Workgroup: 256 threads make 32 columns of a segment, four a thread, 32 threads share the sum.
// Dispatch: (stride/32, segments). Cost: one read of M's rows that are in open segments.

@group(0) @binding(1) var<storage, read> rows: array<vec4<Left>>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> segments: array<Segment>;
@group(0) @binding(38) var<storage, read> scales: array<f32>;
@group(0) @binding(39) var<storage, read> iterates: array<f32>;
@group(0) @binding(40) var<storage, read> progress: array<Progress>;
@group(0) @binding(42) var<storage, read_write> folded: array<vec4f>;

var<workgroup> parts: array<vec4f, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  if (progress[group.y].done == 1u) { return; }
  let begin = segments[group.y].begin;
  let size = segments[group.y].size;
  let stride = level.stride / 4u;
  let column = group.x * 8u + thread % 8u;
  var sum = vec4f();
  for (var i = thread / 8u; i < size; i += 32u) {
    let node = order[begin + i];
    sum += scales[node] * iterates[GIVEN * level.n + begin + i] * vec4f(rows[node * stride + column]);
  }
  parts[thread] = sum;
  workgroupBarrier();
  if (thread < 8u) {
    for (var lane = 1u; lane < 32u; lane++) {
      sum += parts[lane * 8u + thread];
    }
    folded[group.y * stride + column] = sum;
  }
}
