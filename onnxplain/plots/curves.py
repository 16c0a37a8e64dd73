"""Curves of several methods in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from onnxplain.plots.canvas import axes_of, one_line, write_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from onnxplain._types import FloatArray

__all__ = ["draw_curves"]

#: Names below the way, and letters of each.
_MOST, _LONGEST = 24, 24


def draw_curves(
    curves: Mapping[str, tuple[FloatArray, FloatArray]],
    *,
    along: str,
    what: str,
    bands: Mapping[str, tuple[FloatArray, FloatArray]] | None = None,
    legend: bool = True,
    ticks: Sequence[str] = (),
    title: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw curves.

    Parameters
    ----------
    curves
        By name: where on the way, and the quantity there, (K,) both.
    along, what
        What the two are.
    bands
        By name: the ends of what lies around a curve, (K,) both.
    legend
        Whether to say the names.
    ticks
        What the places 0, 1, ... on the way are called, where they have names.
    title
        Above the picture.
    ax
        Axes to draw on; a new figure otherwise.
    """
    alone = ax is None
    figure, ax = axes_of(ax, 5.6, 4.2 if ticks else 3.2)
    colours = mpl.colormaps["tab10" if len(curves) <= 10 else "tab20"]
    styles = ("-", "--", ":", "-.")
    count = int(colours.N)
    for k, (name, (at, values)) in enumerate(curves.items()):
        style = styles[k // count % len(styles)]
        ax.plot(at, values, style, color=colours(k % count), linewidth=1.4, label=one_line(name))
        if bands and name in bands:
            ax.fill_between(at, *bands[name], color=colours(k % count), alpha=0.2, linewidth=0)
    ax.set_xlabel(one_line(along), fontsize=8, parse_math=False)
    ax.set_ylabel(one_line(what), fontsize=8, parse_math=False)
    ax.tick_params(labelsize=8)
    if ticks:
        every = -(-len(ticks) // _MOST)
        words = [one_line(t if len(t) <= _LONGEST else f"{t[: _LONGEST - 3]}...") for t in ticks[::every]]
        ax.set_xticks(
            range(0, len(ticks), every), words, rotation=60, ha="right", fontsize=7, parse_math=False
        )
    ax.margins(x=0.01)
    ax.spines[["top", "right"]].set_visible(False)
    if legend:
        if alone:
            made = figure.legend(fontsize=7, frameon=False, loc="outside right center")
        else:
            made = ax.legend(fontsize=7, frameon=False)
        for text in made.get_texts():
            text.set_parse_math(False)
    if _crosses(curves):
        ax.axhline(0, color="#cccccc", linewidth=0.8, zorder=0)
    write_title(ax, title)
    return figure


def _crosses(curves: Mapping[str, tuple[FloatArray, FloatArray]]) -> bool:
    held = np.concatenate([v for _, v in curves.values()])
    return bool(np.nanmin(held, initial=0.0) < 0 < np.nanmax(held, initial=0.0))
