"""Rows of a table: a field for each column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from onnxplain._types import Array, Arrays
from onnxplain.columns import Columns, find_columns, stated_columns
from onnxplain.errors import DataInputError, NotExplainableError
from onnxplain.explainer import Explainer
from onnxplain.features.removal import Background
from onnxplain.graph.interface import InputInfo
from onnxplain.page.form import MOST_EXAMPLES, Form
from onnxplain.tables import is_missing, read_table

__all__ = ["row_form"]

#: Rows of a background that are kept: each is a baseline, and costs a run.
MOST_BACKGROUND = 20
#: Longest list of values that a column of texts offers; longer ones are typed.
_MOST_CHOICES = 50


def row_form(explainer: Explainer, examples: Any, background: Any, feature_names: Any) -> Form:
    """Ask for a row.

    Parameters
    ----------
    explainer
        Of the model.
    examples, background
        Tables, or arrays by input name; the background is what columns are compared with.
    feature_names
        As :class:`~onnxplain.Explainer` takes them.

    Raises
    ------
    NotExplainableError
        If the model takes texts alone, or no numbers.
    DataInputError
        If columns are unknown or missing, or nobody says how many there are.
    """
    infos = explainer.inputs
    background = background.rows if isinstance(background, Background) else background
    stated = stated_columns(infos, explainer.metadata)
    columns, arrays = find_columns({}, feature_names, stated)
    for table in (background, examples):
        if table is not None:
            found, arrays = find_columns(table, feature_names, stated)
            columns = found if found.names else columns
    named = {i.name: columns.names.get(i.name) or _numbered(i) for i in infos}
    texts = [i for i in infos if i.dtype is not None and i.dtype.kind in "OUST"]
    if len(texts) == len(infos):
        raise NotExplainableError(
            f"input '{texts[0].name}' takes text, which the graph takes apart itself, so that a file has no "
            "words to vary; use ox.Words with the Explainer, or export a model that takes token ids"
        )
    explained = tuple(i.name for i in infos if i.role in ("float", "number"))
    if not explained:
        raise NotExplainableError("the model takes no numbers, so that there is nothing a page could vary")
    rows = {} if background is None else _rows(columns, background, infos)
    examples_of = {} if examples is None else _arrays(arrays, infos)
    fields = [
        field
        for info in infos
        for field in _fields(info, named[info.name], info.name in explained, (examples_of, rows))
    ]
    notes = []
    given = [i.name for i in infos if i.name not in explained]
    if given:
        notes.append(f"Taken as given, and not explained: {', '.join(given)}.")
    shown = {
        "inputs": [
            {"name": i.name, "dtype": str(i.dtype), "shape": list(_shape(i, len(named[i.name])))}
            for i in infos
        ],
        "fields": fields,
        "examples": _examples(examples_of, fields),
    }  # fmt: skip
    source = examples_of or rows or {i.name: _trial(i, len(named[i.name])) for i in infos}
    kept = {k: v for k, v in rows.items() if k in explained}
    return Form("row", shown, explained, {k: v[:1] for k, v in source.items()}, None, kept, tuple(notes))


def _fields(
    info: InputInfo, names: Sequence[str], explained: bool, known: Sequence[Arrays]
) -> Iterator[dict[str, Any]]:
    """Describe a field for each column of an input; known rows tell which texts there are."""
    dtype = info.dtype or np.dtype(np.float32)
    kind = "text" if dtype.kind in "OUST" else "number" if dtype.kind == "f" else "whole"
    rows = [a[info.name].reshape(len(a[info.name]), -1) for a in known if a]
    for place, name in enumerate(names):
        values = [v for of in rows for v in of[:, place].tolist()]
        choices = sorted({str(v) for v in values}) if kind == "text" else []
        yield {
            "name": name, "input": info.name, "place": place, "kind": kind, "explained": explained,
            "choices": choices if len(choices) <= _MOST_CHOICES else [],
            "missing": kind == "number" and any(map(is_missing, values)),
        }  # fmt: skip


def _shape(info: InputInfo, width: int) -> tuple[int, ...]:
    """Return the shape of one row."""
    return (1,) if len(info.shape or (1, 1)) == 1 else (1, width)


def _numbered(info: InputInfo) -> tuple[str, ...]:
    """Return names for the columns of an input that nobody named."""
    width = 1 if len(info.shape or (1, 1)) == 1 else (info.shape or (None, None))[1]
    if not isinstance(width, int):
        raise DataInputError(
            f"how many columns input '{info.name}' {info.spelled} has is not said; give feature_names, or a "
            "table with a header as example"
        )
    return (info.name,) if width == 1 else tuple(f"column {k + 1}" for k in range(width))


def _trial(info: InputInfo, width: int) -> Array:
    """Return a row to try: random numbers, whole ones 0, empty texts."""
    shape, dtype = _shape(info, width), info.dtype or np.dtype(np.float32)
    if dtype.kind == "f":
        return np.random.default_rng(0).standard_normal(shape).astype(dtype)
    return np.full(shape, "", object) if dtype.kind in "OUST" else np.zeros(shape, dtype)


def _arrays(laid: Any, infos: Sequence[InputInfo]) -> Arrays:
    """Return rows by input name, in the model's types."""
    if not isinstance(laid, Mapping):
        if len(infos) != 1:
            raise DataInputError(
                f"the model takes {', '.join(i.name for i in infos)}; give a table, or arrays by name"
            )
        laid = {infos[0].name: laid}
    missing = next((i.name for i in infos if i.name not in laid), None)
    if missing is not None:
        raise DataInputError(f"rows lack input '{missing}'")
    return {
        i.name: np.asarray(laid[i.name]).astype(
            object if i.dtype is None or i.dtype.kind in "OUST" else i.dtype
        )
        for i in infos
    }


def _rows(columns: Columns, background: Any, infos: Sequence[InputInfo]) -> Arrays:
    """Return the rows of a background, evenly chosen where there are many."""
    table = read_table(background) if columns.names else None
    made = _arrays(background if table is None else columns.lay_out(table), infos)
    count = min(map(len, made.values()))
    kept = np.unique(np.linspace(0, count - 1, min(count, MOST_BACKGROUND)).round().astype(int))
    return {k: v[kept] for k, v in made.items()}


def _examples(rows: Arrays, fields: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """Return examples, the values of a row in the order of the fields; None where one is missing."""
    count = min(map(len, rows.values()), default=0)
    found = []
    for row in range(min(count, MOST_EXAMPLES)):
        cells = [rows[f["input"]][row].reshape(-1)[f["place"]] for f in fields]
        found.append(
            [None if is_missing(c) else c.item() if isinstance(c, np.generic) else str(c) for c in cells]
        )
    return found
