"""Bounding boxes as ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from onnxplain._types import Array
from onnxplain.errors import DataInputError
from onnxplain.features.boxes import corners
from onnxplain.inputs import as_array
from onnxplain.options import check_option

__all__ = ["boxes_to_masks"]

_Form = Literal["xyxy", "yxyx", "cxcywh"]


def boxes_to_masks(boxes: Any, size: Sequence[int], *, coordinates: _Form = "xyxy") -> Array:
    """Return masks of what lies in boxes, bool (N, H, W), for ``masks=`` of metrics.

    A pixel lies in a box if its centre does: ``(0, 0, 2, 1)`` holds the first two pixels of the first row.

    Parameters
    ----------
    boxes
        (N, 4), a box for each sample; or for each sample several, (N, B, 4), or a list of (B, 4); none, (0,
        4), is an empty mask.  In pixels.
    size
        (H, W)
    coordinates
        How boxes are written: two corners, ``"xyxy"`` or ``"yxyx"``, or centre and size, ``"cxcywh"``.

    Raises
    ------
    DataInputError
        If boxes are no boxes, or hold no pixel.
    """
    coordinates = check_option("coordinates", coordinates, _Form)
    high, wide = check_option("size", tuple(size), tuple[int, int])
    given = [as_array(b, f"the boxes of sample {n}") for n, b in enumerate(boxes)]
    masks = np.zeros((len(given), high, wide), bool)
    y, x = np.arange(high) + 0.5, np.arange(wide) + 0.5
    for n, own in enumerate(given):
        own = own[None] if own.ndim == 1 and own.size == 4 else own
        if own.ndim != 2 or (own.size and own.shape[1] != 4) or own.dtype.kind not in "fiu":
            raise DataInputError(
                f"the boxes of sample {n} have shape {given[n].shape} and dtype {own.dtype}; give four "
                "numbers, or such by rows"
            )
        for x1, y1, x2, y2 in corners(own.astype(np.float64).reshape(-1, 4), coordinates):
            inside = ((y >= y1) & (y < y2))[:, None] & ((x >= x1) & (x < x2))
            if not inside.any():
                raise DataInputError(
                    f"the box from ({x1:g}, {y1:g}) to ({x2:g}, {y2:g}) of sample {n} holds no pixel of "
                    f"{high} rows and {wide} columns; give boxes in pixels, {coordinates}"
                )
            masks[n] |= inside
    return masks
