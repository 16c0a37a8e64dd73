"""Boxes with scores, as detectors give them, read from their outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from onnxplain._types import Array, FloatArray, IntArray

__all__ = ["Boxes", "Reader", "corners", "shares"]


@dataclass(frozen=True, eq=False)
class Boxes:
    """What a detector says, of n samples.

    Attributes
    ----------
    corners
        float64 (n, B, 4): ``(x1, y1, x2, y2)``.
    scores
        float64 (n, B, C): of the classes.
    objectness
        float64 (n, B): how sure it is that there is anything; 1 where it does not say.
    """

    corners: FloatArray
    scores: FloatArray
    objectness: FloatArray


@dataclass(frozen=True, eq=False)
class Reader:
    """How to read a detector's outputs, and which of its boxes is explained.

    Attributes
    ----------
    scores, boxes
        Names of the outputs; the same where boxes are columns beside the scores.
    classes, along
        Axes of one sample's scores along which classes (or columns) and boxes lie; None where there is one.
    coordinates
        How boxes are written: ``"xyxy"``, ``"yxyx"`` or ``"cxcywh"``.
    objectness
        Whether the fifth column is how sure the detector is.
    wanted, class_
        (N, 4) and (N,): the explained box and class of each sample of the call.
    iou
        Least intersection over union of boxes that are taken for it.
    """

    scores: str
    boxes: str
    classes: int | None
    along: int | None
    coordinates: str
    objectness: bool
    wanted: FloatArray
    class_: IntArray
    iou: float

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the outputs to read."""
        return tuple(dict.fromkeys((self.scores, self.boxes)))

    def read(self, outputs: Mapping[str, Array]) -> Boxes:
        """Read outputs, (n, ...) by name."""
        held = outputs[self.scores].astype(np.float64)
        wide = held[..., None] if self.classes is None else np.moveaxis(held, self.classes + 1, -1)
        flat = wide.reshape(len(held), -1, wide.shape[-1])
        sure = np.ones(flat.shape[:2])
        if self.boxes != self.scores:
            there = outputs[self.boxes].astype(np.float64).reshape(len(held), -1, 4)
            return Boxes(corners(there, self.coordinates), flat, sure)
        first = 5 if self.objectness else 4
        if self.objectness:
            sure = flat[..., 4]
        return Boxes(corners(flat[..., :4], self.coordinates), flat[..., first:], sure)


def corners(boxes: FloatArray, form: str) -> FloatArray:
    """Return boxes, (..., 4), as (x1, y1, x2, y2)."""
    if form == "yxyx":
        return boxes[..., [1, 0, 3, 2]]
    if form == "cxcywh":
        centre, half = boxes[..., :2], boxes[..., 2:] / 2
        return np.concatenate([centre - half, centre + half], -1)
    return boxes


def shares(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return intersection over union of boxes, (..., 4); 0 for what is no box."""
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    common = sides.clip(0).prod(-1)
    total = sum((box[..., 2:] - box[..., :2]).clip(0).prod(-1) for box in (a, b)) - common
    good = np.isfinite(a).all(-1) & (total > 0)
    return np.where(good, common, 0) / np.where(good, total, 1)
