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
  let blocks = (level.rank + level.probes + 63u) / 64u;
  state.renewed = stale;
  basisGroups[0] = stale * level.stride / 32u;
  basisGroups[1] = level.productRows;
  basisGroups[2] = 1u;
  basisGroups[3] = stale * blocks;
  basisGroups[4] = blocks;
  basisGroups[5] = 1u;
  basisGroups[6] = stale;
  basisGroups[7] = 1u;
  basisGroups[8] = 1u;
  basisGroups[9] = stale * ((level.n + 63u) / 64u);
  basisGroups[10] = 1u;
  basisGroups[11] = 1u;
}
