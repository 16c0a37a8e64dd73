"""Parquet files: cut within their row groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

import numpy as np

from onnxplain._types import Array
from onnxplain.errors import DataInputError
from onnxplain.interchange import optional_package
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
        for file in files:
            with place.open(file.name) as held:
                parquet = _opened(held, file.name)
                schema = parquet.schema_arrow
                arrays = [
                    field.name for field in schema if _nested(getattr(field.type, "storage_type", field.type))
                ]
                self.roles.wanted(list(schema.names), f"'{file.name}'", arrays)
                before = 0
                for group in range(parquet.num_row_groups):
                    rows = parquet.metadata.row_group(group).num_rows
                    for start in range(0, rows, size):
                        yield Piece((file,), before + start, min(size, rows - start), group, start, size)
                    before += rows

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
        columns = {name: _values(batch.column(name)) for name in batch.schema.names}
        ids = {name: batch.column(name) for name in self.roles.ids}
        return ColumnBlock(columns, self.roles, file.name, None, {}, ids)


def _opened(held: Any, name: str) -> Any:
    parquet = optional_package("pyarrow.parquet", f"'{name}'")
    try:
        return parquet.ParquetFile(held)
    except Exception as error:  # what pyarrow raises on a damaged file has many names
        raise _damaged(name, error) from error


def _damaged(name: str, error: object) -> DataInputError:
    return DataInputError(f"'{name}' cannot be read as Parquet ({error})")


def _values(column: Any) -> Array:
    """Return a column as NumPy has it: values, or arrays of one shape behind each other."""
    kind = column.type
    shape = getattr(kind, "shape", None)  # of arrow.fixed_shape_tensor
    storage = getattr(column, "storage", column)
    if shape is not None and not column.null_count:
        return np.asarray(storage.flatten()).reshape(len(column), *shape)
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
