"""Sparseness (Chalasani et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from onnxplain.metrics.complexity.shares import Shares
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial

__all__ = ["Sparseness"]


@dataclass(frozen=True)
class Sparseness(Shares):
    """The Gini index of the attributions' magnitudes (Chalasani et al. 2020).

    ``sum_k (2 k - D - 1) a_(k) / (D sum_k a_(k))``, with the D magnitudes in rising order: 0 where all are
    equal, ``1 - 1/D`` where all but one are 0.

    Parameters
    ----------
    channels
        See :class:`~onnxplain.metrics.pooling.Pooled`.
    absolute
        Cannot be False: the index is one of magnitudes.
    normalise
        Of no account.
    """

    name: ClassVar[str] = "sparseness"
    higher_is_better: ClassVar[bool | None] = True
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    absolute: bool = field(default=True, kw_only=True)

    def measure(self, trial: Trial) -> Measured:
        """Sort and sum."""
        shares, nothing = self.shares(trial)
        width = shares.shape[1]
        places = 2 * np.arange(1, width + 1) - width - 1
        found = (np.sort(shares, axis=1) * places).sum(1) / width
        return self.said(found.clip(0), nothing)
