// What the kernels that compute 64×64 blocks of a product share; put before each of
// them. Of Xᵀ·Y they stage 16 rows at a time, and each thread sums 4×4 values.
//
// Bindings: none. Workgroup: 256 threads; 8 KiB. Cost: 2·64·64·16 operations a call of `added`.

// Rows of X and of Y: value c of row k at 64·k + c.
var<workgroup> left: array<f32, 1024>;
var<workgroup> right: array<f32, 1024>;

// The thread's values: rows and columns of the block from here on, four each.
fn ownRow(thread: u32) -> u32 { return (thread / 16u) * 4u; }
fn ownColumn(thread: u32) -> u32 { return (thread % 16u) * 4u; }

// The sum with what is staged added; value [i][j] is that of row i and column j of the thread's own.
fn added(before: mat4x4f, thread: u32) -> mat4x4f {
  var sum = before;
  for (var k = 0u; k < 16u; k++) {
    let l = k * 64u + ownRow(thread);
    let r = k * 64u + ownColumn(thread);
    let values = vec4f(right[r], right[r + 1u], right[r + 2u], right[r + 3u]);
    sum += mat4x4f(left[l] * values, left[l + 1u] * values, left[l + 2u] * values, left[l + 3u] * values);
  }
  return sum;
}
