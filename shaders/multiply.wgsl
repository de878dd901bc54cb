// Product with a wide block of vectors, or with another matrix (see `multiply_types.wgsl`).
//
// Rows of C come in multiples of 64, its columns and the summed length in multiples of
// 32: matrices and blocks are padded with zeros, so no bound is checked here.
//
// Bindings: those of `multiply_types.wgsl`.
// Workgroup: 128 threads make a 64×32 tile of C, 4×4 values a thread, in steps of
// 32 of the summed index. Dispatch: (columns/32, rows/64).
// Cost: 2·rows·columns·inner operations; A is read columns/32 times.

// [32 of the sum][64 rows] and [32 of the sum][32 columns], in vec4.
var<workgroup> leftTile: array<vec4f, 512>;
var<workgroup> rightTile: array<vec4f, 256>;

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row0 = group.y * 64u;
  let column0 = group.x * 8u;
  let ownRow = thread / 8u;
  let ownColumn = thread % 8u;
  var sum0 = vec4f();
  var sum1 = vec4f();
  var sum2 = vec4f();
  var sum3 = vec4f();
  for (var k0 = 0u; k0 < sizes.inner; k0 += 32u) {
    if (transposed) {
      for (var i = thread; i < 512u; i += 128u) {
        let at = (k0 + i / 16u) * sizes.leftStride + (sizes.leftColumn + row0) / 4u + i % 16u;
        leftTile[i] = vec4f(left[at]);
      }
    } else {
      // A 4×4 block a thread, turned so that the product reads rows of the sum.
      let at = (row0 + ownRow * 4u) * sizes.leftStride + (sizes.leftColumn + k0) / 4u + ownColumn;
      let block = transpose(mat4x4f(
        vec4f(left[at]),
        vec4f(left[at + sizes.leftStride]),
        vec4f(left[at + 2u * sizes.leftStride]),
        vec4f(left[at + 3u * sizes.leftStride]),
      ));
      for (var i = 0u; i < 4u; i++) {
        leftTile[(ownColumn * 4u + i) * 16u + ownRow] = block[i];
      }
    }
    for (var i = thread; i < 256u; i += 128u) {
      let at = (sizes.rightRow + k0 + i / 8u) * sizes.rightStride + column0 + i % 8u;
      rightTile[i] = vec4f(right[at]);
    }
    workgroupBarrier();
    for (var k = 0u; k < 32u; k++) {
      let a = leftTile[k * 16u + ownRow];
      let b = rightTile[k * 8u + ownColumn];
      sum0 += a.x * b;
      sum1 += a.y * b;
      sum2 += a.z * b;
      sum3 += a.w * b;
    }
    workgroupBarrier();
  }
  let at = (sizes.resultRow + row0 + ownRow * 4u) * sizes.rightStride + column0 + ownColumn;
  write(at, sum0);
  write(at + sizes.rightStride, sum1);
  write(at + 2u * sizes.rightStride, sum2);
  write(at + 3u * sizes.rightStride, sum3);
}
