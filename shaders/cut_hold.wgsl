// The tree as the next frame's kernels take it up: the leaves below each node, which are
// numbered from left to right, the first of its right part, its size and that of its left part, its depth. Entries
// beyond the tree's nodes are of no node: they share nothing with any segment.
//
// Bindings: 17 state; 18 tree; 37 nodes as they are held.
// Workgroup: 128 threads, an entry each. Dispatch: ⌈entries/128⌉. Cost: nodes² reads of the tree.

@group(0) @binding(17) var<storage, read> state: State;
@group(0) @binding(18) var<storage, read> tree: array<Node>;
@group(0) @binding(37) var<storage, read_write> keptNodes: array<HeldNode>;

@compute @workgroup_size(128)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let at = id.x;
  if (at >= arrayLength(&keptNodes)) { return; }
  var held = HeldNode(0u, 0u, 0u, 0u, 0u, 0u, 0u, 0u);
  if (at < state.nodes) {
    let begin = tree[at].begin;
    let size = tree[at].size;
    for (var i = 0u; i < state.nodes; i++) {
      if (tree[i].child != 0u) { continue; }
      held.low += u32(tree[i].begin < begin);
      held.high += u32(tree[i].begin < begin + size);
      held.middle += u32(tree[at].child != 0u && tree[i].begin < tree[tree[at].child + 1u].begin);
    }
    held.size = size;
    let child = tree[at].child;
    if (child != 0u) { held.left = tree[child].size; }
    held.depth = tree[at].depth;
  }
  keptNodes[at] = held;
}
