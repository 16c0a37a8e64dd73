"""Points around samples at which an input differs by what is known: noise, and squares taken away."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray, IntArray, Shape
from onnxplain.errors import DataInputError
from onnxplain.features.places import space
from onnxplain.kernels.uniform import uniforms
from onnxplain.runtime.plans.plan import Points
from onnxplain.runtime.plans.points import Noise
from onnxplain.runtime.problem import Problem

__all__ = ["GrowingSquares", "NoisyBaseline", "Squares", "products", "refuse_all_but_floats"]

_AT_ONCE = 1 << 22  # elements of points that are made at once


@dataclass(frozen=True)
class NoisyBaseline:
    """The baseline, with Gaussian noise.

    Attributes
    ----------
    noise
        What is added to it.
    """

    noise: Noise

    def count(self, problem: Problem) -> int:
        """Return the number of points."""
        return self.noise.count(problem)

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Add noise to the baselines."""
        copies = steps.stop - steps.start
        noisy = self.noise.at(problem, steps).features
        made = {}
        for name, x in problem.features.items():
            moved = problem.baselines[name] - x  # the noise is as large as the sample's range says
            made[name] = (noisy[name].reshape(copies, *x.shape) + moved).reshape(-1, *x.shape[1:])
        return problem.at(made, copies)


@dataclass(frozen=True)
class Squares:
    """The row without a square at a random place: all places are equally likely, all channels leave together.

    Each feature has a square of its own; along one axis of space it is a window.

    Attributes
    ----------
    samples
        How many.
    length
        Of a side, in elements; axes that are shorter go as a whole.
    seed
        Same seed, same places.
    """

    samples: int
    length: int
    seed: int

    def count(self, problem: Problem) -> int:
        """Return the number of points."""
        return self.samples

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Take squares away; the baselines stand there."""
        gone = {
            name: np.stack([self._gone(x.shape[1:], stream, k) for k in range(steps.start, steps.stop)])
            for stream, (name, x) in enumerate(problem.features.items())
        }
        return _without(problem, gone)

    def _gone(self, shape: Shape, stream: int, step: int) -> Array:
        """Return where a square is, bool, with a length of 1 along what is no space."""
        axes = space(shape)
        drawn = uniforms(self.seed, stream, step, 1, len(axes))[0] if axes else ()
        gone = np.ones((1,) * len(shape), bool)
        for axis, number in zip(axes, drawn, strict=True):
            side = min(self.length, shape[axis])
            start = int(number * (shape[axis] - side + 1))
            places = np.arange(shape[axis])
            gone = gone & _along((places >= start) & (places < start + side), axis, len(shape))
        return gone


@dataclass(frozen=True)
class GrowingSquares:
    """The row without the first squares of a grid, row by row: one, then two, until all is taken away.

    Attributes
    ----------
    length
        Of a side, in elements; the last ones of each axis may be shorter.
    """

    length: int

    def count(self, problem: Problem) -> int:
        """Return the number of squares, of all features."""
        return sum(self._squares(x.shape[1:]) for x in problem.features.values())

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Take squares away; the baselines stand there."""
        first, gone = 0, {}
        which = np.arange(steps.start, steps.stop)
        for name, x in problem.features.items():
            numbers = self._numbers(x.shape[1:])
            gone[name] = first + numbers <= which.reshape(-1, *(1,) * numbers.ndim)
            first += self._squares(x.shape[1:])
        return _without(problem, gone)

    def _squares(self, shape: Shape) -> int:
        return math.prod(-(-shape[k] // self.length) for k in space(shape))

    def _numbers(self, shape: Shape) -> IntArray:
        """Return the number of each element's square, with a length of 1 along what is no space."""
        numbers = np.zeros((1,) * len(shape), np.int64)
        for axis in space(shape):
            places = np.arange(shape[axis]) // self.length
            numbers = numbers * (-(-shape[axis] // self.length)) + _along(places, axis, len(shape))
        return numbers


def products(points: Points, problem: Problem, slopes: Mapping[str, FloatArray]) -> FloatArray:
    """Return how far each point is from its sample, times slopes, summed over the elements: (n, count).

    Parameters
    ----------
    points, problem
        The points, and the samples.
    slopes
        (n, ...) by feature.
    """
    count = points.count(problem)
    size = sum(x.size for x in problem.features.values())
    at_once = max(1, _AT_ONCE // max(size, 1))
    made = np.zeros((problem.n, count))
    for first in range(0, count, at_once):
        steps = slice(first, min(first + at_once, count))
        there = points.at(problem, steps).features
        for name, x in problem.features.items():
            point = there[name].reshape(-1, *x.shape).astype(np.float64)
            moved = (x.astype(np.float64) - point) * slopes[name]
            made[:, steps] += moved.reshape(len(point), problem.n, -1).sum(2).T
    return made


def refuse_all_but_floats(features: Arrays, what: str) -> None:
    """Refuse features that cannot be moved by small steps.

    Raises
    ------
    DataInputError
        If one is not made of floats; ``what`` needs them.
    """
    for name, x in features.items():
        if x.dtype.kind != "f":
            held = "texts" if x.dtype.kind in "OU" else x.dtype
            raise DataInputError(
                f"{what} needs inputs of floats, and '{name}' holds {held}; measure others (wrt=...), or "
                "choose another metric"
            )


def _without(problem: Problem, gone: Arrays) -> Problem:
    """Put baselines where something is gone: bool (m, ...) by feature, broadcasting to its samples."""
    made: Arrays = {}
    for name, x in problem.features.items():
        mixed = np.where(gone[name][:, None], problem.baselines[name], x)
        made[name] = mixed.reshape(-1, *x.shape[1:])
    return problem.at(made, len(next(iter(gone.values()))))


def _along(numbers: Array, axis: int, rank: int) -> Array:
    return numbers.reshape([-1 if k == axis else 1 for k in range(rank)])
