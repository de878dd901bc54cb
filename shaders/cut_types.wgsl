// What the kernels of the cut share; put before each of them.
//
// A segment is a range of positions in `order`, which lists the nodes so that every
// segment of every depth is contiguous. A tile is up to 64 positions of one segment:
// the unit of work, so that a level costs the same however many segments it has.
// Candidates of a segment: the leading eigenvector (0) and the one that continues
// the last frame's (1).
//
// Bindings: 0 in every kernel: the level's settings. Workgroup: none. Cost: none.

struct Level {
  n: u32,            // nodes
  rank: u32,         // r, columns of F
  stride: u32,       // row length of F in values; columns r … r + probes − 1 are M·probes
  probes: u32,
  depth: u32,
  minPart: u32,      // fewest nodes of a part
  maxLeaves: u32,
  heldCount: u32,    // nodes of the last frame's tree, 0 when cold
  fixedStop: u32,    // 1: hold NCut against `threshold`, 0: against T/(n − 1)
  last: u32,         // 1: the deepest level, which may not be split
  productRows: u32,  // rows of blocks / 64
  threshold: f32,
  hysteresis: f32,
  enough: f32,       // share of the trace that a basis must hold
  thresholds: u32,   // evenly spaced ones that are tried, 0 for all
  exactLoops: u32,   // 1: A_ii is known, 0: the probes estimate what F misses
  candidates: u32,   // vectors a segment that are swept
  entryScale: f32,   // of M's entries as they are stored
  settled: f32,      // share of the trace from which the projection of a renewed basis will do
}

struct Segment {
  begin: u32,
  size: u32,
  tile: u32,         // first tile
  tiles: u32,
  node: u32,         // in the tree
  heir: u32,         // in the last frame's tree, NONE
  unused0: u32,
  unused1: u32,
}

struct Tile {
  segment: u32,
  begin: u32,
  count: u32,
  unused: u32,
}

// What the eigensolver says of a segment.
struct Pair {
  theta: f32,
  residual: f32,
  heldResidual: f32,
  hasHeld: u32,
  weight: f32,       // 1ᵀA1 = ‖Fᵀ1‖²
  loops: f32,        // Σ A_ii
  held: f32,         // Σ ‖F_i‖²
  unused: f32,
}

// The best threshold of a tile or segment.
struct Cut {
  ncut: f32,         // NOTHING where there is none
  position: u32,     // nodes on the left
  overlap: u32,      // of the tile with the parts of the last frame's cut, see `cut_overlap.wgsl`
}

struct Node {
  parent: u32,
  child: u32,        // the left part; the right one follows; 0: none
  begin: u32,
  size: u32,
  depth: u32,
  heir: u32,
  position: u32,
  candidate: u32,
  ncut: f32,
  threshold: f32,
  theta: f32,
  residual: f32,
  splitValue: f32,
  weight: f32,
  loops: f32,
  held: f32,
}

struct HeldNode {
  low: u32,          // its leaves are low … high − 1
  high: u32,
  size: u32,
  middle: u32,       // first leaf of its right part, 0 where it was not split
  depth: u32,
  left: u32,         // nodes of its left part
  unused0: u32,
  unused1: u32,
}

struct State {
  nodes: u32,        // of the tree
  leaves: u32,
  cuts: u32,
  overflow: u32,     // 1: leaves or depth ran out, 2: a segment is not for the device
  segments: u32,     // active ones of the coming level
  tiles: u32,
  renewed: u32,      // products with M that renewing the basis took: 0, 1 or 2, and 2 for a second try
  tried: u32,        // columns of the certificate of a tree that was given up
  missed: f32,       // what the probes' images of a projected factor are scaled by
}

const NONE = 0xffffffffu;
const NOTHING = 1e30;

@group(0) @binding(0) var<uniform> level: Level;

// A number of turns as compilers can't know it: what they write out turn by turn, in all the places that call it,
// takes a software device ten times as long to compile.
fn rolled(turns: u32) -> u32 { return turns + (level.n >> 31u); }

// Uniform noise in [−1, 1) from a counter (PCG hash).
fn noise(counter: u32) -> f32 {
  let state = counter * 747796405u + 2891336453u;
  let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
  return f32((word >> 22u) ^ word) / 2147483648.0 - 1.0;
}

// Kinds of workgroups of a level.
const GROUP_KINDS = 6u;

// The workgroups of a level by the order of `GROUPS` on the host: segments, tiles, grams, gram sums,
// candidates, decision. None where there are no segments.
fn level_groups(kind: u32, segments: u32, tiles: u32) -> vec3u {
  let busy = u32(segments > 0u);
  let blocks = (level.rank + 63u) / 64u;
  var groups = vec3u(busy);
  switch kind {
    case 0u: { groups.x = segments; }
    case 1u: { groups.x = tiles; }
    case 2u: { groups = vec3u(tiles, busy * blocks * blocks, busy); }
    case 3u: { groups = vec3u(busy * ((level.rank * level.rank + 255u) / 256u), segments, busy); }
    case 4u: { groups = vec3u(tiles, busy * level.candidates, busy); }
    default: {}
  }
  return groups;
}

// Kinds of workgroups of the basis.
const BASIS_SLOTS = 4u;

// The workgroups that renew a basis: product, Gram matrix, Cholesky, solution.
fn basis_groups(slot: u32) -> vec3u {
  let blocks = (level.rank + level.probes + 63u) / 64u;
  switch slot {
    case 0u: { return vec3u(level.stride / 32u, level.productRows, 1u); }
    case 1u: { return vec3u(blocks, blocks, 1u); }
    case 2u: { return vec3u(1u); }
    default: { return vec3u((level.n + 63u) / 64u, 1u, 1u); }
  }
}
