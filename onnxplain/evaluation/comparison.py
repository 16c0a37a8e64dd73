"""How far methods agree about the same samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from onnxplain._types import Array, FloatArray
from onnxplain.attribution import Attribution
from onnxplain.errors import MethodError
from onnxplain.metrics.similarity import cosine, spearman
from onnxplain.options import check_option
from onnxplain.text import visible_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["AGREEMENTS", "Comparison", "agreements"]

Agreement = Literal["spearman", "cosine", "overlap", "signs"]

#: How agreement is measured, and from which value on.
AGREEMENTS: Mapping[Agreement, float] = {"spearman": -1.0, "cosine": -1.0, "overlap": 0.0, "signs": 0.0}

_TITLES = {
    "spearman": "Rank correlation",
    "cosine": "Cosine",
    "overlap": "Overlap of the most important",
    "signs": "Equal signs",
}


@dataclass(frozen=True, eq=False)
class Comparison:
    """How far M methods agree about N samples, as :func:`onnxplain.compare` found it.

    Attributes
    ----------
    methods
        By what tables call them, as written in Python.
    values
        By measure, (N, M, M): ``"spearman"`` (rank correlation), ``"cosine"``, ``"overlap"`` (the share of
        the features of largest magnitude that both name) and ``"signs"`` (the share of equal signs, among
        the features of which one of both says something).  NaN where a method failed, or a measure says
        nothing.
    errors
        Why methods could not work here, by method.
    shown
        By method, its explanations of the first samples.
    top
        Which share of the features ``"overlap"`` looks at.
    """

    methods: Mapping[str, str]
    values: Mapping[str, FloatArray]
    errors: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, Attribution] = field(default_factory=dict)
    top: float = 0.1

    def mean(self, kind: Agreement = "spearman") -> FloatArray:
        """Return the mean over samples, (M, M); NaN where there is none."""
        held = self.values[check_option("kind", kind, Agreement, MethodError)]
        known = ~np.isnan(held)
        total = np.where(known, held, 0).sum(0)
        return np.where(known.any(0), total / np.maximum(known.sum(0), 1), np.nan)

    def table(self, kind: Agreement = "spearman") -> str:
        """Return means as text, and what failed."""
        means, names = self.mean(kind), list(self.methods)
        lines = [["", *names]]
        lines += [[name, *(f"{v:.2f}" for v in row)] for name, row in zip(names, means, strict=True)]
        widths = [max(len(line[k]) for line in lines) for k in range(len(names) + 1)]
        text = [
            "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines
        ]
        text += [f"failed: {name}: {error}" for name, error in self.errors.items()]
        return "\n".join(visible_line(line.rstrip()) for line in text)

    def __str__(self) -> str:
        """Return the table of rank correlations."""
        return self.table()

    def __repr__(self) -> str:
        """Summarise: how much was compared."""
        n = len(next(iter(self.values.values())))
        failed = f", {len(self.errors)} failed" if self.errors else ""
        return f"Comparison({len(self.methods)} methods x {n} samples{failed})"

    def plot(self, kind: Agreement | Literal["all", "maps"] = "all", *, title: str | None = None) -> Figure:
        """Draw how far methods agree, or what they find in the first samples.

        Parameters
        ----------
        kind
            A measure; ``"all"`` of them; or ``"maps"``, pictures of the first samples under each method.
        title
            Above the picture.

        Raises
        ------
        MethodError
            If there is no such kind.
        DataInputError
            If there are no images to show.
        """
        from onnxplain.plots.canvas import new_figure, one_line
        from onnxplain.plots.matrix import draw_matrix

        kind = check_option("kind", kind, Agreement | Literal["all", "maps"], MethodError)
        if kind == "maps":
            return self._maps()
        names = list(self.methods)
        if kind != "all":
            means, low = self.mean(kind), AGREEMENTS[kind]
            return draw_matrix(means, names, names, low=low, high=1, title=title or _TITLES[kind])
        figure = new_figure(2 * (2.2 + 0.55 * len(names)), 2 * (1.8 + 0.36 * len(names)))
        for ax, (name, low) in zip(figure.subplots(2, 2).ravel(), AGREEMENTS.items(), strict=True):
            means = self.mean(name)
            draw_matrix(means, names, names, low=low, high=1, title=_TITLES[name], ax=ax)
        if title:
            figure.suptitle(one_line(title), parse_math=False)
        return figure

    def _maps(self) -> Figure:
        from onnxplain.plots.grid import draw_grid

        first = next(iter(self.shown.values()), None)
        name = "" if first is None else next(iter(first.arrays))
        rows = [(k, list(r.arrays[name])) for k, r in self.shown.items() if name in r.arrays]
        return draw_grid([] if first is None else list(first.inputs[name]), rows)


def agreements(found: list[FloatArray | None], top: float) -> dict[str, FloatArray]:
    """Return how far attributions agree, by measure, (n, M, M).

    Parameters
    ----------
    found
        (n, D) of each method; None where it failed.
    top
        Which share of the features is most important.
    """
    n = next(len(f) for f in found if f is not None)
    shape = n, len(found), len(found)
    made: dict[str, FloatArray] = {kind: np.full(shape, np.nan) for kind in AGREEMENTS}
    most = [np.zeros((n, 0), bool) if f is None else _most(f, top) for f in found]
    for a, first in enumerate(found):
        for b, second in enumerate(found[: a + 1]):
            if first is None or second is None:
                continue
            both: dict[str, Any] = {
                "spearman": spearman(first, second),
                "cosine": cosine(first, second),
                "overlap": (most[a] & most[b]).sum(1) / np.maximum(1, most[a].sum(1)),
                "signs": _signs(first, second),
            }
            for kind, values in both.items():
                made[kind][:, a, b] = made[kind][:, b, a] = values
    return made


def _most(values: FloatArray, top: float) -> Array:
    """Return which features are the most important, bool (n, D); among equal ones the first."""
    count = max(1, round(top * values.shape[1]))
    order = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :count]
    made = np.zeros(values.shape, bool)
    np.put_along_axis(made, order, values=True, axis=1)
    return made


def _signs(first: FloatArray, second: FloatArray) -> FloatArray:
    said = (first != 0) | (second != 0)
    same = said & (np.sign(first) == np.sign(second))
    count = said.sum(1)
    share: FloatArray = np.where(count > 0, same.sum(1) / np.maximum(count, 1), np.nan)
    return share
