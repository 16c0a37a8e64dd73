"""What was found in a piece, as one file: typed Parquet, or NumPy's archive."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from onnxplain._types import Array, Arrays
from onnxplain.archive import BROKEN, pack_arrays, unpack_arrays
from onnxplain.errors import DataInputError
from onnxplain.interchange import optional_package
from onnxplain.options import nearest
from onnxplain.scale.layout import ERROR, Field, Rows
from onnxplain.scale.places import Place

__all__ = [
    "FORMS",
    "about_part",
    "arrow_table",
    "check_form",
    "encode",
    "part_name",
    "part_names",
    "parts_in",
    "read_column",
    "read_parts",
]

_ABOUT = "onnxplain"
_Encode: TypeAlias = Callable[[Rows, Mapping[str, Any]], bytes]
_Decode: TypeAlias = Callable[[bytes], tuple[Arrays, dict[str, Any]]]


def part_name(number: int, form: str) -> str:
    """Return how a part is called."""
    return f"part-{number:08d}.{form}"


def part_names(place: Place, form: str) -> list[str]:
    """Return the names of the parts in a folder, in order."""
    return sorted(n for n in place.names() if n.startswith("part-") and n.endswith(f".{form}"))


def parts_in(place: Place, form: str) -> dict[int, str]:
    """Return the names of the parts that have numbers, by number."""
    found = {}
    for name in part_names(place, form):
        number = name.removeprefix("part-").removesuffix(f".{form}")
        if number.isdigit() and name == part_name(int(number), form):
            found[int(number)] = name
    return dict(sorted(found.items()))


def check_form(form: str) -> None:
    """Refuse a form that is unknown, or whose package is missing.

    Raises
    ------
    DataInputError, OptionalDependencyError
    """
    if form not in FORMS:
        raise DataInputError(
            f"there is no form '{form}'; choose one of {', '.join(FORMS)}{nearest(form, FORMS)}"
        )
    if form == "parquet":
        _arrow()


def encode(rows: Rows, form: str, about: Mapping[str, Any]) -> bytes:
    """Return a part as the bytes of a file.

    Parameters
    ----------
    rows
        What was found.
    form
        ``"parquet"`` or ``"npz"``.
    about
        What the file says of itself besides how many rows it has, and how many of them failed.
    """
    told = {**about, "rows": len(rows.errors), "failed": rows.failed, "notes": list(rows.notes)}
    return FORMS[form][0](rows, told)


def about_part(place: Place, name: str) -> dict[str, Any]:
    """Return what a part says of itself: ``rows``, ``failed``, ``notes``...

    Raises
    ------
    DataInputError
        If it cannot be read.
    """
    return _reading(place, name)[1]


def read_parts(out: Any) -> Iterator[Arrays]:
    """Read what was written, part by part, in order; nothing more than one part is in memory.

    Parameters
    ----------
    out
        The folder, or its URL.

    Yields
    ------
    dict of arrays
        By column, (n, ...) in the shape of what was explained: ``source``, ``row``, ``prediction``,
        ``attribution/...``; NaN, -1 or an empty text where ``error`` says what stood against a row.

    Raises
    ------
    DataInputError
        If there are no parts, or one cannot be read.
    """
    place = Place.of(out)
    for form in FORMS:
        names = part_names(place, form)
        if names:
            break
    else:
        raise DataInputError(f"'{out}' holds no parts; give a folder that onnxplain batch wrote")
    for name in names:
        yield _reading(place, name)[0]


def read_column(place: Place, name: str, column: str) -> list[Any]:
    """Return one column of a part in Parquet.

    Raises
    ------
    DataInputError
        If it cannot be read.
    """
    try:
        with place.open(name) as file:
            held = _arrow("pyarrow.parquet").read_table(file, columns=[column])
            return list(held.column(column).to_pylist())
    except BROKEN as error:
        raise DataInputError(
            f"'{place.root}/{name}' is no whole part ({error}); remove it, and run again"
        ) from error


def _reading(place: Place, name: str) -> tuple[Arrays, dict[str, Any]]:
    form = name.rpartition(".")[2]
    try:
        return FORMS[form][1](place.read(name))
    except BROKEN as error:
        raise DataInputError(
            f"'{place.root}/{name}' is no whole part ({error}); remove it, and run again"
        ) from error


def _npz(rows: Rows, about: Mapping[str, Any]) -> bytes:
    held: Arrays = {
        "about": np.array(json.dumps(about)),
        **{k: _texts(v) if v.dtype == object else v for k, v in rows.keys.items()},
        **{k: _texts(v.to_pylist() if hasattr(v, "to_pylist") else v) for k, v in rows.ids.items()},
        **{f.name: _texts(rows.columns[f.name]) if f.dtype == "str" else rows.columns[f.name]
           for f in rows.layout.fields},
        ERROR: _texts(rows.errors),
    }  # fmt: skip
    file = io.BytesIO()
    pack_arrays(file, held)
    return file.getvalue()


def _from_npz(content: bytes) -> tuple[Arrays, dict[str, Any]]:
    held = unpack_arrays(io.BytesIO(content))
    return held, json.loads(str(held.pop("about")))


def _texts(cells: Any) -> Array:
    given = np.asarray(cells, object)
    texts = np.asarray(["" if cell is None else str(cell) for cell in given.ravel()])
    return np.asarray(texts.reshape(given.shape))


def arrow_table(rows: Rows, about: Mapping[str, Any]) -> Any:
    """Return a part as an Arrow table: null where nothing was found, shapes in the columns' metadata."""
    arrow = _arrow()
    failed = np.asarray(list(map(bool, rows.errors)), bool)
    names = list(rows.keys)
    arrays = [arrow.array(column) for column in rows.keys.values()]
    told: list[dict[str, str]] = [{} for _ in names]
    arrays += [
        given if hasattr(given, "to_pylist") else arrow.array(given, arrow.string())
        for given in rows.ids.values()
    ]
    names += list(rows.ids)
    told += [{} for _ in rows.ids]
    for f in rows.layout.fields:
        arrays.append(_column(arrow, f, rows.columns[f.name], failed))
        names.append(f.name)
        told.append({"shape": json.dumps(f.shape), **({"names": json.dumps(f.names)} if f.names else {})})
    arrays.append(arrow.array([e or None for e in rows.errors], arrow.string()))
    names.append(ERROR)
    told.append({})
    fields = [
        arrow.field(name, array.type, metadata=facts or None)
        for name, array, facts in zip(names, arrays, told, strict=True)
    ]
    schema = arrow.schema(fields, metadata={_ABOUT: json.dumps(about)})
    return arrow.Table.from_arrays(arrays, schema=schema)


def _column(arrow: Any, f: Field, values: Array, failed: Array) -> Any:
    kind = arrow.string() if f.dtype == "str" else arrow.from_numpy_dtype(np.dtype(f.dtype))
    if f.size == 1:
        return arrow.array(values.reshape(len(values)), kind, mask=failed)
    flat = arrow.array(values.reshape(-1), kind)
    return arrow.FixedSizeListArray.from_arrays(flat, f.size, mask=arrow.array(failed))


def _parquet(rows: Rows, about: Mapping[str, Any]) -> bytes:
    table = arrow_table(rows, about)
    file = io.BytesIO()
    plain = ["source", *(f.name for f in rows.layout.fields if f.dtype == "str"), ERROR]
    _arrow("pyarrow.parquet").write_table(table, file, compression="zstd", use_dictionary=plain)
    return file.getvalue()


def _from_parquet(content: bytes) -> tuple[Arrays, dict[str, Any]]:
    table = _arrow("pyarrow.parquet").read_table(io.BytesIO(content))
    held: Arrays = {}
    for field, column in zip(table.schema, table.columns, strict=True):
        shape = json.loads((field.metadata or {}).get(b"shape", b"[]"))
        array = column.combine_chunks()
        held[field.name] = _values(array, Field(field.name, _dtype(array), tuple(shape)))
    return held, json.loads(table.schema.metadata[_ABOUT.encode()])


def _dtype(array: Any) -> str:
    kind = getattr(array.type, "value_type", array.type)
    dtype = np.dtype(kind.to_pandas_dtype())
    return "str" if dtype.kind == "O" else dtype.name


def _values(array: Any, f: Field) -> Array:
    found = f.empty(len(array))
    good = np.asarray(array.is_valid())
    kept = array.filter(array.is_valid())
    flat = kept.flatten() if hasattr(array.type, "list_size") else kept
    found[good] = np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(len(kept), *f.shape)
    return found


def _arrow(module: str = "pyarrow") -> Any:
    return optional_package(module, "Parquet (what is written as npz does without)", "parquet")


#: How parts are written and read, by name.
FORMS: dict[str, tuple[_Encode, _Decode]] = {"parquet": (_parquet, _from_parquet), "npz": (_npz, _from_npz)}
