"""Many methods and samples at a glance: a table of small pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from onnxplain.plots.kinds import guess_kind, without_batch_of_one
from onnxplain.report.page import Grid, GridRow, Picture
from onnxplain.report.wording import target_text

if TYPE_CHECKING:
    from onnxplain._types import Array
    from onnxplain.attribution import Attribution

__all__ = ["grid_of"]

#: Pixels of a picture's longer side.
SIDE = 160


def grid_of(
    results: Sequence[Attribution],
    *,
    titles: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    class_labels: Sequence[str] | None = None,
) -> Grid | None:
    """Put explanations of the same images side by side: a row for each method, a column for each sample.

    Parameters
    ----------
    results
        Explanations of the same batch.
    titles
        Of the samples; by default the explained targets.
    names
        Of the explanations; by default their methods'.
    class_labels
        Names of the model's classes.

    Returns
    -------
    Grid, or None where there is nothing to compare, or what is explained are no images.
    """
    if not results or len(results) * len(results[0]) < 2:
        return None
    first = results[0]
    heads = titles or [target_text(first, k, class_labels) for k in range(len(first))]
    rows: list[GridRow] = []
    given: dict[str, tuple[Picture, ...]] = {}
    for k, result in enumerate(results):
        for name in result.arrays:
            both = zip(result.arrays[name], result.inputs[name], strict=True)
            shown = [without_batch_of_one(*one) for one in both]
            if any(guess_kind(sample) != "image" for _, sample in shown):
                continue
            if name not in given:
                given[name] = tuple(
                    _small(None, sample, f"{head}: input {name}")
                    for (_, sample), head in zip(shown, heads, strict=True)
                )
            short = result.written_method.split("(")[0] if names is None else names[k]
            title = f"{short} · {name}" if len(result.arrays) > 1 else short
            pictures = tuple(
                _small(values, sample, f"{short}, {head}")
                for (values, sample), head in zip(shown, heads, strict=True)
            )
            rows.append(GridRow(title, result.written_method, pictures))
    if not rows:
        return None
    inputs = [GridRow(name, f"input {name}", pictures) for name, pictures in given.items()]
    return Grid(tuple(heads), (*inputs, *rows))


def _small(values: Array | None, sample: Array, alt: str) -> Picture:
    """Draw a small picture."""
    from PIL import Image

    from onnxplain.plots.image import image_png

    pixels = max(sample.shape) < SIDE

    def made(over: bool) -> bytes:
        png = image_png(values, sample, over=over)
        with Image.open(io.BytesIO(png)) as whole, io.BytesIO() as buffer:
            whole.thumbnail((SIDE, SIDE), Image.Resampling.NEAREST if pixels else Image.Resampling.LANCZOS)
            whole.save(buffer, format="PNG", optimize=True)
            return buffer.getvalue()

    return Picture(alt, made(False), b"" if values is None else made(True), pixels=pixels)
