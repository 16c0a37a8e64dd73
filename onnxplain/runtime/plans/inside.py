"""What becomes of values inside a model and of the score's gradients there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray
from onnxplain.runtime.plans.combinations import dtype_of
from onnxplain.runtime.plans.plan import Answers, Found
from onnxplain.runtime.problem import Problem

__all__ = ["Conductance", "Product"]


@dataclass(frozen=True)
class Product:
    """The values asked for, times the gradients there; or one of the two.

    Attributes
    ----------
    values, gradients
        Whether each is a factor.
    """

    values: bool = True
    gradients: bool = True
    keeps_sums: ClassVar[bool] = False

    def ends(self, *, checked: bool) -> bool:
        """Return False."""
        return False

    def begin(self, problem: Problem, count: int, *, checked: bool) -> _Product:
        """Begin with nothing."""
        return _Product(self, problem)


@dataclass
class _Product:
    combination: Product
    problem: Problem
    made: Arrays = field(default_factory=dict)

    def add(self, steps: slice, answers: Answers) -> None:
        for name, held in answers.probed.items():
            factors = [held] * self.combination.values
            factors += [answers.values[name]] if self.combination.gradients else []
            made = factors[0] if len(factors) == 1 else factors[0] * factors[1]
            self.made[name] = made[0].astype(dtype_of(name, self.problem))

    def found(self) -> Found:
        return Found(self.made)


@dataclass(frozen=True)
class Conductance:
    """What flows through values inside, along a path: the gradient times the value's change, cell by cell.

    ``sum_k g_k (Y_(k+1) - Y_k)`` over the nodes of a quadrature, of which each has a cell as long as its
    weight; ``Y_k`` is the value where two cells meet, on a straight line between the two nodes, and the value
    itself at both ends.  The points of the plan are the start, the nodes and the end; the scores at the ends
    tell what the sum must be.

    Attributes
    ----------
    shares
        By point: where on the line from the point before it the cells meet, from 0 (there) to 1 (here).  The
        first two have no such place.
    whole
        Whether all that changes the score flows through these values, once.
    """

    shares: tuple[float, ...]
    whole: bool = True
    keeps_sums: ClassVar[bool] = False

    @classmethod
    def along(cls, alphas: FloatArray, weights: FloatArray, *, whole: bool) -> Conductance:
        """Make it of the nodes and weights of a quadrature over [0, 1]."""
        meet = np.cumsum(weights)[:-1]
        return cls((0.0, 0.0, *((meet - alphas[:-1]) / np.diff(alphas)).tolist(), 1.0), whole)

    def ends(self, *, checked: bool) -> bool:
        """Return False: the path's own ends tell the scores."""
        return False

    def begin(self, problem: Problem, count: int, *, checked: bool) -> _Conductance:
        """Begin at the first point."""
        return _Conductance(self, problem)


@dataclass
class _Flow:
    """One value on its way: where the current cell began, and the last node with its gradient."""

    met: FloatArray
    total: FloatArray
    value: FloatArray
    gradient: Array

    def go_on(self, share: float, value: FloatArray, gradient: Array) -> None:
        """Close the last node's cell and go on to the next."""
        meet = (1 - share) * self.value + share * value
        self.total += self.gradient * (meet - self.met)
        self.met, self.value, self.gradient = meet, value, gradient


@dataclass
class _Conductance:
    combination: Conductance
    problem: Problem
    flows: dict[str, _Flow] = field(default_factory=dict)
    start: FloatArray | None = None
    end: FloatArray | None = None

    def add(self, steps: slice, answers: Answers) -> None:
        assert answers.score is not None
        if self.start is None:
            self.start = answers.score[0]
        self.end = answers.score[-1]
        for name, values in answers.probed.items():
            for k, gradient in enumerate(answers.values[name], steps.start):
                self._at(k, name, values[k - steps.start].astype(np.float64), gradient)

    def _at(self, k: int, name: str, value: FloatArray, gradient: Array) -> None:
        if k == 0:
            self.flows[name] = _Flow(value, np.zeros(value.shape, np.float64), value, gradient)
        elif k == 1:
            self.flows[name].value, self.flows[name].gradient = value, gradient
        else:
            self.flows[name].go_on(self.combination.shares[k], value, gradient)

    def found(self) -> Found:
        assert self.start is not None
        assert self.end is not None
        reference = self.end.astype(np.float64) - self.start if self.combination.whole else None
        return Found({k: v.total.astype(dtype_of(k, self.problem)) for k, v in self.flows.items()}, reference)
