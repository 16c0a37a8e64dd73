"""One self-contained HTML page: samples, predictions, attributions, and how well they add up.

The page loads nothing from anywhere: pictures are embedded, and a content policy in the page forbids
requests. It can be mailed, archived, and opened without a network.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxplain.files import replacing

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence


__all__ = [
    "Facts", "Grid", "GridRow", "Group", "Panel", "Picture", "RuleTable", "Section", "rendered",
    "write_report",
]  # fmt: skip

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


@dataclass(frozen=True)
class GridRow:
    """One method: its name, how it is written in full, and its picture of each sample."""

    title: str
    detail: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Grid:
    """Methods by samples: what stands over the columns, and the rows."""

    heads: tuple[str, ...]
    rows: tuple[GridRow, ...]


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
    grid: Grid | None = None,
    links: Sequence[tuple[str, str]] = (),
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
        (method, rule table) pairs, folded; see :func:`onnxplain.report.rules_of`.
    grid
        All methods and samples at a glance, before the samples; see :func:`onnxplain.report.grid_of`.
    links
        (file, what it shows) pairs: pages that lie beside this one.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    OutputError
        If it cannot be written; what stood there is still there.
    """
    page = rendered(
        "page.html.jinja",
        title=title,
        lead=lead,
        facts=facts,
        notes=notes,
        guide=guide,
        rules=[(method, table) for method, table in rules if table],
        sections=sections,
        grid=grid,
        links=links,
    )
    with replacing(path) as file:
        file.write(page.encode("utf-8", "backslashreplace"))
    return Path(path)


def rendered(template: str, *, folder: str = "report", **content: Any) -> str:
    """Return a page of a template, which lies in a folder of the package; all text in it is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("onnxplain", folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**content)


def _address(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
