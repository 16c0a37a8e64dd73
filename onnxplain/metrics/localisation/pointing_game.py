"""The pointing game (Zhang et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from onnxplain._types import Array
from onnxplain.metrics.localisation.truth import Localisation
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial
from onnxplain.options import Weight

__all__ = ["PointingGame"]


@dataclass(frozen=True)
class PointingGame(Localisation):
    """Whether the largest attribution lies in the mask (Zhang et al. 2018).

    A hit is 1, a miss 0; the mean over samples is the game's accuracy, ``hits / (hits + misses)``.

    Parameters
    ----------
    tolerance
        How far beside the mask a hit may lie: the Euclidean distance in elements (pixels).  Zhang et al.
        allow 15, in photographs.
    ties
        What several equal largest attributions are: ``"share"``, the share of them that lies in the mask, so
        that a constant explanation is worth what a random one is; or ``"any"``, a hit if any of them does, as
        in Quantus, so that the more an explanation marks alike, the better.
    weighted
        Whether a hit is worth less where the mask is large: 1 less the mask's share of all elements.
    channels, absolute, normalise
        See :class:`~onnxplain.metrics.pooling.Pooled`.
    """

    name: ClassVar[str] = "pointing_game"

    tolerance: Weight = 0.0
    ties: Literal["share", "any"] = "share"
    weighted: bool = False

    def measure(self, trial: Trial) -> Measured:
        """Look where the largest attributions lie."""
        values, masks = trial.flat, trial.flat_masks
        top = values == values.max(1, keepdims=True)
        hit = top & self._near(trial)
        found = hit.any(1) if self.ties == "any" else hit.sum(1) / top.sum(1)
        if self.weighted:
            found = found * (1 - masks.mean(1))
        return self.said(found.astype(np.float64), masks)

    def _near(self, trial: Trial) -> Array:
        """Return the masks with what is near enough."""
        if not self.tolerance:
            return trial.flat_masks
        assert trial.masks is not None  # needs
        wide = {k: np.array([_grown(m, self.tolerance) for m in v]) for k, v in trial.masks.items()}
        return replace(trial, masks=wide).flat_masks


def _grown(mask: Array, distance: float) -> Array:
    from scipy.ndimage import distance_transform_edt

    if not mask.any():
        return mask
    near: Array = distance_transform_edt(~mask) <= distance
    return near
