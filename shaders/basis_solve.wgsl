// Y·R = X·D row by row: the columns of X made orthonormal, in order. The probes come
// out as random directions orthogonal to the basis and, in the second round, of
// length √(n − r), so that a mean over them estimates a trace.
//
// Bindings: 31 and 32 the sources of X as in `basis_gram.wgsl`; 33 G; 34 R;
// 35 Y [n, stride]. Workgroup: 64 threads, a row each. Dispatch: ⌈n/64⌉.
// Cost: c²/2 multiply-adds a row.

override last: bool = false;

@group(0) @binding(31) var<storage, read> columns: array<f32>;
@group(0) @binding(32) var<storage, read> probes: array<f32>;
@group(0) @binding(33) var<storage, read> gram: array<f32>;
@group(0) @binding(34) var<storage, read> triangle: array<f32>;
@group(0) @binding(35) var<storage, read_write> solution: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= level.n) { return; }
  let count = level.rank + level.probes;
  let base = id.x * level.stride;
  for (var a = 0u; a < count; a++) {
    var rest = 0.0;
    if (a < level.rank) {
      rest = columns[base + a];
    } else {
      rest = probes[base + a];
    }
    rest *= inverseSqrt(max(gram[a * count + a], 1e-37));
    for (var b = 0u; b < a; b++) {
      rest -= solution[base + b] * triangle[b * count + a];
    }
    let diagonal = triangle[a * count + a];
    // A column that depends on the others makes room for a random one, so that the basis
    // can take up what comes into the picture; the second round makes it orthogonal.
    solution[base + a] = select(noise(base + a), rest / diagonal, diagonal > 0.0);
  }
  if (last) {
    let size = sqrt(f32(level.n - level.rank));
    for (var a = level.rank; a < count; a++) {
      solution[base + a] *= size;
    }
  }
}
