"""Which methods stand trial, and by which metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

import onnxplain as ox
from onnxplain.runtime.plans.plan import Found
from onnxplain.runtime.problem import Problem

__all__ = ["METHODS", "METRICS", "Chance"]


@dataclass(frozen=True)
class Chance(ox.Method):
    """Random numbers in the place of attributions: what any method must be better than."""

    name: ClassVar[str] = "chance"
    seed: int = 0

    def attribute(self, problem: Problem) -> Found:
        """Draw numbers; a sample's depend on what it is, and not on its place."""
        made = {}
        for name, array in problem.features.items():
            rows: list[NDArray[Any]] = []
            for row in array:
                key = int(np.frombuffer(row.tobytes(), np.uint8).astype(np.int64).sum())
                rows.append(np.random.default_rng([self.seed, key]).normal(size=row.shape))
            made[name] = np.stack(rows).astype(np.float32)
        return Found(made)

    def needs(self) -> Any:
        """Ask for scores alone."""
        return ox.Scores()


#: By world: methods by what the table calls them.
METHODS: dict[str, dict[str, Any]] = {
    "digits": {
        "chance": Chance(),
        "saliency": "saliency",
        "input_x_gradient": "input_x_gradient",
        "guided_backprop": "guided_backprop",
        "deconvolution": "deconvolution",
        "smooth_grad": ("smooth_grad", {"n_samples": 25}),
        "smooth_grad squared": ("smooth_grad", {"n_samples": 25, "nt_type": "smoothgrad_sq"}),
        "vargrad": ("smooth_grad", {"n_samples": 25, "nt_type": "vargrad"}),
        "integrated_gradients": ("integrated_gradients", {"n_steps": 50}),
        "integrated_gradients blur": ("integrated_gradients", {"n_steps": 50, "baselines": "blur"}),
        "idgi": ("idgi", {"n_steps": 50}),
        "guided_ig": ("guided_ig", {"n_steps": 50}),
        "blur_ig": ("blur_ig", {"n_steps": 50, "max_sigma": 8.0}),
        "gradient_shap": ("gradient_shap", {"n_samples": 50}),
        "xrai": "xrai",
        "lrp conserving": "lrp",
        "lrp epsilon": ("lrp", {"composite": "epsilon"}),
        "lrp epsilon_plus": ("lrp", {"composite": "epsilon_plus"}),
        "lrp epsilon_gamma_box": ("lrp", {"composite": "epsilon_gamma_box", "low": 0.0, "high": 1.0}),
        "excitation_backprop": "excitation_backprop",
        "deep_lift": "deep_lift",
        "grad_cam": "grad_cam",
        "grad_cam_plus_plus": "grad_cam_plus_plus",
        "hi_res_cam": "hi_res_cam",
        "layer_cam": "layer_cam",
        "x_grad_cam": "x_grad_cam",
        "eigen_cam": "eigen_cam",
        "score_cam": "score_cam",
        "ablation_cam": "ablation_cam",
        "guided_grad_cam": "guided_grad_cam",
        "visual_backprop": "visual_backprop",
        "occlusion": ("occlusion", {"sliding_window_shapes": 5}),
        "feature_ablation": "feature_ablation",
        "rise": ("rise", {"n_masks": 500}),
        "sobol_indices": ("sobol_indices", {}),
        "hsic_indices": ("hsic_indices", {}),
        "kernel_shap": ("kernel_shap", {"n_samples": 500, "feature_mask": "grid"}),
        "shapley_value_sampling": ("shapley_value_sampling", {"n_samples": 10, "feature_mask": "grid"}),
        "partition_shap": ("partition_shap", {"n_samples": 1000, "feature_mask": "grid"}),
        "lime": ("lime", {"n_samples": 500, "feature_mask": "grid"}),
    },
    "photographs": {
        "chance": Chance(),
        "saliency": "saliency",
        "input_x_gradient": "input_x_gradient",
        "guided_backprop": "guided_backprop",
        "deconvolution": "deconvolution",
        "smooth_grad": ("smooth_grad", {"n_samples": 20}),
        "smooth_grad squared": ("smooth_grad", {"n_samples": 20, "nt_type": "smoothgrad_sq"}),
        "integrated_gradients": ("integrated_gradients", {"n_steps": 30}),
        "integrated_gradients blur": ("integrated_gradients", {"n_steps": 30, "baselines": "blur"}),
        "guided_ig": ("guided_ig", {"n_steps": 15}),
        "lrp conserving": "lrp",
        "lrp epsilon_plus": ("lrp", {"composite": "epsilon_plus"}),
        "excitation_backprop": "excitation_backprop",
        "deep_lift": "deep_lift",
        "grad_cam": "grad_cam",
        "layer_cam": "layer_cam",
        "eigen_cam": "eigen_cam",
        "guided_grad_cam": "guided_grad_cam",
        "occlusion": ("occlusion", {"sliding_window_shapes": 32, "strides": 16}),
        "rise": ("rise", {"n_masks": 150}),
        "kernel_shap": ("kernel_shap", {"n_samples": 150, "feature_mask": "segments"}),
        "lime": ("lime", {"n_samples": 150, "feature_mask": "segments"}),
    },
    "reviews": {
        "chance": Chance(),
        "saliency": "saliency",
        "input_x_gradient": "input_x_gradient",
        "integrated_gradients": ("integrated_gradients", {"n_steps": 50}),
        "idgi": ("idgi", {"n_steps": 50}),
        "lrp conserving": "lrp",
        "lrp epsilon": ("lrp", {"composite": "epsilon"}),
        "deep_lift": "deep_lift",
        "guided_backprop": "guided_backprop",
        "feature_ablation": "feature_ablation",
        "exact_shapley": "exact_shapley",
        "kernel_shap": ("kernel_shap", {"n_samples": 200}),
        "permutation_shapley": ("permutation_shapley", {"npermutations": 5}),
        "lime": ("lime", {"n_samples": 200}),
    },
    "patients": {
        "chance": Chance(),
        "tree_shap": "tree_shap",
        "exact_shapley": "exact_shapley",
        "kernel_shap": ("kernel_shap", {"n_samples": 200}),
        "permutation_shapley": ("permutation_shapley", {"npermutations": 5}),
        "shapley_value_sampling": ("shapley_value_sampling", {"n_samples": 10}),
        "feature_ablation": "feature_ablation",
        "lime": ("lime", {"n_samples": 500}),
    },
}
METHODS["mosaics"] = METHODS["photographs"]


#: By world: metrics by what the table calls them.
METRICS: dict[str, dict[str, Any]] = {
    "digits": {
        "deletion": ("deletion", {"n_steps": 50}),
        "insertion": ("insertion", {"n_steps": 50}),
        "srg": ("srg", {"n_steps": 50}),
        "irof": "irof",
        "faithfulness_correlation": ("faithfulness_correlation", {"n_runs": 50}),
        "sensitivity_n": "sensitivity_n",
        "max_sensitivity": ("max_sensitivity", {"n_samples": 2}),
        "sparseness": "sparseness",
        "complexity": "complexity",
        "mprt": ("mprt", {"absolute": False}),
        "random_logit": "random_logit",
    },
    "photographs": {
        "deletion": ("deletion", {"n_steps": 28}),
        "insertion": ("insertion", {"n_steps": 28}),
        "srg": ("srg", {"n_steps": 28}),
        "irof": "irof",
        "faithfulness_correlation": ("faithfulness_correlation", {"n_runs": 30, "subset_size": 10000}),
        "sparseness": "sparseness",
    },
    "mosaics": {
        "pointing_game": "pointing_game",
        "energy_pointing_game": "energy_pointing_game",
        "relevance_mass_accuracy": "relevance_mass_accuracy",
        "relevance_rank_accuracy": "relevance_rank_accuracy",
        "auc": "auc",
        "focus": "focus",
        "iou": "iou",
    },
    "reviews": {
        "deletion": "deletion",
        "insertion": "insertion",
        "srg": "srg",
        "faithfulness_correlation": ("faithfulness_correlation", {"n_runs": 50}),
        "faithfulness_estimate": "faithfulness_estimate",
        "sensitivity_n": "sensitivity_n",
        "monotonicity": "monotonicity",
        "sparseness": "sparseness",
    },
}
METRICS["patients"] = METRICS["reviews"]
