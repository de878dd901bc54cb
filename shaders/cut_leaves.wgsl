// Labels from the tree, and the block of the certificate: column s is the indicator
// of leaf s, column K + c the Fiedler vector of the c-th cut.
//
// Leaves are numbered from left to right, cuts as their nodes lie in the tree.
// Bindings: 2 order; 17 state; 18 tree; 26 vectors by depth; 27 labels;
// 28 block [n, width], zero before. Workgroup: 256 threads, a position each.
// Dispatch: ⌈n/256⌉. Cost: nodes of the tree a position.

@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(17) var<storage, read> state: State;
@group(0) @binding(18) var<storage, read> tree: array<Node>;
@group(0) @binding(26) var<storage, read> byDepth: array<f32>;
@group(0) @binding(27) var<storage, read_write> labels: array<u32>;
@group(0) @binding(28) var<storage, read_write> block: array<f32>;

override width: u32 = 128u;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let position = id.x;
  if (position >= level.n) { return; }
  let node = order[position];
  var leaf = 0u;
  var cut = 0u;
  for (var i = 0u; i < state.nodes; i++) {
    let begin = tree[i].begin;
    let inside = position >= begin && position < begin + tree[i].size;
    if (tree[i].child == 0u) {
      leaf += u32(begin + tree[i].size <= position);
    } else {
      if (inside) {
        block[node * width + state.leaves + cut] = byDepth[tree[i].depth * level.n + node];
      }
      cut += 1u;
    }
  }
  labels[node] = leaf;
  block[node * width + leaf] = 1.0;
}
