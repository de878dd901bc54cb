// What the products with a block of vectors share:  C (+)= scale · op(A) · B,  op(A) = A or Aᵀ.
//
// A is a band of rows of the walk's matrix, B and C are blocks of vectors or bands of
// another matrix. Put before `multiply.wgsl` and `multiply_narrow.wgsl`, and itself after
// the aliases `Left`, `Right` and `Result` (f32 or f16); sums are f32.
//
// Bindings: 0 sizes; 1 A; 2 B; 3 C.
// Workgroup: each kernel's own.
// Cost: none of its own.

struct Sizes {
  inner: u32,        // length of the sum
  leftStride: u32,   // row length of A, in vec4
  leftColumn: u32,   // first column of A in use, in values
  rightStride: u32,  // row length of B and C, in vec4
  rightRow: u32,     // first row of B in use
  resultRow: u32,    // first row of C written
  accumulate: u32,   // 1: add to C
  scale: f32,
}

override transposed: bool = false;

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> left: array<vec4<Left>>;
@group(0) @binding(2) var<storage, read> right: array<vec4<Right>>;
@group(0) @binding(3) var<storage, read_write> result: array<vec4<Result>>;

fn write(at: u32, sum: vec4f) {
  var value = sizes.scale * sum;
  if (sizes.accumulate == 1u) {
    value += vec4f(result[at]);
  }
  result[at] = vec4<Result>(value);
}

