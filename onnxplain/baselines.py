"""Baselines: where paths start and what activations are compared with, as given, checked and laid out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from onnxplain._types import Array, ArrayLike, Arrays
from onnxplain.errors import DataInputError
from onnxplain.features.removal import REMOVALS, Background, Removal, removal
from onnxplain.graph.interface import InputInfo
from onnxplain.inputs import as_array, check_inputs
from onnxplain.methods import METHODS, Method
from onnxplain.runtime.axes import first, laid_out
from onnxplain.runtime.layout import Layout

__all__ = ["Baselines", "by_input", "find_baselines", "finite", "fitting", "refuse_unused", "usual"]

#: What users may give: numbers, a name, what makes baselines of the samples, or a dict of such by input name.
Baselines: TypeAlias = "ArrayLike | Background | Removal | str | float | Mapping[str, Any]"


def refuse_unused(given: object, method: Method) -> None:
    """Refuse baselines that a method would not look at.

    Raises
    ------
    DataInputError
        If some are given, and the method has none.
    """
    if given is not None and not method.wants_baselines():
        takers = ", ".join(name for name, kind in METHODS.items() if kind.takes_baselines)
        raise DataInputError(
            f"the method '{method.name}' has no baselines; leave them out, or choose one of those that start "
            f"from a baseline or compare with a reference ({takers})"
        )


def usual(name: str, infos: Sequence[InputInfo], features: Arrays) -> dict[str, str] | None:
    """Return baselines of this name for images and volumes of floats; None if nothing is one."""

    def fits(array: Array) -> bool:
        return array.ndim in (4, 5) and array.dtype.kind == "f"

    return {i.name: name for i in infos if all(fits(features[e]) for e in i.entries)} or None


def find_baselines(
    given: Baselines | None,
    infos: Sequence[InputInfo],
    arrays: Arrays,
    features: Arrays,
    layout: Layout,
    values: Callable[[tuple[str, ...], Arrays], Arrays],
    *,
    many: bool,
    channel: Callable[[str], int | None] = lambda _: None,
) -> tuple[Arrays, Arrays]:
    """Return the baselines of all explained values, and the background, if there is one.

    Parameters
    ----------
    given
        What the caller gave: a number, an array, a name or what makes baselines of the samples
        (:mod:`onnxplain.features.removal`), a dict of such by input name, a
        :class:`~onnxplain.features.removal.Background`, or None for zeros (and empty texts).
    infos
        The explained inputs.
    arrays
        All inputs, by name.
    features
        What is explained, batch axis first, by value (tokens at their embedding).
    layout
        Where the batch axes are.
    values
        Computes inner values from inputs.
    many
        Whether the batch axis of arrays counts rows of a background in any case.  What is made of the samples
        is a baseline for each of them all the same.
    channel
        Tells the axis of channels of an explained value, samples first, where that is known.

    Returns
    -------
    Two dicts of arrays, by explained value: shaped like its feature; and (M, ...) with one M for all, empty
    if there is no background.

    Raises
    ------
    DataInputError
        If something does not fit.
    """
    if given is None and not many:
        nothing: Arrays = {}
        for info in infos:
            for entry in info.entries:
                nothing[entry] = _nothing(features[entry])
        return nothing, {}
    rows: Any = given.rows if isinstance(given, Background) else given
    starts = {k: _named(v, infos, features, k) for k, v in by_input(rows, infos).items()}
    made = [k for k, v in starts.items() if isinstance(v, REMOVALS)]
    if made and rows is not given:
        raise DataInputError(
            f"a Background holds rows, and {starts[made[0]]} is made of each sample; give it as baselines= "
            "itself"
        )
    many = (many and not made) or rows is not given
    out: Arrays = {}
    for info in infos:
        start = starts.get(info.name)
        if info.role == "token" and info.name in made:
            raise DataInputError(
                f"'{info.name}' holds tokens, which cannot be blurred, averaged or drawn; give ids as its "
                "baselines"
            )
        if info.role in ("token", "number") and start is not None and info.name not in made:
            ids = check_inputs({info.name: start}, [replace(info, shape=None)])[info.name]
            embed = _many_embedded if many else _embedded
            out |= embed(ids, info, arrays, layout, values)
            continue
        for entry in info.entries:
            axis = layout.axes.get(entry, 0)
            if isinstance(start, REMOVALS):
                out[entry] = start.instead(features[entry], axis, f"'{info.name}'", channel(entry))
                continue
            check = _references if many else _baseline
            out[entry] = check(start, info.name, features[entry], axis, holes=info.role == "raw")
    if not many:
        return out, {}
    background = _of_one_length(out)
    return {k: np.broadcast_to(v[:1], features[k].shape) for k, v in background.items()}, background


def by_input(given: Any, infos: Sequence[InputInfo], what: str = "baselines") -> dict[str, Any]:
    """Return what is given by the name of the input that it is for; ``what`` it is, errors say.

    Raises
    ------
    DataInputError
        If that is not clear, or an input is not explained.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        if isinstance(given, (str, *REMOVALS)):
            return {i.name: given for i in infos}
        if len(infos) != 1:
            raise DataInputError(f"several inputs are explained; give {what} as a dict by input name")
        return {infos[0].name: given}
    names = [i.name for i in infos]
    for name in given:
        if name not in names:
            raise DataInputError(
                f"{what} for '{name}', which is not explained; explained are {', '.join(names)}"
            )
    return dict(given)


def _named(given: Any, infos: Sequence[InputInfo], features: Arrays, name: str) -> Any:
    """Return what a name stands for; for inputs of texts it is a text."""
    entries = next(i.entries for i in infos if i.name == name)
    return given if any(features[e].dtype.kind in "OU" for e in entries) else removal(given, name)


def finite(given: object, what: str, *, holes: bool = False) -> Array:
    """Return an array of finite numbers; with ``holes`` of any, NaN says that one is missing.

    Raises
    ------
    DataInputError
        If it is none.
    """
    array = as_array(given, what)
    if array.dtype.kind not in "fiub" or not (holes or np.isfinite(array).all()):
        raise DataInputError(f"{what} must be finite numbers; give 0, a number or an array")
    return array


def fitting(array: Array, dtype: Any, what: str) -> Array:
    """Return numbers in the dtype of what they are a baseline of.

    Raises
    ------
    DataInputError
        If one is too large for it.
    """
    if np.dtype(dtype).kind in "iu":
        return array  # token ids, checked as inputs are
    with np.errstate(over="ignore"):
        made: Array = array.astype(dtype)
    grown = np.isinf(made) & np.isfinite(array)
    if grown.any():
        raise DataInputError(
            f"{what} holds {float(np.abs(array[grown]).max()):g}, which is too large for {np.dtype(dtype)} "
            f"(up to {float(np.finfo(dtype).max):g}); give smaller numbers"
        )
    return made


def _baseline(start: object, name: str, feature: Array, axis: int | None, *, holes: bool = False) -> Array:
    """Return a baseline of a feature's shape; ``axis`` is the batch axis in what users give."""
    if start is None:
        return _nothing(feature)
    array = _numbers(start, feature, f"the baseline of '{name}'", holes)
    if axis is not None and array.ndim == feature.ndim:
        array = first(array, axis)
    try:
        return np.array(np.broadcast_to(array, feature.shape), feature.dtype)
    except ValueError:
        raise DataInputError(
            f"the baseline of '{name}' has shape {array.shape}, which does not broadcast to "
            f"{feature.shape}; give a number, an array of one sample's shape, or many rows as "
            "ox.Background(rows)"
        ) from None


def _nothing(feature: Array) -> Array:
    """Return zeros, or empty texts, for a feature."""
    texts = feature.dtype.kind in "OU"
    return np.full(feature.shape, "", object) if texts else np.zeros(feature.shape, feature.dtype)


def _numbers(given: object, feature: Array, what: str, holes: bool) -> Array:
    """Return what is given in the dtype of a feature: numbers, or texts.

    Raises
    ------
    DataInputError
        If it does not fit it.
    """
    if feature.dtype.kind in "OU":
        array = as_array(given, what)
        if array.dtype.kind not in "OU" or not all(isinstance(v, str) for v in array.ravel()):
            raise DataInputError(f"{what} must be texts, as the input is")
        return array.astype(object)
    kind = feature.dtype.kind
    array = finite(given, what, holes=holes and kind == "f")
    if kind == "f":
        return fitting(array, feature.dtype, what)
    with np.errstate(invalid="ignore"):
        made: Array = array.astype(feature.dtype)
    if not np.array_equal(made, array):
        raise DataInputError(f"{what} must fit {feature.dtype}, as the input does; give such numbers")
    return made


def _references(given: object, name: str, feature: Array, axis: int | None, *, holes: bool = False) -> Array:
    """Return references, (M, ...), of what is one reference or several; nothing given means one of zeros."""
    shape = feature.shape[1:]
    what = f"the baselines of '{name}'"
    if given is None:
        return _nothing(feature[:1])
    array = _numbers(given, feature, what, holes)
    own = array.shape
    if array.ndim != feature.ndim:
        array = array[None]
    elif axis is not None:
        array = first(array, axis)
    if array.shape[0] == 0:
        raise DataInputError(f"the baselines of '{name}' are empty; give at least one reference")
    try:
        if len(own) == 2 and array.shape[1:] != shape and feature.ndim == 2:  # a table of other columns
            raise ValueError
        return np.array(np.broadcast_to(array, (len(array), *shape)), feature.dtype)
    except ValueError:
        wanted = list(map(str, shape))
        wanted.insert(axis or 0, "M")
        raise DataInputError(
            f"the baselines of '{name}' have shape {own}, but the references of this method are an array of "
            f"shape ({', '.join(wanted)}), for any number M"
        ) from None


def _embedded(
    ids: Array,
    info: InputInfo,
    arrays: Arrays,
    layout: Layout,
    values: Callable[[tuple[str, ...], Arrays], Arrays],
) -> Arrays:
    """Return the embeddings of token ids that are baselines."""
    axis = layout.axes[info.name]
    start = laid_out(_baseline(ids, info.name, first(arrays[info.name], axis), axis), axis)
    made = values(info.entries, {**arrays, info.name: start})
    return {e: layout.sampled(e, v) for e, v in made.items()}


def _many_embedded(
    ids: Array,
    info: InputInfo,
    arrays: Arrays,
    layout: Layout,
    values: Callable[[tuple[str, ...], Arrays], Arrays],
) -> Arrays:
    """Return the embeddings of token ids that are references, one after the other."""
    axis = layout.axes[info.name]
    made = []
    for row in _references(ids, info.name, first(arrays[info.name], axis), axis):
        fed = row if axis is None else np.repeat(np.expand_dims(row, axis), layout.n, axis)
        made.append(values(info.entries, {**arrays, info.name: fed}))
    return {e: np.stack([layout.sampled(e, v[e])[0] for v in made]) for e in info.entries}


def _of_one_length(references: Arrays) -> Arrays:
    """Repeat single references, so that all inputs have as many.

    Raises
    ------
    DataInputError
        If two inputs have several, but not equally many.
    """
    counts = {name: len(array) for name, array in references.items()}
    m = max(counts.values())
    for name, count in counts.items():
        if count not in (1, m):
            most = next(k for k, c in counts.items() if c == m)
            raise DataInputError(
                f"'{name}' has {count} references, but '{most}' has {m}; give all inputs the same number"
            )
    return {k: v if len(v) == m else np.repeat(v, m, axis=0) for k, v in references.items()}
