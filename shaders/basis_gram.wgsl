// G = XᵀX of a block X: its first r columns from one buffer, the probes from another.
//
// Bindings: 31 and 32 the two sources [n, stride]; 33 G [c, c], c = r + probes.
// Workgroup: 256 threads, a 16×16 block of G, in steps of 16 rows.
// Dispatch: (⌈c/16⌉, ⌈c/16⌉). Cost: 2·n·c² operations.

@group(0) @binding(31) var<storage, read> columns: array<f32>;
@group(0) @binding(32) var<storage, read> probes: array<f32>;
@group(0) @binding(33) var<storage, read_write> gram: array<f32>;

var<workgroup> left: array<f32, 256>;
var<workgroup> right: array<f32, 256>;

fn value(row: u32, column: u32) -> f32 {
  if (row >= level.n || column >= level.rank + level.probes) { return 0.0; }
  if (column < level.rank) { return columns[row * level.stride + column]; }
  return probes[row * level.stride + column];
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let count = level.rank + level.probes;
  let i = thread / 16u;
  let j = thread % 16u;
  var sum = 0.0;
  for (var row = 0u; row < level.n; row += 16u) {
    left[thread] = value(row + i, group.y * 16u + j);
    right[thread] = value(row + i, group.x * 16u + j);
    workgroupBarrier();
    for (var k = 0u; k < 16u; k++) {
      sum += left[k * 16u + i] * right[k * 16u + j];
    }
    workgroupBarrier();
  }
  let a = group.y * 16u + i;
  let b = group.x * 16u + j;
  if (a < count && b < count) {
    gram[a * count + b] = sum;
  }
}
