"""NumPy arrays, whose first axis is that of the rows: read where they lie."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, ClassVar

import numpy as np

from onnxplain._types import Array
from onnxplain.errors import DataInputError
from onnxplain.scale.pieces import Piece, unchanged
from onnxplain.scale.places import File, Place

__all__ = ["ArrayBlock", "ArrayFiles"]

_FORMAT = np.lib.format
_READERS = {(1, 0): _FORMAT.read_array_header_1_0, (2, 0): _FORMAT.read_array_header_2_0}


@dataclass(frozen=True)
class ArrayFiles:
    """Comes as ``.npy``, rows along the first axis.

    Attributes
    ----------
    input
        Name of the input that they are for.
    """

    name: ClassVar[str] = "npy"
    endings: ClassVar[tuple[str, ...]] = (".npy",)
    input: str

    def cut(self, place: Place, files: Sequence[File], size: int) -> Iterator[Piece]:
        """Cut arrays by their shape; see :class:`~onnxplain.scale.pieces.Form`."""
        for file in files:
            with place.open(file.name) as held:
                shape, dtype = _header(held, file.name)
                if held.tell() + dtype.itemsize * math.prod(shape) > file.size:
                    raise DataInputError(f"'{file.name}' ends before its array does")
            for start in range(0, shape[0], size):
                yield Piece((file,), start, min(size, shape[0] - start))

    def read(self, place: Place, piece: Piece) -> ArrayBlock:
        """Read some rows; see :class:`~onnxplain.scale.pieces.Form`."""
        unchanged(place, piece.files)
        (file,) = piece.files
        with place.open(file.name) as held:
            shape, dtype = _header(held, file.name)
            row = dtype.itemsize * math.prod(shape[1:])
            held.seek(held.tell() + piece.first * row)
            content = held.read(piece.count * row)
        return ArrayBlock(self.input, np.frombuffer(content, dtype).reshape(piece.count, *shape[1:]))


@dataclass(frozen=True, eq=False)
class ArrayBlock:
    """Rows of an array.

    Attributes
    ----------
    input
        Name of the input that they are for.
    array
        (n, ...).
    ids
        Nothing is handed on.
    """

    input: str
    array: Array
    ids: Mapping[str, Any] = field(default_factory=dict)

    def take(self, rows: Sequence[int]) -> tuple[Any, list[int] | None]:
        """Return some rows; see :class:`~onnxplain.scale.pieces.Block`."""
        return {self.input: self.array[list(rows)]}, None


def _header(held: BinaryIO, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    try:
        shape, columns_first, dtype = _READERS[_FORMAT.read_magic(held)](held)
    except (KeyError, ValueError, EOFError, SyntaxError) as error:
        raise DataInputError(f"'{name}' cannot be read as a NumPy array ({error})") from error
    if dtype.hasobject or not shape or columns_first:
        what = "objects" if dtype.hasobject else "a single value" if not shape else "its columns first"
        raise DataInputError(f"'{name}' holds {what}; save numbers, rows first, with numpy.save")
    return shape, dtype
