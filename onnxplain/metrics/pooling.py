"""Attributions of places: what the channels of an image become together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np

from onnxplain._types import Array, FloatArray
from onnxplain.errors import DataInputError
from onnxplain.metrics.base import Metric
from onnxplain.metrics.channels import channel
from onnxplain.metrics.trial import Trial

__all__ = ["Channels", "Pooled"]

#: What the attributions of a place's channels become.
Channels: TypeAlias = Literal["sum", "l1", "l2", "max", "each"]

_POOLS: Mapping[str, Callable[[FloatArray, int], FloatArray]] = {
    "sum": lambda v, axis: v.sum(axis, keepdims=True),
    "l1": lambda v, axis: np.abs(v).sum(axis, keepdims=True),
    "l2": lambda v, axis: np.sqrt(np.square(v).sum(axis, keepdims=True)),
    "max": lambda v, axis: np.abs(v).max(axis, keepdims=True),
}


@dataclass(frozen=True)
class Pooled(Metric):
    """A metric that looks at places: the channels of an image (or a volume) are put together first.

    Only then are magnitudes taken (``absolute``), and is divided by the largest (``normalise``).

    Parameters
    ----------
    channels
        What the attributions of a place's channels become: their ``"sum"``; the sum of their magnitudes,
        ``"l1"``; their Euclidean norm, ``"l2"``; the largest magnitude, ``"max"``; or nothing, so that each
        channel of each place is an element by itself, ``"each"``.  Of no account where there are no channels,
        as in tables and texts.
    absolute, normalise
        See :class:`~onnxplain.metrics.Metric`.
    """

    channels: Channels = field(default="sum", kw_only=True)

    def prepared(self, trial: Trial) -> Trial:
        """Return the trial with attributions, and the ground truth, of places."""
        if self.channels == "each":
            return super().prepared(trial)
        values, masks = dict(trial.values), None if trial.masks is None else dict(trial.masks)
        for name, array in trial.values.items():
            axis = channel(trial.problem, name)
            if axis is None:
                continue
            values[name] = _POOLS[self.channels](array, axis)
            if masks is not None:
                masks[name] = _of_places(masks[name], axis, name)
        return super().prepared(replace(trial, values=values, masks=masks))


def _of_places(mask: Array, axis: int, name: str) -> Array:
    found = np.asarray(mask.any(axis, keepdims=True))
    if (mask.all(axis, keepdims=True) != found).any():
        raise DataInputError(
            f"the masks of '{name}' differ between channels, and attributions of a place's channels are put "
            "together; give channels='each', or masks without channels"
        )
    return found
