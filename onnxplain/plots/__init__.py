"""Pictures of attributions: heatmaps, bars, token strips and series; rooms of tables.

This layer knows arrays only. Matplotlib is loaded when something is drawn, never before, and figures
are made without ``pyplot``: no global state, no window, no display needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnxplain.errors import DataInputError
from onnxplain.plots.kinds import KINDS, guess_kind, without_batch_of_one
from onnxplain.plots.tables import TABLE_KINDS, TableView, draw_table, table_view

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

__all__ = ["KINDS", "TABLE_KINDS", "TableView", "draw", "draw_table", "table_view"]


def draw(
    values: ArrayLike,
    sample: ArrayLike,
    *,
    kind: str = "auto",
    labels: Sequence[str] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
    cmap: str | Colormap | None = None,
    percentile: float = 99.0,
) -> Figure:
    """Draw the attribution of one sample.

    Colours run both ways from zero with the same scale: red speaks for the explained score, blue
    against it. The strongest colour stands for the given percentile of the absolute values, so that
    a few extreme ones do not bleach the rest.

    Parameters
    ----------
    values
        Attribution of one sample, without the batch axis, the shape of ``sample`` (for tokens: one
        number per token).
    sample
        What was explained.
    kind
        ``"image"``, ``"bars"``, ``"tokens"``, ``"series"``, or ``"auto"``, which looks at ``sample``
        without its leading axes of length 1:

        ============================================================ ==========
        one axis, whole numbers                                      ``tokens``
        one axis, ``labels`` given or at most 100 long               ``bars``
        one axis, longer                                             ``series``
        two axes, one of them at most 4 long                         ``series``
        two axes otherwise                                           ``image``
        three axes                                                   ``image``
        ============================================================ ==========

        An image's channels are the axis of length 3, 1 or 4 (in this order of trust; the first axis
        where both could be meant, and where neither could).
    labels
        Names: of the features (bars), of the tokens (tokens), of the channels (series). Not used by
        images.
    title
        Text above the picture.
    ax
        Where to draw. By default a new figure; images then show original, heatmap and overlay side by
        side, and series one panel per channel. Into ``ax`` goes one picture: the overlay of an image;
        all channels of a series over their summed attribution.
    cmap
        Name or object of a diverging matplotlib colour map; by default ``"RdBu_r"``, which the
        colour-blind can read.
    percentile
        In (0, 100]: which percentile of the absolute values gets the strongest colour. Not used by
        bars, whose length is exact.

    Returns
    -------
    matplotlib.figure.Figure
        Save it with ``figure.savefig("why.png")``.

    Raises
    ------
    DataInputError
        If shapes, kind, labels or percentile do not fit together.
    """
    shown, original = without_batch_of_one(np.asarray(values), np.asarray(sample))
    if kind == "auto":
        kind = guess_kind(original, has_labels=labels is not None)
    if kind not in KINDS:
        known = ", ".join(map(repr, (*KINDS, *TABLE_KINDS)))
        raise DataInputError(f"kind must be 'auto' or one of {known}, not {kind!r}")
    if not 0 < percentile <= 100:
        raise DataInputError(f"percentile must lie in (0, 100], not {percentile}")
    if kind == "image":
        from onnxplain.plots.image import draw_image

        return draw_image(shown, original, title=title, ax=ax, cmap=cmap, percentile=percentile)
    if kind == "bars":
        from onnxplain.plots.bars import draw_bars

        return draw_bars(shown, original, labels=labels, title=title, ax=ax, cmap=cmap)
    if kind == "tokens":
        from onnxplain.plots.tokens import draw_tokens

        return draw_tokens(
            shown, original, labels=labels, title=title, ax=ax, cmap=cmap, percentile=percentile
        )
    from onnxplain.plots.series import draw_series

    return draw_series(shown, original, labels=labels, title=title, ax=ax, cmap=cmap, percentile=percentile)
