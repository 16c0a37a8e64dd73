"""Metrics of explanations: frozen dataclasses like the methods, found by name."""

from __future__ import annotations

from onnxplain.metrics.axioms.completeness import Completeness
from onnxplain.metrics.axioms.non_sensitivity import NonSensitivity
from onnxplain.metrics.base import Metric
from onnxplain.metrics.faithfulness.pixel_flipping import PixelFlipping
from onnxplain.metrics.registry import METRICS, metric
from onnxplain.metrics.result import Curve, Measured

__all__ = [
    "FAMILIES",
    "METRICS",
    "Completeness",
    "Curve",
    "Measured",
    "Metric",
    "NonSensitivity",
    "PixelFlipping",
    "metric",
]

#: All metrics, by family.
FAMILIES: dict[str, tuple[type[Metric], ...]] = {
    "faithfulness": (PixelFlipping,),
    "robustness": (),
    "localisation": (),
    "complexity": (),
    "randomisation": (),
    "axioms": (Completeness, NonSensitivity),
}

METRICS.update((m.name, m) for family in FAMILIES.values() for m in family)
