// How a segment's best cut lies to the one that its place had in the last frame: of the tile's nodes those on
// either side of the one and of the other, four counts of at most 64 in the bytes of a word, side · 2 + last side.
// What lay in neither part is not counted.
//
// Put behind `cut_best.wgsl`.
// Bindings: 3 segments; 4 tiles; 14 sorted; 16 cuts, whose overlap is written; 23 the last tree, 24 its labels.
// Workgroup: 64 threads, one tile. Dispatch: (tiles, candidates). Cost: the segment's tiles, once a tile.

@group(0) @binding(3) var<storage, read> segments: array<Segment>;
@group(0) @binding(4) var<storage, read> tiles: array<Tile>;
@group(0) @binding(14) var<storage, read> sorted: array<u32>;
@group(0) @binding(23) var<storage, read> heldNodes: array<HeldNode>;
@group(0) @binding(24) var<storage, read> heldLabels: array<u32>;

var<workgroup> counts: atomic<u32>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = tiles[group.x];
  let segment = segments[tile.segment];
  if (thread == 0u) { atomicStore(&counts, 0u); }
  workgroupBarrier();
  if (thread < tile.count && segment.heir != NONE) {
    let position = best_of(segment, group.y, groups.x).position;
    let held = heldNodes[segment.heir];
    let leaf = heldLabels[sorted[group.y * level.n + tile.begin + thread]];
    if (held.middle > 0u && leaf >= held.low && leaf < held.high) {
      let side = u32(tile.begin - segment.begin + thread >= position);
      atomicAdd(&counts, 1u << (8u * (2u * side + u32(leaf >= held.middle))));
    }
  }
  workgroupBarrier();
  if (thread == 0u) { cuts[group.y * groups.x + group.x].overlap = atomicLoad(&counts); }
}
