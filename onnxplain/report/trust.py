"""The page of an evaluation: methods by metrics, how these agree, curves and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onnxplain.errors import DataInputError
from onnxplain.evaluation.files import failure_lines
from onnxplain.evaluation.pictures import curves_of
from onnxplain.files import replacing
from onnxplain.report.grid import grid_of
from onnxplain.report.page import Grid, Picture, rendered
from onnxplain.text import visible_line

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from onnxplain.evaluation import Evaluation

__all__ = ["write_trust_report"]

_WAYS = {True: " ↑", False: " ↓", None: ""}
_MOST_CONTRADICTIONS = 12


@dataclass(frozen=True)
class _Head:
    """A column: a metric."""

    name: str
    way: str
    detail: str


@dataclass(frozen=True)
class _Cell:
    """A cell, in words."""

    mean: str = ""
    interval: str = ""
    rank: str = ""
    best: bool = False
    error: str = ""


@dataclass(frozen=True)
class _Row:
    """A line: a method."""

    name: str
    detail: str
    cells: tuple[_Cell, ...]
    rank: str
    time: str


def write_trust_report(
    path: str | os.PathLike[str],
    found: Evaluation,
    *,
    title: str = "What these explanations are worth",
    facts: Sequence[tuple[str, str]] = (),
    notes: Sequence[str] = (),
    class_labels: Sequence[str] | None = None,
) -> Path:
    """Write the page.

    Parameters
    ----------
    path
        File to write.
    found
        The evaluation.
    title
        Heading of the page.
    facts
        (name, value) pairs about the model and the data, before those of the evaluation.
    notes
        What a reader should know besides the evaluation's notes.
    class_labels
        Names of the model's classes.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    OutputError
        If it cannot be written; what stood there is still there.
    """
    page = rendered(
        "trust.html.jinja",
        title=title,
        lead=f"{_count(len(found.methods), 'method')} by {_count(len(found.metrics), 'metric')}, over "
        f"{_count(found.n, 'sample')}.",
        facts=[*facts, *_facts(found)],
        notes=list(dict.fromkeys((*notes, *found.notes))),
        heads=[
            _Head(visible_line(k), _WAYS[m.higher_is_better], visible_line(repr(m)))
            for k, m in found.metrics.items()
        ],
        rows=[_row(found, i, method) for i, method in enumerate(found.methods)],
        failures=failure_lines(found),
        agreement=_agreement(found),
        contradictions=_contradictions(found),
        curves=list(_curves(found)),
        grid=_grid(found, class_labels),
        methods=[
            (visible_line(k), visible_line(v), _number(found.seconds[k])) for k, v in found.methods.items()
        ],
        metrics=[
            (visible_line(k), visible_line(repr(m)), _number(_spent(found, k)))
            for k, m in found.metrics.items()
        ],
        remarks=_remarks(found),
    )
    with replacing(path) as file:
        file.write(page.encode("utf-8", "backslashreplace"))
    return Path(path)


def _facts(found: Evaluation) -> Iterator[tuple[str, str]]:
    yield "explained", found.target
    if found.level is not None:
        yield "intervals", f"{found.level:.0%} of the mean, by the bootstrap over samples"
    yield "seed", "each its own" if found.seed is None else str(found.seed)
    yield "model's hash", found.model_hash
    yield "versions", ", ".join(f"{k} {v}" for k, v in found.versions.items())


def _row(found: Evaluation, i: int, method: str) -> _Row:
    seconds = found.seconds[method]
    return _Row(
        visible_line(method),
        visible_line(found.methods[method]),
        tuple(_cell(found, i, k, method, metric) for k, metric in enumerate(found.metrics)),
        "" if np.isnan(found.mean_ranks[i]) else f"{found.mean_ranks[i]:.1f}",
        "" if np.isnan(seconds) else _number(1000 * seconds / max(1, found.n)),
    )


def _cell(found: Evaluation, i: int, k: int, method: str, metric: str) -> _Cell:
    cell = found.cells[method, metric]
    if cell.measured is None:
        return _Cell(error=cell.error)
    rank = found.ranks[i, k]
    low, high = found.intervals[i, k]
    return _Cell(
        _number(float(found.means[i, k])) or "says nothing",
        "" if np.isnan(low) else f"{_number(float(low))} to {_number(float(high))}",
        "" if np.isnan(rank) else f"{rank:g}",
        bool(rank == 1 and np.nanmax(found.ranks[:, k]) > 1),
    )


def _agreement(found: Evaluation) -> Picture | None:
    from onnxplain.plots.canvas import png

    if not (~np.isnan(found.agreement())).any():
        return None
    return Picture("Kendall's tau between the ranks that metrics give", png(found.plot("agreement")))


def _contradictions(found: Evaluation) -> list[str]:
    pairs = found.contradictions()
    lines = [f"{a} and {b}: {tau:.2f}" for a, b, tau in pairs[:_MOST_CONTRADICTIONS]]
    if len(pairs) > len(lines):
        lines.append(f"and {len(pairs) - len(lines)} pairs more")
    return [visible_line(line) for line in lines]


def _curves(found: Evaluation) -> Iterator[Picture]:
    from onnxplain.plots.canvas import png
    from onnxplain.plots.curves import draw_curves

    for metric in found.metrics:
        for name, (along, what, curves) in curves_of(found, metric).items():
            title = metric if name in metric else f"{metric}: {name}"
            picture = draw_curves(curves, along=along, what=what, title=title)
            yield Picture(f"{title}: {what} by {along}, of {', '.join(curves)}", png(picture))


def _grid(found: Evaluation, class_labels: Sequence[str] | None) -> Grid | None:
    """Put pictures side by side; nothing where what was explained are no images."""
    count = max((len(r) for r in found.shown.values()), default=0)
    shown = {k: r for k, r in found.shown.items() if len(r) == count}
    try:
        return grid_of(list(shown.values()), names=list(shown), class_labels=class_labels)
    except DataInputError:  # samples of more axes than a picture has
        return None


def _remarks(found: Evaluation) -> list[str]:
    """Return the notes of all cells, once for a metric where all its methods have them."""
    lines: dict[str, list[str]] = {}
    for (method, metric), cell in found.cells.items():
        for note in () if cell.measured is None else cell.measured.notes:
            lines.setdefault(f"{metric}: {note}", []).append(method)
    made = []
    for line, methods in lines.items():
        made.append(line if len(methods) == len(found.methods) else f"{line} ({', '.join(methods)})")
    return [visible_line(line) for line in made]


def _spent(found: Evaluation, metric: str) -> float:
    spent = [found.cells[m, metric].seconds for m in found.methods]
    known = [s for s in spent if not np.isnan(s)]
    return sum(known) if known else float("nan")


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3g}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"
