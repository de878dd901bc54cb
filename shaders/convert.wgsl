// Changes how a matrix is stored:  to[i] = scale · from[i].
//
// f16 has five bits of exponent, so a walk's entries, often below 1e-4, are stored
// times a power of two, which each product takes back exactly.
//
// Bindings: 0 sizes; 1 from; 2 to. `From` and `To` (f32 or f16) are put before
// this text. Workgroup: 256 threads, four values each, grid-stride.
// Cost: one read and one write a value.

struct Sizes {
  count: u32,   // in vec4
  threads: u32, // in the whole dispatch
  scale: f32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> source: array<vec4<From>>;
@group(0) @binding(2) var<storage, read_write> copy: array<vec4<To>>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) {
  for (var i = id.x; i < sizes.count; i += sizes.threads) {
    copy[i] = vec4<To>(sizes.scale * vec4f(source[i]));
  }
}
