// Whether the last frame's basis still holds enough of the trace. Where it does not,
// writes the workgroups of its renewal, V ← orth(Mᵀ·F); else none.
//
// Bindings: 5 sums of the root's tiles; 17 state; 30 workgroups: product, Gram
// matrix, Cholesky, solution. Workgroup: 1 thread. Dispatch: 1. Cost: the root's tiles.

@group(0) @binding(5) var<storage, read> sums: array<f32>;
@group(0) @binding(17) var<storage, read_write> state: State;
@group(0) @binding(30) var<storage, read_write> basisGroups: array<u32>;

@compute @workgroup_size(1)
fn main() {
  var held = 0.0;
  var trace = 0.0;
  for (var t = 0u; t < state.tiles; t++) {
    held += sums[t * level.stride + level.rank];
    trace += sums[t * level.stride + level.rank + 1u];
  }
  let stale = u32(held < level.enough * trace);
  state.renewed = stale;
  for (var slot = 0u; slot < BASIS_SLOTS; slot++) {
    let groups = stale * basis_groups(slot);
    for (var axis = 0u; axis < 3u; axis++) { basisGroups[3u * slot + axis] = groups[axis]; }
  }
}
