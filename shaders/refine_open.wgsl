// Chooses the candidate of each segment, whose vector takes the first one's place, and opens the refinement of
// those that may be split: what lies far above its threshold stays whole, whatever its vector's error.
//
// Put behind `exact_types.wgsl` and `cut_best.wgsl`; the first product is that of the indicators, for the degrees.
// Bindings: 2 order; 3 segments; 10 Krylov bases [STEPS + 1, n], the start in the first; 12 pairs; 13 values [2, n];
// 16 cuts; 17 state; 23 the last tree; 39 iterates; 40 progress [segment]; 41 gates.
// Workgroup: 256 threads, one segment. Dispatch: segments. Cost: one read of the nodes.

@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> segments: array<Segment>;
@group(0) @binding(10) var<storage, read_write> krylov: array<f32>;
@group(0) @binding(12) var<storage, read_write> pairs: array<Pair>;
@group(0) @binding(13) var<storage, read_write> values: array<f32>;
@group(0) @binding(17) var<storage, read> state: State;
@group(0) @binding(23) var<storage, read> heldNodes: array<HeldNode>;
@group(0) @binding(39) var<storage, read_write> iterates: array<f32>;
@group(0) @binding(40) var<storage, read_write> progress: array<Progress>;
@group(0) @binding(41) var<storage, read_write> gates: Gates;

override reach: f32 = 1.3;

var<workgroup> chosen: u32;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let s = group.x;
  let segment = segments[s];
  if (thread == 0u) {
    let split = segment.heir != NONE && heldNodes[segment.heir].middle > 0u;
    let candidate = chosen_of(segment, pairs[s], split, state.tiles);
    if (candidate == 1u) { pairs[s].residual = pairs[s].heldResidual; }
    // From here on there is one.
    pairs[s].hasHeld = 0u;
    let open = best_of(segment, candidate, state.tiles).ncut < reach * threshold_of(segment, pairs[s]);
    progress[s].phase = 0u;
    progress[s].done = u32(!open);
    progress[s].products = 0u;
    progress[s].rivals = 0u;
    if (open && atomicAdd(&gates.open, 1u) == 0u) {
      gates.columns = array<u32, 3>(level.productRows * 2u, state.segments, 1u);
      gates.rows = array<u32, 3>(state.tiles, 8u, 1u);
    }
    chosen = candidate;
  }
  let base = workgroupUniformLoad(&chosen) * level.n;
  for (var position = segment.begin + thread; position < segment.begin + segment.size; position += 256u) {
    let node = order[position];
    let value = values[base + node];
    values[node] = value;
    krylov[position] = value;
    iterates[GIVEN * level.n + position] = 1.0;
  }
}
