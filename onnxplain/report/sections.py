"""Attributions of one sample, put together as a section of the page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from onnxplain import plots
from onnxplain.plots.kinds import guess_kind, without_batch_of_one
from onnxplain.report.page import Group, Panel, Picture, Section
from onnxplain.report.wording import percent, prediction_text, target_text, total_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnxplain._types import Array
    from onnxplain.attribution import Attribution
    from onnxplain.report.page import Facts, RuleTable

__all__ = ["facts_of", "rules_of", "sample_section"]


def sample_section(
    results: Sequence[Attribution],
    sample: int = 0,
    *,
    title: str,
    text: str = "",
    class_labels: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
) -> Section:
    """Put the attributions of one sample together.

    Parameters
    ----------
    results
        Explanations of the same batch, by any methods, for any targets; those for the same target
        become one group.
    sample
        Which of the batch.
    title
        Heading of the section.
    text
        What to say under it; by default the prediction.
    class_labels
        Names of the model's classes.
    labels
        Names of features, tokens or channels, as for :func:`onnxplain.plots.draw`.

    Returns
    -------
    Section
    """
    if not results:
        return Section(title, text)
    first = results[0]
    by_target: dict[str, list[Panel]] = {}
    pictures: dict[str, Picture] = {}
    for result in results:
        target = target_text(result, sample, class_labels)
        for name in result.arrays:
            values, given = without_batch_of_one(result.arrays[name][sample], result.inputs[name][sample])
            chosen = guess_kind(given, has_labels=labels is not None)
            if chosen == "image" and name not in pictures:
                pictures[name] = _image(None, given, f"{title}: input {name}")
            caption = _breakable(result.written_method.split("(")[0])
            caption += f" · {name}" if len(result.arrays) > 1 else ""
            alt = f"{result.written_method} for {target}: {_where(values, chosen)}"
            by_target.setdefault(target, []).append(
                Panel(
                    caption,
                    _picture(values, given, chosen, labels, alt),
                    facts_of(result, sample),
                    detail=result.written_method,
                )
            )
    groups = tuple(Group(f"Explained score: {target}", tuple(panels)) for target, panels in by_target.items())
    said = text or f"The model says {prediction_text(first.predictions[sample], class_labels)}."
    return Section(title, said, tuple(pictures.values()), groups)


def rules_of(results: Sequence[Attribution]) -> tuple[tuple[str, RuleTable], ...]:
    """Collect the rule tables of those methods that have one, each once."""
    return tuple(
        {result.written_method: result.rule_table for result in results if result.rule_table}.items()
    )


def facts_of(result: Attribution, sample: int) -> Facts:
    """Return score and sum of one sample, and what the sum must be."""
    facts = [("score", f"{float(result.score[sample]):.4g}"), ("sum", f"{total_of(result, sample):.4g}")]
    relative = result.relative_delta
    if result.delta is None or result.reference is None or relative is None:
        return (*facts, ("must be", "no promise"))
    share = percent(float(relative[sample])).replace(" %", "\u00a0%")
    return (
        *facts,
        ("must be", f"{float(result.reference[sample]):.4g}"),
        ("off by", f"{abs(float(result.delta[sample])):.2g} ({share})"),
    )


def _picture(values: Array, given: Array, kind: str, labels: Sequence[str] | None, alt: str) -> Picture:
    if kind == "image":
        return _image(values, given, alt)
    if kind == "tokens":
        from onnxplain.plots.tokens import tokens_html

        return Picture(alt, html=tokens_html(values, given, labels=labels))
    from onnxplain.plots.canvas import png

    return Picture(alt, png(plots.draw(values, given, kind=kind, labels=labels)))


def _image(values: Array | None, given: Array, alt: str) -> Picture:
    from onnxplain.plots.image import image_png

    over = b"" if values is None else image_png(values, given, over=True)
    return Picture(alt, image_png(values, given), over, pixels=max(given.shape) < 128)


def _where(values: Array, kind: str) -> str:
    """Say in words where an attribution is strongest."""
    if kind != "image":
        order = np.argsort(-np.abs(values.ravel()), kind="stable")[:3]
        return "strongest at positions " + ", ".join(str(i) for i in order.tolist())
    from onnxplain.plots.image import flat

    heat = flat(values)
    row, column = np.unravel_index(int(np.abs(heat).argmax()), heat.shape)
    upright = ("top", "middle", "bottom")[min(2, 3 * int(row) // heat.shape[0])]
    across = ("left", "centre", "right")[min(2, 3 * int(column) // heat.shape[1])]
    side = "for" if heat[row, column] >= 0 else "against"
    positive = float(heat[heat > 0].sum()) / (float(np.abs(heat).sum()) or 1.0)
    return f"strongest at the {upright} {across} ({side}); {positive:.0%} of it speaks for the score"


def _breakable(name: str) -> str:
    """Let a long CamelCase name break between its words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "\u200b", name)
