// Which of a segment's cuts to take. Put behind `cut_types.wgsl` where a kernel binds the tiles' cuts.
//
// Bindings: 16 cuts [candidates, tiles]. Workgroup: none. Cost: the segment's tiles.

@group(0) @binding(16) var<storage, read_write> cuts: array<Cut>;

// A cut that continues the last frame's is kept unless the new one is better by this factor.
const HOLD = 1.05;

// The smallest NCut of a candidate, of `tiles` in the level.
fn best_of(segment: Segment, candidate: u32, tiles: u32) -> Cut {
  var best = Cut(NOTHING, 0u, 0u);
  for (var t = segment.tile; t < segment.tile + segment.tiles; t++) {
    let cut = cuts[candidate * tiles + t];
    if (cut.ncut < best.ncut) { best = cut; }
  }
  return best;
}

// The candidate that is taken: the one that continues the last frame's, if that was split, or the leading one.
fn chosen_of(segment: Segment, pair: Pair, was_split: bool, tiles: u32) -> u32 {
  if (!was_split || pair.hasHeld == 0u) { return 0u; }
  let held = best_of(segment, 1u, tiles).ncut;
  return u32(held < NOTHING && held <= best_of(segment, 0u, tiles).ncut * HOLD);
}

// T/(n − 1) with T = (1ᵀA1 − tr A)/2, or the fixed threshold.
fn threshold_of(segment: Segment, pair: Pair) -> f32 {
  if (level.fixedStop == 1u) { return level.threshold; }
  return max(pair.weight - pair.loops, 0.0) / 2.0 / f32(max(segment.size, 2u) - 1u);
}
