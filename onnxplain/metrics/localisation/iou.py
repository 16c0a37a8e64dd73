"""Intersection over union with the ground truth, at thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from onnxplain._types import Array, FloatArray
from onnxplain.metrics.localisation.truth import Localisation
from onnxplain.metrics.result import Curve, Measured
from onnxplain.metrics.trial import Trial
from onnxplain.options import Count

__all__ = ["IoU"]

_Threshold = Annotated[float, Field(gt=0, le=1, description="a number above 0, at most 1")]


@dataclass(frozen=True)
class IoU(Localisation):
    """Intersection over union of the mask and of where attributions are large.

    ``|A and M| / |A or M|``, with A where the attributions reach a threshold.  The curve ``"iou"`` goes over
    all thresholds; ``extras`` hold each sample's ``"best"`` and ``"best_threshold"`` on it.

    Parameters
    ----------
    threshold
        The threshold; or ``"best"``, the best of the curve for each sample (which knows the mask: an upper
        end); or ``"mean"``, over the curve.
    by
        What the threshold is a part of: ``"maximum"``, of the sample's largest attribution (0.2 is that of
        Zhou et al. 2016), where only positive attributions count; or ``"share"``, of all elements: so many of
        the largest attributions, and those that equal the least of them.
    n_thresholds
        Number of thresholds of the curve, ``1/n`` to 1.
    channels, absolute, normalise
        See :class:`~onnxplain.metrics.pooling.Pooled`.
    """

    name: ClassVar[str] = "iou"

    threshold: _Threshold | Literal["best", "mean"] = 0.2
    by: Literal["maximum", "share"] = "maximum"
    n_thresholds: Count = 20

    def measure(self, trial: Trial) -> Measured:
        """Cut at all thresholds."""
        values, masks = trial.flat, trial.flat_masks
        thresholds = np.arange(1, self.n_thresholds + 1) / self.n_thresholds
        curve = self._at(values, masks, thresholds)
        best, place = curve.max(1), curve.argmax(1)
        if self.threshold == "best":
            found = best
        elif self.threshold == "mean":
            found = curve.mean(1)
        else:
            found = self._at(values, masks, np.array([self.threshold]))[:, 0]
        curves = {"iou": Curve(thresholds, curve, _ALONG[self.by], "IoU")}
        return self.said(
            found, masks, curves=curves, extras={"best": best, "best_threshold": thresholds[place]}
        )

    def _at(self, values: FloatArray, masks: Array, thresholds: FloatArray) -> FloatArray:
        """Return the IoU at thresholds, (n, K)."""
        ordered = np.sort(values, axis=1)
        largest, width = ordered[:, -1:], values.shape[1]
        sizes, made = masks.sum(1), np.empty((len(values), len(thresholds)))
        for k, threshold in enumerate(thresholds):
            if self.by == "share":
                there = values >= ordered[:, width - max(1, round(threshold * width)), None]
            else:
                there = (values >= threshold * largest * _JUST) & (values > 0)
            common = (there & masks).sum(1)
            made[:, k] = common / np.maximum(sizes + there.sum(1) - common, 1)
        return made


#: What reaches a threshold does so whatever the last bits say, as they change with the unit.
_JUST = 1 - 1e-12

_ALONG = {"maximum": "share of the largest attribution", "share": "share of the elements"}
