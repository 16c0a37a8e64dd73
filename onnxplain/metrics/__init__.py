"""Metrics of explanations: frozen dataclasses like the methods, found by name."""

from __future__ import annotations

from onnxplain.metrics import quantus
from onnxplain.metrics.axioms.completeness import Completeness
from onnxplain.metrics.axioms.dummy import Dummy
from onnxplain.metrics.axioms.implementation_invariance import ImplementationInvariance
from onnxplain.metrics.axioms.input_invariance import InputInvariance
from onnxplain.metrics.axioms.linearity import Linearity
from onnxplain.metrics.axioms.non_sensitivity import NonSensitivity
from onnxplain.metrics.axioms.sensitivity import SensitivityAxiom
from onnxplain.metrics.axioms.symmetry import Symmetry
from onnxplain.metrics.base import Metric
from onnxplain.metrics.complexity.complexity import Complexity
from onnxplain.metrics.complexity.effective_complexity import EffectiveComplexity
from onnxplain.metrics.complexity.features_needed import FeaturesNeeded
from onnxplain.metrics.complexity.sparseness import Sparseness
from onnxplain.metrics.faithfulness.deletion import SRG, Deletion, Insertion
from onnxplain.metrics.faithfulness.faithfulness_correlation import FaithfulnessCorrelation
from onnxplain.metrics.faithfulness.faithfulness_estimate import FaithfulnessEstimate
from onnxplain.metrics.faithfulness.infidelity import Infidelity
from onnxplain.metrics.faithfulness.irof import IROF
from onnxplain.metrics.faithfulness.monotonicity import Monotonicity
from onnxplain.metrics.faithfulness.monotonicity_correlation import MonotonicityCorrelation
from onnxplain.metrics.faithfulness.pixel_flipping import PixelFlipping
from onnxplain.metrics.faithfulness.region_perturbation import RegionPerturbation, Selectivity
from onnxplain.metrics.faithfulness.road import ROAD
from onnxplain.metrics.faithfulness.sensitivity_n import SensitivityN
from onnxplain.metrics.faithfulness.sufficiency import Sufficiency
from onnxplain.metrics.localisation.attribution_localisation import AttributionLocalisation
from onnxplain.metrics.localisation.auc import AUC
from onnxplain.metrics.localisation.boxes import boxes_to_masks
from onnxplain.metrics.localisation.energy_pointing_game import EnergyPointingGame
from onnxplain.metrics.localisation.focus import Focus
from onnxplain.metrics.localisation.iou import IoU
from onnxplain.metrics.localisation.mosaics import Mosaics, mosaics, quadrants
from onnxplain.metrics.localisation.pointing_game import PointingGame
from onnxplain.metrics.localisation.relevance_accuracy import RelevanceMassAccuracy, RelevanceRankAccuracy
from onnxplain.metrics.localisation.top_k_intersection import TopKIntersection
from onnxplain.metrics.randomisation.data import DataRandomisation
from onnxplain.metrics.randomisation.efficient_mprt import EfficientMPRT
from onnxplain.metrics.randomisation.models import fully_random, random_models
from onnxplain.metrics.randomisation.mprt import MPRT
from onnxplain.metrics.randomisation.random_logit import RandomLogit
from onnxplain.metrics.randomisation.smooth_mprt import SmoothMPRT
from onnxplain.metrics.registry import METRICS, metric
from onnxplain.metrics.result import Curve, Measured
from onnxplain.metrics.retrained import Retrained
from onnxplain.metrics.roar import ROAR, perturbed
from onnxplain.metrics.robustness.consistency import Consistency
from onnxplain.metrics.robustness.continuity import Continuity
from onnxplain.metrics.robustness.local_lipschitz_estimate import LocalLipschitzEstimate
from onnxplain.metrics.robustness.relative_representation_stability import RelativeRepresentationStability
from onnxplain.metrics.robustness.relative_stability import RelativeInputStability, RelativeOutputStability
from onnxplain.metrics.robustness.sensitivity import AvgSensitivity, MaxSensitivity

__all__ = [
    "AUC",
    "FAMILIES",
    "IROF",
    "METRICS",
    "MPRT",
    "ROAD",
    "ROAR",
    "SRG",
    "AttributionLocalisation",
    "AvgSensitivity",
    "Completeness",
    "Complexity",
    "Consistency",
    "Continuity",
    "Curve",
    "DataRandomisation",
    "Deletion",
    "Dummy",
    "EffectiveComplexity",
    "EfficientMPRT",
    "EnergyPointingGame",
    "FaithfulnessCorrelation",
    "FaithfulnessEstimate",
    "FeaturesNeeded",
    "Focus",
    "ImplementationInvariance",
    "Infidelity",
    "InputInvariance",
    "Insertion",
    "IoU",
    "Linearity",
    "LocalLipschitzEstimate",
    "MaxSensitivity",
    "Measured",
    "Metric",
    "Monotonicity",
    "MonotonicityCorrelation",
    "Mosaics",
    "NonSensitivity",
    "PixelFlipping",
    "PointingGame",
    "RandomLogit",
    "RegionPerturbation",
    "RelativeInputStability",
    "RelativeOutputStability",
    "RelativeRepresentationStability",
    "RelevanceMassAccuracy",
    "RelevanceRankAccuracy",
    "Retrained",
    "Selectivity",
    "SensitivityAxiom",
    "SensitivityN",
    "SmoothMPRT",
    "Sparseness",
    "Sufficiency",
    "Symmetry",
    "TopKIntersection",
    "boxes_to_masks",
    "fully_random",
    "metric",
    "mosaics",
    "perturbed",
    "quadrants",
    "quantus",
    "random_models",
]

#: All metrics, by family.
FAMILIES: dict[str, tuple[type[Metric], ...]] = {
    "faithfulness": (
        PixelFlipping,
        RegionPerturbation,
        Selectivity,
        IROF,
        ROAD,
        Monotonicity,
        Deletion,
        Insertion,
        SRG,
        FaithfulnessCorrelation,
        FaithfulnessEstimate,
        MonotonicityCorrelation,
        SensitivityN,
        Infidelity,
        Sufficiency,
    ),
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
    "localisation": (
        PointingGame,
        EnergyPointingGame,
        TopKIntersection,
        RelevanceMassAccuracy,
        RelevanceRankAccuracy,
        AttributionLocalisation,
        AUC,
        IoU,
        Focus,
    ),
    "complexity": (Sparseness, Complexity, EffectiveComplexity, FeaturesNeeded),
    "randomisation": (MPRT, SmoothMPRT, EfficientMPRT, RandomLogit),
    "axioms": (
        Completeness,
        Dummy,
        ImplementationInvariance,
        InputInvariance,
        Linearity,
        NonSensitivity,
        SensitivityAxiom,
        Symmetry,
    ),
}

METRICS.update((m.name, m) for family in FAMILIES.values() for m in family)
