"""Metrics by name."""

from __future__ import annotations

from typing import Any

from onnxplain.errors import MethodError
from onnxplain.metrics.base import Metric
from onnxplain.options import make, nearest

__all__ = ["METRICS", "metric"]

#: All metrics by name; the package fills it.
METRICS: dict[str, type[Metric]] = {}


def metric(name: str | Metric, **parameters: Any) -> Metric:
    """Make a metric by name.

    Parameters
    ----------
    name
        A name of :data:`METRICS`, or a metric, which is returned as it is.
    **parameters
        The metric's parameters.

    Raises
    ------
    MethodError
        If the name or a parameter is unknown, or a value makes no sense.
    """
    if isinstance(name, Metric):
        if parameters:
            raise MethodError("give parameters to the metric itself, or give the metric by name")
        return name
    _refuse_class(name)
    kind = METRICS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise MethodError(
            f"there is no metric '{name}'; choose one of {', '.join(METRICS)}{nearest(name, METRICS)}"
        )
    return make(kind, parameters, f"metric '{kind.name}'")


def _refuse_class(given: object) -> None:
    if isinstance(given, type) and issubclass(given, Metric):
        raise MethodError(f"{given.__name__} is a class; give a metric made of it, {given.__name__}(...)")
