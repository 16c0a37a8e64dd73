"""A path through the scales of an image: from blurred to sharp."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray
from onnxplain.features.places import image_axes
from onnxplain.runtime.opened import channel_of
from onnxplain.runtime.plans.plan import Answers, Found
from onnxplain.runtime.problem import Problem

__all__ = ["ScaleIntegral", "Scales"]


@dataclass(frozen=True)
class Scales:
    """The row, blurred by a Gaussian of each of some widths; beyond borders there is nothing.

    Attributes
    ----------
    sigmas
        Standard deviations, in elements.
    axes
        Along which axes of the input; None: those of images.
    """

    sigmas: tuple[float, ...]
    axes: int | tuple[int, ...] | None = None

    def count(self, problem: Problem) -> int:
        """Return the number of widths.

        Raises
        ------
        DataInputError
            If a feature is not an image, and no axes are named.
        """
        for name in problem.features:
            self._axes(problem, name)
        return len(self.sigmas)

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Blur."""
        made: Arrays = {}
        for name, x in problem.features.items():
            axes = self._axes(problem, name)
            made[name] = np.concatenate([_blurred(x, s, axes) for s in self.sigmas[steps]]).astype(x.dtype)
        return problem.at(made, len(self.sigmas[steps]))

    def change(self, problem: Problem, name: str, step: int, by: float) -> FloatArray:
        """Return how a feature changes where the blur grows by a little, per element of its width."""
        x, sigma, axes = problem.features[name], self.sigmas[step], self._axes(problem, name)
        return (_blurred(x, sigma + by, axes) - _blurred(x, sigma, axes)) / by

    def _axes(self, problem: Problem, name: str) -> tuple[int, ...]:
        shape, samples = problem.features[name].shape, problem.driver.layout.axes[name]
        return image_axes(self.axes, shape, samples, f"'{name}'", channel_of(problem, name))


@dataclass(frozen=True)
class ScaleIntegral:
    """``-sum_k w_k g_k dx/dsigma`` over blurred copies x.

    Attributes
    ----------
    scales
        The copies.
    weights
        How far each is from the next.
    by
        The step of the difference quotient that stands for the derivative.
    """

    scales: Scales
    weights: tuple[float, ...]
    by: float
    keeps_sums: ClassVar[bool] = False

    def ends(self, *, checked: bool) -> bool:
        """Return False: the first and the last copy are the ends."""
        return False

    def begin(self, problem: Problem, count: int, *, checked: bool) -> _ScaleSums:
        """Begin with zeros."""
        totals = {k: np.zeros(v.shape, np.float64) for k, v in problem.features.items()}
        return _ScaleSums(self, problem, totals, checked)


@dataclass
class _ScaleSums:
    integral: ScaleIntegral
    problem: Problem
    totals: Arrays
    checked: bool
    first: FloatArray | None = None
    last: FloatArray | None = None

    def add(self, steps: slice, answers: Answers) -> None:
        integral, scores = self.integral, answers.score
        assert scores is not None
        self.first, self.last = scores[0] if self.first is None else self.first, scores[-1]
        for name, total in self.totals.items():
            for k, gradient in enumerate(answers.values[name], steps.start):
                change = integral.scales.change(self.problem, name, k, integral.by)
                total -= integral.weights[k] * gradient * change

    def found(self) -> Found:
        values = {k: v.astype(self.problem.features[k].dtype) for k, v in self.totals.items()}
        assert self.first is not None
        assert self.last is not None
        return Found(values, self.first - self.last if self.checked else None)


def _blurred(x: Array, sigma: float, axes: Sequence[int]) -> FloatArray:
    """Blur along some axes, in float64."""
    made = x.astype(np.float64)
    for axis in axes if sigma else ():
        made = np.moveaxis(np.moveaxis(made, axis, -1) @ _gaussian(x.shape[axis], sigma), -1, axis)
    return made


@functools.lru_cache(maxsize=16)
def _gaussian(length: int, sigma: float) -> FloatArray:
    """Return the matrix that blurs a line, (length, length); cut off at 4 standard deviations."""
    reach = int(4 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    apart = np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
    return np.where(apart <= reach, kernel[np.minimum(reach + apart, 2 * reach)], 0.0)
