// The rows that a sweep adds up: those of F. Put before `cut_sorted_sums.wgsl` and `cut_sweep.wgsl`.
//
// Bindings: 1 F. Workgroup: none. Cost: none of its own.

@group(0) @binding(1) var<storage, read> rows: array<f32>;

fn row_value(node: u32, column: u32) -> f32 {
  return rows[node * level.stride + column];
}

