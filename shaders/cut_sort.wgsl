// Sorts the nodes of each segment by value, by counting for each node the nodes of
// its segment that come before it; equal values stay in the order of their index.
//
// Bindings: 2 order; 3 segments; 4 tiles; 13 values [2, n]; 14 sorted [2, n] of nodes.
// Workgroup: 256 threads, four a node, segments in pieces of 256 values.
// Dispatch: (tiles, candidates). Cost: Σ|S|² comparisons, no passes in between:
// at the sizes of a walk less than a sort's dozens of dependent dispatches.

@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> segments: array<Segment>;
@group(0) @binding(4) var<storage, read> tiles: array<Tile>;
@group(0) @binding(13) var<storage, read> values: array<f32>;
@group(0) @binding(14) var<storage, read_write> sorted: array<u32>;

var<workgroup> others: array<f32, 256>;
var<workgroup> names: array<u32, 256>;
var<workgroup> parts: array<u32, 256>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let tile = tiles[group.x];
  let segment = segments[tile.segment];
  let base = group.y * level.n;
  var node = 0u;
  var value = 0.0;
  if (thread / 4u < tile.count) {
    node = order[tile.begin + thread / 4u];
    value = values[base + node];
  }
  var rank = 0u;
  for (var start = 0u; start < segment.size; start += 256u) {
    if (start + thread < segment.size) {
      let name = order[segment.begin + start + thread];
      names[thread] = name;
      others[thread] = values[base + name];
    }
    workgroupBarrier();
    let count = min(256u, segment.size - start);
    for (var i = thread % 4u; i < count; i += 4u) {
      rank += u32(others[i] < value || (others[i] == value && names[i] < node));
    }
    workgroupBarrier();
  }
  parts[thread] = rank;
  workgroupBarrier();
  if (thread < tile.count) {
    let at = thread * 4u;
    rank = parts[at] + parts[at + 1u] + parts[at + 2u] + parts[at + 3u];
    sorted[base + segment.begin + rank] = order[tile.begin + thread];
  }
}
