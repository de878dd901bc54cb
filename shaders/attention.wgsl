// Mean attention of one layer straight from its queries and keys:
//   L (+)= share · Σ_h softmax_j(scale · ⟨q_hi, k_hj⟩).
// The scores of a head are made tile by tile and never stored: first each row's
// maximum and sum (`row_stats`), then the tiles again with both known (`accumulate`).
//
// Bindings: 0 sizes; 1 queries, 2 keys [n, heads·headDim]; 3 stats [heads, n] of
// (row maximum, share / row sum); 4 level matrix L [n, n].
// Workgroup: 64 threads make a 32×32 tile of scores, 4×4 values a thread, in
// steps of 8 channels. Dispatch: row_stats (n/32, heads), accumulate (n/32, n/32).
// Cost: 2 · 2·n²·heads·headDim operations and 2·n²·heads exponentials; queries and
// keys are read n/32 times, L is written (and read, when added to) once.

struct Sizes {
  n: u32,
  heads: u32,
  headDim: u32,
  accumulate: u32,   // 1: add to L
  scale: f32,        // factor of the logits
  share: f32,        // 1 / (heads · layers of this resolution)
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> queries: array<f32>;
@group(0) @binding(2) var<storage, read> keys: array<f32>;
@group(0) @binding(3) var<storage, read_write> stats: array<vec2f>;
@group(0) @binding(4) var<storage, read_write> level: array<f32>;

const LOWEST = -3.4e38;

// [8 channels][32 rows], in vec4 over rows.
var<workgroup> queryTile: array<vec4f, 64>;
var<workgroup> keyTile: array<vec4f, 64>;
var<workgroup> shared_stats: array<vec2f, 256>;
// Logits of this thread: four queries, each with four keys.
var<private> logits: array<vec4f, 4>;

fn query_at(row: u32, head: u32, channel: u32) -> f32 {
  if (row >= sizes.n || channel >= sizes.headDim) {
    return 0.0;
  }
  return queries[(row * sizes.heads + head) * sizes.headDim + channel];
}

fn key_at(row: u32, head: u32, channel: u32) -> f32 {
  if (row >= sizes.n || channel >= sizes.headDim) {
    return 0.0;
  }
  return keys[(row * sizes.heads + head) * sizes.headDim + channel];
}

fn make_logits(head: u32, row0: u32, column0: u32, thread: u32) {
  for (var i = 0u; i < 4u; i++) {
    logits[i] = vec4f();
  }
  for (var c0 = 0u; c0 < sizes.headDim; c0 += 8u) {
    let channel = c0 + thread % 8u;
    let at = (thread / 8u) * 4u;
    let slot = (thread % 8u) * 8u + thread / 8u;
    queryTile[slot] = vec4f(
      query_at(row0 + at, head, channel),
      query_at(row0 + at + 1u, head, channel),
      query_at(row0 + at + 2u, head, channel),
      query_at(row0 + at + 3u, head, channel),
    );
    keyTile[slot] = vec4f(
      key_at(column0 + at, head, channel),
      key_at(column0 + at + 1u, head, channel),
      key_at(column0 + at + 2u, head, channel),
      key_at(column0 + at + 3u, head, channel),
    );
    workgroupBarrier();
    for (var c = 0u; c < 8u; c++) {
      let q = queryTile[c * 8u + thread / 8u];
      let k = keyTile[c * 8u + thread % 8u];
      logits[0] += q.x * k;
      logits[1] += q.y * k;
      logits[2] += q.z * k;
      logits[3] += q.w * k;
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < 4u; i++) {
    logits[i] *= sizes.scale;
  }
}

// Which of this thread's four keys exist.
fn in_range(column: u32) -> vec4<bool> {
  return vec4u(column, column + 1u, column + 2u, column + 3u) < vec4u(sizes.n);
}

@compute @workgroup_size(64)
fn row_stats(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row0 = group.x * 32u;
  let head = group.y;
  var largest = vec4f(LOWEST);
  var sum = vec4f();
  for (var column0 = 0u; column0 < sizes.n; column0 += 32u) {
    make_logits(head, row0, column0, thread);
    let there = in_range(column0 + (thread % 8u) * 4u);
    for (var i = 0u; i < 4u; i++) {
      let s = select(vec4f(LOWEST), logits[i], there);
      let now = max(largest[i], max(max(s.x, s.y), max(s.z, s.w)));
      let terms = select(vec4f(), exp(s - now), there);
      sum[i] = sum[i] * exp(largest[i] - now) + dot(terms, vec4f(1.0));
      largest[i] = now;
    }
  }
  for (var i = 0u; i < 4u; i++) {
    shared_stats[((thread / 8u) * 4u + i) * 8u + thread % 8u] = vec2f(largest[i], sum[i]);
  }
  workgroupBarrier();
  if (thread < 32u && row0 + thread < sizes.n) {
    var all = shared_stats[thread * 8u];
    for (var i = 1u; i < 8u; i++) {
      let other = shared_stats[thread * 8u + i];
      let now = max(all.x, other.x);
      all = vec2f(now, all.y * exp(all.x - now) + other.y * exp(other.x - now));
    }
    stats[head * sizes.n + row0 + thread] = vec2f(all.x, sizes.share / all.y);
  }
}

@compute @workgroup_size(64)
fn accumulate(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row0 = group.y * 32u;
  let column0 = group.x * 32u;
  let row = row0 + (thread / 8u) * 4u;
  let column = column0 + (thread % 8u) * 4u;
  var sum = array<vec4f, 4>();
  for (var head = 0u; head < sizes.heads; head++) {
    make_logits(head, row0, column0, thread);
    for (var i = 0u; i < 4u; i++) {
      if (row + i < sizes.n) {
        let stat = stats[head * sizes.n + row + i];
        sum[i] += stat.y * exp(min(logits[i] - stat.x, vec4f()));
      }
    }
  }
  for (var i = 0u; i < 4u; i++) {
    for (var j = 0u; j < 4u; j++) {
      if (row + i < sizes.n && column + j < sizes.n) {
        let at = (row + i) * sizes.n + column + j;
        var value = sum[i][j];
        if (sizes.accumulate == 1u) {
          value += level[at];
        }
        level[at] = value;
      }
    }
  }
}
