"""Focus (Arias-Duart et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain.metrics.localisation.truth import NO_MASS, Localisation, mass_inside
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial

__all__ = ["Focus"]


@dataclass(frozen=True)
class Focus(Localisation):
    """The share of positive attributions on the target class, in mosaics (Arias-Duart et al. 2021).

    A mosaic holds four images, two of the target class and two of others; ``R_target / R_all`` is 0.5 for an
    explanation that is blind to classes.  :func:`~onnxplain.metrics.mosaics` makes mosaics with their masks
    and targets.

    Parameters
    ----------
    channels, absolute, normalise
        See :class:`~onnxplain.metrics.pooling.Pooled`.
    """

    name: ClassVar[str] = "focus"

    def measure(self, trial: Trial) -> Measured:
        """Sum."""
        found, nothing = mass_inside(np.maximum(trial.flat, 0), trial.flat_masks)
        return self.said(found, trial.flat_masks, {NO_MASS: nothing})
