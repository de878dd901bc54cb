// The rows that a sweep adds up: those of R·M. Put before `cut_sorted_sums.wgsl` and `cut_sweep.wgsl`,
// and itself after the alias `Left` (f32 or f16).
//
// Bindings: 1 M; 38 R. Workgroup: none. Cost: none of its own.

@group(0) @binding(1) var<storage, read> rows: array<Left>;
@group(0) @binding(38) var<storage, read> scales: array<f32>;

fn row_value(node: u32, column: u32) -> f32 {
  return scales[node] * f32(rows[node * level.stride + column]);
}

