"""Attributions and masks that users give, laid out beside the features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from onnxplain._types import Array, FloatArray
from onnxplain.answering import Posed
from onnxplain.baselines import by_input
from onnxplain.errors import DataInputError
from onnxplain.inputs import as_array
from onnxplain.metrics.channels import channel
from onnxplain.runtime.axes import first

__all__ = ["laid_out_masks", "laid_out_values"]


def laid_out_values(given: Any, posed: Posed) -> dict[str, FloatArray]:
    """Return ready attributions, float64 (n, ...) by feature.

    Raises
    ------
    DataInputError
        If they do not fit, are no numbers, or are not finite.
    """
    made: dict[str, FloatArray] = {}
    for name, array in _by_feature(given, posed, "attributions").items():
        if array.dtype.kind not in "fiub":
            raise DataInputError(f"the attributions of '{name}' must be numbers, not {array.dtype}")
        if not np.isfinite(array).all():
            raise DataInputError(
                f"the attributions of '{name}' hold NaN or infinite numbers; give finite ones"
            )
        made[name] = array.astype(np.float64)
    return made


def laid_out_masks(given: Any, posed: Posed) -> dict[str, Array]:
    """Return ground truth, bool (n, ...) by feature; numbers above 0 count as True.

    Raises
    ------
    DataInputError
        If masks do not fit, or are no numbers.
    """
    made: dict[str, Array] = {}
    for name, array in _by_feature(given, posed, "masks").items():
        if array.dtype.kind not in "fiub":
            raise DataInputError(f"the masks of '{name}' must be booleans or numbers, not {array.dtype}")
        if np.isnan(array).any():
            raise DataInputError(f"the masks of '{name}' hold NaN; give True where something should be found")
        made[name] = array > 0
    return made


def _by_feature(given: Any, posed: Posed, what: str) -> dict[str, Array]:
    """Return arrays that broadcast to the features, samples first."""
    features, axes = posed.problem.features, posed.samples.layout.axes
    named = given if isinstance(given, Mapping) else by_input(given, posed.samples.infos, what)
    missing = [k for k in features if k not in named]
    if missing:
        raise DataInputError(
            f"{what} are given of {', '.join(map(repr, named))}, and not of '{missing[0]}'; give those of "
            "all explained inputs by name, or name the explained ones with wrt="
        )
    made: dict[str, Array] = {}
    for name, feature in features.items():
        of = f"the {what} of '{name}'"
        made[name] = _fitted(as_array(named[name], of), feature, axes[name], channel(posed.problem, name), of)
    return made


def _fitted(array: Array, feature: Array, axis: int | None, channels: int | None, what: str) -> Array:
    n, shape = len(feature), feature.shape
    if array.ndim == feature.ndim - (axis is None):
        array = first(array, axis)
    elif array.ndim == feature.ndim - 1 and len(array) == n and channels is not None:  # maps of places
        array = np.expand_dims(array, channels)
    elif array.ndim == 1 and shape == (n, 1):  # a column of a table
        array = array[:, None]
    fits = array.ndim == feature.ndim and len(array) == n
    try:
        full = np.broadcast_to(array, shape) if fits else None
    except ValueError:
        full = None
    if full is None:
        raise DataInputError(
            f"{what} have shape {array.shape}, and the samples {shape}; give one number for each element (or "
            "each place of an image), for each sample"
        )
    return full
