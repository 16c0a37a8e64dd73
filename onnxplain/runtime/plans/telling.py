"""Windows that tell something: where the baseline is what stands there anyhow, the score is the row's own.

A model makes the same of the same inputs, so these windows need not be asked about.  On drawings, whose
ground is the baseline, they are most.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from onnxplain._types import Array, IntArray
from onnxplain.backward.asks import Scores
from onnxplain.runtime.plans.moving import OnDevice
from onnxplain.runtime.plans.plan import Answers, Found, InOrder, Plan
from onnxplain.runtime.plans.windows import Losses, Overlaps, Slides, Windows, WithoutWindow, without
from onnxplain.runtime.problem import Problem

__all__ = ["Some", "telling"]


def telling(plan: Plan, problem: Problem) -> Plan:
    """Leave out of a plan the windows that change no element of any row; other plans stay as they are."""
    points, combination = plan.points, plan.combination
    if not isinstance(points, WithoutWindow) or not isinstance(combination, Overlaps):
        return plan
    if not isinstance(plan.question, Scores):
        return plan  # asks at the points themselves, each time anew
    changed = [
        _changing(slides, _differ(problem.features[name], problem.baselines[name]))
        for name, slides in points.windows.over(problem.features).items()
    ]
    which = np.flatnonzero(np.concatenate(changed)) if changed else np.zeros(0, np.int64)
    return replace(plan, points=Some(points.windows, which), combination=_SomeLost(combination, which))


def _differ(x: Array, instead: Array) -> Array:
    """Return which elements of a sample are not the same bits in each row, bool (...)."""
    if x.dtype.kind not in "biuf" or x.dtype != instead.dtype:
        return np.asarray(np.any((x != instead) | np.zeros(x.shape, bool), axis=0))
    bits = np.dtype(f"u{x.dtype.itemsize}")
    return np.asarray((np.ascontiguousarray(x).view(bits) != np.ascontiguousarray(instead).view(bits)).any(0))


def _changing(slides: Slides, differs: Array) -> Array:
    """Return which windows have an element that differs, bool (count,)."""
    found = differs.astype(np.int64)
    sizes = zip(slides.shape, slides.window, slides.strides, slides.counts, strict=True)
    for axis, (length, window, stride, count) in enumerate(sizes):
        edge = np.zeros((*found.shape[:axis], 1, *found.shape[axis + 1 :]), np.int64)
        so_far = np.concatenate([edge, found.cumsum(axis)], axis)
        starts = stride * np.arange(count)
        ends = np.minimum(starts + window, length)
        found = so_far.take(ends, axis) - so_far.take(starts, axis)
    return np.asarray(found > 0).ravel()


@dataclass(frozen=True, eq=False)
class Some(OnDevice):
    """Rows without what lies in some of the windows.

    Attributes
    ----------
    windows
        All of them.
    which
        Numbers of some, rising.
    """

    windows: Windows
    which: IntArray

    def count(self, problem: Problem) -> int:
        """Return how many windows there are."""
        return len(self.which)

    def held_back(self, problem: Problem) -> str | None:
        """Say why these are not made on a device, as of all windows."""
        return WithoutWindow(self.windows).held_back(problem)

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Take away what lies in some of these."""
        return without(self.windows, problem, self.which[steps])


@dataclass(frozen=True, eq=False)
class _SomeLost:
    """What the score loses without windows: without the others, nothing."""

    overlaps: Overlaps
    which: IntArray
    keeps_sums: ClassVar[bool] = Overlaps.keeps_sums

    def ends(self, *, checked: bool) -> bool:
        return self.overlaps.ends(checked=checked)

    def begin(self, problem: Problem, count: int, *, checked: bool) -> _SomeLosses:
        return _SomeLosses(self.overlaps.begin(problem, count, checked=checked), self.which)


@dataclass
class _SomeLosses(InOrder):
    losses: Losses
    which: IntArray

    def add(self, steps: slice, answers: Answers) -> None:
        assert answers.score is not None
        self.losses.lose(self.which[steps], self.losses.score - answers.score)

    def found(self) -> Found:
        return self.losses.found()
