"""Recipes for points."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from onnxplain._types import Arrays, FloatArray
from onnxplain.errors import DataInputError
from onnxplain.kernels import path_batches as kernels
from onnxplain.kernels.device_array import on_host
from onnxplain.runtime.plans.moving import OnDevice, only_floats, only_numbers
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
class Path(OnDevice):
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

    def held_back(self, problem: Problem) -> str | None:
        """Say which feature cannot be computed with on a GPU."""
        return only_floats(problem)

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
class Noise(OnDevice):
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

    def held_back(self, problem: Problem) -> str | None:
        """Say which feature cannot be computed with on a GPU."""
        return only_floats(problem)

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Add noise."""
        copies = steps.stop - steps.start
        out = problem.written(copies)
        made: Arrays = {
            k: kernels.noise(
                x, self._stdevs(x), self.seed, steps.start, copies, substream=stream, alike=True, out=out[k]
            )
            for stream, (k, x) in enumerate(problem.features.items())
        }
        return problem.at(made, copies)

    def _stdevs(self, x: FloatArray) -> FloatArray:
        """Return the standard deviation of each row's noise."""
        if self.stdev is not None:
            return np.array([self.stdev], np.float64)
        spreads = [float(row.max() - row.min()) if row.size else 0.0 for row in on_host(x)]
        return self.level * np.array(spreads, np.float64)


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
class WithoutOne(OnDevice):
    """The row without one player: the baseline stands there."""

    def count(self, problem: Problem) -> int:
        """Return the number of players."""
        return problem.players.count

    def held_back(self, problem: Problem) -> str | None:
        """Say which feature cannot be moved on a GPU."""
        return only_numbers(problem)

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Take players away, each alone."""
        m = steps.stop - steps.start
        kept = np.ones((m, 1, problem.players.count), bool)
        kept[np.arange(m), 0, np.arange(steps.start, steps.stop)] = False
        players, out = problem.players, problem.written(m)
        return problem.at(players.chosen(problem.features, problem.baselines, kept, out), m)
