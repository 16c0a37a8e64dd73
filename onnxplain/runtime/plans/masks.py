"""Masks: rows of which random parts are faded into their baselines, and what the scores there say."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray, Shape
from onnxplain.errors import DataInputError
from onnxplain.features.places import space
from onnxplain.runtime.plans.combinations import float_like
from onnxplain.runtime.plans.draws import uniforms
from onnxplain.runtime.plans.plan import Answers, Found, SamePlayers
from onnxplain.runtime.problem import Problem

__all__ = ["Expected", "Masks", "drawn_out", "faded", "refuse_mixing"]

#: Along which axes of a sample, from 0: for all features.
Axes: TypeAlias = "tuple[int, ...] | None"
_AT_ONCE = 1 << 22  # numbers of masks that are squared in float64 at once


@dataclass(frozen=True)
class Masks(SamePlayers):
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

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Mix features and baselines."""
        made = self.masks(problem, steps)
        if problem.grouping is not None:
            kept = made[""].astype(bool)[:, None]
            chosen = problem.players.chosen(problem.features, problem.baselines, kept)
        else:
            chosen = {
                k: faded(x, problem.baselines[k], made[k][:, None]) for k, x in problem.features.items()
            }
        return problem.at(chosen, steps.stop - steps.start)

    def masks(self, problem: Problem, steps: slice) -> Arrays:
        """Return some of the masks by feature, (m, ...), with a length of 1 along what is no space.

        By players they are named "", (m, P).
        """
        if problem.grouping is not None:
            drawn = uniforms(self.seed, 0, steps.start, steps.stop - steps.start, problem.players.count)
            return {"": (drawn < self.keep).astype(np.float32)}
        return {
            name: self._drawn(name, x, stream, steps)
            for stream, (name, x) in enumerate(problem.features.items())
        }

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
        size = math.prod(grid)
        drawn = uniforms(self.seed, stream, steps.start, m, size + len(grid))
        made: Array = (drawn[:, :size] < self.keep).astype(np.float32).reshape(m, *grid)
        for k, (length, cells) in enumerate(zip(lengths, grid, strict=True)):
            if cells == length:
                continue
            wide, each = drawn_out(length, cells)
            shift = (drawn[:, size + k] * each).astype(np.int64)
            rows = wide[shift[:, None] + np.arange(length)]  # (m, length, cells)
            front = np.moveaxis(made, k + 1, 1)
            flat = rows @ front.reshape(m, cells, -1)
            made = np.moveaxis(flat.reshape(m, length, *front.shape[2:]), 1, k + 1)
        out: Array = made.reshape(m, *(d if k in chosen else 1 for k, d in enumerate(shape)))
        return out


def drawn_out(length: int, cells: int) -> tuple[FloatArray, int]:
    """Return how places of a line, one cell longer than the feature, are mixed of cells; and a cell's length.

    Places and cells are aligned by their outer edges; beyond the centre of the first cell is that cell's.
    """
    each = -(-length // cells)
    places = (np.arange((cells + 1) * each) + 0.5) * cells / ((cells + 1) * each) - 0.5
    places = places.clip(0, cells - 1)
    left = np.minimum(places.astype(np.int64), cells - 2) if cells > 1 else np.zeros(len(places), np.int64)
    wide = np.zeros((len(places), cells), np.float32)
    wide[np.arange(len(places)), left] = 1 - (places - left)
    if cells > 1:
        wide[np.arange(len(places)), left + 1] = places - left
    return wide, each


def faded(x: Array, baseline: Array, mask: Array) -> Array:
    """Return ``m x + (1 - m) b``, (m n, ...), for masks (m, 1, ...) or (m, n, ...), and rows (n, ...).

    Nothing lies between a number and a missing one (NaN): the nearer of both stands there.
    """
    weight = mask.astype(x.dtype)
    mixed: Array = weight * (x - baseline)
    mixed += baseline
    np.copyto(mixed, x, where=weight == 1)  # exact at both ends
    missing = np.isnan(x) | np.isnan(baseline)
    if missing.any():
        np.copyto(mixed, np.where(weight >= 0.5, x, baseline), where=missing)
    return mixed.reshape(len(mask) * len(x), *x.shape[1:])


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
class _Expected:
    """Sums of ``a^j u^k``: of scores, less the first one, and of masks, less their mean; or as they are."""

    masks: Masks
    contrast: bool
    problem: Problem
    first: FloatArray | None = None
    scores: FloatArray | float = 0.0
    sums: dict[tuple[str, int], FloatArray] = field(default_factory=dict)

    def add(self, steps: slice, answers: Answers) -> None:
        assert answers.score is not None
        scores = answers.score.astype(np.float64).T
        if self.first is None:
            self.first = scores[:, :1].copy() if self.contrast else np.zeros((len(scores), 1))
        scores = scores - self.first
        self.scores = self.scores + scores.sum(1)
        origin = self.masks.keep if self.contrast else 0.0
        for part in self._parts(steps):
            own = scores[:, part.start - steps.start : part.stop - steps.start]
            for name, mask in self.masks.masks(self.problem, part).items():
                wide = mask.astype(np.float64) - origin
                powers = (np.ones((1, own.shape[1])), own, own**2)
                for power in (1, 2):
                    total = np.tensordot(np.concatenate(powers[: power + 1]), wide, 1)
                    key = name, power
                    self.sums[key] = self.sums[key] + total if key in self.sums else total
                    wide **= 2

    def _parts(self, steps: slice) -> Iterator[slice]:
        """Cut steps so that masks of float64 stay small."""
        size = sum(math.prod(x.shape[1:]) for x in self.problem.features.values())
        at_once = max(1, _AT_ONCE // max(size, 1))
        for first in range(steps.start, steps.stop, at_once):
            yield slice(first, min(first + at_once, steps.stop))

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
