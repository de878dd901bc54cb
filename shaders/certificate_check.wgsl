// The certificate's residual of each cut, ‖Bx − θx‖/θ with x = D^1/2·y and its own θ = ⟨y, Ay⟩/⟨y, Dy⟩;
// counts those above a tolerance.
//
// A·[H | Y] has them all: d_i inside a segment is the sum of the columns of the leaves below it.
// Bindings: 2 order; 17 state; 18 tree; 26 vectors by depth; 28 A·[H | Y] [n, width]; 37 nodes as they
// are held, with the leaves below each; 43 the count.
// Workgroup: 256 threads, a node of the tree. Dispatch: the most nodes of a tree.
// Cost: the segment's nodes times the leaves below it, once.

@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(17) var<storage, read> state: State;
@group(0) @binding(18) var<storage, read> tree: array<Node>;
@group(0) @binding(26) var<storage, read> byDepth: array<f32>;
@group(0) @binding(28) var<storage, read> block: array<f32>;
@group(0) @binding(37) var<storage, read> keptNodes: array<HeldNode>;
@group(0) @binding(43) var<storage, read_write> weak: atomic<u32>;

override width: u32 = 128u;
override tolerance: f32 = 1e-4;

var<workgroup> parts: array<vec2f, 256>;

fn total(value: vec2f, thread: u32) -> vec2f {
  workgroupBarrier();
  parts[thread] = value;
  workgroupBarrier();
  for (var half = 128u; half > 0u; half /= 2u) {
    if (thread < half) {
      parts[thread] += parts[thread + half];
    }
    workgroupBarrier();
  }
  return parts[0];
}

fn degree_of(node: u32, held: HeldNode) -> f32 {
  var degree = 0.0;
  for (var leaf = held.low; leaf < held.high; leaf++) {
    degree += block[node * width + leaf];
  }
  return degree;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let place = group.x;
  if (place >= state.nodes || tree[place].child == 0u) { return; }
  var column = state.leaves;
  for (var i = 0u; i < place; i++) {
    column += u32(tree[i].child != 0u);
  }
  let held = keptNodes[place];
  let begin = tree[place].begin;
  let values = tree[place].depth * level.n;
  var sums = vec2f();
  for (var i = thread; i < held.size; i += 256u) {
    let node = order[begin + i];
    let y = byDepth[values + node];
    sums += vec2f(y * block[node * width + column], degree_of(node, held) * y * y);
  }
  sums = total(sums, thread);
  let theta = sums.x / sums.y;
  var square = 0.0;
  for (var i = thread; i < held.size; i += 256u) {
    let node = order[begin + i];
    let degree = degree_of(node, held);
    let rest = block[node * width + column] - theta * degree * byDepth[values + node];
    if (degree > 0.0) { square += rest * rest / degree; }
  }
  let error = sqrt(total(vec2f(square, 0.0), thread).x / sums.y);
  if (thread == 0u && sums.x > 0.0 && error > tolerance * theta) {
    atomicAdd(&weak, 1u);
  }
}
