"""Pixel flipping (Bach et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onnxplain.metrics.base import Metric
from onnxplain.metrics.orders import area, gone_after, nobody, ranks, way
from onnxplain.metrics.result import Curve, Measured
from onnxplain.metrics.trial import Trial
from onnxplain.options import Count

__all__ = ["PixelFlipping"]


@dataclass(frozen=True)
class PixelFlipping(Metric):
    """The score while features are taken away, those of the highest attribution first (Bach et al. 2015).

    With ``x_k`` the sample without its first k features, the curve is ``S(x_k)``, and the value its mean over
    the way, by the trapezoidal rule.  A faithful explanation makes it fall early.

    Features are elements, channels apart, as Quantus has it; ``feature_mask="pixels"`` takes channels
    together.  Quantus's curve begins behind the first step, and its area is the sum over steps of width 1.

    Parameters
    ----------
    features_in_step
        How many features are taken away at once.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`.
    """

    name: ClassVar[str] = "pixel_flipping"
    higher_is_better: ClassVar[bool | None] = False
    removes: ClassVar[bool] = True

    features_in_step: Count = 1

    def measure(self, trial: Trial) -> Measured:
        """Take features away in order."""
        counts, at = way(trial, in_step=self.features_in_step)
        scores = gone_after(trial, ranks(trial), counts)
        return self.result(area(at, scores), curves={"flipping": Curve(at, scores)}, notes=nobody(trial))
