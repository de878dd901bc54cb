// G = XᵀX of a block X: its first r columns from one buffer, the probes from another.
//
// Bindings: 31 and 32 the two sources [n, stride]; 33 G [c, c], c = r + probes.
// Workgroup: 256 threads make a 64×64 block of G, 4×4 values a thread, in steps of 16
// rows; those below the diagonal are mirrored. Dispatch: (⌈c/64⌉, ⌈c/64⌉).
// Cost: n·c² operations.

@group(0) @binding(31) var<storage, read> columns: array<f32>;
@group(0) @binding(32) var<storage, read> probes: array<f32>;
@group(0) @binding(33) var<storage, read_write> gram: array<f32>;

fn value(row: u32, column: u32) -> f32 {
  if (row >= level.n || column >= level.rank + level.probes) { return 0.0; }
  if (column < level.rank) { return columns[row * level.stride + column]; }
  return probes[row * level.stride + column];
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  if (group.x < group.y) { return; }
  let count = level.rank + level.probes;
  let a0 = group.y * 64u;
  let b0 = group.x * 64u;
  var block = mat4x4f();
  for (var row = 0u; row < level.n; row += 16u) {
    for (var at = thread; at < 1024u; at += 256u) {
      left[at] = value(row + at / 64u, a0 + at % 64u);
      right[at] = value(row + at / 64u, b0 + at % 64u);
    }
    workgroupBarrier();
    block = added(block, thread);
    workgroupBarrier();
  }
  for (var i = 0u; i < 4u; i++) {
    for (var j = 0u; j < 4u; j++) {
      let a = a0 + ownRow(thread) + i;
      let b = b0 + ownColumn(thread) + j;
      if (a < count && b < count) {
        gram[a * count + b] = block[i][j];
        gram[b * count + a] = block[i][j];
      }
    }
  }
}
