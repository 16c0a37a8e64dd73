"""Metrics by name."""

from __future__ import annotations

from typing import Any

from onnxplain.metrics.base import Metric
from onnxplain.options import by_name

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
    made: Metric = by_name(name, parameters, Metric, METRICS, "metric")
    return made
