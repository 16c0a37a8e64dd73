"""Recipes for points."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray
from onnxplain.errors import DataInputError
from onnxplain.kernels import path_batches as kernels
from onnxplain.runtime.problem import Problem

__all__ = ["Backgrounds", "Itself", "Noise", "Path", "WithoutOne"]


@dataclass(frozen=True)
class Itself:
    """The row itself: ``x``."""

    def count(self, problem: Problem) -> int:
        """Return 1."""
        return 1

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Return the problem as it is."""
        return problem


@dataclass(frozen=True)
class Path:
    """Points of a straight line: ``b + a_k (x - b)``.

    Attributes
    ----------
    alphas
        S numbers: where, from 0 at the baseline to 1.
    """

    alphas: tuple[float, ...]

    def count(self, problem: Problem) -> int:
        """Return the number of steps."""
        return len(self.alphas)

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Interpolate."""
        alphas = np.array(self.alphas[steps])
        out = problem.written(len(alphas))
        points: Arrays = {
            k: kernels.interpolate(problem.baselines[k], x, alphas, out[k])
            for k, x in problem.features.items()
        }
        return problem.at(points, len(alphas))


@dataclass(frozen=True)
class Noise:
    """Noisy copies: ``x + noise_k``, Gaussian; a sample's noise does not depend on its place in the batch.

    Attributes
    ----------
    samples
        How many.
    stdev
        Standard deviation, in the features' units; None: ``level`` times the range (max - min) of each row.
    level
        See ``stdev``.
    seed
        Same seed, same bits.
    """

    samples: int
    stdev: float | None
    level: float
    seed: int

    def count(self, problem: Problem) -> int:
        """Return the number of copies.

        Raises
        ------
        DataInputError
            If a feature is not made of floats.
        """
        for name, x in problem.features.items():
            if x.dtype.kind != "f":
                held = "texts" if x.dtype.kind in "OU" else x.dtype
                raise DataInputError(
                    f"noise can be added to floats only, and '{name}' holds {held}; explain other inputs "
                    "(wrt=...), or average a method that walks back to the embedding"
                )
        return self.samples

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Add noise."""
        copies = steps.stop - steps.start
        out = problem.written(copies)
        made = {
            k: self._noisy(x, steps.start, copies, stream, out[k])
            for stream, (k, x) in enumerate(problem.features.items())
        }
        return problem.at(made, copies)

    def _noisy(self, x: FloatArray, first: int, copies: int, stream: int, out: Array | None) -> Array:
        made: Array = np.empty((copies * len(x), *x.shape[1:]), x.dtype) if out is None else out
        rows = made.reshape(copies, *x.shape)
        for row, sample in enumerate(x):
            spread = float(sample.max() - sample.min()) if sample.size else 0.0
            stdev = self.level * spread if self.stdev is None else self.stdev
            here = rows[:, row] if len(x) == 1 else None  # contiguous
            noisy = kernels.noise(sample[None], stdev, self.seed, first, copies, substream=stream, out=here)
            if here is None:
                rows[:, row] = noisy
        return made


@dataclass(frozen=True)
class Backgrounds:
    """The row itself, against each row of a background; against its own baseline where there is none."""

    def count(self, problem: Problem) -> int:
        """Return the number of background rows."""
        return len(next(iter(problem.background.values()), (None,)))

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Take some of the background's rows."""
        if not problem.background:
            return problem
        starts = {k: np.repeat(v[steps], problem.n, axis=0) for k, v in problem.background.items()}
        return replace(problem.at(repeats=steps.stop - steps.start, baselines=starts), background={})


@dataclass(frozen=True)
class WithoutOne:
    """The row without one player: the baseline stands there."""

    def count(self, problem: Problem) -> int:
        """Return the number of players."""
        return problem.players.count

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Take players away, each alone."""
        m = steps.stop - steps.start
        kept = np.ones((m, 1, problem.players.count), bool)
        kept[np.arange(m), 0, np.arange(steps.start, steps.stop)] = False
        players, out = problem.players, problem.written(m)
        return problem.at(players.chosen(problem.features, problem.baselines, kept, out), m)
