/**
 * The assignment problem, with the ties of SciPy.
 *
 * Where several assignments are equally good, the published evaluation code takes
 * the one that `scipy.optimize.linear_sum_assignment` happens to give, and mIoU
 * depends on it (surplus segments go to classes that the image lacks). So this
 * follows the same algorithm step by step: shortest augmenting paths (D. F. Crouse,
 * "On implementing 2D rectangular assignment algorithms", 2016), columns tried
 * from the last to the first, free columns preferred among equals.
 *
 * @module
 */
import { WalkcutError } from "../errors.ts";

/** Pairs of an assignment, ordered by row. */
export interface Assignment {
  readonly rows: Int32Array<ArrayBuffer>;
  readonly columns: Int32Array<ArrayBuffer>;
}

/**
 * Assigns rows to columns, each at most once, at the least (or greatest) total cost.
 *
 * @param costs `[rows, columns]`, row-major.
 * @returns min(rows, columns) pairs.
 * @throws {WalkcutError} if a cost is NaN or no assignment has a finite cost.
 */
export function assign(
  costs: ArrayLike<number>,
  rows: number,
  columns: number,
  maximise = false,
): Assignment {
  const wide = columns >= rows;
  const [n, m] = wide ? [rows, columns] : [columns, rows];
  const cost = new Float64Array(n * m);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      const value = costs[r * columns + c]!;
      if (Number.isNaN(value)) throw new WalkcutError({ what: "A cost of the assignment is not a number" });
      cost[wide ? r * m + c : c * m + r] = maximise ? -value : value;
    }
  }
  const columnOf = solve(cost, n, m);
  if (wide) return { rows: Int32Array.from(columnOf.keys()), columns: columnOf };
  const order = [...columnOf.keys()].sort((a, b) => columnOf[a]! - columnOf[b]!);
  return { rows: Int32Array.from(order, (i) => columnOf[i]!), columns: Int32Array.from(order) };
}

/** Column of each of `n` rows, n ≤ m. */
function solve(cost: Float64Array, n: number, m: number): Int32Array<ArrayBuffer> {
  const u = new Float64Array(n);
  const v = new Float64Array(m);
  const shortest = new Float64Array(m);
  const path = new Int32Array(m).fill(-1);
  const columnOf = new Int32Array(n).fill(-1);
  const rowOf = new Int32Array(m).fill(-1);
  const remaining = new Int32Array(m);
  const rowSeen = new Uint8Array(n);
  const columnSeen = new Uint8Array(m);
  for (let row = 0; row < n; row++) {
    rowSeen.fill(0);
    columnSeen.fill(0);
    shortest.fill(Infinity);
    for (let k = 0; k < m; k++) remaining[k] = m - 1 - k;
    let left = m;
    let least = 0;
    let sink = -1;
    for (let i = row; sink < 0;) {
      rowSeen[i] = 1;
      let best = -1;
      let lowest = Infinity;
      for (let k = 0; k < left; k++) {
        const j = remaining[k]!;
        const reduced = least + cost[i * m + j]! - u[i]! - v[j]!;
        if (reduced < shortest[j]!) {
          path[j] = i;
          shortest[j] = reduced;
        }
        if (shortest[j]! < lowest || (shortest[j] === lowest && rowOf[j] === -1)) {
          lowest = shortest[j]!;
          best = k;
        }
      }
      least = lowest;
      if (least === Infinity) throw new WalkcutError({ what: "No assignment has a finite cost" });
      const j = remaining[best]!;
      if (rowOf[j] === -1) sink = j;
      else i = rowOf[j]!;
      columnSeen[j] = 1;
      remaining[best] = remaining[--left]!;
    }
    u[row]! += least;
    for (let i = 0; i < n; i++) {
      if (rowSeen[i] && i !== row) u[i]! += least - shortest[columnOf[i]!]!;
    }
    for (let j = 0; j < m; j++) if (columnSeen[j]) v[j]! -= least - shortest[j]!;
    for (let j = sink, i = -1; i !== row;) {
      i = path[j]!;
      rowOf[j] = i;
      [columnOf[i], j] = [j, columnOf[i]!];
    }
  }
  return columnOf;
}
