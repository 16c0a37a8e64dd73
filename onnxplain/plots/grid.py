"""Many methods and samples in one figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from onnxplain.errors import DataInputError
from onnxplain.plots.canvas import new_figure
from onnxplain.plots.kinds import without_batch_of_one

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from onnxplain._types import Array

__all__ = ["draw_grid"]


def draw_grid(
    samples: Sequence[Array],
    rows: Sequence[tuple[str, Sequence[Array]]],
    *,
    titles: Sequence[str] = (),
    side: float = 1.5,
) -> Figure:
    """Draw images in the first row, and under each what methods find in it, a row for each method.

    Parameters
    ----------
    samples
        Images, as they were explained.
    rows
        A method's name, and its attribution of each sample.
    titles
        Of the samples.
    side
        Width of a picture, in inches.

    Raises
    ------
    DataInputError
        If there is nothing to draw, or a row has other samples.
    """
    from onnxplain.plots.image import draw_image, original

    if not samples or not rows:
        raise DataInputError("a grid shows at least one sample and one method; there are none")
    for name, found in rows:
        if len(found) != len(samples):
            raise DataInputError(f"the row '{name}' has {len(found)} pictures for {len(samples)} samples")
    figure = new_figure(side * len(samples) + 1.4, side * (1 + len(rows)) + 0.3)
    figure.set_layout_engine("constrained", w_pad=0.02, h_pad=0.02, wspace=0.01, hspace=0.01)
    axes = figure.subplots(1 + len(rows), len(samples), squeeze=False)
    for column, sample in enumerate(samples):
        picture = original(without_batch_of_one(sample, sample)[1])
        axes[0, column].imshow(picture, interpolation="nearest" if max(picture.shape[:2]) < 128 else None)
        if column < len(titles):
            axes[0, column].set_title(titles[column], fontsize=8)
        for row, (_, found) in enumerate(rows, 1):
            values, given = without_batch_of_one(found[column], sample)
            draw_image(values, given, ax=axes[row, column])
            axes[row, column].set_title("")
    for row, name in enumerate(["input", *(name for name, _ in rows)]):
        axes[row, 0].set_ylabel(name, fontsize=8, rotation=0, ha="right", va="center")
    for ax in axes.ravel():
        ax.set_xticks([])
        ax.set_yticks([])
    return figure
