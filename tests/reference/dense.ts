/**
 * The method by definition, in dense float64: adjacencies written out, one dense
 * eigenvector a segment, every threshold by its own sum. Slow and plain; shares no
 * code with the library.
 *
 * @module
 */

/** A symmetric non-negative matrix `[n, n]`. */
export type Dense = Float64Array<ArrayBuffer>;

/** A·B, both `[n, n]`. */
export function matmul(a: Float64Array, b: Float64Array, n: number): Dense {
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const v = a[i * n + j]!;
      if (v === 0) continue;
      for (let c = 0; c < n; c++) out[i * n + c]! += v * b[j * n + c]!;
    }
  }
  return out;
}

/** P^k. */
export function densePower(p: Float64Array, n: number, k: number): Dense {
  let m = p.slice();
  for (let i = 1; i < k; i++) m = matmul(m, p, n);
  return m;
}

/** The adjacency of section 3.3 of the paper: M·Mᵀ, or that of M's rows scaled to length 1. */
export function denseAdjacency(m: Float64Array, n: number, kind: "dot" | "cosine"): Dense {
  const rows = m.slice();
  if (kind === "cosine") {
    for (let i = 0; i < n; i++) {
      let size = 0;
      for (let c = 0; c < n; c++) size += rows[i * n + c]! ** 2;
      for (let c = 0; c < n; c++) rows[i * n + c]! /= Math.sqrt(size);
    }
  }
  const out = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let c = 0; c < n; c++) sum += rows[i * n + c]! * rows[j * n + c]!;
      out[i * n + j] = out[j * n + i] = sum;
    }
  }
  return out;
}

/** Rows and columns of a matrix that belong to `nodes`. */
export function submatrix(a: Float64Array, n: number, nodes: ArrayLike<number>): Dense {
  const m = nodes.length;
  const out = new Float64Array(m * m);
  for (let i = 0; i < m; i++) for (let j = 0; j < m; j++) out[i * m + j] = a[nodes[i]! * n + nodes[j]!]!;
  return out;
}

/** Row sums. */
export function rowSums(a: Float64Array, n: number): Float64Array {
  return Float64Array.from({ length: n }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < n; j++) sum += a[i * n + j]!;
    return sum;
  });
}

/**
 * Largest eigenvalue of a symmetric matrix and its eigenvector: Householder
 * reduction, bisection with Sturm counts, inverse iteration, back-transformation.
 */
export function largestEigenpair(matrix: Float64Array, n: number): { value: number; vector: Float64Array } {
  const a = matrix.slice();
  const reflectors: Float64Array[] = [];
  for (let k = 0; k < n - 2; k++) {
    let size = 0;
    for (let i = k + 1; i < n; i++) size += a[i * n + k]! ** 2;
    const v = new Float64Array(n);
    reflectors.push(v);
    let below = 0;
    for (let i = k + 2; i < n; i++) below += a[i * n + k]! ** 2;
    if (below === 0) continue;
    const alpha = a[(k + 1) * n + k]! > 0 ? -Math.sqrt(size) : Math.sqrt(size);
    for (let i = k + 1; i < n; i++) v[i] = a[i * n + k]!;
    v[k + 1]! -= alpha;
    let length = 0;
    for (let i = k + 1; i < n; i++) length += v[i]! ** 2;
    for (let i = k + 1; i < n; i++) v[i]! *= Math.SQRT2 / Math.sqrt(length);
    // H = I − v·vᵀ; H·A·H = A − v·wᵀ − w·vᵀ with w = p − v·(pᵀv)/2, p = A·v.
    const p = new Float64Array(n);
    let pv = 0;
    for (let i = k; i < n; i++) {
      let sum = 0;
      for (let j = k + 1; j < n; j++) sum += a[i * n + j]! * v[j]!;
      p[i] = sum;
      pv += sum * v[i]!;
    }
    for (let i = k; i < n; i++) p[i]! -= v[i]! * pv / 2;
    for (let i = k; i < n; i++) {
      const vi = v[i]!;
      const wi = p[i]!;
      for (let j = k; j < n; j++) a[i * n + j]! -= vi * p[j]! + wi * v[j]!;
    }
  }
  const d = Float64Array.from({ length: n }, (_, i) => a[i * n + i]!);
  const e = Float64Array.from({ length: n }, (_, i) => i + 1 < n ? a[(i + 1) * n + i]! : 0);
  const value = largestTridiagonal(d, e, n);
  const vector = inverseIteration(d, e, n, value);
  for (let k = reflectors.length - 1; k >= 0; k--) {
    const v = reflectors[k]!;
    let inner = 0;
    for (let i = k + 1; i < n; i++) inner += v[i]! * vector[i]!;
    for (let i = k + 1; i < n; i++) vector[i]! -= inner * v[i]!;
  }
  return { value, vector };
}

function largestTridiagonal(d: Float64Array, e: Float64Array, n: number): number {
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < n; i++) {
    const radius = Math.abs(e[i]!) + (i > 0 ? Math.abs(e[i - 1]!) : 0);
    low = Math.min(low, d[i]! - radius);
    high = Math.max(high, d[i]! + radius);
  }
  const countAbove = (x: number) => {
    let count = 0;
    let q = 1;
    for (let i = 0; i < n; i++) {
      q = (d[i]! - x - (i > 0 ? e[i - 1]! ** 2 / q : 0)) || 1e-300;
      if (q > 0) count++;
    }
    return count;
  };
  for (let step = 0; step < 120; step++) {
    const middle = (low + high) / 2;
    if (countAbove(middle) > 0) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

function inverseIteration(d: Float64Array, e: Float64Array, n: number, value: number): Float64Array {
  const shift = value + 1e-13 * (Math.abs(value) + 1e-3);
  let x = Float64Array.from({ length: n }, (_, i) => Math.sin(1 + 1.7 * i) + 0.3 * Math.cos(i * i));
  for (let step = 0; step < 5; step++) {
    // T − shift·I is negative definite above the largest eigenvalue: elimination needs no pivots.
    const pivot = new Float64Array(n);
    const y = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      const factor = i > 0 ? e[i - 1]! / pivot[i - 1]! : 0;
      pivot[i] = d[i]! - shift - (i > 0 ? factor * e[i - 1]! : 0);
      if (Math.abs(pivot[i]!) < 1e-300) pivot[i] = -1e-300;
      y[i] = x[i]! - (i > 0 ? factor * y[i - 1]! : 0);
    }
    for (let i = n - 1; i >= 0; i--) {
      y[i] = (y[i]! - (i + 1 < n ? e[i]! * y[i + 1]! : 0)) / pivot[i]!;
    }
    const size = Math.max(...y.map(Math.abs));
    let length = 0;
    for (const v of y) length += (v / size) ** 2;
    x = y.map((v) => v / size / Math.sqrt(length));
  }
  return x;
}

/** The Fiedler vector y of (D − A)y = λDy, with θ = 1 − λ; n ≥ 2. */
export function denseFiedler(a: Float64Array, n: number): { theta: number; y: Float64Array } {
  const root = rowSums(a, n).map(Math.sqrt);
  let whole = 0;
  for (const r of root) whole += r * r;
  const b = new Float64Array(n * n);
  // The known eigenvector D^1/2·1 is moved from 1 to −2, below all others.
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      b[i * n + j] = a[i * n + j]! / (root[i]! * root[j]!) - 3 * root[i]! * root[j]! / whole;
    }
  }
  const { value, vector } = largestEigenpair(b, n);
  return { theta: value, y: vector.map((x, i) => x / root[i]!) };
}

/** ‖Bx − θx‖/θ of x = D^1/2·y, θ its Rayleigh quotient. */
export function denseResidual(a: Float64Array, n: number, y: ArrayLike<number>): number {
  const d = rowSums(a, n);
  const ay = Float64Array.from({ length: n }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < n; j++) sum += a[i * n + j]! * y[j]!;
    return sum;
  });
  let yay = 0;
  let ydy = 0;
  for (let i = 0; i < n; i++) {
    yay += y[i]! * ay[i]!;
    ydy += y[i]! ** 2 * d[i]!;
  }
  const theta = yay / ydy;
  let error = 0;
  for (let i = 0; i < n; i++) error += (ay[i]! - theta * d[i]! * y[i]!) ** 2 / d[i]!;
  return Math.sqrt(error / ydy) / theta;
}

/** NCut of one bipartition, by the definition (paper, equation 2). */
export function denseNcut(a: Float64Array, n: number, left: ReadonlySet<number>): number {
  let cut = 0;
  let leftAll = 0;
  let rightAll = 0;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const w = a[i * n + j]!;
      if (left.has(i)) leftAll += w;
      else rightAll += w;
      if (left.has(i) && !left.has(j)) cut += w;
    }
  }
  return cut / leftAll + cut / rightAll;
}

/** T: every edge once, without loops. */
export function denseTotal(a: Float64Array, n: number): number {
  let total = 0;
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) total += a[i * n + j]!;
  return total;
}

/** The smallest NCut over all thresholds of `y`; `left` holds indices of the smaller values. */
export function denseSweep(
  a: Float64Array,
  n: number,
  y: ArrayLike<number>,
): { ncut: number; left: number[]; all: number[] } {
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => y[i]! - y[j]! || i - j);
  const d = rowSums(a, n);
  const whole = d.reduce((sum, v) => sum + v, 0);
  const inside = new Uint8Array(n);
  let cut = 0;
  let left = 0;
  let ncut = NaN;
  let position = 0;
  const all: number[] = [];
  for (let p = 0; p + 1 < n; p++) {
    const i = order[p]!;
    for (let j = 0; j < n; j++) if (j !== i) cut += inside[j] ? -a[i * n + j]! : a[i * n + j]!;
    inside[i] = 1;
    left += d[i]!;
    if (y[i] === y[order[p + 1]!]) continue;
    const value = Math.max(0, cut) / left + Math.max(0, cut) / (whole - left);
    all.push(value);
    if (!(value >= ncut)) {
      ncut = value;
      position = p + 1;
    }
  }
  return { ncut, left: order.slice(0, position), all };
}

/** Labels of the whole recursion with the automatic stop, or with a fixed NCut. */
export function denseRecursion(a: Float64Array, n: number, threshold?: number): Int32Array {
  const labels = new Int32Array(n);
  let leaves = 0;
  const visit = (nodes: number[]) => {
    const m = nodes.length;
    if (m > 1) {
      const sub = submatrix(a, n, nodes);
      const { ncut, left } = denseSweep(sub, m, denseFiedler(sub, m).y);
      if (ncut < (threshold ?? denseTotal(sub, m) / (m - 1))) {
        const chosen = new Set(left);
        visit(nodes.filter((_, i) => chosen.has(i)));
        visit(nodes.filter((_, i) => !chosen.has(i)));
        return;
      }
    }
    for (const node of nodes) labels[node] = leaves;
    leaves++;
  };
  visit(Array.from({ length: n }, (_, i) => i));
  return labels;
}

/** The stationary distribution of a row-stochastic matrix, from its linear equations; it sums to 1. */
export function denseStationary(p: Float64Array, n: number): Float64Array {
  // (Pᵀ − I)·π = 0 with the last equation replaced by Σπ = 1.
  const m = new Float64Array(n * (n + 1));
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) m[i * (n + 1) + j] = i === n - 1 ? 1 : p[j * n + i]! - (i === j ? 1 : 0);
  }
  m[(n - 1) * (n + 1) + n] = 1;
  for (let c = 0; c < n; c++) {
    let pivot = c;
    for (let i = c + 1; i < n; i++) {
      if (Math.abs(m[i * (n + 1) + c]!) > Math.abs(m[pivot * (n + 1) + c]!)) pivot = i;
    }
    for (let j = 0; j <= n; j++) {
      const swap = m[c * (n + 1) + j]!;
      m[c * (n + 1) + j] = m[pivot * (n + 1) + j]!;
      m[pivot * (n + 1) + j] = swap;
    }
    for (let i = 0; i < n; i++) {
      if (i === c) continue;
      const factor = m[i * (n + 1) + c]! / m[c * (n + 1) + c]!;
      if (factor === 0) continue;
      for (let j = c; j <= n; j++) m[i * (n + 1) + j]! -= factor * m[c * (n + 1) + j]!;
    }
  }
  return Float64Array.from({ length: n }, (_, i) => m[i * (n + 1) + n]! / m[i * (n + 1) + i]!);
}

/** A mode of a walk. */
export interface WalkMode {
  /** Re μ. */
  readonly value: number;
  /** z, or the real part of a pair's in the phase that makes it longest; without its mean. */
  readonly vector: Float64Array;
  /** Length of the imaginary part in that phase against that of the real one; 0 of a real mode. */
  readonly roundness: number;
  /** Whether it can be told: no other mode is as slow, it is no circle, and not next to nothing. */
  readonly isClear: boolean;
}

/** Roundness from which the axes of a mode are a tie, and up to which nothing but the mode decides where they lie. */
const MOST_ROUND = 0.98;
export const LONG = 0.9;

/** |Re μ| of a pair below which rounding has a part in it. */
const LEAST_PAIR = 0.01;

/**
 * Second right eigenvector of a row-stochastic matrix: the lazy walk (P + 1)/2 less its known part 1·πᵀ, squared
 * until one direction is left, or the plane of a complex pair.
 */
export function denseSecond(p: Float64Array, n: number): WalkMode {
  const pi = denseStationary(p, n);
  let e: Float64Array = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) e[i * n + j] = (p[i * n + j]! + (i === j ? 1 : 0)) / 2 - pi[j]!;
  }
  for (let step = 0; step < 24; step++) {
    e = matmul(e, e, n);
    let largest = 0;
    for (const v of e) largest = Math.max(largest, Math.abs(v));
    for (let i = 0; i < e.length; i++) e[i]! /= largest;
  }
  const columns = Array.from(
    { length: n },
    (_, j) => centred(Float64Array.from({ length: n }, (_, i) => e[i * n + j]!)),
  );
  const first = unit(longest(columns));
  const image = moved(p, n, first);
  const value = inner(first, image);
  const rest = combined(image, first, -value);
  if (length(rest) <= 1e-9) return { value, vector: first, roundness: 0, isClear: true };
  const second = unit(longest(columns.map((column) => combined(column, first, -inner(first, column)))));
  // The walk in the plane, turned so that its diagonal is of equal numbers: then the axes of its ellipses are the basis.
  const other = moved(p, n, second);
  const [a, b, c, d] = [value, inner(first, other), inner(second, image), inner(second, other)];
  const angle = Math.atan2(d - a, b + c) / 2;
  const axes = [angle, angle + Math.PI / 2].map((own) =>
    combined(first.map((v) => v * Math.cos(own)), second, Math.sin(own))
  );
  const outward = axes.map((axis, i) => inner(moved(p, n, axis), axes[1 - i]!));
  const long = Math.abs(outward[0]!) < Math.abs(outward[1]!) ? 0 : 1;
  // Not a number where the plane is of two real modes.
  const roundness = Math.sqrt(-outward[long]! / outward[1 - long]!);
  const isPlane = denseModeResidual(p, n, first, true) <= 1e-7;
  return {
    ...{ value: (a + d) / 2, vector: axes[long]!, roundness },
    isClear: isPlane && roundness <= MOST_ROUND && Math.abs(a + d) / 2 >= LEAST_PAIR,
  };
}

/**
 * How far values are from being a mode of a walk, relative to it: ‖Px − θx‖, or of a pair, where x has to stay in a
 * plane, ‖P²x − 2·Re μ·Px + |μ|²·x‖ over |μ|²; means taken out.
 */
export function denseModeResidual(p: Float64Array, n: number, values: Float64Array, turns: boolean): number {
  const x = unit(centred(values));
  const image = moved(p, n, x);
  const theta = inner(x, image);
  const rest = combined(image, x, -theta);
  if (!turns) return length(rest) / Math.abs(theta);
  // x and y are a basis of the plane that x spans with its image.
  const [y, size] = [unit(rest), length(rest)];
  const again = moved(p, n, y);
  const [back, own] = [inner(x, again), inner(y, again)];
  const away = length(combined(combined(again, x, -back), y, -own));
  return size * away / Math.abs(theta * own - size * back);
}

/** |cos| of the angle between values without their mean and a mode's vector. */
export function denseAlignment(values: Float64Array, vector: Float64Array): number {
  return Math.abs(inner(unit(centred(values)), vector));
}

function moved(p: Float64Array, n: number, x: Float64Array): Float64Array {
  return centred(rowSums(p.map((v, at) => v * x[at % n]!), n));
}

function centred(x: Float64Array): Float64Array {
  const mean = x.reduce((sum, v) => sum + v, 0) / x.length;
  return x.map((v) => v - mean);
}

function combined(x: Float64Array, y: Float64Array, factor: number): Float64Array {
  return x.map((v, i) => v + factor * y[i]!);
}

function inner(x: Float64Array, y: Float64Array): number {
  return x.reduce((sum, v, i) => sum + v * y[i]!, 0);
}

function length(x: Float64Array): number {
  return Math.sqrt(inner(x, x));
}

function unit(x: Float64Array): Float64Array {
  const size = length(x);
  return x.map((v) => v / size);
}

function longest(columns: readonly Float64Array[]): Float64Array {
  return columns.reduce((most, own) => length(own) > length(most) ? own : most);
}

/**
 * The weights that the walk variant cuts: the stationary flow of the walk that stays
 * inside the segment, symmetrised (Meila and Shi), scaled so that the nodes' own
 * weights w = π/d average 1, d the share of each row that stays inside.
 */
export function denseFlow(p: Float64Array, n: number): { flow: Dense; walk: Dense; second: WalkMode } {
  const d = rowSums(p, n);
  const inner = p.map((v, at) => v / d[Math.floor(at / n)]!);
  const pi = denseStationary(inner, n);
  let scale = 0;
  for (let i = 0; i < n; i++) scale += pi[i]! / d[i]! / n;
  const w = pi.map((v, i) => v / d[i]! / scale);
  const flow = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) flow[i * n + j] = (w[i]! * p[i * n + j]! + w[j]! * p[j * n + i]!) / 2;
  }
  return { flow, walk: inner, second: denseSecond(inner, n) };
}

/** Global minimum cut by Stoer and Wagner, O(n³). */
export function stoerWagner(weights: Float64Array, n: number): number {
  const w = weights.slice();
  const alive = Array.from({ length: n }, (_, i) => i);
  let best = Infinity;
  while (alive.length > 1) {
    const reach = new Float64Array(n);
    const left = [...alive];
    let last = -1;
    let before = -1;
    while (left.length > 0) {
      let at = 0;
      for (let i = 1; i < left.length; i++) if (reach[left[i]!]! > reach[left[at]!]!) at = i;
      const v = left.splice(at, 1)[0]!;
      [before, last] = [last, v];
      for (const u of left) reach[u]! += w[v * n + u]!;
    }
    best = Math.min(best, reach[last]!);
    for (const u of alive) {
      w[before * n + u]! += w[last * n + u]!;
      w[u * n + before] = w[before * n + u]!;
    }
    alive.splice(alive.indexOf(last), 1);
  }
  return best;
}

/** Adjusted Rand index of two labelings. */
export function adjustedRand(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const pairs = (counts: Iterable<number>) => {
    let sum = 0;
    for (const c of counts) sum += c * (c - 1) / 2;
    return sum;
  };
  const joint = new Map<string, number>();
  const left = new Map<number, number>();
  const right = new Map<number, number>();
  for (let i = 0; i < a.length; i++) {
    const key = `${a[i]} ${b[i]}`;
    joint.set(key, (joint.get(key) ?? 0) + 1);
    left.set(a[i]!, (left.get(a[i]!) ?? 0) + 1);
    right.set(b[i]!, (right.get(b[i]!) ?? 0) + 1);
  }
  const expected = pairs(left.values()) * pairs(right.values()) / (a.length * (a.length - 1) / 2 || 1);
  const most = (pairs(left.values()) + pairs(right.values())) / 2;
  return most === expected ? 1 : (pairs(joint.values()) - expected) / (most - expected);
}
