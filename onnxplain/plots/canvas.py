"""What all pictures share: the figure, the colours, the scale."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.colors import Colormap
from matplotlib.figure import Figure, SubFigure
from matplotlib.ft2font import FT2Font

from onnxplain.files import replacing

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes

    from onnxplain._types import Array, FloatArray

__all__ = [
    "AGAINST",
    "FOR",
    "NotebookFigure",
    "add_scale",
    "axes_of",
    "colour_map",
    "figure_of",
    "limit_of",
    "new_figure",
    "one_line",
    "paint",
    "png",
    "printable",
    "save",
    "write_title",
]

FOR = "#b2182b"
AGAINST = "#2166ac"
INK = "#222222"


class NotebookFigure(Figure):
    """A figure that shows itself in a notebook, without ``pyplot``."""

    def _repr_png_(self) -> bytes:
        return png(self)


def new_figure(width: float, height: float) -> NotebookFigure:
    """Make an empty figure, sizes in inches."""
    return NotebookFigure(figsize=(width, height), layout="constrained", facecolor="white")


def figure_of(ax: Axes) -> Figure:
    """Give the figure that the axes belong to."""
    figure: Figure | SubFigure | None = ax.get_figure()
    while isinstance(figure, SubFigure):
        figure = figure.figure
    assert isinstance(figure, Figure)
    return figure


def axes_of(ax: Axes | None, width: float, height: float) -> tuple[Figure, Axes]:
    """Give axes with their figure: those given, or the only ones of a new figure, sizes in inches."""
    if ax is not None:
        return figure_of(ax), ax
    figure = new_figure(width, height)
    return figure, figure.subplots()


def write_title(ax: Axes, title: str | None, loc: Literal["left"] | None = None) -> None:
    """Write a title above axes, if there is one."""
    if title:
        ax.set_title(one_line(title), fontsize=11, loc=loc, parse_math=False)


def png(figure: Figure) -> bytes:
    """Render a figure."""
    with io.BytesIO() as buffer:
        figure.savefig(buffer, format="png", dpi=110.0)
        return buffer.getvalue()


def save(figure: Figure, path: str | os.PathLike[str], dpi: float = 110.0) -> None:
    """Write a figure in the form that the file's ending asks for, in one step.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with replacing(path) as file:
        figure.savefig(file, format=Path(path).suffix[1:].lower(), dpi=dpi)


def colour_map(cmap: str | Colormap | None) -> Colormap:
    """Look a colour map up; the default runs from blue over white to red."""
    if isinstance(cmap, Colormap):
        return cmap
    try:
        return mpl.colormaps[cmap or "RdBu_r"]
    except KeyError:
        from onnxplain.errors import DataInputError

        raise DataInputError(
            f"matplotlib has no colour map '{cmap}'; try 'RdBu_r', 'PuOr_r' or 'coolwarm'"
        ) from None


def limit_of(values: FloatArray, percentile: float = 99.0) -> float:
    """Tell which absolute value gets the strongest colour.

    The percentile of the absolute values; where that is 0 (few values differ from 0) their maximum;
    1 if all are 0.
    """
    size = np.abs(np.asarray(values, np.float64))
    size = size[np.isfinite(size)]
    if size.size == 0:
        return 1.0
    return float(np.percentile(size, percentile)) or float(size.max()) or 1.0


def paint(values: FloatArray, limit: float, cmap: str | Colormap | None = None) -> Array:
    """Colour values: -limit to limit become the ends of the map, 0 its middle.

    Returns
    -------
    ndarray of float64, shape (..., 3)
        Red, green, blue in 0..1.
    """
    place = np.clip(np.asarray(values, np.float64) / limit, -1.0, 1.0) / 2.0 + 0.5
    return np.asarray(colour_map(cmap)(place))[..., :3]


def add_scale(
    figure: Figure,
    axes: Sequence[Axes],
    limit: float,
    cmap: str | Colormap | None,
    *,
    pad: float,
    aspect: float,
) -> None:
    """Draw the scale of colours beside axes, with what its ends mean.

    Parameters
    ----------
    figure, axes
        Where.
    limit, cmap
        As :func:`paint` has them.
    pad, aspect
        Distance from the axes, as a part of their width, and length over width.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    colours = ScalarMappable(Normalize(-limit, limit), colour_map(cmap))
    bar = figure.colorbar(colours, ax=axes, pad=pad, aspect=aspect)
    bar.set_ticks([-limit, 0.0, limit], labels=[f"{-limit:.2g}\nagainst", "0", f"{limit:.2g}\nfor"])
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8)


@lru_cache(maxsize=4)
def _font(family: str) -> FT2Font:
    return FT2Font(font_manager.findfont(font_manager.FontProperties(family=[family])))


def printable(texts: Iterable[str], family: str = "DejaVu Sans") -> list[str]:
    """Replace what the figure's font cannot draw by a box, so that no warning is raised.

    Line breaks and other control characters become a visible mark. The HTML forms need none of this.
    """
    font = _font(family)

    def mark(letter: str) -> str:
        if letter in "\n\r":
            return "\u21b5"
        if letter == "\t":
            return "\u21e5"
        return letter if letter.isprintable() and font.get_char_index(ord(letter)) else "\u25a1"

    return ["".join(mark(letter) for letter in text) for text in texts]


def one_line(text: str) -> str:
    """Make one text printable."""
    return printable([text])[0]
