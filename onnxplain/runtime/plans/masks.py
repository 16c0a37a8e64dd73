"""Masks: rows of which random parts are faded into their baselines, and what the scores there say."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, ClassVar, TypeAlias

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray, IntArray, Shape
from onnxplain.errors import DataInputError
from onnxplain.features.places import space
from onnxplain.kernels import grid_masks, path_batches
from onnxplain.kernels import masked_batches as kernels
from onnxplain.kernels.device_array import DeviceArray, on_host, zeros
from onnxplain.kernels.moments import centred
from onnxplain.runtime.plans.combinations import float_like
from onnxplain.runtime.plans.moving import OnDevice, only_numbers
from onnxplain.runtime.plans.plan import Answers, Anywhere, Found, InOrder, SamePlayers
from onnxplain.runtime.problem import Problem

__all__ = ["Expected", "Masks", "drawn_out", "refuse_mixing"]

#: Along which axes of a sample, from 0: for all features.
Axes: TypeAlias = "tuple[int, ...] | None"


@dataclass(frozen=True)
class Masks(SamePlayers, OnDevice):
    """The row, faded into its baseline where a mask is below 1: ``m x + (1 - m) b``.

    Each feature has masks of its own, all at once: a small grid of cells, each kept with a probability, is
    drawn out to the feature's size bilinearly and shifted by a part of a cell (Petsiuk et al. 2018).  Where
    users say who plays, each player is kept or not, as a whole.  A mask's place decides what it is, so that
    no two need to be held at once.

    Attributes
    ----------
    samples
        How many.
    cells
        Of the grid, along each axis of space; an axis that is no longer has one for each place.
    keep
        Probability that a cell is kept.
    axes
        Of a sample, which are space; None: all but an image's channels.
    seed
        Same seed, same bits.
    """

    samples: int
    cells: int
    keep: float
    axes: Axes
    seed: int

    def count(self, problem: Problem) -> int:
        """Return the number of masks.

        Raises
        ------
        DataInputError
            If a feature cannot be mixed with its baseline, or has no such axes.
        """
        if problem.grouping is None:
            refuse_mixing(
                problem.features,
                "say which elements stay or leave as a whole (feature_mask='elements', 'tokens', ...)",
            )
            for name, x in problem.features.items():
                self.space_of(name, x.shape[1:])
        return self.samples

    def held_back(self, problem: Problem) -> str | None:
        """Say which feature cannot be masked on a GPU."""
        if problem.grouping is not None:
            return only_numbers(problem)
        for name, x in problem.features.items():
            own = self.space_of(name, x.shape[1:])
            each = tuple(d if k in own else 1 for k, d in enumerate(x.shape[1:]))
            if kernels.pattern(each, x.shape[1:])[0] is None or x.dtype != np.float32:
                return f"masks of '{name}' ({x.dtype}) are not made there along axes {own}"
        return None

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Mix features and baselines."""
        m = steps.stop - steps.start
        out = problem.written(m)
        if problem.grouping is not None:
            kept = self._players(problem, steps, np.bool_)
            kept = kept.reshape(m, 1, problem.players.count)
            chosen = problem.players.chosen(problem.features, problem.baselines, kept, out)
        else:
            made = self.masks(problem, steps)
            chosen = {
                k: kernels.fade(x, problem.baselines[k], made[k].reshape(m, 1, *made[k].shape[1:]), out[k])
                for k, x in problem.features.items()
            }
        return problem.at(chosen, m)

    def masks(self, problem: Problem, steps: slice) -> Arrays:
        """Return some of the masks by feature, (m, ...), with a length of 1 along what is no space.

        By players they are named "", (m, P).  Those of the last block are remembered, for the sums.
        """
        shapes = tuple((name, x.shape[1:]) for name, x in problem.features.items())
        there = any(isinstance(x, DeviceArray) for x in problem.features.values())
        key = steps.start, steps.stop, shapes, problem.grouping and problem.players.count, there
        if key not in self._last:
            self._last.clear()
            self._last[key] = self._made(problem, steps)
        return self._last[key]

    @cached_property
    def _last(self) -> dict[Any, Arrays]:
        return {}

    def _made(self, problem: Problem, steps: slice) -> Arrays:
        if problem.grouping is not None:
            return {"": self._players(problem, steps, np.float32)}
        return {
            name: self._drawn(name, x, stream, steps)
            for stream, (name, x) in enumerate(problem.features.items())
        }

    def _players(self, problem: Problem, steps: slice, dtype: type) -> Array:
        """Return which players some masks keep, (m, P), of float32 or bool."""
        m, count = steps.stop - steps.start, problem.players.count
        like = next(iter(problem.features.values()))
        kept, _ = grid_masks.draw_cells(
            self.seed, 0, steps.start, m, count, self.keep, np.zeros(0, np.int64), dtype=dtype, like=like
        )
        return kept

    def spread(self, problem: Problem, numbers: Arrays) -> Arrays:
        """Give each element its number, from arrays like the masks, (n, ...)."""
        if problem.grouping is not None:
            return dict(problem.players.spread(numbers[""]))
        return {k: np.array(np.broadcast_to(v, problem.features[k].shape)) for k, v in numbers.items()}

    def space_of(self, name: str, shape: Shape) -> tuple[int, ...]:
        """Return which axes of a feature's sample, of this shape, are space.

        Raises
        ------
        DataInputError
            If it has no such axes.
        """
        if self.axes is None:
            return space(shape)
        if any(not -len(shape) <= axis < len(shape) for axis in self.axes):
            raise DataInputError(
                f"axes={self.axes}: a sample of '{name}' has the shape {shape}; give axes of one sample, "
                "counted from 0"
            )
        return tuple(sorted({axis % len(shape) for axis in self.axes}))

    def _drawn(self, name: str, x: Array, stream: int, steps: slice) -> Array:
        shape, m = x.shape[1:], steps.stop - steps.start
        chosen = self.space_of(name, shape)
        lengths = [shape[k] for k in chosen]
        grid = [min(self.cells, length) for length in lengths]
        each = np.array([between(*line)[3] for line in zip(lengths, grid, strict=True)], np.int64)
        made, shifts = grid_masks.draw_cells(
            self.seed, stream, steps.start, m, math.prod(grid), self.keep, each, like=x
        )
        made = made.reshape(m, *grid)
        for k, (length, cells) in enumerate(zip(lengths, grid, strict=True)):
            if cells == length:
                continue
            left, first, second, _ = between(length, cells)
            before, after = made.shape[1 : k + 1], made.shape[k + 2 :]
            lines = made.reshape(m, math.prod(before), cells, math.prod(after))
            shift = shifts[k : k + 1].reshape(m)
            made = grid_masks.stretch(lines, left, first, second, shift, length)
            made = made.reshape(m, *before, length, *after)
        out: Array = made.reshape(m, *(d if k in chosen else 1 for k, d in enumerate(shape)))
        return out


def drawn_out(length: int, cells: int) -> tuple[FloatArray, int]:
    """Return how places of a line, one cell longer than the feature, are mixed of cells; and a cell's length.

    Places and cells are aligned by their outer edges; beyond the centre of the first cell is that cell's.
    """
    left, first, second, each = between(length, cells)
    wide = np.zeros((len(left), cells), np.float32)
    wide[np.arange(len(left)), left] = first
    if cells > 1:
        wide[np.arange(len(left)), left + 1] = second
    return wide, each


@lru_cache(maxsize=64)  # the same arrays again: on a GPU they stay
def between(length: int, cells: int) -> tuple[IntArray, FloatArray, FloatArray, int]:
    """Return the same by place: the first of two cells, how much it gets of both, and a cell's length."""
    each = -(-length // cells)
    places = (np.arange((cells + 1) * each) + 0.5) * cells / ((cells + 1) * each) - 0.5
    places = places.clip(0, cells - 1)
    left = np.minimum(places.astype(np.int64), max(cells - 2, 0))
    second = places - left
    made = left, (1 - second).astype(np.float32), second.astype(np.float32)
    for array in made:
        array.flags.writeable = False
    return *made, each


def refuse_mixing(features: Arrays, instead: str) -> None:
    """Refuse what has nothing between a value and its baseline; errors say what to do instead.

    Raises
    ------
    DataInputError
        If a feature is not made of floats.
    """
    for name, x in features.items():
        if x.dtype.kind != "f":
            held = "texts" if x.dtype.kind in "OU" else x.dtype
            raise DataInputError(
                f"soft masks mix values with baselines, floats only, and '{name}' holds {held}; {instead}, "
                "explain a value of floats (wrt=...), or use feature_ablation or occlusion"
            )


@dataclass(frozen=True)
class Expected:
    """The expected score where an element is kept, ``E[S m] / p``.

    Attributes
    ----------
    masks
        Which.
    contrast
        Less the expected score where it is not, ``E[S (1 - m)] / (1 - p)``; so ``Cov(S, m) / (p (1 - p))``.
    """

    masks: Masks
    contrast: bool
    keeps_sums: ClassVar[bool] = False

    def ends(self, *, checked: bool) -> bool:
        """Return False."""
        return False

    def begin(self, problem: Problem, count: int, *, checked: bool) -> _Expected:
        """Begin with no masks."""
        return _Expected(self.masks, self.contrast, problem)


@dataclass
class _Expected(InOrder, Anywhere):
    """Sums of ``a^j u^k``: of scores, less the first one, and of masks, less their mean; or as they are."""

    masks: Masks
    contrast: bool
    problem: Problem
    first: FloatArray | None = None
    scores: FloatArray | None = None
    sums: dict[tuple[str, int], FloatArray] = field(default_factory=dict)

    def add(self, steps: slice, answers: Answers) -> None:
        assert answers.score is not None
        m, rows = answers.score.shape
        if self.scores is None:
            self.first = centred(answers.score[:1]).reshape(rows) if self.contrast else None
            self.scores = zeros((1, rows), answers.score)
        scores = centred(answers.score, self.first)
        path_batches.accumulate(self.scores, scores, np.ones(m))
        origin = self.masks.keep if self.contrast else 0.0
        for name, mask in self.masks.masks(self.problem, steps).items():
            if (name, 1) not in self.sums:
                self.sums[name, 1] = zeros((1 + rows, *mask.shape[1:]), mask)
                self.sums[name, 2] = zeros((1 + 2 * rows, *mask.shape[1:]), mask)
            grid_masks.sum_masks(self.sums[name, 1], self.sums[name, 2], mask, scores, origin)

    def fetch(self) -> None:
        self.first, self.scores = on_host(self.first), on_host(self.scores)
        self.sums = {key: on_host(total) for key, total in self.sums.items()}

    def found(self) -> Found:
        n, keep, features = self.masks.samples, self.masks.keep, self.problem.features
        scale = keep * (1 - keep) if self.contrast else keep
        values: Arrays = {}
        errors: Arrays = {}
        for name in {key[0]: None for key in self.sums}:
            linear, square = self.sums[name, 1] / n, self.sums[name, 2] / n
            rows = len(linear) - 1
            zero, one = linear[:1], linear[1:]
            squares, both, twice = square[:1], square[1 : rows + 1], square[rows + 1 :]
            middle = np.zeros((rows, *(1,) * (one.ndim - 1)))
            if self.contrast:
                middle += (np.asarray(self.scores) / n).reshape(middle.shape)
            mean = one - middle * zero
            spread = twice - 2 * middle * both + middle**2 * squares - mean**2
            values[name] = mean / scale
            errors[name] = np.sqrt(np.maximum(spread, 0) / (n - 1 if n > 1 else np.nan)) / scale
        made = self.masks.spread(self.problem, values)
        return Found(
            {k: v.astype(float_like(features[k])) for k, v in made.items()},
            errors=self.masks.spread(self.problem, errors),
        )
