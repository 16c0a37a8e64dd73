"""Parquet files: cut within their row groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

from onnxplain.errors import DataInputError
from onnxplain.interchange import optional_package
from onnxplain.scale.forms.arrow import array_columns, values
from onnxplain.scale.forms.columns import ColumnBlock, Roles
from onnxplain.scale.pieces import Piece, unchanged
from onnxplain.scale.places import File, Place

__all__ = ["ParquetFiles"]


@dataclass(frozen=True)
class ParquetFiles:
    """Comes as ``.parquet`` or ``.pq``; columns of lists are arrays of one shape.

    Attributes
    ----------
    roles
        What the columns are for.
    """

    name: ClassVar[str] = "parquet"
    endings: ClassVar[tuple[str, ...]] = (".parquet", ".pq")
    roles: Roles

    def cut(self, place: Place, files: Sequence[File], size: int) -> Iterator[Piece]:
        """Cut files by what their ends say of row groups; see :class:`~onnxplain.scale.pieces.Form`."""
        before = None
        for file in files:
            with place.open(file.name) as held:
                parquet = _opened(held, file.name)
                schema = parquet.schema_arrow
                arrays = array_columns(schema)
                self.roles.wanted(list(schema.names), f"'{file.name}'", arrays)
                before = before or schema
                if not arrays:
                    self.roles.refuse_unlike(before.names, schema.names, f"'{file.name}'")
                for name in self.roles.ids:
                    one, other = (s.field(name).type for s in (before, schema))
                    if one != other:
                        raise DataInputError(
                            f"'{file.name}': column '{name}' is {other}, and {one} in the first file; bring "
                            "it to one type"
                        )
                passed = 0
                for group in range(parquet.num_row_groups):
                    rows = parquet.metadata.row_group(group).num_rows
                    for start in range(0, rows, size):
                        yield Piece((file,), passed + start, min(size, rows - start), group, start, size)
                    passed += rows

    def read(self, place: Place, piece: Piece) -> ColumnBlock:
        """Read a piece; see :class:`~onnxplain.scale.pieces.Form`.

        What lies before it in its row group is decoded and passed over.
        """
        unchanged(place, piece.files)
        (file,) = piece.files
        with place.open(file.name) as held:
            parquet = _opened(held, file.name)
            try:
                batches = parquet.iter_batches(piece.step, row_groups=[piece.at])
                batch = next(islice(batches, piece.line // piece.step, None))
            except Exception as error:  # what pyarrow raises on a damaged file has many names
                raise _damaged(file.name, error) from error
        if batch.num_rows != piece.count:
            raise _damaged(file.name, f"row group {piece.at} ends early")
        columns = {name: values(batch.column(name)) for name in batch.schema.names}
        ids = {name: batch.column(name) for name in self.roles.ids}
        return ColumnBlock(columns, self.roles, file.name, None, {}, ids)


def _opened(held: Any, name: str) -> Any:
    parquet = optional_package("pyarrow.parquet", f"'{name}'", "parquet")
    try:
        return parquet.ParquetFile(held)
    except Exception as error:  # what pyarrow raises on a damaged file has many names
        raise _damaged(name, error) from error


def _damaged(name: str, error: object) -> DataInputError:
    return DataInputError(f"'{name}' cannot be read as Parquet ({error})")
