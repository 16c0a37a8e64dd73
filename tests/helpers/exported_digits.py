"""Explained files of the built-in digit classifier, and what they must say, for tests of other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import onnxplain as ox
from onnxplain.data import digits_model_path, digits_samples
from onnxplain.methods import OnePass

__all__ = ["CASES", "COMPOSITES", "ONE_PASS", "PLANS", "close", "feeds", "same", "write"]

ONE_PASS = [n for n, m in ox.METHODS.items() if issubclass(m, OnePass)]
COMPOSITES = ["epsilon_alpha2_beta1_flat", "zero_epsilon_gamma", "deep_taylor", "zero"]

_SQUARES = np.arange(28)[:, None] // 7 * 4 + np.arange(28) // 7

#: What is more than one walk back: a method, and what else ``export`` and ``explain`` are told.
PLANS: dict[str, tuple[ox.Method, dict[str, Any]]] = {
    "integrated_gradients": (ox.IntegratedGradients(n_steps=50), {}),
    "kernel_shap": (ox.KernelShap(n_samples=200), {"feature_mask": _SQUARES[None], "baselines": -0.1}),
    "grad_cam": (ox.GradCam(), {}),
    "smooth_grad": (ox.SmoothGrad(n_samples=5), {}),
    "occlusion": (ox.Occlusion(sliding_window_shapes=(1, 7, 7), strides=(1, 7, 7)), {}),
}

#: What every runtime is asked: plans, and one walk of each kind.
CASES: dict[str, tuple[ox.Method, dict[str, Any]]] = {
    **PLANS,
    **{name: (ox.METHODS[name](), {}) for name in ("saliency", "lrp", "deep_lift")},
}


def write(case: tuple[ox.Method, dict[str, Any]], folder: Path, steps_at_once: int = 10) -> Path:
    """Export a case."""
    method, options = case
    return ox.export(
        digits_model_path(), folder / "digits.onnx", method=method, steps_at_once=steps_at_once, **options
    ).path


def feeds(count: int = 2, turn: int = 0) -> dict[str, np.ndarray]:
    """Return some digits and their classes, or others, a few further on."""
    images, labels = digits_samples()
    return {"image": images[3 : 3 + count], "target": (labels[3 : 3 + count] + turn) % 10}


def same(case: tuple[ox.Method, dict[str, Any]], given: dict[str, np.ndarray], found: Any) -> None:
    """Hold what a runtime found to what the explainer says."""
    method, options = case
    expected = ox.explain(
        digits_model_path(), given["image"], given["target"].tolist(), method=method, **options
    )
    assert np.abs(expected.values).max() > 0
    close(found["attribution/image"], expected.values)
    close(found["probabilities"], expected.predictions)
    if "delta/probabilities" in found:
        assert (
            np.abs(found["delta/probabilities"] - expected.delta).max() < 1e-4 * np.abs(expected.score).max()
        )


def close(found: np.ndarray, expected: np.ndarray, rtol: float = 1e-4) -> None:
    """Compare by the largest value."""
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= rtol * np.abs(expected).max()
