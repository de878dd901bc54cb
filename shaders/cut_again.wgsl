// Begins the recursion anew where a certificate of its tree fails: the root, its workgroups, and those of a
// renewal of the basis before it. Where all hold they stay as they are cleared, of nothing.
//
// Bindings: 3 segments, 4 tiles and 21 workgroups of the first level; 17 state; 18 tree;
// 30 workgroups of the renewal; 43 segments whose certificate fails.
// Workgroup: 64 threads, a tile each in turn. Dispatch: 1. Cost: the root's tiles.

@group(0) @binding(3) var<storage, read_write> segments: array<Segment>;
@group(0) @binding(4) var<storage, read_write> tiles: array<Tile>;
@group(0) @binding(17) var<storage, read_write> state: State;
@group(0) @binding(18) var<storage, read_write> tree: array<Node>;
@group(0) @binding(21) var<storage, read_write> nextGroups: array<u32>;
@group(0) @binding(30) var<storage, read_write> basisGroups: array<u32>;
@group(0) @binding(43) var<storage, read> weak: u32;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) thread: u32) {
  if (weak == 0u) { return; }
  let count = (level.n + 63u) / 64u;
  for (var t = thread; t < count; t += 64u) {
    tiles[t] = Tile(0u, t * 64u, min(64u, level.n - t * 64u), 0u);
  }
  if (thread > 0u) { return; }
  let products = state.renewed + 2u;
  let columns = state.leaves + state.cuts;
  state = State(1u, 1u, 0u, 0u, 1u, count, products, columns, 0.0);
  tree[0] = Node(NONE, 0u, 0u, level.n, 0u, NONE, 0u, 0u, NOTHING, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
  segments[0] = Segment(0u, level.n, 0u, count, 0u, NONE, 0u, 0u);
  for (var kind = 0u; kind < GROUP_KINDS; kind++) {
    let groups = level_groups(kind, 1u, count);
    for (var axis = 0u; axis < 3u; axis++) { nextGroups[3u * kind + axis] = groups[axis]; }
  }
  for (var slot = 0u; slot < BASIS_SLOTS; slot++) {
    let groups = basis_groups(slot);
    for (var axis = 0u; axis < 3u; axis++) { basisGroups[3u * slot + axis] = groups[axis]; }
  }
}
