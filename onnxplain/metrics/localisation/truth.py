"""What all metrics of localisation share: the ground truth, and what it says nothing of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from onnxplain._types import Array, FloatArray
from onnxplain.metrics.base import Need
from onnxplain.metrics.notes import unsaid
from onnxplain.metrics.pooling import Pooled
from onnxplain.metrics.result import Measured

__all__ = ["NO_MASS", "Localisation", "hits", "mass_inside"]

#: Why a share of a sum says nothing.
NO_MASS = "no attribution there is that counts, so that there is nothing to take a share of"


@dataclass(frozen=True)
class Localisation(Pooled):
    """A metric that compares attributions with the ground truth.

    Parameters
    ----------
    channels
        See :class:`~onnxplain.metrics.pooling.Pooled`.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`.
    """

    higher_is_better: ClassVar[bool | None] = True
    needs: ClassVar[tuple[Need, ...]] = ("masks",)
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def said(
        self, values: FloatArray, masks: Array, silent: Mapping[str, Array] | None = None, **besides: Any
    ) -> Measured:
        """Return what was measured, NaN where the metric says nothing.

        Parameters
        ----------
        values
            (n,)
        masks
            Bool (n, D): the ground truth; nothing is said where it is empty.
        silent
            By reason, bool (n,): of which samples nothing is said besides.
        **besides
            Curves and extras.
        """
        empty = ~np.asarray(masks.any(1))
        reasons: dict[str, Array] = {"the mask is empty": empty} | {
            k: v & ~empty for k, v in (silent or {}).items()
        }
        notes = tuple(note for why, where in reasons.items() for note in unsaid(where, why))
        nothing = np.any(list(reasons.values()), axis=0)
        return self.result(np.where(nothing, np.nan, values), notes=notes, **besides)


def hits(values: FloatArray, masks: Array, counts: FloatArray) -> FloatArray:
    """Return how many of the largest attributions lie in the mask, (n,).

    Where equal attributions straddle the limit, they share the places that are left: it is the mean over all
    ways to break the tie.

    Parameters
    ----------
    values, masks
        (n, D)
    counts
        (n,): how many are the largest; at most D.
    """
    width = values.shape[1]
    ordered = np.sort(values, axis=1)
    places = np.clip(width - counts.astype(np.int64), 0, width - 1)
    least = np.take_along_axis(ordered, places[:, None], axis=1)
    above, equal = values > least, values == least
    left = counts - above.sum(1)
    found: FloatArray = (above & masks).sum(1) + left * (equal & masks).sum(1) / equal.sum(1)
    return np.where(counts > 0, found, 0.0)


def mass_inside(values: FloatArray, masks: Array) -> tuple[FloatArray, Array]:
    """Return the share of each sample's sum that lies in the mask, and where the sum is 0."""
    scale = np.abs(values).max(1, initial=0, keepdims=True)
    values = values / np.where(scale > 0, scale, 1)  # sums of the smallest and largest floats, too
    total = values.sum(1)
    inside: FloatArray = np.where(masks, values, 0).sum(1)
    return inside / np.where(total == 0, 1, total), total == 0
