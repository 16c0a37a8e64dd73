"""A strip of coloured tokens: text, bytes, anything that is a row of symbols."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup, escape
from matplotlib.colors import Colormap, to_hex
from matplotlib.patches import FancyBboxPatch

from onnxplain.errors import DataInputError
from onnxplain.plots.canvas import axes_of, limit_of, paint, printable, write_title
from onnxplain.plots.kinds import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from onnxplain._types import Array, FloatArray

__all__ = ["draw_tokens", "tokens_html"]

COLUMNS = 84  # letters in a line
MOST = 1200  # tokens in a picture


def draw_tokens(
    values: Array,
    sample: Array,
    *,
    labels: Sequence[str] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
    cmap: str | Colormap | None = None,
    percentile: float = 99.0,
) -> Figure:
    """Draw each token on its colour, in lines like text.

    Parameters and result are those of :func:`onnxplain.plots.draw`. Letters that the figure's font
    lacks appear as boxes; :func:`tokens_html` shows every script. Of very long rows the first 1200
    tokens are drawn.
    """
    shown, texts = _pairs(values, sample, labels)
    more = len(texts) - MOST
    drawn = printable(texts[:MOST], "DejaVu Sans Mono")
    lines = _lines(drawn)
    rows = len(lines) + (more > 0)
    figure, ax = axes_of(ax, 8.2, 0.34 * rows + (0.65 if title else 0.3))
    colours = paint(shown, limit_of(shown, percentile), cmap)
    for row, line in enumerate(lines):
        for place, column, width in line:
            ax.add_patch(
                FancyBboxPatch(
                    (column + 0.15, row + 0.12),
                    width - 0.3,
                    0.76,
                    boxstyle="round,pad=0,rounding_size=0.25",
                    mutation_aspect=0.3,
                    facecolor=tuple(colours[place]),
                    edgecolor="#cccccc",
                    linewidth=0.4,
                )
            )
            ax.text(
                column + width / 2,
                row + 0.53,
                drawn[place],
                ha="center",
                va="center",
                fontsize=9,
                family="DejaVu Sans Mono",
                color=_ink(colours[place]),
                parse_math=False,
                clip_on=True,
            )
    if more > 0:
        ax.text(0.2, len(lines) + 0.5, f"... and {more} more", va="center", fontsize=8, color="#666666")
    ax.set_xlim(0, max((column + width for line in lines for _, column, width in line), default=COLUMNS))
    if ax.get_xlim()[1] < COLUMNS:
        ax.set_xlim(0, COLUMNS)
    ax.set_ylim(rows, 0)
    ax.set_axis_off()
    write_title(ax, title, loc="left")
    return figure


def tokens_html(values: Array, sample: Array, *, labels: Sequence[str] | None = None) -> str:
    """Write the same strip as HTML that needs no style sheet.

    Parameters
    ----------
    values, sample
        (L,): attribution and ids of the tokens.
    labels
        Texts of the tokens; the ids by default.

    Returns
    -------
    str
        One ``<p>`` with a ``<span>`` per token; pointing at one shows its number.

    Raises
    ------
    DataInputError
        If the arrays or labels do not fit together.
    """
    shown, texts = _pairs(values, sample, labels)
    colours = paint(shown, limit_of(shown))
    spans = [
        Markup(
            '<span title="{}" style="background:{};color:{};border-radius:.25em;padding:.1em .3em">{}</span>'
        ).format(f"{value:+.3g}", to_hex(tuple(colour)), _ink(colour), escape(text) or Markup("&nbsp;"))
        for value, colour, text in zip(shown, colours, texts, strict=True)
    ]
    return Markup('<p class="tokens" style="line-height:1.9;overflow-wrap:anywhere">{}</p>').format(
        Markup(" ").join(spans)
    )


def _pairs(values: Array, sample: Array, labels: Sequence[str] | None) -> tuple[FloatArray, list[str]]:
    shown = np.nan_to_num(np.asarray(values, np.float64).ravel(), posinf=0.0, neginf=0.0)
    ids = np.asarray(sample).ravel()
    if shown.size != ids.size:
        raise DataInputError(f"{shown.size} values for {ids.size} tokens; give one number per token")
    return shown, names(labels if labels is not None else ids.tolist(), ids.size, "tokens")


def _lines(texts: list[str]) -> list[list[tuple[int, float, float]]]:
    """Break into lines: (token, column, width) each."""
    lines: list[list[tuple[int, float, float]]] = [[]]
    column = 0.0
    for place, text in enumerate(texts):
        width = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text) + 1.4
        if column and column + width > COLUMNS:
            lines.append([])
            column = 0.0
        lines[-1].append((place, column, width))
        column += width
    return lines


def _ink(colour: Array) -> str:
    """Black or white, whichever reads better on the colour."""
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return "#000000" if float(linear @ np.array([0.2126, 0.7152, 0.0722])) > 0.18 else "#ffffff"
