// Whether a renewed factor F = Q·Rᵀ, A projected on the columns Q that the stale one
// had, holds enough of the trace: ‖F‖² = ‖Mᵀ·Q‖². Where it does, the renewal's last
// product, M·V in its place, is spared: no workgroups. A basis that is renewed
// whatever it holds gets that product.
//
// Bindings: 5 sums of the root's tiles; 17 state; 33 G = YᵀY with Y = Mᵀ·Q, [c, c];
// 38 workgroups of that product. Workgroup: 1 thread. Dispatch: 1, none where the
// basis is not renewed. Cost: r + the root's tiles.

@group(0) @binding(5) var<storage, read> sums: array<f32>;
@group(0) @binding(17) var<storage, read_write> state: State;
@group(0) @binding(33) var<storage, read> gram: array<f32>;
@group(0) @binding(38) var<storage, read_write> lastGroups: array<u32>;

@compute @workgroup_size(1)
fn main() {
  var trace = 0.0;
  for (var t = 0u; t < state.tiles; t++) {
    trace += sums[t * level.stride + level.rank + 1u];
  }
  let count = level.rank + level.probes;
  var held = 0.0;
  for (var a = 0u; a < level.rank; a++) {
    held += gram[a * count + a];
  }
  if (held >= level.enough * trace) {
    state.renewed = 1u;
    lastGroups[0] = 0u;
  }
}
