// How the columns of a sweep weigh where A = F·Fᵀ or (R·M)·(R·M)ᵀ. Put before `cut_sweep.wgsl`, with the rows.
//
// Bindings: none. Workgroup: none. Cost: none of its own.

// What a column adds to the weight that is cut behind a position, and to that of the part before it and the one
// behind:  ⟨C, s − C⟩, ⟨C, s⟩, ⟨s − C, s⟩.
fn weighed(part: f32, whole: f32, column: u32, position: u32, segment: Segment) -> vec3f {
  let rest = whole - part;
  return vec3f(part * rest, part * whole, rest * whole);
}
