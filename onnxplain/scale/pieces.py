"""What is explained together: a piece of a data set, and what was read of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from onnxplain._types import Array
from onnxplain.errors import DataInputError
from onnxplain.scale.places import File, Place

__all__ = ["Block", "Form", "Piece", "unchanged"]


@dataclass(frozen=True)
class Piece:
    """Rows that are read together, and become one part.

    Attributes
    ----------
    files
        One file with many rows, or files that are one row each.
    first
        Number of its first row in the file.
    count
        How many rows it has.
    at, line
        Where these begin, as the file's form counts: a byte and a line; a row group, and a row there.
    step
        How many rows the pieces before it in the same file have each.
    """

    files: tuple[File, ...]
    first: int
    count: int
    at: int = 0
    line: int = 0
    step: int = 0

    def keys(self) -> dict[str, Array]:
        """Return what each row is known by: the name of its file, and its number there."""
        if len(self.files) > 1:
            names, rows = [f.name for f in self.files], np.zeros(self.count, np.int64)
        else:
            names = [self.files[0].name] * self.count
            rows = np.arange(self.first, self.first + self.count, dtype=np.int64)
        return {"source": np.asarray(names, object), "row": rows}


class Block(Protocol):
    """The rows of a piece."""

    @property
    def ids(self) -> Mapping[str, Any]:
        """Columns that are handed on, (n,) each."""
        ...

    def take(self, rows: Sequence[int]) -> tuple[Any, list[int] | None]:
        """Return inputs of some rows as explainers take them, and their targets if the data holds them.

        Raises
        ------
        DataInputError
            If one of them cannot be read, or does not fit.
        """
        ...


class Form(Protocol):
    """Files of one form: how they are cut into pieces, and read.

    Attributes
    ----------
    name
        What errors and options call it.
    endings
        Of its files, in small letters.
    """

    name: ClassVar[str]
    endings: ClassVar[tuple[str, ...]]

    def cut(self, place: Place, files: Sequence[File], size: int) -> Iterator[Piece]:
        """Cut files into pieces of at most ``size`` rows, in order.

        Raises
        ------
        DataInputError
            If a file is malformed, so that it cannot be told what its rows are.
        """
        ...

    def read(self, place: Place, piece: Piece) -> Block:
        """Read a piece.

        Raises
        ------
        DataInputError
            If a file is not what it was when it was cut.
        """
        ...


def unchanged(place: Place, files: Sequence[File]) -> None:
    """Make sure that files are as they were listed.

    Raises
    ------
    DataInputError
        If one is not.
    """
    for file in files:
        if place.file(file.name) != file:
            raise DataInputError(
                f"'{place.root}/{file.name}' has changed since the run began, so that its rows are no longer "
                "those that were counted; start again, into another folder"
            )
