"""The inside-total relevance ratio (Kohlbrenner et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from onnxplain.metrics.localisation.truth import NO_MASS, Localisation, mass_inside
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial
from onnxplain.options import Share

__all__ = ["AttributionLocalisation"]


@dataclass(frozen=True)
class AttributionLocalisation(Localisation):
    """The share of all attributions that lies inside an object's box or mask (Kohlbrenner et al. 2020).

    The inside-total relevance ratio ``mu = R_in / R_tot``; weighted, ``mu S_tot / S_in``, with the numbers of
    elements, of which 1 is chance and which has no upper end.

    Parameters
    ----------
    weighted
        Whether to divide by the mask's share of all elements.
    max_size
        The largest share of all elements that a mask may have; nothing is said of samples with larger
        ones, whose ratio is high anyway.
    positive_attributions
        Whether negative attributions count as 0, as in the paper; of account with ``absolute=False`` only.
    absolute
        Whether attributions count by their magnitudes, as they do unless told otherwise.  With neither this
        nor ``positive_attributions``, the sum of all may be small and the value anything.
    channels, normalise
        See :class:`~onnxplain.metrics.pooling.Pooled`.
    """

    name: ClassVar[str] = "attribution_localisation"

    weighted: bool = False
    max_size: Share = 1.0
    positive_attributions: bool = False
    absolute: bool = field(default=True, kw_only=True)

    def measure(self, trial: Trial) -> Measured:
        """Sum."""
        masks = trial.flat_masks
        values = np.maximum(trial.flat, 0) if self.positive_attributions else trial.flat
        found, nothing = mass_inside(values, masks)
        share = masks.mean(1)
        if self.weighted:
            found = found / np.where(share > 0, share, 1)
        large = f"the mask has more than the share max_size={self.max_size:g} of all elements"
        too_large = share > self.max_size
        return self.said(found, masks, {large: too_large, NO_MASS: nothing & ~too_large})
