"""Dummy: sensitivity (b) of Sundararajan et al. (2017)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from onnxplain._types import Array, Arrays
from onnxplain.metrics.axioms.changed import changed, explained, largest, refuse_inner, refuse_masks
from onnxplain.metrics.axioms.entrances import widened
from onnxplain.metrics.base import Metric, Need
from onnxplain.metrics.result import Measured
from onnxplain.metrics.trial import Trial, by_feature
from onnxplain.options import Count

__all__ = ["Dummy"]


@dataclass(frozen=True)
class Dummy(Metric):
    """How much elements get that the model provably does not use (dummy; Sundararajan et al. 2017).

    The model is given inputs that are longer along their last axis (that of the samples apart), and cuts off
    what is new before anything else.  What stands there are copies of the elements beside it.  The value is
    the largest attribution among these elements, relative to the largest of all: they should get nothing.

    Parameters
    ----------
    width
        By how many elements that axis is longer.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`; neither changes anything here.
    """

    name: ClassVar[str] = "dummy"
    higher_is_better: ClassVar[bool | None] = False
    needs: ClassVar[tuple[Need, ...]] = ("method",)
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    width: Count = 1

    def measure(self, trial: Trial) -> Measured:
        """Explain the model of longer inputs."""
        refuse_inner(trial)
        refuse_masks(trial, self.name)
        lie = trial.posed.samples.layout.axes
        axes = {k: -2 if lie[k] == v.ndim - 1 else -1 for k, v in trial.features.items() if v.ndim > 1}
        if not axes:
            note = "each input is one number, beside which there is no room"
            return self.result(np.full(trial.n, np.nan), notes=(note,))
        points: Arrays = {k: self._longer(v) if k in axes else v for k, v in trial.features.items()}
        key = ("widened", self.width, *axes.items())
        other = changed(trial.explainer, key, partial(widened, axes=axes, width=self.width))
        assert other is not None
        found = by_feature(explained(trial, other, points))
        idle = largest({k: found[k][..., -self.width :] for k in axes})
        all_of_them = largest(found)
        return self.result(idle / np.where(all_of_them > 0, all_of_them, 1.0))

    def _longer(self, array: Array) -> Array:
        length = array.shape[-1]
        places = np.arange(length - self.width, length) % max(length, 1)
        return np.concatenate([array, array[..., places]], axis=-1)
