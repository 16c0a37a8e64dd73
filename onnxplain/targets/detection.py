"""What a detector finds in a box as a target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import Field

from onnxplain._types import Array, FloatArray
from onnxplain.errors import TargetError
from onnxplain.features.boxes import Reader, corners, shares
from onnxplain.graph.interface import OutputInfo
from onnxplain.options import check_option
from onnxplain.targets.output import Output, numbers, which_class

__all__ = ["Detection"]

_Share: TypeAlias = Annotated[float, Field(gt=0, le=1, description="a number above 0, up to 1")]
_Form: TypeAlias = Literal["xyxy", "cxcywh", "yxyx"]


@dataclass(frozen=True, eq=False)
class Detection:
    """Explain a detection: the sum of a class's scores over all boxes that overlap one.

    ``S = sum_b w_b y_{b, c}``, with ``w_b = 1`` for boxes with an IoU of at least ``iou``, else 0.  Boxes are
    those at the given input, and the weights stay as they are while inputs are varied.

    Attributes
    ----------
    box
        ``(x1, y1, x2, y2)``, or (N, 4) with a box for each sample, in the units of the model's boxes.
    class_
        Index of the class, or one for each sample; None where there is only one.
    iou
        Least intersection over union.
    boxes
        Output with the model's boxes, (N, B, 4).  None: the only other one whose last axis is 4 long and that
        has as many boxes; where there is none, they are the first four columns of the explained output itself
        (as its name says, too), and classes the last: ``[B, 4 + C]`` or ``[4 + C, B]``.
    coordinates
        How the model writes boxes: two corners, ``"xyxy"`` or ``"yxyx"``, or centre and size, ``"cxcywh"``.
    objectness
        Whether the fifth column says how likely there is anything in a box, 0 to 1.  It then is its weight,
        as it is at the given input: the score is that of a detector, ``objectness * class``.
    axis
        Axis of the explained output along which classes (or columns) lie.  None: the one that is not that of
        the boxes; of columns, the shorter one.
    """

    box: Any
    class_: Any = None
    _: KW_ONLY
    iou: float = 0.5
    boxes: str | None = None
    coordinates: str = "xyxy"
    objectness: bool = False
    axis: int | None = None

    def __post_init__(self) -> None:
        for name, hint in (
            ("iou", _Share), ("boxes", str | None), ("coordinates", _Form), ("objectness", bool),
            ("axis", int | None),
        ):  # fmt: skip
            checked = check_option(f"Detection: {name}", getattr(self, name), hint, TargetError)
            object.__setattr__(self, name, checked)

    def reads(self, outputs: Sequence[OutputInfo], name: str) -> tuple[str, ...]:
        """Return which outputs may hold the boxes, beside the explained one, ``name``.

        Raises
        ------
        TargetError
            If there is no output of the name that was given.
        """
        if self.boxes == name:
            return ()
        if self.boxes is not None:
            if self.boxes not in [o.name for o in outputs]:
                listed = ", ".join(o.name for o in outputs)
                raise TargetError(f"boxes='{self.boxes}': the model has no such output; it has {listed}")
            return (self.boxes,)
        floats = [o for o in outputs if o.name != name and o.dtype is not None and o.dtype.kind == "f"]
        certain = [o.name for o in floats if o.shape and o.shape[-1] == 4]
        open_ = [o.name for o in floats if not o.shape or not isinstance(o.shape[-1], int)]
        return tuple(certain or open_)

    def weights(self, output: Output) -> Array:
        """Return weights of the output's entries, (N, ...).

        Raises
        ------
        TargetError
            If the box, the class or the option do not fit the output, or no box overlaps.
        """
        wanted = self._wanted(output.n)
        found = self._elsewhere(output)
        if found is None:
            return self._of_columns(output, wanted)
        if self.objectness:
            raise TargetError(
                f"objectness is a column beside boxes, but these are in the output '{found[0]}'; leave it out"
            )
        name, held = found
        classes, boxes = self._axes(output, held.shape[1], name)
        count = 1 if classes is None else output.each[classes]
        weights = self._overlapping(held, wanted, f"output '{name}'")
        return _placed(weights, which_class(self.class_, count, output), classes, boxes, output)

    def reader(self, output: Output) -> Reader:
        """Return how to read the detector, for methods that look at its boxes again at every point.

        Raises
        ------
        TargetError
            As :meth:`weights` does.
        """
        wanted = self._wanted(output.n).astype(np.float64)
        found = self._elsewhere(output)
        if found is None:
            classes, boxes = self._columns(output)
            name, first = output.name, 5 if self.objectness else 4
            count = output.each[classes] - first
        else:
            name, held = found
            own, boxes = self._axes(output, held.shape[1], name)
            count = 1 if own is None else output.each[own]
        along = classes if found is None else own
        chosen = which_class(self.class_, count, output)
        return Reader(
            output.name, name, along, boxes, self.coordinates, self.objectness, wanted, chosen, self.iou
        )

    def _wanted(self, n: int) -> FloatArray:
        box = numbers(self.box, "the box of a Detection").astype(np.float64)
        if box.shape not in ((4,), (n, 4)):
            raise TargetError(
                f"the box of a Detection has shape {box.shape}; give (x1, y1, x2, y2), or an array {(n, 4)} "
                "with one for each sample"
            )
        if (box[..., :2] >= box[..., 2:]).any():
            raise TargetError(
                f"the box of a Detection is empty ({box.tolist()}); give (x1, y1, x2, y2) with x1 < x2 and "
                "y1 < y2"
            )
        return np.broadcast_to(box, (n, 4))

    def _elsewhere(self, output: Output) -> tuple[str, Array] | None:
        """Return the other output that holds the boxes, and these, (N, B, 4); None if there is none."""
        found: dict[str, Array] = {}
        for name in output.others:
            held = output.rows(name)
            middle = held.shape[1:-1]
            fits = held.ndim > 1 and held.shape[-1] == 4 and math.prod(middle) == max(middle, default=1)
            if self.boxes is not None and not fits:
                raise TargetError(
                    f"output '{name}' has shape {held.shape[1:]} per sample, so it holds no boxes; these are "
                    "(B, 4)"
                )
            count = math.prod(middle)
            alike = count in output.each if count > 1 else sum(d != 1 for d in output.each) <= 1
            if fits and (alike or self.boxes is not None):
                found[name] = held.reshape(output.n, -1, 4)
        if len(found) > 1:
            raise TargetError(f"boxes may be in any of {', '.join(found)}; say in which with boxes=")
        return next(iter(found.items()), None)

    def _axes(self, output: Output, count: int, name: str) -> tuple[int | None, int | None]:
        """Return along which axes of one sample's scores classes and boxes lie."""
        each, chosen = output.each, None if self.axis is None else output.behind(self.axis)
        rest = [k for k, d in enumerate(each) if d != 1 and k != chosen]
        along = [k for k in rest if each[k] == count] if count > 1 else []
        if len(along) > 1:
            raise TargetError(
                f"{output.told}, and there are {count} boxes in '{name}'; say with axis= along which axis of "
                "the output classes lie"
            )
        boxes = along[0] if along else None
        classes = [k for k in rest if k != boxes]
        if (count > 1 and boxes is None) or len(classes) > (chosen is None):
            raise TargetError(
                f"{output.told}, and '{name}' has {count} boxes; scores of boxes are ({count}, classes), so "
                "explain another output (output=), or name the one with its boxes (boxes=)"
            )
        return (chosen if chosen is not None else classes[0] if classes else None), boxes

    def _of_columns(self, output: Output, wanted: FloatArray) -> Array:
        """Return weights for an output that holds boxes and scores in its columns."""
        columns, boxes = self._columns(output)
        first = 5 if self.objectness else 4
        count = output.each[columns] - first
        chosen = which_class(self.class_, count, output)
        held = np.moveaxis(output.rows(output.name), columns + 1, -1).reshape(output.n, -1, count + first)
        read = f"output '{output.name}', read as {held.shape[1]} boxes of {held.shape[2]} columns"
        weights = self._overlapping(held[..., :4], wanted, f"{read} (axis= says which axis these are)")
        if self.objectness:
            sure = held[..., 4]
            if (sure < 0).any() or (sure > 1).any():
                raise TargetError(
                    f"the fifth column of output '{output.name}' goes from {sure.min():.4g} to "
                    f"{sure.max():.4g}, so it is no objectness from 0 to 1; leave objectness out if classes "
                    "begin there, or export the model with a sigmoid"
                )
            weights = weights * sure
        return _placed(weights, chosen + first, columns, boxes, output)

    def _columns(self, output: Output) -> tuple[int, int | None]:
        """Return along which axes of one sample's output columns and boxes lie."""
        each, least = output.each, 6 if self.objectness else 5
        chosen = None if self.axis is None else output.behind(self.axis)
        long = [k for k, d in enumerate(each) if d != 1]
        fit = [k for k in long if each[k] >= least] if chosen is None else [chosen]
        if not fit or len(long) > 2 or each[fit[0]] < least or (chosen is not None and chosen not in long):
            raise TargetError(
                f"{output.told}, so it has no {least} columns or more of boxes and scores, and no other "
                "output holds as many boxes, (B, 4); name that with boxes=, or explain another (output=)"
            )
        columns = min(fit, key=lambda k: each[k])
        if len(fit) == 2 and each[fit[0]] == each[fit[1]]:
            raise TargetError(
                f"{output.told}; say with axis= along which axis of the output the columns lie (boxes and "
                "scores)"
            )
        return columns, next((k for k in long if k != columns), None)

    def _overlapping(self, held: Array, wanted: FloatArray, what: str) -> FloatArray:
        """Return 1 for boxes that overlap, else 0, (N, B)."""
        common = shares(corners(held.astype(np.float64), self.coordinates), wanted[:, None])
        found = common >= self.iou
        alone = ~found.any(1)
        if alone.any():
            k = int(np.argmax(alone))
            best = int(np.argmax(common[k]))
            nearest = ", ".join(f"{number:.4g}" for number in held[k, best])
            raise TargetError(
                f"no box of sample {k} overlaps {wanted[k].tolist()} with an IoU of {self.iou:g}: the best "
                f"IoU is {common[k, best]:.3g}, of ({nearest}) ({self.coordinates}) in {what}; give another "
                "box in its units, a smaller iou=, or other coordinates="
            )
        return found.astype(np.float64)


def _placed(weights: FloatArray, index: Array, along: int | None, boxes: int | None, output: Output) -> Array:
    """Put weights of boxes, (N, B), at an index along an axis of the output."""
    made = np.zeros((output.n, *output.each), output.dtype)
    for k in range(output.n):
        place: list[Any] = [0] * len(output.each)
        if along is not None:
            place[along] = int(index[k])
        if boxes is not None:
            place[boxes] = slice(None)
        at = k, *place
        made[at] = weights[k] if boxes is not None else weights[k, 0]
    return made
