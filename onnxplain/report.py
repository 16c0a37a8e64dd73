"""One self-contained HTML page: samples, predictions, attributions, and how well they add up.

The page loads nothing from anywhere: pictures are embedded, and a content policy in the page forbids
requests. It can be mailed, archived, and opened without a network.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onnxplain import plots
from onnxplain.files import replacing
from onnxplain.plots.layout import guess_kind, without_batch_of_one
from onnxplain.wording import percent, prediction_text, target_text, total_of

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from onnxplain._types import Array
    from onnxplain.attribution import Attribution

__all__ = ["Group", "Panel", "Picture", "Section", "rules_of", "sample_section", "write_report"]

Facts = tuple[tuple[str, str], ...]
RuleTable = tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Picture:
    """A picture in the page.

    Attributes
    ----------
    alt
        What it shows, for those who cannot see it.
    png
        A PNG file, embedded.
    over
        A second PNG file of the same size, shown instead while the picture is pointed at.
    html
        Trusted markup instead of a PNG file (a token strip).
    pixels
        Show enlarged pixels as squares.
    """

    alt: str
    png: bytes = b""
    over: bytes = b""
    html: str = ""
    pixels: bool = False

    @property
    def source(self) -> str:
        """The picture as a ``data:`` address."""
        return _address(self.png)

    @property
    def over_source(self) -> str:
        """The second picture as a ``data:`` address."""
        return _address(self.over)


@dataclass(frozen=True)
class Panel:
    """One attribution: a caption, a picture, and a few facts under it."""

    caption: str
    picture: Picture
    facts: Facts = ()
    detail: str = ""


@dataclass(frozen=True)
class Group:
    """Panels that belong together, such as all methods for one target."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Section:
    """One sample: what it is, what the model said, and the attributions."""

    title: str
    text: str = ""
    pictures: tuple[Picture, ...] = ()
    groups: tuple[Group, ...] = ()


def write_report(
    path: str | os.PathLike[str],
    title: str,
    sections: Sequence[Section],
    *,
    lead: str = "",
    facts: Sequence[tuple[str, str]] = (),
    notes: Sequence[str] = (),
    guide: Sequence[tuple[str, str]] = (),
    rules: Sequence[tuple[str, RuleTable]] = (),
) -> Path:
    """Write the page.

    Parameters
    ----------
    path
        File to write.
    title
        Heading of the page.
    sections
        The samples, in order.
    lead
        A sentence or two under the heading.
    facts
        (name, value) pairs about the model.
    notes
        What a reader should know.
    guide
        (method, what it does) pairs, folded.
    rules
        (method, rule table) pairs, folded; see :func:`rules_of`.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    OutputError
        If it cannot be written; what stood there is still there.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("onnxplain", "plots"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.jinja").render(
        title=title,
        lead=lead,
        facts=facts,
        notes=notes,
        guide=guide,
        rules=[(method, table) for method, table in rules if table],
        sections=sections,
    )
    with replacing(path) as file:
        file.write(page.encode("utf-8", "backslashreplace"))
    return Path(path)


def sample_section(
    results: Sequence[Attribution],
    sample: int = 0,
    *,
    title: str,
    text: str = "",
    class_labels: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    kind: str = "auto",
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
    kind
        Kind of picture, as for :func:`onnxplain.plots.draw`.

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
            chosen = guess_kind(given, has_labels=labels is not None) if kind == "auto" else kind
            if chosen == "image" and name not in pictures:
                pictures[name] = _image(None, given, f"{title}: input {name}")
            caption = _breakable(result.method.split("(")[0])
            caption += f" · {name}" if len(result.arrays) > 1 else ""
            alt = f"{result.method} for {target}: {_where(values, chosen)}"
            by_target.setdefault(target, []).append(
                Panel(
                    caption,
                    _picture(values, given, chosen, labels, alt),
                    _facts(result, sample),
                    detail=result.method,
                )
            )
    groups = tuple(Group(f"Explained score: {target}", tuple(panels)) for target, panels in by_target.items())
    said = text or f"The model says {prediction_text(first.predictions[sample], class_labels)}."
    return Section(title, said, tuple(pictures.values()), groups)


def rules_of(results: Sequence[Attribution]) -> tuple[tuple[str, RuleTable], ...]:
    """Collect the rule tables of those methods that have one, each once."""
    return tuple({result.method: result.rule_table for result in results if result.rule_table}.items())


def _facts(result: Attribution, sample: int) -> Facts:
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


def _address(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
