// Per tile, over its nodes i:  Σ F_i;  Σ F_i·y_i with y the last frame's vector;
// Σ ‖F_i‖² and Σ A_ii, exact where M's rows are at hand, else with what the probes say
// the factor misses.
//
// Bindings: 1 F; 2 order; 3 segments; 4 tiles; 5 sums (columns r and r + 1 hold the
// two scalars); 6 starts; 23 the last tree, 24 its labels, 25 its vectors by depth; 36 A_ii.
// Workgroup: 128 threads, a column each. Dispatch: tiles.
// Cost: one read of the tile's rows of F.

@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> segments: array<Segment>;
@group(0) @binding(4) var<storage, read> tiles: array<Tile>;
@group(0) @binding(5) var<storage, read_write> sums: array<f32>;
@group(0) @binding(6) var<storage, read_write> starts: array<f32>;
@group(0) @binding(23) var<storage, read> heldNodes: array<HeldNode>;
@group(0) @binding(24) var<storage, read> heldLabels: array<u32>;
@group(0) @binding(25) var<storage, read> heldValues: array<f32>;
@group(0) @binding(36) var<storage, read> loops: array<f32>;

var<workgroup> nodes: array<u32, 64>;
var<workgroup> guesses: array<f32, 64>;
var<workgroup> squares: array<vec2f, 128>;

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let tile = tiles[group.x];
  let heir = segments[tile.segment].heir;
  if (thread < tile.count) {
    let node = order[tile.begin + thread];
    nodes[thread] = node;
    var guess = 0.0;
    if (heir != NONE) {
      let held = heldNodes[heir];
      let leaf = heldLabels[node];
      if (leaf >= held.low && leaf < held.high) {
        guess = heldValues[held.depth * level.n + node];
      }
    }
    guesses[thread] = guess;
  }
  workgroupBarrier();
  let estimated = select(1.0, 0.0, level.exactLoops == 1u);
  var square = vec2f();
  if (level.exactLoops == 1u && thread < tile.count) {
    square.y = loops[nodes[thread]];
  }
  for (var column = thread; column < level.rank + level.probes; column += 128u) {
    var sum = 0.0;
    var start = 0.0;
    var own = 0.0;
    for (var i = 0u; i < tile.count; i++) {
      let value = rows[nodes[i] * level.stride + column];
      sum += value;
      start += value * guesses[i];
      own += value * value;
    }
    if (column < level.rank) {
      sums[group.x * level.stride + column] = sum;
      starts[group.x * level.stride + column] = start;
      square += own * vec2f(1.0, estimated);
    } else {
      square.y += estimated * own / f32(level.probes);
    }
  }
  squares[thread] = square;
  workgroupBarrier();
  for (var half = 64u; half > 0u; half /= 2u) {
    if (thread < half) {
      squares[thread] += squares[thread + half];
    }
    workgroupBarrier();
  }
  if (thread == 0u) {
    sums[group.x * level.stride + level.rank] = squares[0].x;
    sums[group.x * level.stride + level.rank + 1u] = squares[0].y;
  }
}
