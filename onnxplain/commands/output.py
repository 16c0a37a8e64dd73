"""What the command line writes: files in the form that their ending asks for, and tables for the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onnxplain.commands.tables import write_csv
from onnxplain.methods import FAMILIES
from onnxplain.report import is_table, rules_of, sample_section, table_sections, write_report
from onnxplain.report.wording import check_text, interface_text, percent, prediction_text, target_text
from onnxplain.text import visible_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from onnxplain.attribution import Attribution
    from onnxplain.commands.tables import LoadedTable
    from onnxplain.inspection import Inspection
    from onnxplain.report import Section

__all__ = ["inspection_lines", "method_lines", "summary", "write"]

#: Columns that the terminal names.
_NAMED = 4


def write(
    result: Attribution,
    file: Path,
    model: Path,
    source: Path,
    steps: Sequence[str],
    class_names: list[str] | None,
    part_names: list[str] | None,
    table: LoadedTable | None = None,
) -> list[Path]:
    """Write a result in the form that the file's ending asks for.

    Parameters
    ----------
    result
        What to write.
    file
        Where to: ``.npz``, ``.json``, ``.csv``, ``.html``, or a picture, of which there is one for each
        sample and input, and one of all rows of a table.
    model, source
        Where it came from, for titles.
    steps
        What was done to an image.
    class_names, part_names
        Names of classes, and of features or tokens.
    table
        What was explained, if that is a table.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    OutputError
        If one cannot be written.
    """
    ending = file.suffix.lower()
    if ending in (".npz", ".json"):
        result.save(file)
        return [file]
    if ending == ".csv":
        write_csv(result, file, {} if table is None else table.ids, class_names)
        return [file]
    if ending in (".html", ".htm"):
        sections = _sections(result, source, class_names, part_names, table)
        facts = [("model", model.name), ("output", result.output[0]), ("method", result.written_method)]
        facts += [("image", ", ".join(steps))] * bool(steps)
        title = f"Why {model.stem} says what it says"
        return [
            write_report(file, title, sections, facts=facts, notes=result.notes, rules=rules_of([result]))
        ]
    if table is not None and is_table(result):
        from onnxplain.plots.canvas import save

        kind = "beeswarm" if len(result) > 1 else "waterfall"
        save(result.plot(kind=kind, title=result.written_method.split("(")[0]), file, dpi=130)
        return [file]
    return _pictures(result, file, class_names, part_names)


def summary(
    result: Attribution, class_names: Sequence[str] | None, together: bool
) -> Iterator[tuple[str, str]]:
    """Say what was found, in pairs (what, text): of each sample, or of all rows of a table together."""
    if together and len(result) > 1:
        yield "rows", str(len(result))
        relative = result.relative_delta
        if relative is not None:
            yield "check", f"off by {percent(float(relative.max()))} at most"
        if is_table(result):
            yield "columns", _largest(result)
        return
    for sample in range(len(result)):
        number = f" {sample}" if len(result) > 1 else ""
        yield f"prediction{number}", prediction_text(result.predictions[sample], class_names)
        explained = f"{target_text(result, sample, class_names)}, score {float(result.score[sample]):.4g}"
        yield f"explained{number}", explained
        yield f"check{number}", check_text(result, sample)


def _largest(result: Attribution) -> str:
    """Name the columns that matter most, with the mean size of what they do."""
    view = result.by_column()
    size = np.abs(view.values).mean(0)
    shown = ", ".join(f"{view.names[i]} {size[i]:.3g}" for i in view.order()[:_NAMED])
    more = len(view.names) - _NAMED
    return f"{shown}{f' and {more} more' if more > 0 else ''} (mean size)"


def _sections(
    result: Attribution,
    source: Path,
    class_names: list[str] | None,
    part_names: list[str] | None,
    table: LoadedTable | None,
) -> list[Section]:
    if table is not None and is_table(result):
        ids = [list(map(str, column)) for column in table.ids.values()]
        rows = [" ".join(parts) for parts in zip(*ids, strict=True)] if ids else None
        return table_sections(result, title=source.name, row_names=rows, class_labels=class_names)
    return [
        sample_section(
            [result],
            sample,
            title=f"{source.name}, sample {sample}" if len(result) > 1 else source.name,
            class_labels=class_names,
            labels=part_names,
        )
        for sample in range(len(result))
    ]


def _pictures(
    result: Attribution, file: Path, class_names: list[str] | None, part_names: list[str] | None
) -> list[Path]:
    from onnxplain.plots.canvas import save

    written = []
    for sample in range(len(result)):
        for name in result.arrays:
            parts = [str(sample)] * (len(result) > 1)
            parts += [_file_part(name)] * (len(result.arrays) > 1)
            one = file.with_name("-".join([file.stem, *parts]) + file.suffix)
            what = f"{result.written_method.split('(')[0]} for {target_text(result, sample, class_names)}"
            save(result.plot(sample, name=name, labels=part_names, title=what), one, dpi=130)
            written.append(one)
    return written


def _file_part(name: str) -> str:
    """Make an input's name part of a file's name, which must stay in its folder and fit there."""
    return "".join("_" if letter in '/\\:*?"<>|' else letter for letter in visible_line(name))[:80]


def inspection_lines(found: Inspection, composite: str | None) -> list[str]:
    """Lay out what an inspection found."""
    lines = []
    for title, rows in (("inputs", found.inputs), ("outputs", found.outputs)):
        lines.append(title)
        for row in rows:
            tokens = " (tokens, explained at their embedding)" if getattr(row, "token", False) else ""
            lines.append(f"  {interface_text(row)}{tokens}")
    lines.append("operators")
    table = [["operator", "count", "gradient", "LRP rule"]]
    for entry in found.operators:
        name = f"{entry.domain}::{entry.op_type}" if entry.domain else entry.op_type
        cells = (name, str(entry.count), entry.gradient, entry.rule or "-")
        table.append([visible_line(cell) for cell in cells])
    widths = [max(len(row[i]) for row in table) for i in range(4)]
    lines += [
        "  " + "  ".join(c.ljust(width) for c, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    if found.rule_table is not None:
        lines.append(f"rules of {composite}")
        lines += [f"  {line}".rstrip() for line in str(found.rule_table).splitlines()]
    return lines + [f"note: {note}" for note in found.notes]


def method_lines() -> Iterator[str]:
    """Say of each method, by family, whether it needs gradients, what it costs and what it sums to."""
    kinds = [kind for family in FAMILIES.values() for kind in family]
    rows = {
        kind: (
            kind.name,
            "gradients" if "backward" in kind.cost else "scores",
            kind.cost,
            kind.sums_to or "-",
        )
        for kind in kinds
    }
    heads = ("method", "needs", "cost of a sample", "sums to")
    widths = [max(len(row[k]) for row in (heads, *rows.values())) for k in range(len(heads))]

    def line(row: Sequence[str]) -> str:
        return "  ".join(f"{text:<{w}}" for text, w in zip(row, widths, strict=True)).rstrip()

    yield line(heads)
    for family, members in FAMILIES.items():
        if members:
            yield ""
            yield f"-- {family}"
        for kind in members:
            yield line(rows[kind])
