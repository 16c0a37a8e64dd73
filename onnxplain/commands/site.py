"""What a site shows as examples, read from files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxplain.commands.arguments import refuse_ids
from onnxplain.commands.tables import background as read_background
from onnxplain.commands.tables import load_table
from onnxplain.errors import DataInputError
from onnxplain.files import TEXT_BYTES, check_source
from onnxplain.table_files import holds_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnxplain.explainer import Explainer

__all__ = ["examples_of"]


def examples_of(
    paths: Sequence[Path],
    background: str | None,
    explainer: Explainer,
    ids: Sequence[str],
    names: Sequence[str] | None,
) -> tuple[Any, Any]:
    """Read examples, by their files' endings, and a background.

    Parameters
    ----------
    paths
        Pictures, or one table, or one file of texts.
    background
        A table; None for none.
    explainer
        What they are for.
    ids, names
        Columns of tables that are not for the model; names of a matrix's columns.

    Returns
    -------
    examples, background
        As :func:`~onnxplain.page.write_page` takes them.

    Raises
    ------
    DataInputError
        If a file is missing, malformed, or of another kind than the others.
    """
    tables = [p for p in paths if holds_table(p)]
    texts = [p for p in paths if p.suffix.lower() == ".txt"]
    if (tables or texts) and len(paths) > 1:
        raise DataInputError(
            f"--example {(tables or texts)[0]}: give one table or file of texts, and nothing else"
        )
    table = load_table(tables[0], explainer, ids, names) if tables else None
    if table is None and background is None:
        refuse_ids(ids)
    if table is None and background is not None and holds_table(Path(background)):
        rows: Any = load_table(Path(background), explainer, ids, names).columns
    else:
        rows, _ = read_background(background, table, explainer)
    if table is not None:
        return table.columns, rows
    if texts:
        return _lines(texts[0]), rows
    return list(paths) or None, rows


def _lines(path: Path) -> list[str]:
    check_source(path, "file of texts", DataInputError, TEXT_BYTES)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataInputError(f"'{path}' is no text in UTF-8 ({error})") from error
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise DataInputError(f"'{path}' holds no text; write one a line")
    return found
