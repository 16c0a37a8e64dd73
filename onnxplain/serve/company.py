"""Which requests may be answered together, so that each gets what it would get alone."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from onnxplain._types import Shape
from onnxplain.runtime.layout import Layout

__all__ = ["Company", "Trial", "company_of"]


class Trial:
    """Whether a kind of requests was seen to get the same together as alone; found out once, by running."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        #: None until it was tried.
        self.passed: bool | None = None


@dataclass(frozen=True)
class Company:
    """A request's place among others.

    Attributes
    ----------
    key
        Requests of equal keys may be answered together.
    axes
        Along which axis of each input the samples lie: proven on the graph.
    n
        Samples of this request.
    trial
        What running has shown of this kind.
    """

    key: Hashable
    axes: Mapping[str, int]
    n: int
    trial: Trial = field(compare=False)


def company_of(layout: Layout, shapes: Mapping[str, Shape], what: Hashable, trial: Trial) -> Company | None:
    """Return a request's place among others, or None where it must be answered alone.

    Parameters
    ----------
    layout
        How samples lie in its arrays.  Only where they lie along an axis of every input, in any number and
        in any company, are requests joined.
    shapes
        Of its arrays.
    what
        What else must be equal.
    trial
        What running has shown of such requests.
    """
    apart = layout.exact is None and layout.alone is None and layout.flat is None and layout.mixed is None
    axes = {k: axis for k in shapes if (axis := layout.axes.get(k)) is not None}
    if not apart or len(axes) < len(shapes) or not axes:
        return None
    one = tuple(
        sorted((k, axes[k], tuple(d for a, d in enumerate(s) if a != axes[k])) for k, s in shapes.items())
    )
    return Company((what, one), axes, layout.n, trial)
