"""What becomes of answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray
from onnxplain.kernels import path_batches as kernels
from onnxplain.kernels.device_array import on_host, zeros
from onnxplain.runtime.plans.moments import Moments
from onnxplain.runtime.plans.plan import Answers, Anywhere, Found, InOrder, Kind
from onnxplain.runtime.problem import Problem

__all__ = [
    "Differences",
    "Each",
    "Integral",
    "IntegralSums",
    "Mean",
    "Spread",
    "SpreadSums",
    "dtype_of",
    "float_like",
]


def float_like(x: Array) -> np.dtype[Any]:
    """Return the dtype of attributions for a feature: its own if it is of floats, else float32."""
    return x.dtype if x.dtype.kind == "f" else np.dtype(np.float32)


def dtype_of(name: str, problem: Problem) -> np.dtype[Any]:
    """Return the dtype of what is found of a feature, or of a value inside, which is as the features are."""
    features = problem.features
    return float_like(features[name] if name in features else next(iter(features.values())))


@dataclass(frozen=True)
class Integral:
    """A weighted sum of the answers, ``sum_k w_k a_k``, maybe times the way from the baseline, ``x - b``.

    Attributes
    ----------
    weights
        S numbers.
    times_difference
        Whether to multiply; the values then sum to ``S(x) - S(b)``.
    whole
        Whether the answers are of the whole score; without it nothing is promised of the sum.
    """

    weights: tuple[float, ...]
    times_difference: bool = True
    whole: bool = True
    keeps_sums: ClassVar[bool] = False

    def ends(self, *, checked: bool) -> bool:
        """Tell whether the sum is checked against the scores."""
        return checked and self.times_difference and self.whole

    def begin(self, problem: Problem, count: int, *, checked: bool) -> IntegralSums:
        """Begin with zeros; the scores at both ends tell what the sum must be."""
        reference = None
        if self.ends(checked=checked):
            reference = problem.scores() - problem.scores(problem.baselines)
        return IntegralSums(self, problem, {}, reference)


@dataclass
class IntegralSums(InOrder, Anywhere):
    """The sum so far, float64 by feature."""

    combination: Integral
    problem: Problem
    totals: Arrays
    reference: FloatArray | None

    def add(self, steps: slice, answers: Answers) -> None:
        """Add the answers at some of the points."""
        for name, values in answers.values.items():
            flat = values.reshape(-1, *values.shape[2:])
            if name not in self.totals:
                self.totals[name] = zeros(values.shape[1:], values)
            kernels.accumulate(self.totals[name], flat, np.array(self.combination.weights[steps]))

    def fetch(self) -> None:
        """Bring the sums to the host."""
        self.totals = {name: on_host(total) for name, total in self.totals.items()}

    def found(self) -> Found:
        """Return the integral, by row."""
        values: Arrays = {}
        for name, total in self.totals.items():
            way: Any = 1
            if self.combination.times_difference:
                way = self.problem.features[name] - self.problem.baselines[name]
            values[name] = (total * way).astype(dtype_of(name, self.problem))
        return Found(values, self.reference)


@dataclass(frozen=True)
class Mean:
    """The mean of the answers; what they must sum to is averaged too.

    So are standard errors: the answers may all be of the same draws, and then the mean is known no better.

    Attributes
    ----------
    each
        Keep all of them, (n, m, ...) by feature, under this name; None keeps none.
    """

    each: str | None = None
    keeps_sums: ClassVar[bool] = True

    def ends(self, *, checked: bool) -> bool:
        """Return False."""
        return False

    def begin(self, problem: Problem, count: int, *, checked: bool) -> _Mean:
        """Begin with zeros."""
        return _Mean(self.each, problem, count)


@dataclass
class _Mean:
    each: str | None
    problem: Problem
    count: int
    values: dict[str, FloatArray] = field(default_factory=dict)
    errors: dict[str, FloatArray] = field(default_factory=dict)
    sums: dict[str, FloatArray] = field(default_factory=dict)
    kept: dict[str, list[Array]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    kind: Kind = "completeness"

    def add(self, steps: slice, answers: Answers) -> None:
        _add(self.values, answers.values)
        _add(self.errors, answers.errors)
        sums = {"reference": answers.reference, "total": answers.total}
        _add(self.sums, {k: v for k, v in sums.items() if v is not None})
        self.kind, self.notes = answers.kind, (*self.notes, *answers.notes)
        if self.each is not None:
            for name, values in answers.values.items():
                self.kept.setdefault(name, []).append(np.moveaxis(values, 0, 1))

    def found(self) -> Found:
        values: Arrays = {
            k: (total / self.count).astype(dtype_of(k, self.problem)) for k, total in self.values.items()
        }
        errors = {k: v / self.count for k, v in self.errors.items()}
        sums = {k: v / self.count for k, v in self.sums.items()}
        kept = {k: np.concatenate(parts, axis=1) for k, parts in self.kept.items()}
        extras = {} if self.each is None else {self.each: kept}
        return Found(
            values, sums.get("reference"), self.kind, errors or None, extras, sums.get("total"),
            tuple(dict.fromkeys(self.notes)),
        )  # fmt: skip


def _add(totals: dict[str, FloatArray], values: Mapping[str, Array]) -> None:
    """Add up what was answered at all points, in float64."""
    for name, array in values.items():
        total = array.sum(0, dtype=np.float64)
        totals[name] = totals[name] + total if name in totals else total


@dataclass(frozen=True)
class Spread:
    """A moment of the answers: ``"mean"``, ``"square"`` (the mean of squares) or ``"variance"``."""

    kind: Literal["mean", "square", "variance"]
    keeps_sums: ClassVar[bool] = False

    def ends(self, *, checked: bool) -> bool:
        """Return False."""
        return False

    def begin(self, problem: Problem, count: int, *, checked: bool) -> SpreadSums:
        """Begin with no samples."""
        order = 4 if self.kind == "variance" else 2
        moments = partial(Moments, order, squared=self.kind == "square")
        return SpreadSums(self.kind, problem, defaultdict(moments))


@dataclass
class SpreadSums(Anywhere):
    """Sums of powers of the answers so far, by feature."""

    kind: str
    problem: Problem
    moments: dict[str, Moments]
    notes: tuple[str, ...] = ()

    def add(self, steps: slice, answers: Answers) -> None:
        """Add the answers at some of the points."""
        self.notes = tuple(dict.fromkeys((*self.notes, *answers.notes)))
        for name, values in answers.values.items():
            self.moments[name].add(values)

    def fetch(self) -> None:
        """Bring the sums to the host."""
        for moments in self.moments.values():
            moments.fetch()

    def found(self) -> Found:
        """Return the moment, by row."""
        values: Arrays = {}
        errors: Arrays = {}
        for name, moments in self.moments.items():
            variance = self.kind == "variance"
            values[name] = (moments.variance if variance else moments.mean).astype(
                dtype_of(name, self.problem)
            )
            errors[name] = moments.error_of_variance if variance else moments.error_of_mean
        return Found(values, errors=errors, notes=self.notes)


@dataclass(frozen=True)
class Each:
    """The scores at all points as they are: ``extras["scores"]``, (n, m)."""

    keeps_sums: ClassVar[bool] = False

    def ends(self, *, checked: bool) -> bool:
        """Return False."""
        return False

    def begin(self, problem: Problem, count: int, *, checked: bool) -> _Each:
        """Begin with none."""
        return _Each(np.zeros((problem.n, count), np.float64))


@dataclass
class _Each(InOrder):
    scores: FloatArray

    def add(self, steps: slice, answers: Answers) -> None:
        assert answers.score is not None
        self.scores[:, steps] = answers.score.T

    def found(self) -> Found:
        return Found({}, extras={"scores": self.scores})


@dataclass(frozen=True)
class Differences:
    """What the score loses at each point, ``S(x) - s_k``, for the player whose point it is.

    Attributes
    ----------
    each
        How many points a player has, one after the other; their mean is taken, and its standard error.
    """

    each: int = 1
    keeps_sums: ClassVar[bool] = False

    def ends(self, *, checked: bool) -> bool:
        """Return True."""
        return True

    def begin(self, problem: Problem, count: int, *, checked: bool) -> _Differences:
        """Begin with the score of the row itself."""
        return _Differences(self.each, problem, problem.scores(), np.zeros((problem.n, count), np.float64))


@dataclass
class _Differences(InOrder):
    each: int
    problem: Problem
    score: FloatArray
    lost: FloatArray

    def add(self, steps: slice, answers: Answers) -> None:
        assert answers.score is not None
        self.lost[:, steps] = (self.score - answers.score.astype(np.float64)).T

    def found(self) -> Found:
        players, features = self.problem.players, self.problem.features
        lost = self.lost.reshape(len(self.lost), players.count, self.each)
        values = {k: v.astype(float_like(features[k])) for k, v in players.spread(lost.mean(2)).items()}
        if self.each == 1:
            return Found(values)
        return Found(values, errors=players.spread(lost.std(2, ddof=1) / np.sqrt(self.each)))
