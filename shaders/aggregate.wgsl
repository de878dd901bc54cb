// Adds one resolution's attention L [R²,R²] to the walk's matrix G [N,N], N = grid²:
//   G[i,·] (+)= weight · up(L[source(i),·]) / Σ up(L[source(i),·]).
// R ≤ grid: keys bilinear with half-pixel centres (clamped at the border), queries
// repeated to the nearest. R > grid: the mean over the queries that fall into a
// node's cell, the sum over the keys that do.
//
// Bindings: 0 sizes; 1 L; 2 shares [R]: what a key's mass counts for along one
// axis (sum over nodes of its bilinear weight; 1 where keys are summed), so that
// the row's sum needs L's row alone; 3 G, a band of rows.
// Workgroup: 256 threads, one row of G. Dispatch: rows of the band.
// Cost: R² + 4·N reads of L and N values of G a row (R ≤ grid).

struct Sizes {
  resolution: u32,
  grid: u32,
  stride: u32,       // row length of G
  firstRow: u32,     // node of the band's first row
  accumulate: u32,   // 1: add to G
  weight: f32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> level: array<f32>;
@group(0) @binding(2) var<storage, read> shares: array<f32>;
@group(0) @binding(3) var<storage, read_write> walk: array<f32>;

var<workgroup> parts: array<f32, 256>;

// First source cell of a node along one axis when cells are gathered: ⌈node·R/grid⌉,
// the first that floor(cell·grid/R) sends to the node.
fn first_of(node: u32) -> u32 {
  return (node * sizes.resolution + sizes.grid - 1u) / sizes.grid;
}

fn bilinear(row: u32, node: u32) -> f32 {
  let r = sizes.resolution;
  let last = f32(r - 1u);
  let ratio = f32(r) / f32(sizes.grid);
  let x = clamp((f32(node % sizes.grid) + 0.5) * ratio - 0.5, 0.0, last);
  let y = clamp((f32(node / sizes.grid) + 0.5) * ratio - 0.5, 0.0, last);
  let x0 = u32(x);
  let y0 = u32(y);
  let x1 = min(x0 + 1u, r - 1u);
  let y1 = min(y0 + 1u, r - 1u);
  let at = row * r * r;
  let top = mix(level[at + y0 * r + x0], level[at + y0 * r + x1], x - f32(x0));
  let bottom = mix(level[at + y1 * r + x0], level[at + y1 * r + x1], x - f32(x0));
  return mix(top, bottom, y - f32(y0));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let r = sizes.resolution;
  let cells = r * r;
  let nodes = sizes.grid * sizes.grid;
  let node = sizes.firstRow + group.x;
  let gathers = r > sizes.grid;
  // Source queries of the node: one row repeated, or a rectangle of rows.
  var x0 = ((node % sizes.grid) * 2u + 1u) * r / (2u * sizes.grid);
  var y0 = ((node / sizes.grid) * 2u + 1u) * r / (2u * sizes.grid);
  var x1 = x0 + 1u;
  var y1 = y0 + 1u;
  if (gathers) {
    x0 = first_of(node % sizes.grid);
    x1 = first_of(node % sizes.grid + 1u);
    y0 = first_of(node / sizes.grid);
    y1 = first_of(node / sizes.grid + 1u);
  }
  var sum = 0.0;
  for (var y = y0; y < y1; y++) {
    for (var x = x0; x < x1; x++) {
      let at = (y * r + x) * cells;
      for (var key = thread; key < cells; key += 256u) {
        sum += level[at + key] * shares[key % r] * shares[key / r];
      }
    }
  }
  parts[thread] = sum;
  workgroupBarrier();
  for (var half = 128u; half > 0u; half /= 2u) {
    if (thread < half) {
      parts[thread] += parts[thread + half];
    }
    workgroupBarrier();
  }
  let factor = sizes.weight / parts[0];
  for (var target_node = thread; target_node < nodes; target_node += 256u) {
    var value = 0.0;
    if (gathers) {
      let kx0 = first_of(target_node % sizes.grid);
      let kx1 = first_of(target_node % sizes.grid + 1u);
      let ky0 = first_of(target_node / sizes.grid);
      let ky1 = first_of(target_node / sizes.grid + 1u);
      for (var y = y0; y < y1; y++) {
        for (var x = x0; x < x1; x++) {
          let at = (y * r + x) * cells;
          for (var ky = ky0; ky < ky1; ky++) {
            for (var kx = kx0; kx < kx1; kx++) {
              value += level[at + ky * r + kx];
            }
          }
        }
      }
    } else {
      value = bilinear(y0 * r + x0, target_node);
    }
    let at = group.x * sizes.stride + target_node;
    value *= factor;
    if (sizes.accumulate == 1u) {
      value += walk[at];
    }
    walk[at] = value;
  }
}
