"""Targets of requests."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxplain._types import Array
from onnxplain.serve.numbers import from_json
from onnxplain.serve.refusals import RefusedError

__all__ = ["target_in", "target_of"]

_INT64 = np.dtype(np.int64)


def target_in(given: Any, what: str) -> Any:
    """Read a target from JSON.

    Parameters
    ----------
    given
        None, ``"predicted"``, a whole number for all samples, or a list with one for each (or with a list of
        indices for each, where outputs have more axes).
    what
        Whose it is, for errors.

    Returns
    -------
    None, ``"predicted"``, an int, or a list of ints or tuples.

    Raises
    ------
    RefusedError
        If it is nothing of that.
    """
    if given is None or given == "predicted":
        return given
    if type(given) is int or (isinstance(given, list) and given):
        return target_of(from_json(given, _INT64, what), what)
    raise RefusedError(
        400, f'{what} must be a whole number, a list of them, or "predicted", not {given!r:.40}'
    )


def target_of(array: Array, what: str) -> Any:
    """Return a target as an explainer takes it, from whole numbers of shape (), (N,) or (N, k).

    Raises
    ------
    RefusedError
        If it has another shape.
    """
    if array.ndim > 2 or array.size == 0:
        raise RefusedError(400, f"{what} must have shape (N,) or (N, k), not {array.shape}")
    listed = array.tolist()
    return [tuple(one) for one in listed] if array.ndim == 2 else listed
