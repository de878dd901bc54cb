// Pixel-adaptive mask refinement: weights of each pixel's neighbours, one iteration on several masks,
// and the choice of the largest mask at full size (lib/cut/pamr.ts has the definition).
//
// Masks and weights are plane after plane, `height` rows of `width`. Beyond the border lies the last pixel.
//
// Bindings: 0 sizes; 1 rgb [pixels, 3], 2 offsets [neighbours, 2], 3 weights [neighbours, pixels];
//   4 masks before and 5 masks after [masks, pixels]; 6 best value and 7 its mask, [full pixels].
//   `weigh` takes 0–3, `refine` 0 and 2–5, `choose` 0, 4, 6 and 7.
// Workgroup: 64 pixels; workgroups along x, then y; `refine` has a mask a z.
// Cost: `weigh` 9 reads of each neighbour a pixel; `refine` 2·neighbours operations a pixel, mask and iteration.

struct Sizes {
  width: u32,
  height: u32,
  neighbours: u32,
  // Standard deviations enter a window's variance: pixels of all rings and, once a ring, the pixel itself.
  window: f32,
  masks: u32,
  first_mask: u32,
  full_width: u32,
  full_height: u32,
  factor: u32,
}

@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> rgb: array<f32>;
@group(0) @binding(2) var<storage, read> offsets: array<vec2i>;
@group(0) @binding(3) var<storage, read_write> weights: array<f32>;
@group(0) @binding(4) var<storage, read> before: array<f32>;
@group(0) @binding(5) var<storage, read_write> after: array<f32>;
@group(0) @binding(6) var<storage, read_write> best: array<f32>;
@group(0) @binding(7) var<storage, read_write> chosen: array<u32>;

fn neighbour(p: u32, q: u32) -> u32 {
  let place = vec2i(i32(p % sizes.width), i32(p / sizes.width)) + offsets[q];
  let inside = clamp(place, vec2i(0), vec2i(i32(sizes.width) - 1, i32(sizes.height) - 1));
  return u32(inside.y) * sizes.width + u32(inside.x);
}

fn colour(p: u32) -> vec3f {
  return vec3f(rgb[3u * p], rgb[3u * p + 1u], rgb[3u * p + 2u]);
}

@compute @workgroup_size(64)
fn weigh(@builtin(global_invocation_id) id: vec3u) {
  let p = id.x;
  let pixels = sizes.width * sizes.height;
  if (p >= pixels) {
    return;
  }
  let own = colour(p);
  var sum = vec3f(0.0);
  var squares = vec3f(0.0);
  for (var q = 0u; q < sizes.neighbours; q++) {
    let difference = colour(neighbour(p, q)) - own;
    sum += difference;
    squares += difference * difference;
  }
  let variance = max(vec3f(0.0), (squares - sum * sum / sizes.window) / (sizes.window - 1.0));
  let scale = 1.0 / (3.0 * (1e-8 + 0.1 * sqrt(variance)));
  var most = -3.4e38;
  for (var q = 0u; q < sizes.neighbours; q++) {
    let logit = -dot(abs(colour(neighbour(p, q)) - own), scale);
    weights[q * pixels + p] = logit;
    most = max(most, logit);
  }
  var total = 0.0;
  for (var q = 0u; q < sizes.neighbours; q++) {
    let at = q * pixels + p;
    let weight = exp(weights[at] - most);
    weights[at] = weight;
    total += weight;
  }
  for (var q = 0u; q < sizes.neighbours; q++) {
    weights[q * pixels + p] /= total;
  }
}

@compute @workgroup_size(64)
fn refine(@builtin(global_invocation_id) id: vec3u) {
  let p = id.x;
  let pixels = sizes.width * sizes.height;
  if (p >= pixels) {
    return;
  }
  let plane = id.z * pixels;
  var sum = 0.0;
  for (var q = 0u; q < sizes.neighbours; q++) {
    sum += weights[q * pixels + p] * before[plane + neighbour(p, q)];
  }
  after[plane + p] = sum;
}

@compute @workgroup_size(64)
fn choose(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let p = id.y * groups.x * 64u + id.x;
  if (p >= sizes.full_width * sizes.full_height) {
    return;
  }
  // Bilinear, half-pixel centres.
  let place = vec2f(vec2u(p % sizes.full_width, p / sizes.full_width));
  let last = vec2f(f32(sizes.width - 1u), f32(sizes.height - 1u));
  let at = clamp((place + 0.5) / f32(sizes.factor) - 0.5, vec2f(0.0), last);
  let low = vec2u(at);
  let high = min(low + 1u, vec2u(last));
  let part = at - vec2f(low);
  let pixels = sizes.width * sizes.height;
  for (var m = 0u; m < sizes.masks; m++) {
    let top_row = m * pixels + low.y * sizes.width;
    let bottom_row = m * pixels + high.y * sizes.width;
    let top = before[top_row + low.x] * (1.0 - part.x) + before[top_row + high.x] * part.x;
    let bottom = before[bottom_row + low.x] * (1.0 - part.x) + before[bottom_row + high.x] * part.x;
    let value = top * (1.0 - part.y) + bottom * part.y;
    let first = sizes.first_mask + m == 0u;
    if (first || value > best[p]) {
      best[p] = value;
      chosen[p] = sizes.first_mask + m;
    }
  }
}
