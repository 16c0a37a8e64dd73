"""What a file holds of baselines and players: the same for all samples that it will see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from onnxplain._types import Array, Arrays
from onnxplain.baselines import Baselines, by_input, finite, fitting
from onnxplain.errors import DataInputError
from onnxplain.features.players import Players
from onnxplain.features.removal import REMOVALS, Background
from onnxplain.features.segments import SEGMENTERS, Segments
from onnxplain.graph.interface import InputInfo
from onnxplain.grouping import Grouping, find_players
from onnxplain.runtime.layout import Layout

__all__ = ["background_rows", "constant_baselines", "constant_players", "holds_rows"]


def constant_baselines(given: Baselines | None, infos: Sequence[InputInfo]) -> dict[str, Array]:
    """Return the baseline of each explained value, (...) or (1, ...); 0 where none is given.

    Raises
    ------
    DataInputError
        If one cannot stand for every sample.
    """
    starts = by_input(given, infos)
    found: dict[str, Array] = {}
    for info in infos:
        start = starts.get(info.name)
        if info.dtype is not None and info.dtype.kind in "OUS":
            raise DataInputError(
                f"input '{info.name}' holds text, and a file has no text to put in its place; leave it "
                "out of wrt=, or use the Explainer"
            )
        if isinstance(start, (str, *REMOVALS)):
            raise DataInputError(
                f"the baseline of '{info.name}' is made of each sample ({start!r}), and a file's is the same "
                "for all; give a number or an array"
            )
        if start is not None and info.entries != (info.name,):
            raise DataInputError(
                f"input '{info.name}' holds tokens, whose reference in a file is 0; leave it out"
            )
        what = f"the baseline of '{info.name}'"
        array = finite(0.0 if start is None else start, what)
        if start is not None and info.dtype is not None:
            array = fitting(array, info.dtype, what)
        shape = info.shape
        fits = shape is None or (
            array.ndim <= len(shape)
            and all(a == 1 or a == s for a, s in zip(reversed(array.shape), reversed(shape), strict=False))
        )
        if not fits:
            raise DataInputError(
                f"the baseline of '{info.name}' has shape {array.shape}, which does not broadcast to "
                f"{info.spelled}; give a number, or an array of one sample's shape"
            )
        found |= dict.fromkeys(info.entries, array)
    return found


def holds_rows(given: Baselines | None, infos: Sequence[InputInfo]) -> bool:
    """Tell whether arrays given as baselines have an axis of rows, as a sample of the input has not."""
    ranks = {i.name: len(i.shape or ()) for i in infos}
    return any(np.ndim(v) == ranks[k] for k, v in by_input(given, infos).items() if not isinstance(v, str))


def background_rows(given: Any, infos: Sequence[InputInfo]) -> Arrays:
    """Return the rows of a background by explained value, (M, ...).

    Raises
    ------
    DataInputError
        If they do not fit.
    """
    made: Arrays = {}
    for name, rows in by_input(given.rows if isinstance(given, Background) else given, infos).items():
        info = next(i for i in infos if i.name == name)
        what = f"the background of '{name}'"
        if info.entries != (name,):
            raise DataInputError(f"input '{name}' holds tokens, of which a file holds no background")
        array = fitting(finite(rows, what), info.dtype, what).astype(info.dtype or np.float32)
        shape = info.shape or ()
        fits = array.ndim == len(shape) and all(
            not isinstance(s, int) or a == s for a, s in zip(array.shape[1:], shape[1:], strict=True)
        )
        if not fits or not len(array):
            raise DataInputError(
                f"{what} has shape {array.shape}, and the input {info.spelled}; give rows "
                "(M, ...) like samples"
            )
        made[name] = array
    lengths = {len(v) for v in made.values()}
    missing = [i.name for i in infos if i.name not in made]
    if made and (missing or len(lengths) > 1):
        raise DataInputError(
            "a background has as many rows for each explained input; give all of them, by name"
        )
    return made


def constant_players(
    given: Grouping | None, infos: Sequence[InputInfo], features: Arrays, layout: Layout
) -> Players | None:
    """Return who plays, the same in all samples; None where every element does.

    Raises
    ------
    DataInputError
        If that depends on what an image shows, or differs from sample to sample.
    """
    for one in given.values() if isinstance(given, Mapping) else [given]:
        by_content = isinstance(one, str) and one in ({"segments", *SEGMENTERS} - {"grid"})
        if by_content or isinstance(one, Segments) or callable(one):
            raise DataInputError(
                "segments depend on what an image shows, and a file's players are the same in all; give "
                "integers, or a name such as 'grid', 'pixels', 'tokens', 'columns'"
            )
    axes = {**{name: layout.inner.get(name) for name in features}, **layout.axes}
    return find_players(given, infos, features, replace(layout, axes=axes))
