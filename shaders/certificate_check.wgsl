// Counts the segments that do not hold against the certificate A·[H | Y]: cuts whose vector has too large a
// residual, ‖Bx − θx‖/θ with x = D^1/2·y and its own θ = ⟨y, Ay⟩/⟨y, Dy⟩, or whose exact NCut is not below the
// threshold with the exact T, and leaves that the exact T would have cut.
//
// d_i inside a segment is the sum of the columns of the leaves below it.
// Bindings: 2 order; 17 state; 18 tree; 26 vectors by depth; 28 A·[H | Y] [n, width]; 37 nodes as they
// are held, with the leaves below each; 43 the count.
// Workgroup: 256 threads, a node of the tree. Dispatch: the most nodes of a tree.
// Cost: the segment's nodes times the leaves below it, twice.

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
  for (var half = rolled(128u); half > 0u; half /= 2u) {
    if (thread < half) {
      parts[thread] += parts[thread + half];
    }
    workgroupBarrier();
  }
  return parts[0];
}

// Weight of a node towards the leaves below a segment.
fn weight_to(node: u32, held: HeldNode) -> f32 {
  var weight = 0.0;
  for (var leaf = held.low; leaf < held.high; leaf++) {
    weight += block[node * width + leaf];
  }
  return weight;
}

// The threshold of a segment whose weight is known exactly.
fn threshold_of(own: Node, weight: f32) -> f32 {
  if (level.fixedStop == 1u) { return own.threshold; }
  return own.threshold * max(weight - own.loops, 0.0) / max(own.weight - own.loops, 1e-37);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let place = group.x;
  if (place >= state.nodes) { return; }
  let own = tree[place];
  let held = keptNodes[place];
  if (own.child == 0u) {
    var weight = 0.0;
    for (var i = thread; i < own.size; i += 256u) {
      weight += weight_to(order[own.begin + i], held);
    }
    weight = total(vec2f(weight, 0.0), thread).x;
    let open = own.ncut >= own.threshold && own.ncut < threshold_of(own, weight);
    if (thread == 0u && open && state.leaves < level.maxLeaves) { atomicAdd(&weak, 1u); }
    return;
  }
  var column = state.leaves;
  for (var i = 0u; i < place; i++) {
    column += u32(tree[i].child != 0u);
  }
  let low = keptNodes[own.child];
  let values = own.depth * level.n;
  var forms = vec2f();    // ⟨y, Ay⟩, ⟨y, Dy⟩
  var weights = vec2f();  // of the left part towards itself, towards the segment
  var all = 0.0;
  for (var i = thread; i < own.size; i += 256u) {
    let node = order[own.begin + i];
    let y = byDepth[values + node];
    let degree = weight_to(node, held);
    forms += vec2f(y * block[node * width + column], degree * y * y);
    all += degree;
    if (i < low.size) { weights += vec2f(weight_to(node, low), degree); }
  }
  forms = total(forms, thread);
  weights = total(weights, thread);
  let theta = forms.x / forms.y;
  var square = 0.0;
  for (var i = thread; i < own.size; i += 256u) {
    let node = order[own.begin + i];
    let degree = weight_to(node, held);
    let rest = block[node * width + column] - theta * degree * byDepth[values + node];
    if (degree > 0.0) { square += rest * rest / degree; }
  }
  let sums = total(vec2f(square, all), thread);
  let error = sqrt(sums.x / forms.y);
  let cut = weights.y - weights.x;
  let ncut = cut / weights.y + cut / (sums.y - weights.y);
  let fails = forms.x > 0.0 && error > tolerance * theta || !(ncut < threshold_of(own, sums.y));
  if (thread == 0u && fails) { atomicAdd(&weak, 1u); }
}
