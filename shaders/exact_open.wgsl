// Opens a level of exact products: the first product is that of the indicators, for the
// degrees; the guess at each vector is the last frame's where a segment has an heir, else 0.
//
// Bindings: 2 order; 3 segments; 4 tiles; 10 Krylov bases [STEPS + 1, n], the guess in the
// first; 17 state; 23 the last tree, 24 its labels, 25 its vectors by depth; 39 iterates;
// 40 progress [segment]; 41 gates. Workgroup: 64 threads, one tile. Dispatch: tiles.
// Cost: one read of the nodes.

@group(0) @binding(2) var<storage, read> order: array<u32>;
@group(0) @binding(3) var<storage, read> segments: array<Segment>;
@group(0) @binding(4) var<storage, read> tiles: array<Tile>;
@group(0) @binding(10) var<storage, read_write> krylov: array<f32>;
@group(0) @binding(17) var<storage, read> state: State;
@group(0) @binding(23) var<storage, read> heldNodes: array<HeldNode>;
@group(0) @binding(24) var<storage, read> heldLabels: array<u32>;
@group(0) @binding(25) var<storage, read> heldValues: array<f32>;
@group(0) @binding(39) var<storage, read_write> iterates: array<f32>;
@group(0) @binding(40) var<storage, read_write> progress: array<Progress>;
@group(0) @binding(41) var<storage, read_write> gates: Gates;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let tile = tiles[group.x];
  if (thread < tile.count) {
    let position = tile.begin + thread;
    let heir = segments[tile.segment].heir;
    var guess = 0.0;
    if (level.heldCount > 0u && heir != NONE) {
      let node = order[position];
      let held = heldNodes[heir];
      let leaf = heldLabels[node];
      if (leaf >= held.low && leaf < held.high) {
        guess = heldValues[held.depth * level.n + node];
      }
    }
    krylov[position] = guess;
    iterates[GIVEN * level.n + position] = 1.0;
  }
  if (group.x > 0u) { return; }
  if (thread < state.segments) {
    progress[thread].phase = 0u;
    progress[thread].done = 0u;
    progress[thread].products = 0u;
    progress[thread].rivals = 0u;
    progress[thread].overtaken = 0u;
  }
  if (thread == 0u) {
    gates.columns = array<u32, 3>(level.stride / 32u, state.segments, 1u);
    gates.rows = array<u32, 3>(state.tiles, 8u, 1u);
    atomicStore(&gates.open, state.segments);
  }
}
