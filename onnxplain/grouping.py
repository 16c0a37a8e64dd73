"""Who plays: groups of elements, as users name them, checked and laid out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxplain._types import ArrayLike, Arrays
from onnxplain.baselines import by_input
from onnxplain.errors import DataInputError
from onnxplain.features.players import Players, grouped
from onnxplain.graph.interface import InputInfo
from onnxplain.inputs import as_array
from onnxplain.methods import METHODS, Method
from onnxplain.runtime.axes import first
from onnxplain.runtime.layout import Layout

__all__ = ["find_players", "refuse_mask"]


def refuse_mask(given: object, method: Method) -> None:
    """Refuse a mask that a method would not look at.

    Raises
    ------
    DataInputError
        If one is given, and the method has no players.
    """
    if given is not None and not method.takes_players:
        takers = ", ".join(name for name, kind in METHODS.items() if kind.takes_players)
        raise DataInputError(
            f"the method '{method.name}' has no use for a feature_mask; leave it out, or choose one of those "
            f"that take features away ({takers})"
        )


def find_players(
    given: ArrayLike | None, infos: Sequence[InputInfo], features: Arrays, layout: Layout
) -> Players | None:
    """Return who plays; None where every element does.

    Parameters
    ----------
    given
        Integers that broadcast to the input, or a dict of such by input name.
    infos
        The explained inputs.
    features
        What is varied, batch axis first.
    layout
        Where the batch axes are in what users give.

    Raises
    ------
    DataInputError
        If a mask does not fit.
    """
    if given is None:
        return None
    masks: Arrays = {}
    for name, mask in by_input(given, infos).items():
        array = as_array(mask, f"the feature_mask of '{name}'")
        if array.dtype.kind not in "iub":
            raise DataInputError(f"the feature_mask of '{name}' must be integers, not {array.dtype}")
        axis = layout.axes.get(name)
        if axis is not None and array.ndim == features[name].ndim:
            array = first(array, axis)
        masks[name] = array.astype(np.int64)
    return grouped(masks, features)
