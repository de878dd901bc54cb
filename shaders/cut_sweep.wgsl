// The exact sweep over all thresholds, or over those of a number of evenly spaced ones.
// With C the running sum of the sorted rows of F_S and s = Σ_S F:  cut = ⟨C, s − C⟩,
// assoc(L, S) = ⟨C, s⟩, assoc(R, S) = ⟨s − C, s⟩: no difference of sums, which a small R would drown in,
// NCut = cut/assoc(L, S) + cut/assoc(R, S) (paper, equation 2). Where a matrix is cut itself C and s are weighed
// in the columns of S alone: cut = Σ_{c in R} C_c, assoc(L, S) = Σ_{c in L} s_c, assoc(R, S) = Σ_{c in R} s_c.
// N thresholds lie at low + (high − low)·t/(N + 1), t = 1 … N, between the segment's ends.
//
// Bindings: 1 F or M, see `cut_rows_factor.wgsl` and the like; 3 segments; 4 tiles; 13 values;
// 14 sorted; 15 sums of the sorted tiles; 16 cuts [2, tiles]: each tile's smallest NCut, the first of equals.
// Workgroup: 256 threads, four a threshold, in steps of 32 columns.
// Dispatch: (tiles, candidates). Cost: one read of F a candidate.

@group(0) @binding(3) var<storage, read> segments: array<Segment>;
@group(0) @binding(4) var<storage, read> tiles: array<Tile>;
@group(0) @binding(13) var<storage, read> values: array<f32>;
@group(0) @binding(14) var<storage, read> sorted: array<u32>;
@group(0) @binding(15) var<storage, read> sortedSums: array<f32>;
@group(0) @binding(16) var<storage, read_write> cuts: array<Cut>;

const PITCH = 33u;

// Running sums of 32 columns, [64, 32] with a column to spare against bank conflicts.
var<workgroup> running: array<f32, 2112>;
var<workgroup> whole: array<f32, 32>;
// Cut, left and right weight.
var<workgroup> parts: array<vec3f, 256>;
var<workgroup> ncuts: array<f32, 64>;

// Whether a threshold tells the values a ≤ b apart: a ≤ threshold < b. Any does where all are tried.
fn parted(a: f32, b: f32, low: f32, high: f32) -> bool {
  if (level.thresholds == 0u || !(low < high)) { return a != b; }
  let pieces = f32(level.thresholds) + 1.0;
  // The first one that is not below a, or for rounding its neighbour.
  let first = max(ceil((a - low) / (high - low) * pieces) - 1.0, 1.0);
  for (var t = 0u; t < 3u; t++) {
    let place = first + f32(t);
    let threshold = low + (high - low) * (place / pieces);
    if (place < pieces && a <= threshold && threshold < b) { return true; }
  }
  return false;
}

@compute @workgroup_size(256)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = tiles[group.x];
  let segment = segments[tile.segment];
  let start = group.y * level.n + tile.begin;
  let row = thread / 4u;
  var weights = vec3f();
  for (var column0 = 0u; column0 < level.rank; column0 += 32u) {
    for (var i = thread; i < 2048u; i += 256u) {
      let column = column0 + i % 32u;
      var value = 0.0;
      if (i / 32u < tile.count && column < level.rank) {
        value = row_value(sorted[start + i / 32u], column);
      }
      running[(i / 32u) * PITCH + i % 32u] = value;
    }
    workgroupBarrier();
    if (thread < 32u) {
      var sum = 0.0;
      var before = 0.0;
      if (column0 + thread < level.rank) {
        for (var t = segment.tile; t < segment.tile + segment.tiles; t++) {
          if (t == group.x) { before = sum; }
          sum += sortedSums[(group.y * groups.x + t) * level.stride + column0 + thread];
        }
      }
      whole[thread] = sum;
      for (var i = 0u; i < 64u; i++) {
        before += running[i * PITCH + thread];
        running[i * PITCH + thread] = before;
      }
    }
    workgroupBarrier();
    for (var c = thread % 4u; c < 32u; c += 4u) {
      weights += weighed(running[row * PITCH + c], whole[c], column0 + c, tile.begin + row + 1u, segment);
    }
    workgroupBarrier();
  }
  parts[thread] = weights;
  workgroupBarrier();
  if (thread < 64u) {
    var ncut = NOTHING;
    let at = thread * 4u;
    let sum = parts[at] + parts[at + 1u] + parts[at + 2u] + parts[at + 3u];
    let position = tile.begin - segment.begin + thread + 1u;
    let allowed = thread < tile.count && position >= level.minPart && position + level.minPart <= segment.size &&
      position < segment.size;
    if (allowed && sum.y > 0.0 && sum.z > 0.0) {
      let base = group.y * level.n;
      let ends = base + segment.begin;
      if (
        parted(
          values[base + sorted[start + thread]],
          values[base + sorted[start + thread + 1u]],
          values[base + sorted[ends]],
          values[base + sorted[ends + segment.size - 1u]],
        )
      ) {
        let cut = max(sum.x, 0.0);
        ncut = cut / sum.y + cut / sum.z;
      }
    }
    ncuts[thread] = ncut;
  }
  workgroupBarrier();
  if (thread == 0u) {
    var best = Cut(NOTHING, 0u, 0u);
    for (var i = 0u; i < 64u; i++) {
      if (ncuts[i] < best.ncut) {
        best = Cut(ncuts[i], tile.begin - segment.begin + i + 1u, 0u);
      }
    }
    cuts[group.y * groups.x + group.x] = best;
  }
}
