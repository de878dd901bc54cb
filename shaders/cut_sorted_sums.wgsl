// Per tile of the sorted nodes Σ F_i: where the sweep of each tile starts.
//
// Bindings: 1 F or M, see `cut_rows_factor.wgsl` and the like; 4 tiles; 14 sorted [2, n];
// 15 sums [2, tiles, stride].
// Workgroup: 128 threads, a column each. Dispatch: (tiles, candidates).
// Cost: one read of F a candidate.

@group(0) @binding(4) var<storage, read> tiles: array<Tile>;
@group(0) @binding(14) var<storage, read> sorted: array<u32>;
@group(0) @binding(15) var<storage, read_write> sortedSums: array<f32>;

@compute @workgroup_size(128)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = tiles[group.x];
  let start = group.y * level.n + tile.begin;
  for (var column = thread; column < level.rank; column += 128u) {
    var sum = 0.0;
    for (var i = 0u; i < tile.count; i++) {
      sum += row_value(sorted[start + i], column);
    }
    sortedSums[(group.y * groups.x + group.x) * level.stride + column] = sum;
  }
}
