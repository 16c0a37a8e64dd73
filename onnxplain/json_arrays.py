"""JSON files of arrays by name: every number comes back as it was, and what was changed is refused."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from onnxplain._types import Array, Arrays
from onnxplain.archive import reading
from onnxplain.errors import OutputError
from onnxplain.files import replacing

__all__ = ["read_json", "write_json"]

_DTYPES = frozenset(
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 str".split()
)
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def write_json(path: str | os.PathLike[str], meta: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write one JSON file, in one step.

    An array is an object with ``dtype``, ``shape`` and ``values`` (nested lists).  What is no finite number
    is the text ``"NaN"``, ``"Infinity"`` or ``"-Infinity"``, since JSON has no such numbers.  ``digest`` is
    the SHA-256 of ``content``, written without blanks and with sorted keys.

    Parameters
    ----------
    path
        The file.
    meta
        What else to hold, of what JSON knows.
    arrays
        By name: numbers, truth values or text.

    Raises
    ------
    OutputError
        If it cannot be written, or an array is of another dtype.
    """
    content = {"meta": dict(meta), "arrays": {k: _encoded(k, np.asanyarray(v)) for k, v in arrays.items()}}
    text = json.dumps({"digest": _digest(content), "content": content}, allow_nan=False)
    with replacing(path) as file:
        file.write(text.encode("ascii"))


def read_json(path: str | os.PathLike[str], what: str) -> tuple[dict[str, Any], Arrays]:
    """Read what :func:`write_json` wrote: meta, and arrays by name.

    Parameters
    ----------
    path
        The file.
    what
        What the file should be, as errors name it.

    Raises
    ------
    DataInputError
        If the file is missing, damaged, or something else.
    """
    with reading(path, what, "JSON with arrays"):
        held = json.loads(Path(path).read_bytes().decode("ascii"), parse_constant=_refused)
        if held["digest"] != _digest(held["content"]):
            raise ValueError("its content is not what was written")
        content = held["content"]
        return dict(content["meta"]), {k: _decoded(v) for k, v in content["arrays"].items()}


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _encoded(name: str, array: Array) -> dict[str, Any]:
    dtype = "str" if array.dtype.kind == "U" else array.dtype.name
    if dtype not in _DTYPES:
        raise OutputError(f"cannot write '{name}' as JSON: it is of dtype {array.dtype}; write an .npz file")
    values = array.tolist()
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        values = _spelled(values)
    return {"dtype": dtype, "shape": list(array.shape), "values": values}


def _spelled(values: Any) -> Any:
    """Write what is no finite number as text."""
    if isinstance(values, list):
        return [_spelled(v) for v in values]
    if math.isfinite(values):
        return values
    return "NaN" if math.isnan(values) else "Infinity" if values > 0 else "-Infinity"


def _decoded(held: Mapping[str, Any]) -> Array:
    dtype, shape, values = held["dtype"], tuple(held["shape"]), held["values"]
    if dtype not in _DTYPES:
        raise ValueError(f"'{dtype}' is no dtype of such a file")
    if dtype.startswith("float"):
        values = _numbers(values)
    return np.array(values, dtype).reshape(shape)


def _numbers(values: Any) -> Any:
    if isinstance(values, list):
        return [_numbers(v) for v in values]
    return _SPECIAL[values] if isinstance(values, str) else values
