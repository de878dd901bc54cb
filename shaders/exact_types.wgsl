// What the kernels of exact products share; put behind `cut_types.wgsl`, and itself after
// the alias `Left` (f32 or f16) where a kernel reads M.
//
// The second eigenvector of B = D^-1/2·A·D^-1/2 inside each segment by Lanczos, A = R·M·Mᵀ·R
// with R = 1 (dot) or R_i = 1/‖M_i‖ (cosine). The segments of a level are disjoint, so one
// vector of length n holds those of all of them and a product costs two reads of M, however
// many segments there are. Vectors of a level lie by position in `order`.
//
// Bindings: none of its own. Workgroup: none. Cost: none.

// Directions of a Krylov space; a segment of m nodes has m − 1 at most.
const STEPS = 48u;

// How far a segment's iteration has come.
struct Progress {
  phase: u32,        // 0: its degrees are multiplied; j: direction j − 1 is; VERIFY: the vector found is
  done: u32,
  products: u32,
  found: u32,        // row of the Krylov basis that holds the vector found, 0 where there is none
  rivals: u32,       // directions that were spent on a second vector that might overtake
  weight: f32,       // 1ᵀA1
  loops: f32,        // Σ A_ii
  overtaken: u32,    // of the walk: directions for which a mode other than the largest real one was good enough
  alpha: array<f32, 48>,
  beta: array<f32, 48>,
}

const VERIFY = 64u;

// Workgroups of the two products of a round, none once every segment of the level is done.
struct Gates {
  columns: array<u32, 3>,
  rows: array<u32, 3>,
  open: atomic<u32>,        // segments of the level that are not done
  multiplied: atomic<u32>,  // Σ |S| over all products of the frame
}

// Rows of `iterates` [3, n]: what is multiplied, D^-1/2·w; its image; and D^1/2·1, or Im z of a random walk's vector.
const GIVEN = 0u;
const IMAGE = 1u;
const ROOTS = 2u;
const IMAGINARY = 2u;

// Rows of `flow` [3, n], by position: the share d of each row of M that stays inside its segment, w, and Mᵀw.
const STAY = 0u;
const WEIGHT = 1u;
const CAME = 2u;

