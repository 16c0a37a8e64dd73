"""Metrics of explanations: frozen dataclasses like the methods, found by name."""

from __future__ import annotations

from onnxplain.metrics import quantus
from onnxplain.metrics.axioms.completeness import Completeness
from onnxplain.metrics.axioms.non_sensitivity import NonSensitivity
from onnxplain.metrics.base import Metric
from onnxplain.metrics.faithfulness.pixel_flipping import PixelFlipping
from onnxplain.metrics.registry import METRICS, metric
from onnxplain.metrics.result import Curve, Measured
from onnxplain.metrics.robustness.consistency import Consistency
from onnxplain.metrics.robustness.continuity import Continuity
from onnxplain.metrics.robustness.local_lipschitz_estimate import LocalLipschitzEstimate
from onnxplain.metrics.robustness.relative_representation_stability import RelativeRepresentationStability
from onnxplain.metrics.robustness.relative_stability import RelativeInputStability, RelativeOutputStability
from onnxplain.metrics.robustness.sensitivity import AvgSensitivity, MaxSensitivity

__all__ = [
    "FAMILIES",
    "METRICS",
    "AvgSensitivity",
    "Completeness",
    "Consistency",
    "Continuity",
    "Curve",
    "LocalLipschitzEstimate",
    "MaxSensitivity",
    "Measured",
    "Metric",
    "NonSensitivity",
    "PixelFlipping",
    "RelativeInputStability",
    "RelativeOutputStability",
    "RelativeRepresentationStability",
    "metric",
    "quantus",
]

#: All metrics, by family.
FAMILIES: dict[str, tuple[type[Metric], ...]] = {
    "faithfulness": (PixelFlipping,),
    "robustness": (
        Continuity,
        LocalLipschitzEstimate,
        MaxSensitivity,
        AvgSensitivity,
        Consistency,
        RelativeInputStability,
        RelativeOutputStability,
        RelativeRepresentationStability,
    ),
    "localisation": (),
    "complexity": (),
    "randomisation": (),
    "axioms": (Completeness, NonSensitivity),
}

METRICS.update((m.name, m) for family in FAMILIES.values() for m in family)
