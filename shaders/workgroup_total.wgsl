// Four sums over a workgroup at once, the same for every thread.
//
// Put behind `cut_types.wgsl`.
// Bindings: none. Workgroup: 256 threads, all of them here. Cost: two barriers, 32 additions of a thread.

var<workgroup> parts: array<vec4f, 256>;
var<workgroup> few: array<vec4f, 16>;

fn total(value: vec4f, thread: u32) -> vec4f {
  parts[thread] = value;
  workgroupBarrier();
  if (thread < 16u) {
    var sum = vec4f();
    for (var i = 0u; i < rolled(16u); i++) {
      sum += parts[i * 16u + thread];
    }
    few[thread] = sum;
  }
  workgroupBarrier();
  var sum = vec4f();
  for (var i = 0u; i < rolled(16u); i++) {
    sum += few[i];
  }
  return sum;
}
