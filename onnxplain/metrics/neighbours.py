"""Points near samples, and what a method finds there: in blocks of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray, IntArray
from onnxplain.backward.asks import Probe, Scores
from onnxplain.kernels import path_batches as kernels
from onnxplain.kernels.uniform import uniforms
from onnxplain.metrics.perturbations import refuse_all_but_floats
from onnxplain.metrics.trial import Trial

__all__ = ["GaussianNoise", "Near", "Nearby", "UniformNoise", "explained_near", "in_rows", "look_inside"]

#: Numbers that all points explained at once may take: what goes in, and what comes out.
_AT_ONCE = 2**22

#: Tells apart what is drawn here from what a method draws with the same seed: one stream for each feature.
_STREAM = 1 << 20


class Nearby(Protocol):
    """A recipe for points near samples."""

    def count(self, trial: Trial) -> int:
        """Return how many there are for each sample.

        Raises
        ------
        DataInputError
            If there are no such points near what is explained.
        """

    def at(self, trial: Trial, steps: slice, rows: IntArray) -> Arrays:
        """Make some points near r samples, (m r, ...) by feature: all samples of a step together."""


@dataclass(frozen=True)
class UniformNoise:
    """``x + noise_k``, each number of the noise from ``low`` to below ``high``.

    A sample's noise does not depend on its place in the batch: all samples have the same.

    Attributes
    ----------
    points
        How many.
    low, high
        In the features' units.
    seed
        Same seed, same bits.
    """

    points: int
    low: float
    high: float
    seed: int

    def count(self, trial: Trial) -> int:
        """Return the number of points; raises DataInputError where features are no floats."""
        refuse_all_but_floats(trial.features, "noise")
        return self.points

    def at(self, trial: Trial, steps: slice, rows: IntArray) -> Arrays:
        """Add noise."""

        def drawn(stream: int, size: int) -> FloatArray:
            made = uniforms(self.seed, stream, steps.start, steps.stop - steps.start, size)
            return self.low + (self.high - self.low) * made

        return _noisy(trial, rows, drawn)


@dataclass(frozen=True)
class GaussianNoise:
    """``x + noise_k``, Gaussian; all samples have the same noise, as in :class:`UniformNoise`.

    Attributes
    ----------
    points
        How many.
    mean, stdev
        In the features' units.
    seed
        Same seed, same bits.
    """

    points: int
    mean: float
    stdev: float
    seed: int

    def count(self, trial: Trial) -> int:
        """Return the number of points; raises DataInputError where features are no floats."""
        refuse_all_but_floats(trial.features, "noise")
        return self.points

    def at(self, trial: Trial, steps: slice, rows: IntArray) -> Arrays:
        """Add noise."""

        def drawn(stream: int, size: int) -> FloatArray:
            around = np.full((1, size), self.mean)
            count = steps.stop - steps.start
            return kernels.noise(around, self.stdev, self.seed, steps.start, count, substream=stream)

        return _noisy(trial, rows, drawn)


@dataclass(frozen=True, eq=False)
class Near:
    """Some points near some samples, and their explanations.

    Attributes
    ----------
    steps
        Which of the points.
    rows
        (r,): which samples.
    points
        (m r, ...) by feature, all r samples of a step together.
    values
        (m r, D): the attributions of all elements in a row.
    """

    steps: slice
    rows: IntArray
    points: Arrays
    values: FloatArray

    @property
    def of(self) -> IntArray:
        """(m r,): the sample that each point is near."""
        return np.tile(self.rows, self.steps.stop - self.steps.start)


def explained_near(
    trial: Trial,
    nearby: Nearby,
    prepare: Callable[[Mapping[str, Any]], dict[str, Any]],
    besides: int = 0,
) -> Iterator[Near]:
    """Explain points near all samples, some at a time.

    Parameters
    ----------
    trial
        The samples.
    nearby
        Where.
    prepare
        What a metric makes of attributions before it looks at them.
    besides
        How many numbers the caller keeps of each point besides.
    """
    count = nearby.count(trial)
    with trial.problem.driver.bar(count * trial.n, "explaining neighbours") as bar:
        for steps, rows in _blocks(trial.n, count, max(1, _AT_ONCE // (_size(trial) + besides))):
            points = nearby.at(trial, steps, rows)
            of = np.tile(rows, steps.stop - steps.start)
            found = prepare(trial.explain(points, of))
            yield Near(steps, rows, points, in_rows({name: found[name] for name in trial.features}))
            bar.update(len(of))


def in_rows(arrays: Mapping[str, Array]) -> FloatArray:
    """Return all numbers of arrays (m, ...) in rows, float64 (m, D)."""
    return np.concatenate([v.reshape(len(v), -1).astype(np.float64) for v in arrays.values()], axis=1)


def look_inside(
    trial: Trial, names: Sequence[str], points: Arrays, rows: IntArray
) -> tuple[FloatArray, IntArray]:
    """Read values inside the model at points near samples.

    Parameters
    ----------
    trial
        The samples.
    names
        Of the values, as the graph names them; none leaves it at what is predicted.
    points
        (m, ...) by feature.
    rows
        (m,): the sample that each of them is near.

    Returns
    -------
    tuple of arrays
        (m, K): all numbers of the values, float64; and (m,): the place of the output's highest entry.
    """
    problem = trial.problem
    near = problem.points.take(rows)
    near = replace(near, features={**near.features, **points})
    ask = Probe(tuple(names), gradients=False) if names else Scores()
    answer = problem.driver.ask(ask, near, predictions=True)
    inside = in_rows({name: answer.probed[name] for name in names}) if names else np.zeros((len(rows), 0))
    output = trial.posed.about.rows(np.asarray(answer.predictions)).reshape(len(rows), -1)
    return inside, output.argmax(1)


def _size(trial: Trial) -> int:
    """Return how many numbers a point takes, with its answer."""
    samples = trial.posed.samples
    given = sum(
        v.size // (1 if samples.layout.axes[k] is None else max(trial.n, 1))
        for k, v in samples.arrays.items()
    )
    return 1 + given + int(np.prod(trial.posed.about.shape, dtype=np.int64))


def _blocks(n: int, count: int, at_once: int) -> Iterator[tuple[slice, IntArray]]:
    """Cut points into whole steps, as many as there may be at once, or else a step into some of its rows."""
    rows = np.arange(n)
    several = at_once // max(n, 1)
    for first in range(0, count, max(several, 1)):
        steps = slice(first, min(first + max(several, 1), count))
        for start in range(0, n, n if several else at_once):
            yield steps, rows if several else rows[start : start + at_once]


def _noisy(trial: Trial, rows: IntArray, drawn: Callable[[int, int], FloatArray]) -> Arrays:
    """Add noise, drawn by stream and size as (m, size), to some samples."""
    made: Arrays = {}
    for stream, (name, x) in enumerate(trial.features.items(), _STREAM):
        own = x[rows]
        noise = drawn(stream, int(np.prod(x.shape[1:]))).reshape(-1, 1, *x.shape[1:])
        sums: Array = (own + noise).astype(x.dtype)
        made[name] = sums.reshape(-1, *x.shape[1:])
    return made
