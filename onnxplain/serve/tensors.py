"""Tensors as the V2 protocol writes them: in JSON, or as raw bytes behind it."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

from onnxplain._types import Array, Shape
from onnxplain.serve.asked import Tensor
from onnxplain.serve.datatypes import TEXT
from onnxplain.serve.numbers import from_json, refuse_not_finite
from onnxplain.serve.refusals import RefusedError

__all__ = ["from_bytes", "from_data", "shape_of", "to_bytes", "to_data"]

_LENGTH = struct.Struct("<I")  # in front of each text


def shape_of(given: Any, what: str) -> Shape:
    """Return a tensor's shape as it stood in JSON.

    Raises
    ------
    RefusedError
        If it is no list of whole numbers that are not negative.
    """
    if not isinstance(given, list) or not all(type(d) is int and 0 <= d < 2**31 for d in given):
        raise RefusedError(400, f"{what}: shape must be a list of whole numbers, not {given!r:.60}")
    return tuple(given)


def from_data(data: Any, shape: Shape, tensor: Tensor, what: str) -> Array:
    """Make an array of ``data``, flat in row-major order or nested.

    Raises
    ------
    RefusedError
        If it is no array of that dtype and shape.
    """
    if not isinstance(data, list):
        raise RefusedError(400, f"{what}: data must be a list")
    made = from_json(data, tensor.dtype, what)
    if made.shape != shape and made.shape != (math.prod(shape),):
        raise RefusedError(400, f"{what} has shape {list(shape)}, and its data has {list(made.shape)}")
    return made.reshape(shape)


def from_bytes(raw: memoryview, shape: Shape, tensor: Tensor, what: str) -> Array:
    """Make an array of raw bytes, little-endian, in row-major order.

    Raises
    ------
    RefusedError
        If there are more or fewer bytes than the shape says, or they are no texts.
    """
    count = math.prod(shape)
    if tensor.datatype == TEXT:
        return np.array(_texts(raw, count, what), dtype=object).reshape(shape)
    little = tensor.dtype.newbyteorder("<")
    if len(raw) != count * little.itemsize:
        raise RefusedError(
            400,
            f"{what}: shape {list(shape)} of {tensor.datatype} takes {count * little.itemsize} bytes, and "
            f"binary_data_size is {len(raw)}",
        )
    if tensor.dtype.kind == "b" and np.frombuffer(raw, np.uint8).max(initial=0) > 1:
        raise RefusedError(400, f"{what}: bytes of BOOL are 0 or 1")
    return np.frombuffer(raw, little).astype(tensor.dtype).reshape(shape)


def _texts(raw: memoryview, count: int, what: str) -> list[str]:
    found: list[str] = []
    place = 0
    wrong = RefusedError(400, f"{what}: its bytes are not {count} texts in UTF-8, each behind its length")
    while place < len(raw):
        if place + 4 > len(raw) or len(found) == count:
            raise wrong
        (length,) = _LENGTH.unpack_from(raw, place)
        place += 4
        if place + length > len(raw):
            raise wrong
        try:
            found.append(str(raw[place : place + length], "utf-8"))
        except UnicodeDecodeError:
            raise wrong from None
        place += length
    if len(found) != count:
        raise wrong
    return found


def to_data(array: Array, name: str) -> Any:
    """Return an array as ``data``, flat.

    Raises
    ------
    RefusedError
        If it holds what JSON cannot tell.
    """
    refuse_not_finite(array, name)
    return array.ravel().tolist() if array.dtype.kind in "OUT" else np.ascontiguousarray(array).ravel()


def to_bytes(array: Array) -> bytes:
    """Return an array as raw bytes."""
    if array.dtype.kind not in "OUT":
        return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    texts = [str(text).encode() for text in array.ravel()]
    return b"".join(part for text in texts for part in (_LENGTH.pack(len(text)), text))
