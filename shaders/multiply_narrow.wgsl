// Product with up to four vectors (see `multiply_types.wgsl`), one vec4 a row, all f32.
//
// The tile of `multiply.wgsl` would compute 32 columns for the one that is wanted;
// this one is bound by reading A once. All columns of A are in use.
//
// Bindings: those of `multiply_types.wgsl`.
// Workgroup: 128 threads. Plain: 4 rows of C, all threads share the sum.
// Transposed: 32 rows of C (8 groups of 4 columns of A), 16 threads share the sum.
// Dispatch: rows/4 or rows/32 workgroups.
// Cost: 8·rows·inner operations; A is read once.

// Partial sums, four rows of C a thread.
var<workgroup> parts: array<vec4f, 512>;

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  var sum0 = vec4f();
  var sum1 = vec4f();
  var sum2 = vec4f();
  var sum3 = vec4f();
  if (transposed) {
    let column = group.x * 8u + thread % 8u;
    for (var k = thread / 8u; k < sizes.inner; k += 16u) {
      let a = vec4f(left[k * sizes.leftStride + column]);
      let b = right[sizes.rightRow + k];
      sum0 += a.x * b;
      sum1 += a.y * b;
      sum2 += a.z * b;
      sum3 += a.w * b;
    }
  } else {
    let row = group.x * 4u * sizes.leftStride;
    for (var k = thread; k < sizes.inner / 4u; k += 128u) {
      let at = sizes.rightRow + k * 4u;
      // B's four rows as columns of a matrix, so that B·a sums over the rows.
      let b = mat4x4f(right[at], right[at + 1u], right[at + 2u], right[at + 3u]);
      sum0 += b * vec4f(left[row + k]);
      sum1 += b * vec4f(left[row + sizes.leftStride + k]);
      sum2 += b * vec4f(left[row + 2u * sizes.leftStride + k]);
      sum3 += b * vec4f(left[row + 3u * sizes.leftStride + k]);
    }
  }
  parts[thread * 4u] = sum0;
  parts[thread * 4u + 1u] = sum1;
  parts[thread * 4u + 2u] = sum2;
  parts[thread * 4u + 3u] = sum3;
  workgroupBarrier();
  // Transposed, threads that are equal modulo 8 hold the same rows: stop there.
  let last = select(1u, 8u, transposed);
  for (var half = 64u; half >= last; half /= 2u) {
    if (thread < half) {
      for (var i = 0u; i < 4u; i++) {
        parts[thread * 4u + i] += parts[(thread + half) * 4u + i];
      }
    }
    workgroupBarrier();
  }
  if (thread < last * 4u) {
    write(sizes.resultRow + group.x * last * 4u + thread, parts[thread]);
  }
}
