"""Random inputs of our operators that add up rows or axes, against NumPy in float64."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import erfc

from .own_runs import F, H, Rng, any_shape, near, normal, part_of, pick, run_own

__all__ = ["copies", "rows", "shares"]


def rows(rng: Rng) -> None:
    shape = (*any_shape(rng), int(rng.choice([1, 3, 16, 17, 100, 2000])))
    arriving = part_of(rng, shape)
    half, kind = bool(rng.random() < 0.3), pick(rng, "SoftmaxBackward", "NormBackward", "GeluBackward")
    kept = [normal(rng, *shape) * F(2), normal(rng, *arriving)]
    given = [v.astype(H) if half else v for v in kept]
    x, g = (v.astype(float) for v in given)
    g = np.broadcast_to(g, shape)
    name, size = f"{kind}{'Float16' * half}", np.abs(g).max(initial=0) + np.abs(x).max(initial=0)
    row = shape[-1]
    if kind == "SoftmaxBackward":
        expected, found = x * (g - (g * x).sum(-1, keepdims=True)), run_own(name, given, rng)
        size *= np.abs(x).sum(-1).max(initial=1)
        size = max(size, np.abs(expected).max(initial=0))
    elif kind == "GeluBackward":
        row = 0  # nothing is added up
        factor, by_tanh = float(rng.choice([1, -0.5])), int(rng.integers(2))
        found = run_own(name, given, rng, factor=[factor], tanh=by_tanh)
        expected = factor * g * _slope(x, by_tanh=bool(by_tanh))
    else:
        axes, centred = int(rng.integers(1, len(shape) + 1)), int(rng.integers(2))
        constant, epsilon = int(rng.integers(2)), float(F(1e-2))
        about = {"axes": [axes], "centred": [centred], "constant": [constant], "epsilon": [epsilon]}
        scale = normal(rng, *pick(rng, shape[-axes:], (1,), ())).astype(given[0].dtype)
        found = run_own(name, [*given, scale], rng, **about)
        last, row = tuple(range(-axes, 0)), math.prod(shape[-axes:])
        h = g * scale.astype(float)
        mean = lambda v: v.mean(last, keepdims=True) if v.size else v.sum(last, keepdims=True)  # noqa: E731  (short)
        d = x - mean(x) if centred else x
        inverse = 1 / np.sqrt(mean(d * d) + epsilon)
        z = d * inverse
        expected = inverse * (h - (mean(h) if centred else 0) - (0 if constant else z * mean(h * z)))
        size = np.abs(inverse).max(initial=0) * np.abs(h).max(initial=0) * np.abs(z).max(initial=1)
        size *= np.abs(z).max(initial=1)
    assert found.dtype == given[0].dtype
    lane = row / 16 * 2.0**-24  # sums are made in so many lanes, each number rounded
    near(found.astype(float), expected, float(size), 1e-3 if half else 4e-6 + lane)


def _slope(x: np.ndarray, *, by_tanh: bool) -> np.ndarray:
    if by_tanh:
        u = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
        rise = np.sqrt(2 / np.pi) * (1 + 0.134145 * x * x)
        return (1 + np.tanh(u)) / 2 + x / 2 / np.cosh(np.clip(u, -300, 300)) ** 2 * rise
    return erfc(-x / np.sqrt(2)) / 2 + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)


def copies(rng: Rng) -> None:
    wide = tuple(int(rng.choice([1, 2, 3, 17, 64, 300, 0])) for _ in range(int(rng.integers(0, 4))))
    own = [1 if rng.random() < 0.5 else d for d in wide]
    own = own[: int(rng.integers(0, len(own) + 1))] if rng.random() < 0.3 else own
    half = bool(rng.random() < 0.3)
    g = normal(rng, *wide).astype(H if half else F)
    found = run_own(f"SumCopies{'Float16' * half}", [g, np.array(own, np.int64)], rng)
    axes = tuple(k for k, d in enumerate(own) if d == 1)
    expected = g.astype(float).sum(axes, keepdims=True)
    assert found.dtype == g.dtype
    size = np.sqrt(max(g.size, 1)) + np.abs(expected).max(initial=0)
    near(found.astype(float), expected, size, 1e-3 if half else 1e-6)


def shares(rng: Rng) -> None:
    outer, inner = (
        tuple(int(rng.choice([1, 2, 3, 20])) for _ in range(int(rng.integers(0, 2)))) for _ in range(2)
    )
    above, below = (
        tuple(int(rng.choice([1, 3, 17, 300])) for _ in range(int(rng.integers(1, 3)))) for _ in range(2)
    )
    half = bool(rng.random() < 0.3)
    r, g = (normal(rng, *outer, *row, *inner).astype(H if half else F) for row in (above, below))
    g = np.where(rng.random(g.shape) < pick(rng, 0, 0.3, 1), 0, g).astype(g.dtype)
    axes = [[len(outer) + k for k in range(len(row))] for row in (above, below)]
    found = run_own(f"GiveAll{'Float16' * half}", [r, g], rng, above=axes[0], below=axes[1])
    ra, ga = r.astype(float), g.astype(float)
    missing = ra.sum(tuple(axes[0]), keepdims=True).reshape(*outer, *(1,) * len(below), *inner)
    missing = missing - ga.sum(tuple(axes[1]), keepdims=True)
    size = np.abs(ga).sum(tuple(axes[1]), keepdims=True)
    even = missing / np.prod(below) * np.ones_like(ga)
    with np.errstate(all="ignore"):
        expected = ga + np.where(size == 0, even, missing / size * np.abs(ga))
    assert found.dtype == r.dtype
    near(found.astype(float), expected, np.abs(expected).max(initial=0) + 1, 1e-3 if half else 2e-6)
