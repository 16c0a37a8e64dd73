"""What is true of which metric: the tests of all metrics read it here, one line for each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from onnxplain.metrics import METRICS, Metric, metric


@dataclass(frozen=True)
class Measure:
    """What is true of a metric, where it is not what is true of most.

    Attributes
    ----------
    quick
        Parameters that make tests over all metrics quick.
    drawn
        Whether random numbers are drawn, so that another seed gives another value.
    images
        Whether it measures explanations of images only.
    words
        Whether it takes inputs that are no floats, such as tokens.
    apart
        Whether a sample's value is its own, whatever its company.
    classes
        Whether it needs a target among several.
    """

    quick: dict[str, Any] = field(default_factory=dict)
    drawn: bool = False
    images: bool = False
    words: bool = True
    apart: bool = True
    classes: bool = False


#: A line for each metric of which something is not as usual.
MEASURES: dict[str, Measure] = {
    "avg_sensitivity": Measure(quick={"n_samples": 3}, drawn=True, words=False),
    "consistency": Measure(apart=False),
    "continuity": Measure(quick={"n_steps": 5}, images=True),
    "implementation_invariance": Measure(quick={"rewritings": ("halves",)}),
    "input_invariance": Measure(words=False),
    "local_lipschitz_estimate": Measure(quick={"n_samples": 3}, drawn=True, words=False),
    "max_sensitivity": Measure(quick={"n_samples": 3}, drawn=True, words=False),
    "relative_input_stability": Measure(quick={"n_samples": 3}, drawn=True, words=False),
    "relative_output_stability": Measure(quick={"n_samples": 3}, drawn=True, words=False),
    "sensitivity_axiom": Measure(quick={"n_features": 3}),
    "symmetry": Measure(words=False),
    "relative_representation_stability": Measure(quick={"n_samples": 3}, drawn=True, words=False),
    "top_k_intersection": Measure(quick={"k": 3}),
    "region_perturbation": Measure({"order": "random", "patch_size": 2}, drawn=True),
    "selectivity": Measure({"patch_size": 2}),
    "irof": Measure({"n_segments": 6}),
    "road": Measure({"percentages": (10.0, 50.0), "quantity": "score"}, drawn=True, images=True),
    "faithfulness_correlation": Measure({"n_runs": 20}, drawn=True),
    "faithfulness_estimate": Measure({"features_in_step": 4}),
    "infidelity": Measure({"n_samples": 20}, drawn=True, words=False),
    "monotonicity_correlation": Measure({"n_samples": 2, "features_in_step": 16}, drawn=True, words=False),
    "sensitivity_n": Measure({"n_sizes": 3, "n_subsets": 10}, drawn=True),
    "sufficiency": Measure(apart=False),
    "mprt": Measure(drawn=True),
    "smooth_mprt": Measure({"n_samples": 3}, drawn=True, words=False),
    "efficient_mprt": Measure(drawn=True),
    "random_logit": Measure(drawn=True, classes=True),
}


def measure(name: str) -> Measure:
    """Return what is true of a metric."""
    return MEASURES.get(name, Measure())


def made(name: str, **parameters: Any) -> Metric:
    """Make a metric that is quick."""
    return metric(name, **{**measure(name).quick, **parameters})


#: Names of all metrics, and of those that measure any explanation.
ALL = tuple(METRICS)
GENERAL = tuple(name for name in METRICS if not measure(name).images)


def needs(name: str, masks: Any) -> dict[str, Any]:
    """Return what a metric must be given besides a method."""
    return {"masks": masks} if "masks" in METRICS[name].needs else {}
