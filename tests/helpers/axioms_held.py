"""Which method keeps which axiom: what is broken, and why; what holds in the limit; what makes no sense.

What is not listed is kept.  ``tests/metrics/test_axioms_of_methods.py`` holds all of it against the methods,
and ``docs/axioms.md`` is made of it.
"""

from __future__ import annotations

from typing import Any

from axiom_witnesses import AXIOMS, Witnesses

from onnxplain.errors import OnnxplainError

__all__ = ["AXIOMS", "BROKEN", "LIMITS", "NONE", "expected", "measured"]

#: Up to here an axiom is kept (the rest is rounding in float32), and from there on it is broken.
KEPT, BREAKS = 1e-4, 1e-2
#: What holds in the limit is off by less than this share of what it was, with more samples or steps.
NEARER = 0.6

_MAGNITUDES = "magnitudes do not add up"
_CLIPPED = "what is negative is cut off"
_SLOPES = "slopes are no amounts of the score"
_SHARES = "shares, no amounts of the score"
_SPREAD = "a small map is spread over the whole input"
_SATURATION = "no slope where the score is saturated"
_ORIGIN = "compared with a baseline that stays where it is, or multiplied by the input"
_SCALE = "the map is as large as the layer's values are"
_RULE = "rules see the operators, and not the function"
_CLIPPED_CAMS = ("grad_cam", "grad_cam_plus_plus", "layer_cam", "x_grad_cam", "shapley_cam")
_ONE = "features are taken away one at a time"
_WINDOWS = "windows take neighbours along"
_PATH = "where the path goes depends on the model"

#: By axiom and method: why it is broken.
BROKEN: dict[str, dict[str, str]] = {
    "completeness": {
        **dict.fromkeys(
            ("saliency", "guided_backprop", "deconvolution", "beta_smooth", "smooth_grad", "neuron_gradient"),
            _SLOPES,
        ),
        **dict.fromkeys(("input_x_gradient", "layer_gradient_x_activation"), "first order, at one point"),
        "internal_influence": "means of slopes are no amounts of the score",
        "blur_ig": "starts from the blurred input, and not from the baseline",
        "xrai": "regions get the density of what they hold",
        "lrp": "sums to the score, and not to a difference; biases take part",
        **dict.fromkeys(("excitation_backprop", "visual_backprop", "attention_rollout"), _SHARES),
        **dict.fromkeys(("cam", "hi_res_cam"), "sums to parts of the score, without biases"),
        **dict.fromkeys(_CLIPPED_CAMS, _CLIPPED),
        **dict.fromkeys(("eigen_cam", "score_cam", "ablation_cam", "guided_grad_cam"), "a map of importance"),
        **dict.fromkeys(("feature_ablation", "occlusion", "feature_permutation"), _ONE),
        "prediction_difference": _ONE,
        "rise": "expected scores, each by itself",
        "d_rise": "likeness of detections, and no part of the score",
        **dict.fromkeys(("sobol_indices", "hsic_indices"), "shares of the variance, or of dependence"),
        "meaningful_perturbation": "a mask",
        "lime": "the linear model meets the score only on average",
    },
    "sensitivity": {
        **dict.fromkeys(
            (
                "saliency", "input_x_gradient", "guided_backprop", "deconvolution", "beta_smooth",
                "smooth_grad", "layer_gradient_x_activation", "neuron_gradient",
            ),
            _SATURATION,
        ),
        **dict.fromkeys(
            ("grad_cam", "x_grad_cam", "ablation_cam", "shapley_cam", "guided_grad_cam"), _CLIPPED
        ),
        "excitation_backprop": "what has a negative weight is left out",
        "meaningful_perturbation": "the mask leaves in place what does not lower the score",
    },
    "dummy": {
        "meaningful_perturbation": "masks are smooth in space",
        "xrai": "a region is given what its elements hold together",
        **dict.fromkeys(
            (
                "cam", "grad_cam", "grad_cam_plus_plus", "hi_res_cam", "layer_cam", "x_grad_cam", "eigen_cam",
                "score_cam", "ablation_cam", "shapley_cam",
            ),
            _SPREAD,
        ),
        "attention_rollout": "a token's number is that of all its elements",
        **dict.fromkeys(("occlusion", "prediction_difference"), _WINDOWS),
        **dict.fromkeys(("rise", "sobol_indices", "hsic_indices"), "cells of a grid hold several elements"),
    },
    "implementation invariance": {
        **dict.fromkeys(("guided_backprop", "deconvolution", "beta_smooth", "guided_grad_cam"), _RULE),
        **dict.fromkeys(("lrp", "excitation_backprop", "deep_lift", "deep_lift_shap"), _RULE),
        "visual_backprop": _RULE,
        **dict.fromkeys(("eigen_cam", "score_cam", "ablation_cam"), _SCALE),
    },
    "linearity": {
        "saliency": _MAGNITUDES,
        **dict.fromkeys(("guided_backprop", "deconvolution"), _CLIPPED),
        **dict.fromkeys(_CLIPPED_CAMS, _CLIPPED),
        **dict.fromkeys(("score_cam", "ablation_cam"), _CLIPPED),
        "guided_grad_cam": "a product of two explanations",
        **dict.fromkeys(("idgi", "guided_ig"), _PATH),
        "xrai": "ranks of regions",
        **dict.fromkeys(("excitation_backprop", "attention_rollout"), _SHARES),
        **dict.fromkeys(("eigen_cam", "visual_backprop"), "the same for every class"),
        **dict.fromkeys(("sobol_indices", "hsic_indices"), "shares of the variance, or of dependence"),
        "meaningful_perturbation": "the best mask for a sum is no sum of masks",
    },
    "symmetry": {
        **dict.fromkeys(
            ("lrp", "excitation_backprop", "deep_lift", "deep_lift_shap"),
            "a product of three is shared out as it is written",
        ),
        "partition_shap": "the hierarchy does not treat its players alike",
    },
    "input invariance": {
        **dict.fromkeys(
            (
                "input_x_gradient", "integrated_gradients", "idgi", "guided_ig", "expected_gradients",
                "gradient_shap", "layer_gradient_x_activation", "layer_conductance", "internal_influence",
                "neuron_conductance", "lrp", "excitation_backprop", "deep_lift", "deep_lift_shap",
                "feature_ablation", "occlusion", "prediction_difference", "rise", "d_rise", "sobol_indices",
                "hsic_indices", "meaningful_perturbation", "exact_shapley", "shapley_value_sampling",
                "permutation_shapley", "kernel_shap", "regression_adjusted_shapley", "partition_shap",
                "shapley_interactions", "lime", "tree_shap", "linear_shap",
            ),
            _ORIGIN,
        ),
        "blur_ig": "blurring takes what is outside an image for 0",
        "score_cam": "what a mask hides is 0",
    },
}  # fmt: skip

#: By axiom and method: what is kept in the limit, and parameters that come nearer to it.
LIMITS: dict[str, dict[str, dict[str, Any]]] = {
    "completeness": {
        "integrated_gradients": {"n_steps": 2000},
        "guided_ig": {"n_steps": 200},
        "layer_conductance": {"n_steps": 1000},
        "neuron_conductance": {"n_steps": 2000},
        "expected_gradients": {"n_samples": 2000},
        "gradient_shap": {"n_samples": 2000},
    },
    "dummy": {
        "d_rise": {"n_masks": 6000},
        "kernel_shap": {"n_samples": 1022},
        "regression_adjusted_shapley": {"n_samples": 1022},
        "lime": {"n_samples": 6000},
    },
    "symmetry": {
        "smooth_grad": {"n_samples": 4000},
        "rise": {"n_masks": 20000},
        "d_rise": {"n_masks": 6000},
        "sobol_indices": {"n_samples": 2048},
        "hsic_indices": {"n_samples": 2048},
        "feature_permutation": {"n_repeats": 400},
        "shapley_value_sampling": {"n_samples": 500},
        "permutation_shapley": {"npermutations": 500},
        "kernel_shap": {"n_samples": 1022},
        "regression_adjusted_shapley": {"n_samples": 1022},
        "lime": {"n_samples": 6000},
    },
}

_LAYER = "shows what a layer holds, and gives inputs nothing"

#: By axiom and method: why the axiom says nothing of it.
NONE: dict[str, dict[str, str]] = {
    **{axiom: {"layer_activation": _LAYER} for axiom in AXIOMS},
    "implementation invariance": {
        "layer_activation": _LAYER,
        "tree_shap": "a tree ensemble is one node, which is not rewritten",
    },
    "linearity": {"layer_activation": _LAYER, "d_rise": "a sum of detections is no detection"},
    "symmetry": {"layer_activation": _LAYER, "tree_shap": "it refuses trees behind a mean of two columns"},
}


def expected(name: str, axiom: str) -> str:
    """Return what is known of a method and an axiom: "kept", "limit", "broken" or "none"."""
    for verdict, listed in (("none", NONE), ("broken", BROKEN), ("limit", LIMITS)):
        if name in listed.get(axiom, {}):
            return verdict
    return "kept"


def measured(witnesses: Witnesses, name: str, axiom: str) -> tuple[str, float]:
    """Return what the witnesses say, and how far off the method is."""
    if name in NONE[axiom]:
        try:
            off = witnesses.off(name, axiom)
        except OnnxplainError:
            return "none", float("nan")
        if off != off:
            return "none", off
    else:
        off = witnesses.off(name, axiom)
    if off <= KEPT:
        return "kept", off
    nearer = LIMITS.get(axiom, {}).get(name)
    if nearer and witnesses.off(name, axiom, **nearer) < NEARER * off:
        return "limit", off
    return ("broken" if off > BREAKS else "unclear"), off
