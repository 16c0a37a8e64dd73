"""Effective complexity (Nguyen & Martínez 2020)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from onnxplain.metrics.pooling import Pooled
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial
from onnxplain.options import Weight

__all__ = ["EffectiveComplexity"]


@dataclass(frozen=True)
class EffectiveComplexity(Pooled):
    """How many attributions are larger than a threshold (after Nguyen & Martínez 2020, as Quantus has it).

    ``|{i: |a_i| > eps}|``, where the largest magnitude of a sample is 1.

    Parameters
    ----------
    eps
        The threshold; as a part of the sample's largest magnitude, unless ``normalise=False``.
    channels
        See :class:`~onnxplain.metrics.pooling.Pooled`.
    absolute
        Whether magnitudes count, as they do unless told otherwise; negative attributions never count without.
    normalise
        Whether attributions are divided by the sample's largest magnitude, as they are unless told otherwise.
    """

    name: ClassVar[str] = "effective_complexity"
    higher_is_better: ClassVar[bool | None] = False
    range: ClassVar[tuple[float, float]] = (0.0, float("inf"))

    eps: Weight = 1e-5
    absolute: bool = field(default=True, kw_only=True)
    normalise: bool = field(default=True, kw_only=True)

    def measure(self, trial: Trial) -> Measured:
        """Count."""
        return self.result((trial.flat > self.eps).sum(1))
