"""Random straight paths: from rows of a background to noisy copies of a row, and a random place on each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray, IntArray, Shape
from onnxplain.kernels import masked_batches, path_batches
from onnxplain.kernels.device_array import on_device
from onnxplain.kernels.uniform import uniforms
from onnxplain.runtime.plans.combinations import Spread, SpreadSums
from onnxplain.runtime.plans.moving import OnDevice, only_floats
from onnxplain.runtime.plans.plan import Answers, Anywhere, Found
from onnxplain.runtime.plans.points import Noise
from onnxplain.runtime.problem import Problem
from onnxplain.runtime.scratch import Scratch

__all__ = ["Draws", "Ways"]


@dataclass(frozen=True)
class Draws(OnDevice):
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

    def held_back(self, problem: Problem) -> str | None:
        """Say which feature cannot be computed with on a GPU."""
        return only_floats(problem)

    def at(self, problem: Problem, steps: slice) -> Problem:
        """Draw points."""
        starts, ends = self.paths(problem, steps)
        places = self._numbers(steps)[:, 1]
        points: Arrays = {k: path_batches.between(start, ends[k], places) for k, start in starts.items()}
        return problem.at(points, steps.stop - steps.start)

    def paths(self, problem: Problem, steps: slice) -> tuple[Arrays, Arrays]:
        """Return where paths start and end, each (m n, ...) by feature."""
        copies = steps.stop - steps.start
        noise = Noise(self.samples, self.stdev, 0.0, self.seed)
        ends = (noise.at(problem, steps) if self.stdev else problem.at(repeats=copies)).features
        if not problem.background:
            scratch, own = problem.scratch or Scratch(), problem.resolved().baselines
            # Under the baselines' own name a device makes no copies.
            what = {k: "starts" if on_device(v) else "baselines" for k, v in own.items()}
            return {k: scratch.copies(f"{what[k]} {k}", v, copies) for k, v in own.items()}, ends
        chosen = self._numbers(steps)[:, 0]
        starts = {
            k: _each(rows, (chosen * len(rows)).astype(np.int64), problem.features[k])
            for k, rows in problem.background.items()
        }
        return starts, ends

    def _numbers(self, steps: slice) -> FloatArray:
        """Return two numbers from 0 to below 1 for each of some samples: which row, and where."""
        return uniforms(self.seed, 0, steps.start, steps.stop - steps.start, 2)


def _each(rows: Array, which: IntArray, x: Array) -> Array:
    """Return some of the rows, each as often as there are examples in x, one after the other."""
    if not on_device(rows):
        return rows[which].repeat(len(x), 0)
    nobody = np.zeros((len(which), 1, 1), np.bool_)  # stays
    instead = rows.reshape(len(rows), 1, *rows.shape[1:])
    return masked_batches.choose(x, instead, _everybody(x.shape[1:]), nobody, None, which)


@lru_cache(maxsize=64)  # the same array again: on a GPU it stays
def _everybody(shape: Shape) -> IntArray:
    """Return one player who has all elements."""
    ids = np.zeros((1, *shape), np.int64)
    ids.flags.writeable = False
    return ids


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
class _Ways(Anywhere):
    draws: Draws
    problem: Problem
    mean: SpreadSums

    def add(self, steps: slice, answers: Answers) -> None:
        starts, ends = self.draws.paths(self.problem, steps)
        made: Arrays = {}
        for name, values in answers.values.items():
            flat = values.reshape(-1, *values.shape[2:])
            made[name] = path_batches.times_way(flat, starts[name], ends[name]).reshape(values.shape)
        self.mean.add(steps, replace(answers, values=made))

    def fetch(self) -> None:
        self.mean.fetch()

    def found(self) -> Found:
        return self.mean.found()
