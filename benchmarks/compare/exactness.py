"""Races to the same exactness: how many steps or samples that takes; and maps on one scale."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

import onnxplain as ox
from benchmarks.compare.cases import Case, LeftOut

__all__ = ["ERROR", "MOST_STEPS", "TOLERANCE", "samples_to_error", "scaled", "steps_to_tolerance"]

#: What integrated gradients may miss of the difference of the scores.
TOLERANCE = 0.01
#: What sampled Shapley values may be off: the root mean square over that of the exact values.
ERROR = 0.02
_BUDGETS = (64, 128, 256, 512, 1024, 2048, 4096, 8190)
_STEPS = (5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1000)
MOST_STEPS = _STEPS[-1]
_AS_WELL = 2


def scaled(maps: Any) -> Any:
    """Return maps (N, H, W) from 0 to 1, each by itself."""
    low, high = (f(maps, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    return np.asarray((maps - low) / np.maximum(high - low, 1e-12))


def first_within(steps: tuple[int, ...], error: Callable[[int], float], limit: float) -> tuple[int, float]:
    """Return the first number that keeps an error within a limit, and that error.

    Raises
    ------
    LeftOut
        If none does.
    """
    for n in steps:
        off = error(n)
        if off <= limit:
            return n, off
    raise LeftOut(f"{steps[-1]} are not enough: the error is {off:.1%}, and {limit:.1%} was asked")


def steps_to_tolerance(error: Callable[[int], float]) -> tuple[int, float]:
    """Return the fewest steps that are enough, and what is missing then.

    Errors of both signs cancel in the sum, so that some number of steps may be right by luck: the next two
    larger ones must be within the limit as well.

    Raises
    ------
    LeftOut
        If none is enough.
    """
    known = functools.cache(error)
    for k, n in enumerate(_STEPS):
        if all(known(more) <= TOLERANCE for more in _STEPS[k : k + _AS_WELL + 1]):
            return n, known(n)
    raise LeftOut(f"{MOST_STEPS} are not enough: the error is {known(MOST_STEPS):.1%}")


def samples_to_error(case: Case, values: Callable[[int], Any], size: int | None = None) -> tuple[int, float]:
    """Return the fewest samples for Shapley values, and how far they are off; of one size, that alone."""
    exact = case.once("exact", lambda: _exact(case))
    at = _BUDGETS if size is None else (size,)
    spread = np.sqrt((exact**2).mean())
    limit = ERROR if size is None else np.inf
    return first_within(at, lambda n: float(np.sqrt(((values(n) - exact) ** 2).mean()) / spread), limit)


def _exact(case: Case) -> Any:
    found = ox.explain(
        case.model, case.x, case.targets, ox.ExactShapley(), baselines=ox.Background(case.background)
    )
    return found.values.astype(np.float64)
