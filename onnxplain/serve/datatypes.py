"""What the Open Inference Protocol and Triton call NumPy's dtypes."""

from __future__ import annotations

import numpy as np

from onnxplain.errors import InvalidModelError

__all__ = ["TEXT", "datatype", "dtype_of"]

#: Texts, in UTF-8.
TEXT = "BYTES"

_BY_DTYPE = {
    "bool": "BOOL", "uint8": "UINT8", "uint16": "UINT16", "uint32": "UINT32", "uint64": "UINT64",
    "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64",
    "float16": "FP16", "float32": "FP32", "float64": "FP64",
}  # fmt: skip
_BY_DATATYPE = {theirs: np.dtype(ours) for ours, theirs in _BY_DTYPE.items()}


def datatype(dtype: np.dtype[np.generic] | None, what: str) -> str:
    """Return the protocol's name of a dtype.

    Parameters
    ----------
    dtype
        NumPy's, or None where the model does not tell it.
    what
        Whose it is, for the error.

    Raises
    ------
    InvalidModelError
        If the protocol has none.
    """
    if dtype is not None and dtype.kind in "UOT":
        return TEXT
    found = None if dtype is None else _BY_DTYPE.get(dtype.name)
    if found is None:
        raise InvalidModelError(
            f"{what} has the type {dtype or 'unknown'}, which the inference protocol cannot carry; cast it "
            "inside the model"
        )
    return found


def dtype_of(name: str) -> np.dtype[np.generic] | None:
    """Return the dtype that the protocol calls so (objects for texts); None where there is none."""
    return np.dtype(object) if name == TEXT else _BY_DATATYPE.get(name)
