"""Checking the references of methods that take many, for all samples the same."""

from __future__ import annotations

import numpy as np

from onnxplain._types import Array, Arrays
from onnxplain.errors import DataInputError
from onnxplain.inputs import as_array

__all__ = ["check_references", "of_one_length"]


def check_references(given: object, name: str, feature: Array, axis: int | None) -> Array:
    """Return references, (M, ...); nothing given means one of zeros.

    Parameters
    ----------
    given
        A number, one reference, an array of references, or None.
    name
        Of the input, for messages.
    feature
        What is explained, batch axis first.
    axis
        Where the batch axis is in the arrays that the user gives.

    Raises
    ------
    DataInputError
        If they do not fit.
    """
    shape = feature.shape[1:]
    array = as_array(0 if given is None else given, f"the baselines of '{name}'")
    if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        raise DataInputError(f"the baselines of '{name}' must be finite numbers; give an array of references")
    if array.ndim == feature.ndim:
        array = array if axis is None else np.moveaxis(array, axis, 0)
    else:
        array = array[None]
    if array.shape[0] == 0:
        raise DataInputError(f"the baselines of '{name}' are empty; give at least one reference")
    try:
        return np.array(np.broadcast_to(array, (len(array), *shape)), feature.dtype)
    except ValueError:
        raise DataInputError(
            f"the baselines of '{name}' have shape {as_array(given, name).shape}, but the references of this "
            f"method are an array of shape {('M', *shape)}, for any number M"
        ) from None


def of_one_length(references: Arrays) -> Arrays:
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
