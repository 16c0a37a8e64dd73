"""Folders of images: each file is a row."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from onnxplain._types import Array
from onnxplain.errors import DataInputError
from onnxplain.graph.interface import InputInfo
from onnxplain.image_files import ENDINGS, load_for
from onnxplain.scale.pieces import Piece, unchanged
from onnxplain.scale.places import File, Place

__all__ = ["ImageBlock", "ImageFiles"]


@dataclass(frozen=True)
class ImageFiles:
    """Comes as a folder of images, of whatever size.

    Attributes
    ----------
    info
        The input that they are for.
    options
        What is done to them; see :func:`onnxplain.image_files.load_for`.
    """

    name: ClassVar[str] = "images"
    endings: ClassVar[tuple[str, ...]] = ENDINGS
    info: InputInfo
    options: Mapping[str, Any]

    def cut(self, place: Place, files: Sequence[File], size: int) -> Iterator[Piece]:
        """Put files together; see :class:`~onnxplain.scale.pieces.Form`."""
        left = iter(files)
        while some := tuple(islice(left, size)):
            yield Piece(some, 0, len(some))

    def read(self, place: Place, piece: Piece) -> ImageBlock:
        """Take files, which are opened one by one; see :class:`~onnxplain.scale.pieces.Form`."""
        unchanged(place, piece.files)
        names = [file.name for file in piece.files]

        def opened(row: int) -> Path | BinaryIO:
            return io.BytesIO(place.read(names[row])) if place.remote else Path(place.root, names[row])

        return ImageBlock(self.info, self.options, names, opened)


@dataclass(frozen=True, eq=False)
class ImageBlock:
    """Images, each read once.

    Attributes
    ----------
    info, options
        The input that they are for, and what is done to them.
    names
        What messages call them.
    opened
        Gives the file of a row, by its number.
    ids
        What is handed on.
    """

    info: InputInfo
    options: Mapping[str, Any]
    names: Sequence[str]
    opened: Callable[[int], Path | BinaryIO]
    ids: Mapping[str, Any] = field(default_factory=dict)
    _held: dict[int, Array | DataInputError] = field(default_factory=dict)

    def take(self, rows: Sequence[int]) -> tuple[Any, list[int] | None]:
        """Return some images behind one another; see :class:`~onnxplain.scale.pieces.Block`."""
        arrays: list[Array] = []
        for row in rows:
            if row not in self._held:
                self._held[row] = self._read(row)
            held = self._held[row]
            if isinstance(held, DataInputError):
                raise held
            if arrays and held.shape != arrays[0].shape:
                raise DataInputError(
                    f"'{self.names[row]}' becomes an array of shape {held.shape[1:]}, and others one of "
                    f"{arrays[0].shape[1:]}; bring them to one size (--size)"
                )
            arrays.append(held)
        return {self.info.name: np.concatenate(arrays)}, None

    def _read(self, row: int) -> Array | DataInputError:
        try:
            return load_for(self.opened(row), self.info, self.options, self.names[row]).array
        except DataInputError as error:
            return error
