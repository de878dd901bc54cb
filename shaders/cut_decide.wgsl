// Decides which segments of the level are split and lays out the next level.
//
// A segment is split where its NCut is below T/(n − 1), T = (1ᵀA1 − tr A)/2, or below
// a fixed threshold. The hysteresis raises that for a cut whose parts are those of the last
// frame's, with at least half of their union in common, and lowers it for a segment
// that was left whole. Where leaves run out the clearest cuts go first.
//
// Put behind `cut_best.wgsl`, which says which candidate is taken.
// Bindings: 3 segments; 12 pairs; 13 values; 14 sorted; 16 cuts; 17 state; 18 tree;
// 19 and 20 segments and tiles of the next level; 21 workgroups of its dispatches;
// 22 workgroups of the certificate's products; 23 the last tree.
// Workgroup: 256 threads, a segment each (at most 256). Dispatch: 1, or 0 where no
// segment is left. Cost: the tiles' cuts.

@group(0) @binding(3) var<storage, read_write> segments: array<Segment>;
@group(0) @binding(12) var<storage, read> pairs: array<Pair>;
@group(0) @binding(13) var<storage, read> values: array<f32>;
@group(0) @binding(14) var<storage, read> sorted: array<u32>;
@group(0) @binding(17) var<storage, read_write> state: State;
@group(0) @binding(18) var<storage, read_write> tree: array<Node>;
@group(0) @binding(19) var<storage, read_write> nextSegments: array<Segment>;
@group(0) @binding(20) var<storage, read_write> nextTiles: array<Tile>;
@group(0) @binding(21) var<storage, read_write> nextGroups: array<u32>;
@group(0) @binding(22) var<storage, read_write> productGroups: array<u32>;
@group(0) @binding(23) var<storage, read> heldNodes: array<HeldNode>;

const LEAST_IOU = 0.5;

var<workgroup> wanted: array<f32, 256>;
var<workgroup> positions: array<u32, 256>;

// Whether the parts of a cut are those that the segment's place had in the last frame.
fn is_kept(segment: Segment, candidate: u32, tiles: u32, position: u32) -> bool {
  let held = heldNodes[segment.heir];
  // Nodes shared by the left part with the last left and right ones, then those by the right part.
  var shared_nodes = vec4u();
  for (var t = segment.tile; t < segment.tile + segment.tiles; t++) {
    shared_nodes += (vec4u(cuts[candidate * tiles + t].overlap) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(255u);
  }
  let own = vec4u(vec2u(position), vec2u(segment.size - position));
  let last = vec4u(held.left, held.size - held.left, held.left, held.size - held.left);
  let iou = vec4f(shared_nodes) / vec4f(own + last - shared_nodes);
  return max(min(iou.x, iou.w), min(iou.y, iou.z)) >= LEAST_IOU;
}

@compute @workgroup_size(256)
fn main(@builtin(local_invocation_index) thread: u32) {
  let count = state.segments;
  let tiles = state.tiles;
  wanted[thread] = NOTHING;
  positions[thread] = 0u;
  if (thread < count) {
    let segment = segments[thread];
    let pair = pairs[thread];
    let split = segment.heir != NONE && heldNodes[segment.heir].middle > 0u;
    let candidate = chosen_of(segment, pair, split, tiles);
    let cut = best_of(segment, candidate, tiles);
    var limit = threshold_of(segment, pair);
    if (segment.heir != NONE) {
      if (!split) {
        limit *= 1.0 - level.hysteresis;
      } else if (is_kept(segment, candidate, tiles, cut.position)) {
        limit *= 1.0 + level.hysteresis;
      }
    }
    if (cut.ncut < limit) {
      wanted[thread] = cut.ncut;
      positions[thread] = cut.position;
    }
    let base = candidate * level.n;
    let last = sorted[base + segment.begin + max(cut.position, 1u) - 1u];
    let id = segment.node;
    tree[id].heir = segment.heir;
    tree[id].position = cut.position;
    tree[id].candidate = candidate;
    tree[id].ncut = cut.ncut;
    tree[id].threshold = limit;
    tree[id].theta = pair.theta;
    tree[id].residual = select(pair.residual, pair.heldResidual, candidate == 1u);
    tree[id].splitValue = values[base + last];
    tree[id].weight = pair.weight;
    tree[id].loops = pair.loops;
    tree[id].held = pair.held;
    segments[thread].unused0 = candidate;
  }
  workgroupBarrier();
  // Rank among those that want to be split, clearest first.
  let room = level.maxLeaves - state.leaves;
  var rank = 0u;
  if (wanted[thread] < NOTHING) {
    for (var i = 0u; i < count; i++) {
      rank += u32(wanted[i] < wanted[thread] || (wanted[i] == wanted[thread] && i < thread));
    }
  }
  let accepted = wanted[thread] < NOTHING && rank < room && level.last == 0u;
  let refused = wanted[thread] < NOTHING && !accepted;
  workgroupBarrier();
  if (!accepted) { positions[thread] = 0u; }
  wanted[thread] = select(0.0, 1.0, refused);
  workgroupBarrier();
  if (thread == 0u) {
    var next = 0u;
    var tile = 0u;
    for (var i = 0u; i < count; i++) {
      if (wanted[i] > 0.0) { state.overflow = max(state.overflow, 1u); }
      if (positions[i] == 0u) { continue; }
      let segment = segments[i];
      let child = state.nodes;
      tree[segment.node].child = child;
      state.nodes += 2u;
      state.leaves += 1u;
      state.cuts += 1u;
      for (var side = 0u; side < 2u; side++) {
        let begin = segment.begin + select(0u, positions[i], side == 1u);
        let size = select(positions[i], segment.size - positions[i], side == 1u);
        let part_tiles = (size + 63u) / 64u;
        tree[child + side] = Node(
          segment.node, 0u, begin, size, level.depth + 1u, NONE, 0u, 0u,
          NOTHING, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
        );
        nextSegments[next] = Segment(begin, size, tile, part_tiles, child + side, NONE, 0u, 0u);
        for (var t = 0u; t < part_tiles; t++) {
          nextTiles[tile + t] = Tile(next, begin + t * 64u, min(64u, size - t * 64u), 0u);
        }
        tile += part_tiles;
        next += 1u;
      }
    }
    state.segments = next;
    state.tiles = tile;
    let slot = (level.depth + 1u) * 3u * GROUP_KINDS;
    for (var kind = 0u; kind < GROUP_KINDS; kind++) {
      let groups = level_groups(kind, next, tile);
      for (var axis = 0u; axis < 3u; axis++) { nextGroups[slot + 3u * kind + axis] = groups[axis]; }
    }
    productGroups[0] = (state.leaves + state.cuts + 31u) / 32u;
    productGroups[1] = level.productRows;
    productGroups[2] = 1u;
  }
}
