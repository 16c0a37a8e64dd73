"""Attributions as shares of what there is of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from onnxplain._types import Array, FloatArray
from onnxplain.errors import MethodError
from onnxplain.metrics.notes import unsaid
from onnxplain.metrics.pooling import Pooled
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial

__all__ = ["Shares"]


@dataclass(frozen=True)
class Shares(Pooled):
    """A metric of how the sum of all magnitudes is distributed over the elements.

    Parameters
    ----------
    absolute
        Cannot be False.
    channels, normalise
        See :class:`~onnxplain.metrics.pooling.Pooled`.
    """

    absolute: bool = field(default=True, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.absolute:
            raise MethodError(
                f"the metric '{self.name}' looks at magnitudes, and makes no sense of negative "
                "attributions; leave absolute=True"
            )

    def shares(self, trial: Trial) -> tuple[FloatArray, Array]:
        """Return each element's share of its sample's sum, (n, D), and where all are 0 and have none."""
        values = trial.flat
        largest = values.max(1, initial=0, keepdims=True)
        values = values / np.where(largest > 0, largest, 1)
        total = values.sum(1, keepdims=True)
        return values / np.where(total > 0, total, 1), largest[:, 0] == 0

    def said(self, values: FloatArray, nothing: Array) -> Measured:
        """Return what was measured; NaN where all attributions are 0."""
        return self.result(np.where(nothing, np.nan, values), notes=unsaid(nothing, "all attributions are 0"))
