"""Complexity (Bhatt et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from scipy.special import entr

from onnxplain.metrics.complexity.shares import Shares
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial

__all__ = ["Complexity"]


@dataclass(frozen=True)
class Complexity(Shares):
    """The entropy of the attributions' magnitudes as shares of their sum (Bhatt et al. 2020).

    ``-sum_i p_i ln p_i`` with ``p_i = |a_i| / sum_j |a_j|``, in nats: 0 where all but one are 0, ``ln D``
    where all D are equal.

    Parameters
    ----------
    channels
        See :class:`~onnxplain.metrics.pooling.Pooled`.
    absolute
        Cannot be False: shares are of magnitudes.
    normalise
        Of no account.
    """

    name: ClassVar[str] = "complexity"
    higher_is_better: ClassVar[bool | None] = False
    range: ClassVar[tuple[float, float]] = (0.0, float("inf"))

    absolute: bool = field(default=True, kw_only=True)

    def measure(self, trial: Trial) -> Measured:
        """Sum."""
        shares, nothing = self.shares(trial)
        return self.said(entr(shares).sum(1), nothing)
