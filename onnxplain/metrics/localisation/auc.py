"""The area under the ROC curve (Fawcett 2006)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from onnxplain._types import Array, FloatArray
from onnxplain.metrics.localisation.truth import Localisation
from onnxplain.metrics.result import Curve, Measured
from onnxplain.metrics.trial import Trial

__all__ = ["AUC"]

_AT = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class AUC(Localisation):
    """The area under the ROC curve of attributions as scores of what lies in the mask (Fawcett 2006).

    It is the probability that an element inside the mask has a larger attribution than one outside, ties
    counted by half: 0.5 for random and constant explanations.  The curve ``"roc"`` is the rate of true
    positives at 101 rates of false ones.

    Parameters
    ----------
    channels, absolute, normalise
        See :class:`~onnxplain.metrics.pooling.Pooled`.
    """

    name: ClassVar[str] = "auc"

    def measure(self, trial: Trial) -> Measured:
        """Walk along the curve."""
        values, masks = trial.flat, trial.flat_masks
        full = np.asarray(masks.all(1))
        areas, rates = np.full(len(values), np.nan), np.full((len(values), len(_AT)), np.nan)
        for n in np.flatnonzero(masks.any(1) & ~full):
            areas[n], rates[n] = _roc(values[n], masks[n])
        curve = Curve(_AT, rates, "rate of false positives", "rate of true positives")
        silent = {"the mask holds all elements, so that there is nothing to tell it from": full}
        return self.said(areas, masks, silent, curves={"roc": curve})


def _roc(values: FloatArray, mask: Array) -> tuple[float, FloatArray]:
    """Return the area of one sample, and the curve."""
    order = np.argsort(-values, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(values[order])), len(order) - 1)  # of runs of equal ones
    true = np.append(0, np.cumsum(mask[order])[ends])
    false = np.append(0, ends + 1 - true[1:])
    true, false = true / true[-1], false / false[-1]
    before = np.searchsorted(false, _AT + 1e-12, side="right") - 1
    after = np.minimum(before + 1, len(false) - 1)
    length = false[after] - false[before]
    share = np.clip((_AT - false[before]) / np.where(length > 0, length, 1), 0, 1)
    rates = true[before] + share * (true[after] - true[before])
    return float(np.sum(np.diff(false) * (true[1:] + true[:-1]) / 2)), rates
