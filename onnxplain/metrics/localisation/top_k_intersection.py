"""Top-k intersection (Theiner et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from onnxplain.errors import DataInputError
from onnxplain.metrics.localisation.truth import Localisation, hits
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial
from onnxplain.options import Count

__all__ = ["TopKIntersection"]

_Part = Annotated[float, Field(gt=0, le=1, description="a share above 0, at most 1")]


@dataclass(frozen=True)
class TopKIntersection(Localisation):
    """How many of the k largest attributions lie in the mask, as a share of k (Theiner et al. 2021).

    A random explanation is worth the mask's share of all elements; so is a constant one, for equal
    attributions share what places there are.

    Parameters
    ----------
    k
        How many: a whole number, or a share of all elements (0.05).
    concept_influence
        Whether to divide by the mask's share of all elements, so that masks of different sizes compare: 1 is
        chance, and there is no upper end.
    channels, absolute, normalise
        See :class:`~onnxplain.metrics.pooling.Pooled`.
    """

    name: ClassVar[str] = "top_k_intersection"

    k: Count | _Part = 1000
    concept_influence: bool = False

    def measure(self, trial: Trial) -> Measured:
        """Count."""
        values, masks = trial.flat, trial.flat_masks
        width = values.shape[1]
        k = max(1, round(self.k * width)) if isinstance(self.k, float) else self.k
        if k > width:
            raise DataInputError(
                f"top_k_intersection looks at the {k} largest attributions, and a sample has {width}; give a "
                "smaller k, or a share of all, such as k=0.05"
            )
        found = hits(values, masks, np.full(len(values), float(k))) / k
        if self.concept_influence:
            found = found * width / np.maximum(masks.sum(1), 1)
        return self.said(found, masks)
