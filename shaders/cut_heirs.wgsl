// The place in the last frame's tree that a segment has taken: the node of largest
// intersection over union, at least one half; of equals the later.
//
// Bindings: 3 segments; 2 order; 23 the last tree; 24 its labels.
// Workgroup: 64 threads, one segment. Dispatch: segments.
// Cost: one read of the segment's nodes, then leaves + nodes of the last tree.

@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read_write> segments: array<Segment>;
@group(0) @binding(23) var<storage, read> heldNodes: array<HeldNode>;
@group(0) @binding(24) var<storage, read> heldLabels: array<u32>;

const LEAVES = 256u;

// Nodes shared with each leaf; then with all leaves before it.
var<workgroup> counted: array<atomic<u32>, 257>;
var<workgroup> before: array<u32, 257>;
var<workgroup> bestIou: array<f32, 64>;
var<workgroup> bestNode: array<u32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let begin = segments[group.x].begin;
  let size = segments[group.x].size;
  for (var i = thread; i <= LEAVES; i += 64u) {
    atomicStore(&counted[i], 0u);
  }
  workgroupBarrier();
  for (var i = thread; i < size; i += 64u) {
    atomicAdd(&counted[min(heldLabels[order[begin + i]], LEAVES)], 1u);
  }
  workgroupBarrier();
  if (thread == 0u) {
    var sum = 0u;
    for (var i = 0u; i <= LEAVES; i++) {
      before[i] = sum;
      sum += atomicLoad(&counted[i]);
    }
  }
  workgroupBarrier();
  var best = 0.5;
  var chosen = NONE;
  for (var i = thread; i < level.heldCount; i += 64u) {
    let held = heldNodes[i];
    let inside = before[held.high] - before[held.low];
    let iou = f32(inside) / f32(held.size + size - inside);
    if (iou >= best) {
      best = iou;
      chosen = i;
    }
  }
  bestIou[thread] = best;
  bestNode[thread] = chosen;
  workgroupBarrier();
  if (thread == 0u) {
    for (var i = 1u; i < 64u; i++) {
      if (bestNode[i] == NONE) { continue; }
      if (chosen == NONE || bestIou[i] > best || (bestIou[i] == best && bestNode[i] > chosen)) {
        best = bestIou[i];
        chosen = bestNode[i];
      }
    }
    segments[group.x].heir = chosen;
  }
}
