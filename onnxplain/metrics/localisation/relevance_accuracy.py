"""Relevance mass and rank accuracy (Arras et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain.metrics.localisation.truth import NO_MASS, Localisation, hits, mass_inside
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial

__all__ = ["RelevanceMassAccuracy", "RelevanceRankAccuracy"]


@dataclass(frozen=True)
class RelevanceMassAccuracy(Localisation):
    """The share of the relevance that lies in the mask (Arras et al. 2021).

    ``sum_{i in mask} R_i / sum_i R_i``.  A constant explanation is worth the mask's share of all elements.

    Parameters
    ----------
    positive_attributions
        Whether negative attributions count as 0, as in the paper, where relevance is never negative.  If they
        count with their sign, as in Quantus, the sum of all may be small and the value anything.
    channels, absolute, normalise
        See :class:`~onnxplain.metrics.pooling.Pooled`.
    """

    name: ClassVar[str] = "relevance_mass_accuracy"

    positive_attributions: bool = True

    def measure(self, trial: Trial) -> Measured:
        """Sum."""
        values = np.maximum(trial.flat, 0) if self.positive_attributions else trial.flat
        found, nothing = mass_inside(values, trial.flat_masks)
        return self.said(found, trial.flat_masks, {NO_MASS: nothing})


@dataclass(frozen=True)
class RelevanceRankAccuracy(Localisation):
    """How many of the K largest attributions lie in the mask, of K elements (Arras et al. 2021): a share.

    A random explanation is worth the mask's share of all elements; so is a constant one, for equal
    attributions share what places there are.

    Parameters
    ----------
    channels, absolute, normalise
        See :class:`~onnxplain.metrics.pooling.Pooled`.
    """

    name: ClassVar[str] = "relevance_rank_accuracy"

    def measure(self, trial: Trial) -> Measured:
        """Count."""
        masks = trial.flat_masks
        sizes = masks.sum(1).astype(np.float64)
        return self.said(hits(trial.flat, masks, sizes) / np.maximum(sizes, 1), masks)
