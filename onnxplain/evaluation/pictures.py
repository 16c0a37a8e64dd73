"""Evaluations as pictures: ranks, agreement, curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnxplain._types import FloatArray
from onnxplain.errors import MethodError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["curves_of", "draw_agreement", "draw_curves_of", "draw_ranks"]


def draw_ranks(found: Any, title: str | None = None) -> Figure:
    """Draw methods by metrics, coloured by rank, with the means."""
    from onnxplain.plots.matrix import draw_matrix

    texts = [
        [
            "failed" if found.cells[a, b].measured is None else f"{found.means[i, k]:.3g}"
            for k, b in _numbered(found)
        ]
        for i, a in enumerate(found.methods)
    ]
    ways = {True: " ↑", False: " ↓", None: ""}
    heads = [f"{k}{ways[m.higher_is_better]}" for k, m in found.metrics.items()]
    return draw_matrix(
        found.ranks, list(found.methods), heads, low=1, high=max(2, len(found.methods)), cmap="RdYlGn_r",
        texts=texts, ends=("best", "worst"), title=title or "Means, coloured by rank",
    )  # fmt: skip


def draw_agreement(found: Any, title: str | None = None) -> Figure:
    """Draw how far metrics rank methods alike."""
    from onnxplain.plots.matrix import draw_matrix

    names = list(found.metrics)
    return draw_matrix(
        found.agreement(), names, names, low=-1, high=1, ends=("contradict", "agree"),
        title=title or "Kendall's tau between ranks",
    )  # fmt: skip


def draw_curves_of(found: Any, metric: str | None = None, title: str | None = None) -> Figure:
    """Draw the mean curves of all methods.

    Raises
    ------
    MethodError
        If the metric has none.
    """
    from onnxplain.plots.curves import draw_curves

    have = [k for k in found.metrics if curves_of(found, k)]
    if metric is None and have:
        metric = have[0]
    if metric is None or metric not in have:
        of = "no metric" if metric is None else f"'{metric}'"
        raise MethodError(f"{of} has curves; those that have some: {', '.join(have) or 'none'}")
    drawn = curves_of(found, metric)
    name = next(iter(drawn))
    along, what, curves = drawn[name]
    return draw_curves(curves, along=along, what=what, title=title or metric)


def curves_of(
    found: Any, metric: str
) -> dict[str, tuple[str, str, dict[str, tuple[FloatArray, FloatArray]]]]:
    """Return a metric's mean curves: by their name, what they are, and those of each method."""
    made: dict[str, tuple[str, str, dict[str, tuple[FloatArray, FloatArray]]]] = {}
    for method in found.methods:
        measured = found.cells[method, metric].measured
        for name, curve in () if measured is None else measured.curves.items():
            at, values = curve.aligned()
            if values.size:
                made.setdefault(name, (curve.along, curve.what, {}))[2][method] = at, values.mean(0)
    return made


def _numbered(found: Any) -> list[tuple[int, str]]:
    return list(enumerate(found.metrics))
