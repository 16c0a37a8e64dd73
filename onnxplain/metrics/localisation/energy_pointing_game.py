"""The energy-based pointing game (Wang et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain.metrics.localisation.truth import NO_MASS, Localisation, mass_inside
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial

__all__ = ["EnergyPointingGame"]


@dataclass(frozen=True)
class EnergyPointingGame(Localisation):
    """The share of a map's energy that lies inside an object's box (Wang et al. 2020, Score-CAM).

    ``sum_{i in box} L_i / sum_i L_i``, with ``L = max(R, 0)`` less its least value: maps go from 0 to 1 in
    the paper.

    Parameters
    ----------
    from_minimum
        Whether to take the least value off.  Without it this is ``relevance_mass_accuracy``.
    channels, absolute, normalise
        See :class:`~onnxplain.metrics.pooling.Pooled`.
    """

    name: ClassVar[str] = "energy_pointing_game"

    from_minimum: bool = True

    def measure(self, trial: Trial) -> Measured:
        """Sum."""
        energy = np.maximum(trial.flat, 0)
        if self.from_minimum:
            energy -= energy.min(1, keepdims=True)
        found, nothing = mass_inside(energy, trial.flat_masks)
        return self.said(found, trial.flat_masks, {NO_MASS: nothing})
