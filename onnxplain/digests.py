"""Digests of what something is made of, so that what was found before is found again."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from onnxplain.errors import DataInputError

__all__ = ["digest"]


def digest(given: Any) -> str:
    """Return the SHA-256 of plain values, arrays, and what is made of them.

    Raises
    ------
    DataInputError
        If it holds something whose content cannot be told, such as a function.
    """
    hashed = hashlib.sha256()
    _add(hashed, given)
    return hashed.hexdigest()


def _add(hashed: Any, given: Any) -> None:
    """Add a value, so that no two values add the same bytes: its kind, its length, its content."""
    if given is None or isinstance(given, (bool, int, float, str, bytes)):
        content = given if isinstance(given, bytes) else repr(given).encode("utf-8", "surrogatepass")
        _told(hashed, type(given).__name__, len(content))
        hashed.update(content)
        if isinstance(given, str) and given.endswith((".toml", ".json")):  # a composite's rules
            with suppress(OSError, ValueError):  # no file, and no path perhaps
                _add(hashed, Path(given).read_bytes())
    elif isinstance(given, (np.ndarray, np.generic)):
        array = np.asarray(given)
        if array.dtype.kind in "OTU":
            _told(hashed, "texts", array.shape)
            for one in array.ravel().tolist():
                _add(hashed, one)
        else:
            _told(hashed, array.dtype.str, array.shape)
            hashed.update(np.ascontiguousarray(array).data)
    elif isinstance(given, (list, tuple)):
        _told(hashed, "list", len(given))
        for one in given:
            _add(hashed, one)
    elif isinstance(given, Mapping):
        _told(hashed, "dict", len(given))
        for key in sorted(given, key=repr):
            _add(hashed, key)
            _add(hashed, given[key])
    elif dataclasses.is_dataclass(given) and not isinstance(given, type):
        _told(hashed, "made", type(given).__qualname__)
        _add(hashed, {f.name: getattr(given, f.name) for f in dataclasses.fields(given)})
    else:
        raise DataInputError(
            f"what is found is kept for just these arguments, and one holds a {type(given).__name__}, whose "
            "content cannot be told; give arrays and names"
        )


def _told(hashed: Any, *facts: object) -> None:
    hashed.update(f"{facts!r};".encode())
