"""Arrays in JSON: every number arrives as it was sent, or the request is refused."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxplain._types import Array
from onnxplain.serve.refusals import RefusedError

__all__ = ["from_json", "refuse_not_finite"]

_KINDS: dict[str, tuple[set[type], str]] = {
    "b": ({bool}, "true or false"),
    "i": ({int}, "whole numbers"),
    "u": ({int}, "whole numbers that are not negative"),
    "f": ({int, float}, "numbers"),
    "O": ({str}, "texts"),
}


def from_json(data: Any, dtype: np.dtype[np.generic], what: str) -> Array:
    """Make an array of nested lists.

    Parameters
    ----------
    data
        What stood in JSON.
    dtype
        The array's; objects for texts.
    what
        Whose it is, for errors.

    Returns
    -------
    array
        Of the lists' shape; of floats finite.

    Raises
    ------
    RefusedError
        If lists are of unequal lengths, or an entry is no number of that dtype.
    """
    try:
        held = np.array(data, dtype=object)
    except ValueError:
        raise _unequal(what) from None
    kinds, words = _KINDS[dtype.kind]
    found = set(map(type, held.ravel().tolist()))
    if list in found:
        raise _unequal(what)
    if found - kinds:
        wrong = next(v for v in held.ravel() if type(v) not in kinds)
        said = "null" if wrong is None else f"{wrong!r:.40}"
        raise RefusedError(400, f"{what} must hold {words}, not {said}")
    if dtype.kind in "Ob":
        return held.astype(dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype.name)
        flat = held.ravel().tolist()
        if flat and (min(flat) < limits.min or max(flat) > limits.max):
            raise RefusedError(
                400, f"{what} holds numbers that do not fit {dtype} ({limits.min} to {limits.max})"
            )
        return held.astype(dtype)
    with np.errstate(over="ignore"):
        try:
            made: Array = held.astype(np.float64).astype(dtype)
        except OverflowError:
            made = np.full(1, np.inf)
    if not np.isfinite(made).all():
        raise RefusedError(400, f"{what} holds numbers that are too large for {dtype}")
    return made


def refuse_not_finite(array: Array, name: str) -> None:
    """Refuse to write NaN and infinite numbers, which JSON does not have.

    Raises
    ------
    RefusedError
        If there are any.
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise RefusedError(
            400,
            f"output '{name}' holds NaN or infinite numbers, which JSON cannot tell; ask for binary data "
            '(V2, "parameters": {"binary_data_output": true})',
        )


def _unequal(what: str) -> RefusedError:
    return RefusedError(400, f"{what} is no array: its lists have unequal lengths")
