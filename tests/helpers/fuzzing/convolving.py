"""Random inputs of our operators on planes, against twins that are loops, in float64."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from planes import blocked, interleaved, pooled, scattered, surrounded, transposed, unblocked, windows

from onnxplain.graph.passes.lower.sparse_convs import packed

from .own_runs import F, H, Rng, near, normal, run_own, same

__all__ = ["max_pool", "parts", "sparse", "surround", "thin"]


def _transposing(rng: Rng) -> tuple[Any, ...]:
    kernel, strides = rng.integers(1, 8, 2).tolist(), rng.integers(1, 5, 2).tolist()
    pads = [[int(rng.integers(0, k + 1)) for k in kernel] for _ in range(2)]
    more = [int(rng.integers(0, s)) for s in strides]
    places = [int(rng.choice([1, 2, 3, 7, 18, 40])) for _ in range(2)]
    sizes = [(p - 1) * s + k + m - b - e for p, s, k, m, b, e in
             zip(places, strides, kernel, more, *pads, strict=True)]  # fmt: skip
    return kernel, strides, pads, more, places, sizes


def thin(rng: Rng) -> None:
    kernel, strides, (begins, ends), more, places, sizes = _transposing(rng)
    n, m, c = int(rng.integers(0, 3)), int(rng.choice([1, 2, 5, 17])), int(rng.integers(1, 5))
    g, w = normal(rng, n, m, *places), normal(rng, m, c, *kernel)
    if min(sizes) < 0:
        return
    found = run_own("ThinConvTranspose", [g, w], rng, strides=strides, begins=begins, ends=ends, more=more)
    near(found, transposed(g, w, strides, begins, sizes), 20.0 * np.sqrt(m))


def sparse(rng: Rng) -> None:
    kernel, strides, (begins, ends), more, places, sizes = _transposing(rng)
    m, c = int(rng.choice([1, 3, 8, 16, 32])), int(rng.choice([1, 8, 13, 16, 20, 32]))
    n = int(rng.integers(1, 3))
    g = np.where(rng.random((n, m, *places)) < rng.random(), normal(rng, n, m, *places), 0).astype(F)
    w = normal(rng, m, c, *kernel)
    if min(sizes) < 0:
        return
    block, out = (int(rng.choice([b for b in (1, 4, 8, 16) if x % b == 0])) for x in (m, c))
    about = {
        "channels": c, "kernel_shape": kernel, "strides": strides, "begins": begins, "block": block,
        "block_out": out, "ends": [e - k for e, k in zip(ends, more, strict=True)],
    }  # fmt: skip
    found = run_own("SparseConvTranspose", [blocked(g, block), packed(w)], rng, **about)
    near(unblocked(found, out), transposed(g, w, strides, begins, sizes), 20.0 * np.sqrt(m))


def max_pool(rng: Rng) -> None:
    kernel, strides, dilations = (rng.integers(1, m, 2).tolist() for m in (5, 5, 4))
    begins = [int(rng.integers(0, (k - 1) * d + 1)) for k, d in zip(kernel, dilations, strict=True)]
    sides, block = rng.integers(1, 14, 2).tolist(), int(rng.choice([1, 1, 1, 4, 8, 16]))
    n, c = int(rng.integers(0, 3)), block * int(rng.choice([1, 2, 3, 5, 17] if block == 1 else [1, 2]))
    ends = [int(rng.integers(0, (k - 1) * d + 2)) for k, d in zip(kernel, dilations, strict=True)]
    out = [(s + b + e - (k - 1) * d - 1) // t + 1 for s, b, e, k, d, t in
           zip(sides, begins, ends, kernel, dilations, strides, strict=True)]  # fmt: skip
    about = {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "begins": begins}
    if min(out) < 1 or not all(inside for _, inside in windows(sides, out, about)):
        return
    x = rng.integers(-3, 4, (n, c, *sides)).astype(F) if rng.random() < 0.7 else normal(rng, n, c, *sides)
    x = np.where(rng.random(x.shape) < 0.05, -np.inf, x).astype(F)
    y = pooled(x, out, about)
    half = block == 1 and bool(rng.random() < 0.3)
    g = rng.integers(-8, 9, y.shape).astype(F)
    given = [v.astype(H) if half else v for v in (x, y, g)]
    laid = [blocked(v, block) for v in given]
    more = {"block": block} if block > 1 else {}
    found = unblocked(
        run_own("MaxPoolGradFloat16" if half else "MaxPoolGrad", laid, rng, **about, **more), block
    )
    expected = scattered(*given, about)
    np.testing.assert_array_equal(found.astype(float), expected)


def parts(rng: Rng) -> None:
    strides = rng.integers(1, 4, 2).tolist()
    starts = list(itertools.product(*map(range, strides)))
    starts = [starts[int(k)] for k in rng.permutation(len(starts))[: int(rng.integers(1, len(starts) + 1))]]
    block, half = int(rng.choice([1, 1, 8, 16])), bool(rng.random() < 0.3)
    n, c = int(rng.integers(0, 3)), (1 if half else block) * int(rng.integers(1, 4))
    block = 1 if half else block
    sides = rng.integers(1, 30, 2)
    ends = [int(rng.integers(0, s + 1)) for s in strides]
    arrays = [normal(rng, n, c, *np.maximum(sides + rng.integers(-1, 2, 2), 1)) for _ in starts]
    arrays = [a.astype(H) for a in arrays] if half else arrays
    begins = [b for start in starts for b in start]
    more = {"block": block} if block > 1 else {}
    found = run_own("InterleaveFloat16" if half else "Interleave", [blocked(a, block) for a in arrays], rng,
                 strides=strides, begins=begins, ends=ends, **more)  # fmt: skip
    same(unblocked(found, block), interleaved(arrays, strides, begins, ends))


def surround(rng: Rng) -> None:
    n = int(rng.integers(1, 4))
    k, c = n * int(rng.integers(0, 4)), int(rng.integers(1, 4))
    patch, whole = normal(rng, k, c, *rng.integers(0, 6, 2)), normal(rng, n, c, *rng.integers(0, 9, 2))
    at, begin = rng.integers(-4, 9, (2, k, 2))
    size, fill = rng.integers(0, 9, 2).tolist(), float(rng.choice([0, -np.inf, 2]))
    found = run_own("Surround", [patch, whole, at, begin], rng, size=size, fill=[fill])
    same(found, surrounded(patch, whole, at, begin, size, fill))
