// Closes a recursion by exact products before it begins, where every cut's certificate holds.
//
// Bindings: 21 workgroups of its levels; 43 cuts whose certificate fails.
// Workgroup: 32 threads, a word of the first level each. Dispatch: 1. Cost: none.

@group(0) @binding(21) var<storage, read_write> nextGroups: array<u32>;
@group(0) @binding(43) var<storage, read> weak: u32;

@compute @workgroup_size(32)
fn main(@builtin(local_invocation_index) thread: u32) {
  if (weak == 0u && thread < 18u) {
    nextGroups[thread] = 0u;
  }
}
