"""What metrics that explain points near the samples have in common."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

import numpy as np

from onnxplain._types import Array, Arrays, FloatArray, IntArray
from onnxplain.metrics.base import Metric, Need
from onnxplain.metrics.neighbours import Nearby, explained_near, in_rows, look_inside
from onnxplain.metrics.notes import unsaid
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial

__all__ = ["Neighbourhood", "Seen", "WhenChanged"]

#: What becomes of points where the model predicts something else.
WhenChanged: TypeAlias = Literal["keep", "leave_out", "nan"]


@dataclass(frozen=True, eq=False)
class Seen:
    """What is known at m points.

    Attributes
    ----------
    features
        (m, D): the points themselves.
    values
        (m, D): their attributions, as the metric looks at them.
    inside
        (m, K): the values inside the model that the metric looks at.
    predicted
        (m,): the place of the output's highest entry; -1 where nobody asked.
    """

    features: FloatArray
    values: FloatArray
    inside: FloatArray
    predicted: IntArray

    def take(self, rows: IntArray) -> Seen:
        """Return what is known at some of the points."""
        return Seen(self.features[rows], self.values[rows], self.inside[rows], self.predicted[rows])


@dataclass(frozen=True)
class Neighbourhood(Metric):
    """A metric that compares the explanation of each sample with those of points near it.

    Parameters
    ----------
    when_prediction_changes
        What becomes of points where the output's highest entry is another than at the sample: ``"keep"``
        counts them as all others, ``"leave_out"`` does not count them, ``"nan"`` says nothing of the sample.
        A single score has no highest entry, and never changes so.
    """

    needs: ClassVar[tuple[Need, ...]] = ("method",)
    higher_is_better: ClassVar[bool | None] = False
    range: ClassVar[tuple[float, float]] = (0.0, np.inf)

    #: Why all points of a sample may say nothing, in the words of a note.
    says_nothing: ClassVar[str]

    when_prediction_changes: WhenChanged = field(default="keep", kw_only=True)

    @abc.abstractmethod
    def nearby(self) -> Nearby:
        """Return where to explain."""

    @abc.abstractmethod
    def change(self, here: Seen, there: Seen) -> FloatArray:
        """Return how much explanations change from samples to points near them, (m,); NaN if that is open."""

    def inside(self, trial: Trial) -> tuple[str, ...]:
        """Name the values inside the model that changes depend on: none."""
        return ()

    def combined(self, changes: FloatArray) -> float:
        """Return what the changes at a sample's points, of which there are some, make: the largest."""
        return float(changes.max())

    def measure(self, trial: Trial) -> Measured:
        """Explain points near the samples."""
        points, names = self.nearby(), self.inside(trial)
        changes = np.full((trial.n, points.count(trial)), np.nan)
        other = np.zeros(changes.shape, bool)
        samples = self._seen(trial, names, trial.features, np.arange(trial.n), trial.flat)
        for near in explained_near(trial, points, self.prepare, samples.inside.shape[1]):
            here = samples.take(near.of)
            there = self._seen(trial, names, near.points, near.of, near.values)
            at = near.rows[:, None], np.arange(near.steps.start, near.steps.stop)[None]
            changes[at] = self.change(here, there).reshape(-1, len(near.rows)).T
            other[at] = (here.predicted != there.predicted).reshape(-1, len(near.rows)).T
        return self._summarised(changes, other)

    def _seen(
        self, trial: Trial, names: tuple[str, ...], points: Arrays, rows: IntArray, values: FloatArray
    ) -> Seen:
        """Return what is known at points, of which the attributions are."""
        if names or self.when_prediction_changes != "keep":
            inside, predicted = look_inside(trial, names, points, rows)
        else:
            inside, predicted = np.zeros((len(rows), 0)), np.full(len(rows), -1)
        return Seen(in_rows(points), values, inside, predicted)

    def _summarised(self, changes: FloatArray, other: Array) -> Measured:
        """Return the values that changes make, and say of which samples there are none."""
        said = ~np.isnan(changes)
        held = said & ~other if self.when_prediction_changes == "leave_out" else said
        spoilt = np.logical_and(self.when_prediction_changes == "nan", other.any(1))
        left = held.any(1) & ~spoilt
        values = np.full(len(changes), np.nan)
        for row in np.flatnonzero(left):
            values[row] = self.combined(changes[row, held[row]])
        gone = ~left & ~spoilt & said.any(1)
        notes = [
            *unsaid(spoilt, "the prediction is another at some of the points near them"),
            *unsaid(gone, "the prediction is another at all of the points near them"),
            *unsaid(~left & ~spoilt & ~gone, self.says_nothing),
        ]
        left_out = int((said & ~held).sum())
        if left_out:
            notes.append(f"{left_out} of {changes.size} points are left out: the prediction is another there")
        return self.result(values, extras={"changes": changes}, notes=tuple(notes))
