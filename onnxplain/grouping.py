"""Who plays: groups of elements, as users name them, checked and laid out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from onnxplain._types import Array, ArrayLike, Arrays
from onnxplain.baselines import by_input
from onnxplain.errors import DataInputError
from onnxplain.features.places import channel_axis
from onnxplain.features.players import Players, along, elements, grouped, pixels
from onnxplain.features.segments import SEGMENTERS, Segmenter, Segments
from onnxplain.graph.interface import InputInfo
from onnxplain.inputs import as_array
from onnxplain.methods import METHODS, Method
from onnxplain.options import nearest
from onnxplain.runtime.axes import first
from onnxplain.runtime.layout import Layout

__all__ = ["Grouping", "find_players", "refuse_mask"]

#: What users may give: integers, a name, segments, a function, or a dict of such by input name.
Grouping: TypeAlias = (
    "ArrayLike | str | Segments | Segmenter | Mapping[str, ArrayLike | str | Segments | Segmenter]"
)

_NAMED: dict[str, Callable[[Arrays], Players]] = {
    "elements": elements,
    "tokens": lambda features: along(1, features),
    "columns": lambda features: along(-1, features),
    "inputs": lambda features: grouped({}, features),
}
_NAMES = (*_NAMED, "pixels", "segments", *SEGMENTERS)


def refuse_mask(given: object, method: Method) -> None:
    """Refuse a mask that a method would not look at.

    Raises
    ------
    DataInputError
        If one is given, and the method has no players.
    """
    if given is not None and not method.wants_players():
        takers = ", ".join(name for name, kind in METHODS.items() if kind.takes_players)
        raise DataInputError(
            f"the method '{method.name}' has no use for a feature_mask; leave it out, or choose one of those "
            f"that take features away ({takers})"
        )


def find_players(
    given: Grouping | None,
    infos: Sequence[InputInfo],
    features: Arrays,
    layout: Layout,
    channel: Callable[[str], int | None] = lambda _: None,
) -> Players | None:
    """Return who plays; None where every element does.

    Parameters
    ----------
    given
        Integers that broadcast to the input, or to an image's space; ``"elements"``, ``"pixels"``,
        ``"tokens"``, ``"columns"``, ``"inputs"``, ``"segments"`` or the name of a segmenter;
        :class:`~onnxplain.features.segments.Segments`, or a function that makes them; or a dict of such by
        input name.  Equal integers are one player, in all inputs; what has a name plays in its own input
        alone.
    infos
        The explained inputs.
    features
        What is varied, batch axis first.
    layout
        Where the batch axes are in what users give.
    channel
        Tells the axis of channels of an explained value, samples first, where that is known.

    Raises
    ------
    DataInputError
        If a mask does not fit, nobody plays, or there is no such name.
    """
    if given is None:
        return None
    each = isinstance(given, (str, Segments)) or callable(given)
    told = {i.name: given for i in infos} if each else by_input(given, infos, "feature_mask")
    masks: Arrays = {}
    own: Arrays = {}
    for name, mask in told.items():
        entries = [name] if name in features else [e for i in infos if i.name == name for e in i.entries]
        for entry in entries:
            feature, axis = features[entry], layout.axes[entry]
            if isinstance(mask, (str, Segments)) or callable(mask):
                own[entry] = _own(mask, feature, f"'{name}'", axis, partial(channel, entry))
            else:
                masks[entry] = _integers(mask, f"the feature_mask of '{name}'", feature, axis)
    count = max((int(m.max(initial=-1)) + 1 for m in masks.values()), default=0)
    for entry, ids in own.items():
        masks[entry] = ids + count
        count += int(ids.max(initial=-1)) + 1
    players = grouped(masks, features)
    if not players.count:
        raise DataInputError(
            f"the feature_mask of '{next(iter(features))}' is -1 everywhere, so nobody plays; number what is "
            "to be taken away from 0"
        )
    return players


def _own(
    given: str | Segments | Segmenter,
    feature: Array,
    what: str,
    axis: int | None,
    channel: Callable[[], int | None],
) -> Array:
    """Return the players of one input, numbered from 0.

    Raises
    ------
    DataInputError
        If there are none of that name.
    """
    if isinstance(given, Segments):
        return given.ids(feature, what, axis)
    if not isinstance(given, str):
        return Segments(method=given).ids(feature, what, axis)
    if given == "segments" or given in SEGMENTERS:
        return Segments(method="slic" if given == "segments" else given).ids(feature, what, axis)  # type: ignore[arg-type]  # a key of SEGMENTERS
    if given == "pixels":
        return pixels({what: feature}, {what: channel()}).ids[what]
    if given not in _NAMED:
        raise DataInputError(
            f"the feature_mask '{given}' is unknown; give {', '.join(map(repr, _NAMES))}, ox.Segments(...) "
            f"or integers{nearest(given, _NAMES)}"
        )
    return _NAMED[given]({what: feature}).ids[what]


def _integers(given: Any, what: str, feature: Array, axis: int | None) -> Array:
    """Return a mask with samples first, as far as it has them."""
    array = as_array(given, what)
    if array.dtype.kind not in "iub":
        raise DataInputError(f"{what} must be integers, not {array.dtype}")
    if axis is not None and array.ndim == feature.ndim:
        array = first(array, axis)
    last = feature.ndim == 4 and channel_axis(feature.shape[1:]) == 2
    if last and array.shape == feature.shape[1:3]:  # a mask of the image, whose channels lie behind
        array = array[..., None]
    return array.astype(np.int64)
