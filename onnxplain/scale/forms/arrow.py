"""Arrow's columns as NumPy's: values, or an array in each row."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxplain._types import Array

__all__ = ["array_columns", "values"]


def array_columns(schema: Any) -> list[str]:
    """Return the names of the columns that hold an array in each row: lists, or tensors."""
    return [field.name for field in schema if _nested(getattr(field.type, "storage_type", field.type))]


def values(column: Any) -> Array:
    """Return a column as NumPy has it.

    Parameters
    ----------
    column
        An array of Arrow, in one piece.

    Returns
    -------
    array
        (n,) of values or objects; (n, ...) where rows hold arrays of one shape, and none is missing.
    """
    kind = column.type
    if getattr(kind, "shape", None) is not None and not column.null_count:  # arrow's tensors, and ray's
        tensors = getattr(column, "to_numpy_ndarray", None)
        return np.asarray(tensors() if tensors else column.to_numpy(zero_copy_only=False))
    storage = getattr(column, "storage", column)
    size = getattr(storage.type, "list_size", None)
    if size is not None and not storage.null_count and not _nested(storage.type.value_type):
        return np.asarray(storage.flatten()).reshape(len(storage), size)
    if _nested(storage.type):
        cells = np.empty(len(storage), object)
        cells[:] = [None if cell is None else np.asarray(cell) for cell in storage.to_pylist()]
        return cells
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _nested(kind: Any) -> bool:
    return bool(getattr(kind, "num_fields", 0)) and hasattr(kind, "value_type")
