#!/usr/bin/env python3
"""Writes tests/data/eval_cases.json: results of SciPy and scikit-image on 100 random cases each.

Debian: python3-scipy, python3-skimage. The inputs are not stored: the tests draw
the same ones from the same generator (mulberry32, lib/random.ts). Run `deno fmt` on the result.
"""
import json
import pathlib

import numpy as np
from scipy.optimize import linear_sum_assignment
from skimage.metrics import adapted_rand_error, variation_of_information


def uniform(seed):
    """mulberry32, as lib/random.ts has it."""
    mask = 0xFFFFFFFF
    state = seed & mask
    while True:
        state = (state + 0x6D2B79F5) & mask
        t = state
        t = ((t ^ (t >> 15)) * (t | 1)) & mask
        t ^= (t + (((t ^ (t >> 7)) * (t | 61)) & mask)) & mask
        yield ((t ^ (t >> 14)) & mask) / 2**32


def integers(random, count, bound):
    return np.array([int(next(random) * bound) for _ in range(count)])


assignment, partitions = [], []
for seed in range(100):
    random = uniform(seed)
    rows, columns, bound = 1 + integers(random, 3, 12)
    costs = integers(random, rows * columns, bound).reshape(rows, columns)
    assignment.append(
        [linear_sum_assignment(costs, maximize=bool(m))[1].tolist() for m in (False, True)]
    )
for seed in range(100):
    random = uniform(1000 + seed)
    ka, kb = 1 + integers(random, 2, 9)
    pixels = 15 * 20
    a, b = 1 + integers(random, pixels, ka), 1 + integers(random, pixels, kb)
    # b follows a on part of the pixels, so that scores spread over their range.
    keep = integers(random, pixels, 10) < seed // 10
    b = np.where(keep, a, b)
    merge, split = variation_of_information(a, b)
    error, precision, recall = adapted_rand_error(b, a)
    partitions.append([merge, split, error, precision, recall])

target = pathlib.Path(__file__).parents[2] / "tests/data/eval_cases.json"
target.parent.mkdir(exist_ok=True)
target.write_text(json.dumps({"assignment": assignment, "partitions": partitions}, separators=(",", ":")) + "\n")
