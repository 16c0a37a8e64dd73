"""A data set in files: which they are, of what form, and how they are read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnxplain.digests import digest
from onnxplain.errors import DataInputError
from onnxplain.explainer import Explainer
from onnxplain.options import nearest
from onnxplain.scale.forms.array_files import ArrayFiles
from onnxplain.scale.forms.columns import ColumnBlock, Roles
from onnxplain.scale.forms.csv_files import CsvFiles
from onnxplain.scale.forms.image_files import ImageFiles
from onnxplain.scale.forms.parquet_files import ParquetFiles
from onnxplain.scale.pieces import Form, Piece
from onnxplain.scale.places import File, Place

__all__ = ["KINDS", "DataSet", "Reading"]

#: All forms that data sets come in, by name.
KINDS: Mapping[str, type[CsvFiles] | type[ParquetFiles] | type[ImageFiles] | type[ArrayFiles]] = {
    kind.name: kind for kind in (CsvFiles, ParquetFiles, ImageFiles, ArrayFiles)
}

_TABLES = (CsvFiles.name, ParquetFiles.name)


@dataclass(frozen=True)
class Reading:
    """How a data set is read.

    Attributes
    ----------
    kind
        Name of its form; None where all files are of one.
    ids
        Columns of tables that are handed on, and are not for the model.
    target_column
        The column of a table that says what is explained in each row.
    feature_names
        Names of the columns of the model's only input, in its order.
    images
        What is done to images: ``size``, ``layout``, ``mean``, ``std``, ``scale``, ``preset``.
    input
        Which input images or arrays are for, where there are several.
    """

    kind: str | None = None
    ids: Sequence[str] = ()
    target_column: str | None = None
    feature_names: Sequence[str] | None = None
    images: Mapping[str, Any] | None = None
    input: str | None = None

    def __post_init__(self) -> None:
        for name in ("ids", "feature_names"):
            given = getattr(self, name)
            if isinstance(given, str) or (given is not None and not isinstance(given, Sequence)):
                raise DataInputError(f"{name}={given!r:.60}; give a list of names of columns")
            if given is not None:
                object.__setattr__(self, name, tuple(given))
        told = {k: v for k, v in (self.images or {}).items() if v is not None}
        object.__setattr__(self, "images", told or None)

    def form(self, kind: str, explainer: Explainer) -> Form:
        """Return what reads files of a form for a model.

        Raises
        ------
        DataInputError
            If something is said that is not for this form, or does not fit the model.
        """
        tables = kind in _TABLES
        for name, wanted in (("ids", tables), ("target_column", tables), ("feature_names", tables),
                             ("images", kind == ImageFiles.name), ("input", not tables)):  # fmt: skip
            if getattr(self, name) and not wanted:
                raise DataInputError(f"{name} is not for data of the kind {kind}; leave it out")
        if tables:
            names = None if self.feature_names is None else tuple(self.feature_names)
            ids = tuple(self.ids)
            roles = Roles(explainer.inputs, explainer.metadata, ids, self.target_column, names)
            return CsvFiles(roles) if kind == CsvFiles.name else ParquetFiles(roles)
        by_name = {i.name: i for i in explainer.inputs}
        if self.input is not None and self.input not in by_name:
            raise DataInputError(f"the model has no input '{self.input}'; it has {', '.join(by_name)}")
        if len(by_name) > 1:
            raise DataInputError(
                f"the model has {len(by_name)} inputs ({', '.join(by_name)}), and {kind} are one; give "
                "Parquet with a column for each"
            )
        (info,) = by_name.values()
        return ArrayFiles(info.name) if kind == ArrayFiles.name else ImageFiles(info, dict(self.images or {}))


@dataclass(frozen=True)
class DataSet:
    """Files of one form.

    Attributes
    ----------
    place
        Where they are.
    files
        Which, by name.
    kind
        Name of their form.
    """

    place: Place
    files: tuple[File, ...]
    kind: str

    @classmethod
    def of(cls, source: str | os.PathLike[str], kind: str | None) -> DataSet:
        """Look at a file, a folder with all below it, or a URL of such.

        Raises
        ------
        DataInputError
            If there are no files of a known form, or several forms.
        """
        if kind is not None and kind not in KINDS:
            known = ", ".join(KINDS)
            raise DataInputError(
                f"there is no kind of data '{kind}'; choose one of {known}{nearest(kind, KINDS)}"
            )
        place = Place.of(source)
        by_kind: dict[str, list[File]] = {}
        for file in place.files():
            ending = f".{file.name.rpartition('.')[2].lower()}"
            form = next((k for k, form in KINDS.items() if ending in form.endings), None)
            if form is not None and kind in (None, form):
                by_kind.setdefault(form, []).append(file)
        if not by_kind:
            wanted = KINDS if kind is None else {kind: KINDS[kind]}
            endings = ", ".join(ending for form in wanted.values() for ending in form.endings)
            raise DataInputError(f"'{source}' holds no data ({endings}); give a file or a folder with such")
        if len(by_kind) > 1:
            counts = ", ".join(f"{len(files)} of {name}" for name, files in by_kind.items())
            raise DataInputError(f"'{source}' holds files of several kinds ({counts}); say which with kind=")
        ((name, files),) = by_kind.items()
        return cls(place, tuple(files), name)

    def digest(self) -> str:
        """Return what changes when a file is added, removed or changed."""
        return digest([self.kind, [(f.name, f.size, f.stamp) for f in self.files]])

    @property
    def holds_tables(self) -> bool:
        """Whether rows are those of tables."""
        return self.kind in _TABLES

    def names(self, reader: Form) -> list[str]:
        """Return the names of a table's columns that are for the model.

        Raises
        ------
        DataInputError
            If there are no rows.
        """
        first = self.first(reader, 1)
        block = reader.read(self.place, first)
        return block.own if isinstance(block, ColumnBlock) else []

    def first(self, reader: Form, size: int) -> Piece:
        """Return the first rows, ``size`` at most.

        Raises
        ------
        DataInputError
            If there are none.
        """
        for piece in self.cut(reader, size):
            return piece
        raise DataInputError(f"'{self.place.root}' has no rows; give at least one")

    def cut(self, reader: Form, size: int) -> Iterator[Piece]:
        """Cut the files into pieces of at most ``size`` rows."""
        return reader.cut(self.place, self.files, size)
