"""Recursive Normalised Cuts of one walk by what NumPy and SciPy offer.

    python3 ncut.py P.npy K OUT METHOD...

P.npy is a row-stochastic matrix, float32; K the power of it. METHOD is
    dense   the recursion of DiffCut: A written out, a whole eigendecomposition a node,
    eigsh   ARPACK on x -> R M_S (M_S' (R x)), R = D^-1/2, M_S the rows of the node,
    lobpcg  LOBPCG on the same operator, the known eigenvector as its constraint.
All of them try 100 evenly spaced thresholds and stop by NCut >= T / (n - 1), T the weight of the
node's edges, each once and without loops. Writes OUT/METHOD.npy (labels, float32) and prints a line
of JSON a method: milliseconds of forming what it needs and of the recursion, nodes and segments.
"""

import json
import os
import sys
import time
import warnings

import numpy as np

THRESHOLDS = 100
TOLERANCE = 1e-4


def best_threshold(values, degrees, inside):
    """The threshold with the smallest NCut; inside(H) is the weight inside each column's node set."""
    low, high = values.min(), values.max()
    cuts = low + (high - low) * np.arange(1, THRESHOLDS + 1) / (THRESHOLDS + 1)
    left = (values[:, None] <= cuts).astype(np.float32)
    volume = degrees @ left
    cut = volume - inside(left)
    with np.errstate(divide="ignore", invalid="ignore"):
        ncut = cut / volume + cut / (degrees.sum() - volume)
    sizes = left.sum(0)
    ncut[(sizes == 0) | (sizes == len(values))] = np.inf
    best = int(np.argmin(ncut))
    return ncut[best], left[:, best] > 0


class Dense:
    """A itself; every node is decomposed whole."""

    def __init__(self, walk):
        self.adjacency = walk @ walk.T

    def node(self, members):
        a = self.adjacency[np.ix_(members, members)]
        degrees = a.sum(1)
        scale = 1 / np.sqrt(degrees)
        total = (degrees.sum() - np.trace(a)) / 2

        def fiedler():
            _, vectors = np.linalg.eigh(scale[:, None] * a * scale)
            return scale * vectors[:, -2]

        return degrees, total, fiedler, lambda h: np.einsum("ij,ij->j", h, a @ h)


class Operator:
    """Products with the node's rows of the walk; A is never formed."""

    def __init__(self, walk, solve):
        self.walk = walk
        self.solve = solve
        self.loops = np.einsum("ij,ij->i", walk, walk)

    def node(self, members):
        rows = self.walk if len(members) == len(self.walk) else self.walk[members]
        degrees = rows @ rows.sum(0)
        scale = 1 / np.sqrt(degrees)
        total = (degrees.sum() - self.loops[members].sum()) / 2

        def apply(x):
            x = x.reshape(len(members), -1)
            return scale[:, None] * (rows @ (rows.T @ (scale[:, None] * x)))

        def inside(h):
            image = rows.T @ h
            return np.einsum("ij,ij->j", image, image)

        return degrees, total, lambda: scale * self.solve(apply, np.sqrt(degrees)), inside


def arpack(apply, known):
    from scipy.sparse.linalg import LinearOperator, eigsh

    n = len(known)
    if n < 4:
        return small(apply, n)
    operator = LinearOperator((n, n), matvec=lambda x: apply(x)[:, 0], matmat=apply, dtype=np.float32)
    start = np.random.default_rng(n).standard_normal(n).astype(np.float32)
    _, vectors = eigsh(operator, k=2, which="LA", tol=TOLERANCE, v0=start)
    # Ascending: the first of the two is the second largest.
    return vectors[:, 0]


def lobpcg(apply, known):
    from scipy.sparse.linalg import LinearOperator, lobpcg as solve

    n = len(known)
    if n < 8:
        return small(apply, n)
    operator = LinearOperator((n, n), matvec=lambda x: apply(x)[:, 0], matmat=apply, dtype=np.float32)
    start = np.random.default_rng(n).standard_normal((n, 1)).astype(np.float32)
    constraint = (known / np.linalg.norm(known))[:, None].astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, vectors = solve(operator, start, Y=constraint, tol=TOLERANCE, maxiter=200, largest=True)
    return vectors[:, 0]


def small(apply, n):
    _, vectors = np.linalg.eigh(apply(np.eye(n, dtype=np.float32)))
    return vectors[:, -2]


def recursion(graph, n):
    labels = np.zeros(n, np.float32)
    nodes = segments = 0
    open_nodes = [np.arange(n)]
    while open_nodes:
        members = open_nodes.pop()
        nodes += 1
        if len(members) > 1:
            degrees, total, fiedler, inside = graph.node(members)
            ncut, left = best_threshold(fiedler(), degrees, inside)
            if ncut < total / (len(members) - 1):
                open_nodes += [members[~left], members[left]]
                continue
        labels[members] = segments
        segments += 1
    return labels, nodes, segments


def power(walk, k):
    """walk^k by repeated squaring."""
    result = None
    while True:
        if k & 1:
            result = walk if result is None else result @ walk
        k >>= 1
        if k == 0:
            return result
        walk = walk @ walk


METHODS = {
    "dense": Dense,
    "eigsh": lambda walk: Operator(walk, arpack),
    "lobpcg": lambda walk: Operator(walk, lobpcg),
}


def main(path, k, out, methods):
    walk = np.load(path)
    # Libraries and their threads start outside of what is timed.
    METHODS["eigsh"](walk[:64, :64]).node(np.arange(64))[2]()
    np.linalg.eigh(np.eye(64, dtype=np.float32) @ np.eye(64, dtype=np.float32))
    for method in methods:
        begin = time.perf_counter()
        graph = METHODS[method](power(walk, int(k)))
        formed = time.perf_counter()
        labels, nodes, segments = recursion(graph, len(walk))
        end = time.perf_counter()
        np.save(os.path.join(out, method + ".npy"), labels)
        print(json.dumps({
            "method": method,
            "formed": 1000 * (formed - begin),
            "recursion": 1000 * (end - formed),
            "nodes": nodes,
            "segments": segments,
        }), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
