"""Sufficiency (Dasgupta et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from onnxplain._types import Array, IntArray
from onnxplain.errors import DataInputError
from onnxplain.metrics.base import Metric
from onnxplain.metrics.notes import unsaid
from onnxplain.metrics.result import Measured
from onnxplain.metrics.similarity import Between, between_rows
from onnxplain.metrics.trial import Trial
from onnxplain.options import Weight

__all__ = ["Sufficiency"]


@dataclass(frozen=True)
class Sufficiency(Metric):
    """Whether samples with like explanations are predicted to be of the same class (Dasgupta et al. 2022).

    An explanation holds for the other samples whose own is no further away than a threshold; the value is the
    share of these that have the sample's predicted class.  Where an explanation holds for no other sample it
    is NaN.  It is a metric of a batch: others in it change a sample's value.

    Parameters
    ----------
    threshold
        How far away explanations may be, as a part of the largest distance in the batch.
    distance
        ``"seuclidean"`` (Euclidean, of attributions divided by their standard deviations over the batch;
        those that do not vary are left out), ``"euclidean"``, ``"cityblock"`` or ``"chebyshev"``.
    boundary
        Of models with one output: above it lies one class, and the other below.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`.
    """

    name: ClassVar[str] = "sufficiency"
    higher_is_better: ClassVar[bool | None] = True
    apart: ClassVar[bool] = False
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    threshold: Weight = 0.6
    distance: Between = "seuclidean"
    boundary: float = 0.5
    absolute: bool = field(default=True, kw_only=True)

    def measure(self, trial: Trial) -> Measured:
        """Compare all pairs of samples.

        Raises
        ------
        DataInputError
            If there are fewer than two samples, or the model's output is no row of classes.
        """
        if trial.n < 2:
            raise DataInputError(
                f"sufficiency compares samples with one another, and there is {trial.n}; give two or more"
            )
        classes, notes = self._classes(trial)
        distances = between_rows(trial.flat, self.distance)
        near = distances <= self.threshold * distances.max()
        np.fill_diagonal(near, val=False)
        same = near & (classes[:, None] == classes)
        counts = near.sum(1)
        values = np.divide(same.sum(1), counts, out=np.full(trial.n, np.nan), where=counts > 0)
        why = "no other explanation is within the threshold"
        return self.result(
            values, extras={"others": counts, "classes": classes}, notes=(*unsaid(counts == 0, why), *notes)
        )

    def _classes(self, trial: Trial) -> tuple[IntArray, tuple[str, ...]]:
        """Return each sample's predicted class, (n,), and what is to be said of it."""
        output: Array = trial.outputs(trial.features, np.arange(trial.n))
        if output.ndim > 2:
            raise DataInputError(
                f"sufficiency compares predicted classes, and a sample's output has the shape "
                f"{output.shape[1:]}; name an output with a number for each class (output=...)"
            )
        rows = output.reshape(trial.n, -1)
        if rows.shape[1] > 1:
            return rows.argmax(1), ()
        told = (
            f"the output is one number: above {self.boundary:g} it is taken for one class, else for another"
        )
        return (rows[:, 0] > self.boundary).astype(np.int64), (told,)
