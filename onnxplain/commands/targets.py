"""What a user types about what is to be explained: classes, neurons, boxes, regions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from onnxplain.archive import read_array
from onnxplain.commands.arguments import numbers, parameters
from onnxplain.errors import TargetError
from onnxplain.files import check_source
from onnxplain.options import make
from onnxplain.targets.detection import Detection
from onnxplain.targets.region import Region

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnxplain._types import Array
    from onnxplain.methods import Method

__all__ = ["index", "neuron", "scored", "target"]

_BRIGHT = 127


def scored(
    text: str | None,
    labels: Sequence[str] | None,
    method: str | Method,
    given: tuple[str, str] | None = None,
    box: str | None = None,
    options: Sequence[str] = (),
    region: Path | None = None,
) -> Any:
    """Read what is to be explained.

    Parameters
    ----------
    text
        A class (of the box, or of the region), or None.
    labels
        Names of classes.
    method
        Which explains it.
    given
        A neuron, which leaves no class to choose but for methods that have one of their own.
    box, options
        Two corners, and further options of a :class:`~onnxplain.Detection`.
    region
        An image whose bright pixels are the region, or an array.

    Raises
    ------
    TargetError
        If it makes no sense, or several of them are given.
    """
    several = [f"--{k}" for k, v in (("neuron", given), ("box", box), ("region", region)) if v is not None]
    if len(several) > 1:
        raise TargetError(f"{' and '.join(several)} are given, and one thing is explained; keep one of them")
    if options and box is None:
        raise TargetError("--detection says how boxes are written; give --box x1,y1,x2,y2 too")
    if box is None and region is None:
        if given is not None and text is None and not hasattr(method, "neuron"):
            return None
        return target(text, labels)
    class_ = None if text is None else target(text, labels)
    if region is not None:
        return Region(_mask(region), class_)
    corners = numbers(box or "", "--box")
    if len(corners) != 4:
        raise TargetError(f"--box {box}: give the two corners x1,y1,x2,y2, in the units of the model's boxes")
    return make(Detection, {"box": corners, "class_": class_, **parameters(options)}, "--detection")


def target(text: str | None, labels: Sequence[str] | None) -> int | str | tuple[int, ...]:
    """Read a class number, a label, or an index with commas; nothing is the predicted class.

    Raises
    ------
    TargetError
        If it is none of them, or several classes have the label.
    """
    if text is None:
        return "predicted"
    if labels is not None:
        same = [i for i, label in enumerate(labels) if label.casefold() == text.strip().casefold()]
        if len(same) > 1:
            raise TargetError(f"{len(same)} classes are called '{text}'; give the number, one of {same[:5]}")
        if same:
            return same[0]
    try:
        index = tuple(int(part) for part in text.split(","))
    except ValueError:
        way = "it is none of the labels" if labels is not None else "labels need --labels FILE"
        raise TargetError(
            f"--target {text}: give a class number, or 3,5 for an output with more axes; {way}"
        ) from None
    return index[0] if len(index) == 1 else index


def neuron(given: tuple[str, str] | None) -> tuple[str, int | tuple[int, ...]] | None:
    """Read the name of a value and an index of its entries.

    Raises
    ------
    TargetError
        If the index is none.
    """
    if given is None:
        return None
    name, text = given
    return name, index(text, f"--neuron {name}", "a name and an index")


def index(text: str, option: str, what: str = "an index") -> int | tuple[int, ...]:
    """Read an index, with commas where there are more axes; ``option`` and ``what`` are for the error.

    Raises
    ------
    TargetError
        If it is none.
    """
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise TargetError(f"{option} {text}: give {what}, such as 5 or 5,0,0") from None
    return found[0] if len(found) == 1 else found


def _mask(path: Path) -> Array:
    """Read a region: a picture, bright where it is, or an array."""
    if path.suffix.lower() == ".npy":
        return read_array(path)
    check_source(path, "region", TargetError)
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("L")) > _BRIGHT
    except OSError as error:
        raise TargetError(f"'{path}' is no picture of a region, and no .npy array: {error}") from None
