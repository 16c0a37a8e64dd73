"""CSV files: cut at bytes where rows begin, so that any piece is read by itself."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, ClassVar

import numpy as np

from onnxplain.errors import DataInputError
from onnxplain.scale.forms.columns import ColumnBlock, Roles
from onnxplain.scale.pieces import Piece, unchanged
from onnxplain.scale.places import File, Place
from onnxplain.table_files import separator

__all__ = ["CsvFiles"]

_UNREADABLE = "\udc80", "\udcff"


class _Rows:
    """Reads rows one by one, and knows at which byte and line the next one begins."""

    def __init__(self, file: BinaryIO, mark: str, at: int, line: int) -> None:
        self.at, self.line, self._file = at, line, file
        self._reader = csv.reader(self._texts(), delimiter=mark, strict=True)

    def _texts(self) -> Iterator[str]:
        for text in self._file:
            self.at += len(text)
            self.line += 1
            yield text.decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[list[str]]:
        return self._reader


@dataclass(frozen=True)
class CsvFiles:
    """Comes as ``.csv`` (with commas, semicolons or tabs) or ``.tsv``, with the names of columns first.

    Attributes
    ----------
    roles
        What the columns are for.
    """

    name: ClassVar[str] = "csv"
    endings: ClassVar[tuple[str, ...]] = (".csv", ".tsv")
    roles: Roles

    def cut(self, place: Place, files: Sequence[File], size: int) -> Iterator[Piece]:
        """Cut files, reading each once from end to end; see :class:`~onnxplain.scale.pieces.Form`."""
        before: list[str] = []
        for file in files:
            with place.open(file.name) as held:
                header, mark = _header(held, file.name)
                self.roles.wanted(header, f"'{file.name}'")
                before = before or header
                self.roles.refuse_unlike(before, header, f"'{file.name}'")
                rows = _Rows(held, mark, held.tell(), 1)
                first, count, at, line = 0, 0, rows.at, rows.line
                try:
                    for row in rows:
                        count += bool(row)
                        if count == size:
                            yield Piece((file,), first, count, at, line)
                            first, count, at, line = first + count, 0, rows.at, rows.line
                except csv.Error as error:
                    raise DataInputError(
                        f"'{file.name}', line {rows.line} cannot be read as CSV ({error}); where rows begin "
                        "behind it cannot be told"
                    ) from error
                if count:
                    yield Piece((file,), first, count, at, line)

    def read(self, place: Place, piece: Piece) -> ColumnBlock:
        """Read a piece; see :class:`~onnxplain.scale.pieces.Form`."""
        unchanged(place, piece.files)
        (file,) = piece.files
        with place.open(file.name) as held:
            header, mark = _header(held, file.name)
            held.seek(piece.at)
            rows = _Rows(held, mark, piece.at, piece.line)
            cells: list[list[str]] = []
            lines: list[int] = []
            broken: dict[int, str] = {}
            for row in rows:
                if not row:
                    continue
                where = f"'{file.name}', line {rows.line}"
                if len(row) != len(header):
                    broken[len(cells)] = f"{where}: {len(row)} cells, but the header has {len(header)}"
                    row = (row + [""] * len(header))[: len(header)]
                elif any(_UNREADABLE[0] <= letter <= _UNREADABLE[1] for cell in row for letter in cell):
                    broken[len(cells)] = f"{where} is no text in UTF-8; save it as UTF-8"
                    row = [cell.encode("utf-8", "backslashreplace").decode() for cell in row]
                cells.append(row)
                lines.append(rows.line)
                if len(cells) == piece.count:
                    break
        columns = {name: np.asarray([row[k] for row in cells], object) for k, name in enumerate(header)}
        ids = {name: columns[name] for name in self.roles.ids}
        return ColumnBlock(columns, self.roles, file.name, lines, broken, ids)


def _header(file: BinaryIO, name: str) -> tuple[list[str], str]:
    """Read the first line: the names of columns, and what stands between cells."""
    try:
        text = file.readline().decode("utf-8-sig")
        mark = separator(name, text)
        header = next(csv.reader([text], delimiter=mark, strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataInputError(f"'{name}', line 1 holds no names of columns ({error})") from error
    if not header:
        raise DataInputError(f"'{name}' is empty; give a table with the names of its columns first")
    return [cell.strip() for cell in header], mark
