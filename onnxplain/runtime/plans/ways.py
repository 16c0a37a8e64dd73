"""Random straight paths: from rows of a background to noisy copies of a row, and a random place on each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from onnxplain._types import Arrays, FloatArray
from onnxplain.kernels.uniform import uniforms
from onnxplain.runtime.plans.combinations import Spread
from onnxplain.runtime.plans.plan import Answers, Found, Sums
from onnxplain.runtime.plans.points import Noise
from onnxplain.runtime.problem import Problem

__all__ = ["Draws", "Ways"]


@dataclass(frozen=True)
class Draws:
    """Points ``b_k + a_k (x + noise_k - b_k)``, with a_k uniform.

    b_k is a row of the background, drawn with replacement, or the baseline where there is none.  All rows
    share the draws, so that none depends on its place in the batch.

    Attributes
    ----------
    samples
        How many.
    stdev
        Standard deviation of the Gaussian noise, in the features' units.
    seed
        Same seed, same bits.
    """

    samples: int
    stdev: float
    seed: int

    def count(self, problem: Problem) -> int:
        """Return the number of samples."""
        return Noise(self.samples, self.stdev, 0.0, self.seed).count(problem)

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Draw points."""
        starts, ends = self.paths(problem, steps)
        places = self._numbers(steps)[:, 1].repeat(problem.n)
        points: Arrays = {}
        for name, start in starts.items():
            at = places.reshape(-1, *(1,) * (start.ndim - 1)).astype(start.dtype)
            points[name] = start + at * (ends[name] - start)
        return problem.at(points, steps.stop - steps.start)

    def paths(self, problem: Problem, steps: slice) -> tuple[Arrays, Arrays]:
        """Return where paths start and end, each (m n, ...) by feature."""
        copies = steps.stop - steps.start
        noise = Noise(self.samples, self.stdev, 0.0, self.seed)
        ends = (noise.at(problem, steps) if self.stdev else problem.at(repeats=copies)).features
        if not problem.background:
            return problem.at(repeats=copies).baselines, ends
        chosen = self._numbers(steps)[:, 0]
        starts = {
            k: rows[(chosen * len(rows)).astype(int)].repeat(problem.n, 0)
            for k, rows in problem.background.items()
        }
        return starts, ends

    def _numbers(self, steps: slice) -> FloatArray:
        """Return two numbers from 0 to below 1 for each of some samples: which row, and where."""
        return uniforms(self.seed, 0, steps.start, steps.stop - steps.start, 2)


@dataclass(frozen=True)
class Ways:
    """The mean of the answers, each times the whole way of its path.

    Attributes
    ----------
    draws
        Of the paths.
    """

    draws: Draws
    keeps_sums: ClassVar[bool] = False

    def ends(self, *, checked: bool) -> bool:
        """Return False."""
        return False

    def begin(self, problem: Problem, count: int, *, checked: bool) -> _Ways:
        """Begin with no samples."""
        return _Ways(self.draws, problem, Spread("mean").begin(problem, count, checked=checked))


@dataclass
class _Ways:
    draws: Draws
    problem: Problem
    mean: Sums

    def add(self, steps: slice, answers: Answers) -> None:
        starts, ends = self.draws.paths(self.problem, steps)
        ways = {k: (ends[k] - start).reshape(answers.values[k].shape) for k, start in starts.items()}
        self.mean.add(steps, replace(answers, values={k: v * ways[k] for k, v in answers.values.items()}))

    def found(self) -> Found:
        return self.mean.found()
