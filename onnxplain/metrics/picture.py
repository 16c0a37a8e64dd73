"""What a metric found, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from onnxplain.errors import DataInputError, MethodError
from onnxplain.metrics.bootstrap import bootstrap
from onnxplain.options import check_option, nearest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Kind", "draw_measured"]

#: Kinds of pictures.
Kind = Literal["auto", "curves", "values"]

_WAYS = {True: "higher is better", False: "lower is better", None: ""}


def draw_measured(
    found: Any, kind: Kind, curve: str | None, level: float, title: str | None, ax: Axes | None
) -> Figure:
    """Draw what was measured; :meth:`~onnxplain.metrics.Measured.plot` says how."""
    kind = check_option("kind", kind, Kind, MethodError)
    if kind == "values" and curve is not None:
        raise MethodError("curve= names what kind='curves' draws; leave it out, or choose that")
    if curve is not None and curve not in found.curves:
        raise MethodError(
            f"{found.metric.name} has no curve '{curve}'; it has "
            f"{', '.join(map(repr, found.curves)) or 'none'}{nearest(curve, found.curves)}"
        )
    if kind == "curves" and not found.curves:
        raise MethodError(f"{found.metric.name} has no curves; choose kind='values'")
    text = _title(found, level) if title is None else title
    if kind == "values" or not found.curves:
        return _strip(found, level, text, ax)
    return _curves(found, [curve] if curve is not None else list(found.curves), level, text, ax)


def _strip(found: Any, level: float, title: str, ax: Axes | None) -> Figure:
    from onnxplain.plots.strip import draw_strip

    held = found.values[np.isfinite(found.values)]
    if not held.size:
        raise DataInputError(
            f"{found.metric.name} says nothing of any sample, so there is nothing to draw; see notes"
        )
    interval = found.interval(level) if np.isfinite(found.mean) and _told(found) > 1 else None
    way = _WAYS[found.higher_is_better]
    label = f"{found.metric.name} ({way})" if way else found.metric.name
    return draw_strip(held, found.mean, interval, label=label, title=title, ax=ax)


def _curves(found: Any, names: list[str], level: float, title: str, ax: Axes | None) -> Figure:
    from onnxplain.plots.curves import draw_curves

    chosen = {name: found.curves[name] for name in names}
    kinds = {(c.along, c.what) for c in chosen.values()}
    if len(kinds) > 1:
        raise MethodError(
            f"the curves of {found.metric.name} are of different quantities; choose one with curve=, "
            f"{' or '.join(map(repr, names))}"
        )
    means, bands = {}, {}
    for name, curve in chosen.items():
        at, values = curve.aligned()
        if not len(values):
            continue
        means[name] = at, values.mean(0)
        if len(values) > 1:
            bands[name] = bootstrap(values, level, n_resamples=1000)
    if not means:
        raise DataInputError(
            f"{found.metric.name} has no curve of any sample, so there is nothing to draw; see notes"
        )
    along, what = next(iter(kinds))
    ticks = next(iter(chosen.values())).names
    return draw_curves(
        means, bands=bands, along=along, what=what, legend=len(means) > 1, ticks=ticks, title=title, ax=ax
    )


def _title(found: Any, level: float) -> str:
    """Say the metric, the mean and its interval."""
    text = f"{found.metric.name}: {found.mean:.3g}"
    if _told(found) < 2 or not np.isfinite(found.mean):
        return text
    low, high = found.interval(level)
    return f"{text}, {100 * level:g} % of [{low:.3g}, {high:.3g}]"


def _told(found: Any) -> int:
    return int((~np.isnan(found.values)).sum())
