"""What Resize does along one axis, as a matrix: as onnxruntime counts, in whole elements of the result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from onnxplain._types import FloatArray

__all__ = ["resampling", "undecided"]

#: How near the middle of two elements is too near to say which is taken, relative to the place.
_NEAR = 1e-5


def resampling(before: int, after: int, scale: float, attributes: Mapping[str, Any]) -> FloatArray | None:
    """Return what each new place takes from each old one.

    Parameters
    ----------
    before, after
        Lengths of the axis.
    scale
        The factor by which places are counted, near ``after / before``.
    attributes
        Those of the Resize node.

    Returns
    -------
    array
        (after, before), float64; None for what has no such matrix here: antialiasing, crops.
    """
    how = attributes.get("coordinate_transformation_mode") or "half_pixel"
    if attributes.get("antialias") or how == "tf_crop_and_resize":
        return None
    # where two elements are equally near, onnxruntime's float32 decides
    number = np.float64 if _nearest(attributes) is None else np.float32
    at = _places(how, before, after, number(scale)).astype(np.float64)
    offsets, weights = _taps(at, attributes)
    cut = bool(attributes.get("exclude_outside")) and attributes.get("mode") == "cubic"
    made: FloatArray = np.zeros((after, before))
    for offset, weight in zip(offsets, weights, strict=True):
        inside = (offset >= 0) & (offset < before)
        where = np.arange(after), np.clip(offset, 0, before - 1).astype(np.int64)
        np.add.at(made, where, np.where(inside | (not cut), weight, 0))
    return np.asarray(made / made.sum(1, keepdims=True))


def undecided(before: int, after: int, scale: float, attributes: Mapping[str, Any]) -> bool:
    """Tell whether it is for rounding errors to say which of two elements is copied somewhere.

    Parameters
    ----------
    before, after, scale, attributes
        See :func:`resampling`.
    """
    rounding = _nearest(attributes)
    if rounding is None:
        return False
    how = attributes.get("coordinate_transformation_mode") or "half_pixel"
    at = _places(how, before, after, np.float64(np.float32(scale)))
    from_middle = at - 0.5 if rounding.startswith("round") else at
    off = np.abs(from_middle - np.round(from_middle))
    exact = (off == 0) & (how != "half_pixel_symmetric")  # that one is computed in several roundings
    return bool((~exact & (off < _NEAR * (1 + np.abs(at)))).any())


def _nearest(attributes: Mapping[str, Any]) -> str | None:
    """Return how places are rounded; None where elements are averaged."""
    if (attributes.get("mode") or "nearest") != "nearest":
        return None
    rounding: str = attributes.get("nearest_mode") or "round_prefer_floor"
    return rounding


def _places(how: str, before: int, after: int, scale: np.floating[Any]) -> FloatArray:
    """Return where each new element lies among the old ones, computed in the scale's precision."""
    i = np.arange(after, dtype=scale.dtype)
    if how == "align_corners":
        return np.asarray(i * (before - 1) / max(after - 1, 1))
    if how == "asymmetric":
        return np.asarray(i / scale)
    if how == "pytorch_half_pixel" and after == 1:
        return np.zeros(1)
    at = (i + 0.5) / scale - 0.5
    return np.asarray(
        at + before / 2 * (1 - after / (scale * before)) if how == "half_pixel_symmetric" else at
    )


def _taps(at: FloatArray, attributes: Mapping[str, Any]) -> tuple[list[FloatArray], list[FloatArray]]:
    """Return which old elements are read for each place, and with which weights."""
    low: FloatArray = np.floor(at)
    rounding = _nearest(attributes)
    if rounding is not None:
        nearest = {
            "floor": low,
            "ceil": np.ceil(at),
            "round_prefer_floor": np.ceil(at - 0.5),
            "round_prefer_ceil": np.floor(at + 0.5),
        }
        whole: FloatArray = np.ones(len(at))
        return [np.asarray(nearest[rounding])], [whole]
    f = at - low
    if attributes.get("mode") == "linear":
        return [low, np.asarray(low + 1)], [np.asarray(1 - f), f]
    given = attributes.get("cubic_coeff_a")
    a, b = -0.75 if given is None else float(given), 1 - f
    weights: list[FloatArray] = [
        a * f * b * b,
        np.asarray(((a + 2) * f - (a + 3)) * f * f + 1),
        np.asarray(((a + 2) * b - (a + 3)) * b * b + 1),
        a * b * f * f,
    ]
    return [low - 1, low, low + 1, low + 2], weights
