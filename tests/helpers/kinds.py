"""What is true of which method: the tests of all methods read it here, one line for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import onnxplain as ox


@dataclass(frozen=True)
class Facts:
    """What is true of a method, where it is not what is true of most.

    Attributes
    ----------
    quick
        Parameters that make tests over all methods quick (few samples), and are enough for what they check.
    linear
        What it finds at x on ``y = w x`` (of one sample and output), by baselines of 0; None: what one of
        the others finds.
    sums
        Whether it must sum to the score, or to the difference from that at baselines.
    from_baseline
        Whether it sums to the difference from the score at a baseline of all inputs.
    together
        Whether all explained inputs move at once, so that what an input gets depends on which others are
        explained.
    drawn
        Whether random numbers are drawn by an element's place, so that moving axes changes what is found.
    dummy
        Whether features that are not used get nothing at all; others give them less.
    sessions
        How many sessions a call compiles.
    only
        Of methods that explain one kind of model: what the message says elsewhere.
    on_images
        Whether networks of convolutions are of that kind.
    sampled
        Whether what is true of it is true within its standard errors, as it estimates from random samples.
    soft
        Whether it mixes values with baselines, and so takes floats only.
    amounts
        Whether its numbers are amounts of the score, not shares of its variance or the like.
    off
        How far its sum may be off, relatively, where the model is piecewise linear.
    apart
        Whether a sample is explained by itself; others are tested apart, with their exact cases.
    few
        Whether it takes few players only: not each element of an image.
    """

    quick: dict[str, Any] = field(default_factory=dict)
    linear: Callable[[Any, Any], Any] | None = None
    sums: bool = False
    from_baseline: bool = False
    together: bool = False
    drawn: bool = False
    dummy: bool = True
    sessions: int = 1
    only: str = ""
    on_images: bool = False
    sampled: bool = False
    soft: bool = False
    amounts: bool = True
    off: float = 1e-4
    apart: bool = True
    few: bool = False


def _plain(w: Any, x: Any) -> Any:
    return w + 0 * x


def _times(w: Any, x: Any) -> Any:
    return w * x


def _positive(w: Any, x: Any) -> Any:
    return np.maximum(w * x, 0) / np.maximum(w * x, 0).sum(1, keepdims=True)


def _squares(w: Any, x: Any) -> Any:
    return w**2 / (w**2).sum() * (x @ w)[:, None]


def _deleted(w: Any, x: Any) -> Any:
    return (w * x > 0).astype(np.float32)


def _game(sessions: int = 1, **quick: Any) -> Facts:
    """Tell of Shapley values that are sampled."""
    return Facts(
        quick, linear=_times, sums=True, from_baseline=True, together=True, drawn=True, sessions=sessions
    )


#: A line for each method of which something is not as usual.
FACTS: dict[str, Facts] = {
    # gradients
    "saliency": Facts(linear=lambda w, x: np.abs(w) + 0 * x),
    "input_x_gradient": Facts(linear=_times),
    "guided_backprop": Facts(linear=_plain),
    "deconvolution": Facts(linear=_plain),
    "beta_smooth": Facts(linear=_plain),
    "smooth_grad": Facts(linear=_plain, together=True, drawn=True),
    # paths
    "integrated_gradients": Facts(linear=_times, sums=True, from_baseline=True, together=True, sessions=2),
    "idgi": Facts({"n_steps": 8}, _squares, sums=True, from_baseline=True, together=True),
    "guided_ig": Facts({"n_steps": 40}, _times, sums=True, from_baseline=True, together=True, off=0.4),
    "blur_ig": Facts(
        {"max_sigma": 4.0, "n_steps": 60},
        sums=True,
        only="images",
        on_images=True,
        off=0.1,
    ),
    "xrai": Facts(
        {
            "n_steps": 8,
            "scales": (10.0, 40.0),
            "min_size": 4,
            "segment_size": None,
            "dilation": 1,
            "min_pixel_diff": 2,
        },
        only="images",
        on_images=True,
        amounts=False,
    ),
    "expected_gradients": Facts({"n_samples": 6}, _times, together=True),
    "gradient_shap": Facts(linear=_times, together=True),
    # relevance
    "lrp": Facts(linear=_times, sums=True),
    "excitation_backprop": Facts(linear=_positive),
    # references
    "deep_lift": Facts(linear=_times, sums=True, from_baseline=True, together=True),
    "deep_lift_shap": Facts(linear=_times, sums=True, from_baseline=True, together=True),
    # activation maps
    "ablation_cam": Facts(only="spatial", on_images=True, sessions=2),
    "cam": Facts(only="global average pooling", on_images=True),
    "eigen_cam": Facts(only="spatial", on_images=True),
    "grad_cam": Facts(only="spatial", on_images=True),
    "grad_cam_plus_plus": Facts(only="spatial", on_images=True),
    "guided_grad_cam": Facts(only="spatial", on_images=True, sessions=2),
    "hi_res_cam": Facts(only="spatial", on_images=True),
    "layer_cam": Facts(only="spatial", on_images=True),
    "score_cam": Facts(only="spatial", on_images=True, sessions=2),
    "shapley_cam": Facts(only="spatial", on_images=True, sessions=2),
    "x_grad_cam": Facts(only="spatial", on_images=True),
    "visual_backprop": Facts(only="Conv", on_images=True),
    # attention
    "attention_rollout": Facts(only="attention"),
    # perturbation
    "feature_ablation": Facts(linear=_times),
    "occlusion": Facts(linear=_times, sessions=3),  # in full, values as they are, patches
    "feature_permutation": Facts(apart=False),
    "prediction_difference": Facts({"n_samples": 2}, _times),
    "d_rise": Facts({"n_masks": 64}, only="detection"),
    # sessions=2 of these and other games: one that picks the scores of many rows at once
    "rise": Facts({"n_masks": 256}, _times, together=True, drawn=True, sampled=True, soft=True, sessions=2),
    "sobol_indices": Facts(
        {"n_samples": 32, "grid_size": 6},
        lambda w, x: (w * x) ** 2 / ((w * x) ** 2).sum(1, keepdims=True),
        sessions=2,
        together=True,
        drawn=True,
        sampled=True,
        soft=True,
        amounts=False,
    ),
    "hsic_indices": Facts(
        {"n_samples": 256}, together=True, drawn=True, dummy=False, amounts=False, sessions=2
    ),
    "meaningful_perturbation": Facts(
        {"n_steps": 12, "bounded": False}, _deleted, together=True, amounts=False
    ),
    # shapley values
    "exact_shapley": Facts(linear=_times, sums=True, from_baseline=True, together=True, few=True),
    "shapley_value_sampling": _game(n_samples=2),
    "permutation_shapley": _game(npermutations=1),
    "kernel_shap": _game(n_samples=256, sessions=2),
    "regression_adjusted_shapley": _game(n_samples=340, sessions=2),
    "partition_shap": _game(n_samples=254),
    "shapley_interactions": Facts(linear=_times, sums=True, from_baseline=True, together=True, few=True),
    # surrogates
    "lime": Facts({"n_samples": 200, "alpha": 0.0}, linear=_times, together=True, drawn=True, dummy=False),
    # trees and linear models
    "tree_shap": Facts(only="trees"),
    "linear_shap": Facts(only="linear"),
    # inner units
    "layer_activation": Facts(only="layer"),
    "layer_gradient_x_activation": Facts(linear=_times),
    "layer_conductance": Facts(
        {"n_steps": 20}, linear=_times, sums=True, from_baseline=True, together=True, sessions=2
    ),
    "internal_influence": Facts({"n_steps": 20}, linear=_plain, together=True, sessions=2),
    "neuron_conductance": Facts(linear=_times, sums=True, from_baseline=True, together=True, sessions=2),
    "neuron_gradient": Facts(linear=_plain),
}

#: Methods that explain one kind of models only: what to look for in the message elsewhere.
PARTICULAR = {name: facts.only for name, facts in FACTS.items() if facts.only}
#: For models of any kind, and for convolutional networks.
GENERAL = tuple(n for n in ox.METHODS if n not in PARTICULAR and FACTS.get(n, Facts()).apart)
ON_IMAGES = (
    *(n for n in GENERAL if not FACTS.get(n, Facts()).few),
    *(n for n in ox.METHODS if n in PARTICULAR and FACTS[n].on_images),
)


def facts(name: str) -> Facts:
    """Return what is true of a method."""
    return FACTS.get(name, Facts())


def errors(found: ox.Attribution, share: float = 0.0) -> dict[str, np.ndarray]:
    """How far off numbers may be, by input: six standard errors; a share of the largest without dummy."""
    about = facts(found.method.name)
    if about.sampled:
        return {k: 6 * v for k, v in found.extras["standard_error"].items()}
    most = max(float(np.abs(v).max()) for v in found.arrays.values())
    return {k: np.full(v.shape, 0.0 if about.dummy else share * most) for k, v in found.arrays.items()}


def made(name: str, **parameters: Any) -> ox.Method:
    """Make a method that is quick enough for a test over all methods."""
    return ox.method(name, **facts(name).quick | parameters)
