"""Our methods beside what Captum, zennit and shap said; the files are made by ``tools/make_golden.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxplain as ox

FILES = sorted((Path(__file__).parents[1] / "golden").glob("*.npz"))
STEPS = 12

METHODS: dict[str, dict[str, Any]] = {
    "captum:Saliency": {"method": "saliency"},
    "captum:InputXGradient": {"method": "input_x_gradient"},
    "captum:GuidedBackprop": {"method": "guided_backprop"},
    "captum:Deconvolution": {"method": "deconvolution"},
    "captum:DeepLift": {"method": "deep_lift"},
    "captum:DeepLiftShap": {"method": "deep_lift_shap"},
    "shap:DeepExplainer": {"method": "deep_lift_shap"},
    "zennit:guided_backprop": {"method": "guided_backprop"},
    "zennit:deconvnet": {"method": "deconvolution"},
    "zennit:beta_smooth": {"method": "beta_smooth"},
    "zennit:excitation_backprop": {"method": "excitation_backprop"},
    "zennit:excitation_backprop:bias": {
        "method": "lrp", "composite": "excitation_backprop", "zero_params": (), "bias": "keep",
    },
    "zennit:epsilon_gamma_box": {
        "method": "lrp", "composite": "epsilon_gamma_box", "bias": "keep", "low": -5.0, "high": 6.0,
    },
    "zennit:epsilon_gamma_box:channels": {
        "method": "lrp", "composite": "epsilon_gamma_box", "bias": "keep", "low": (-5.0, -4.5),
        "high": (5.0, 6.0),
    },
} | {
    f"zennit:{name}": {"method": "lrp", "composite": name, "bias": "keep"}
    for name in (
        "epsilon_plus", "epsilon_plus_flat", "epsilon_alpha2_beta1", "epsilon_alpha2_beta1_flat",
    )
} | {
    f"captum:IntegratedGradients:{rule}": {
        "method": ox.IntegratedGradients(n_steps=STEPS, method=rule), "baselines": 0.1,
    }
    for rule in ("gausslegendre", "riemann_left", "riemann_right", "riemann_middle")
}  # fmt: skip


def cases() -> list[Any]:
    found = []
    for path in FILES:
        with np.load(path) as content:
            found += [pytest.param(path, k, id=f"{path.stem}-{k}") for k in content.files if ":" in k]
    return found


def test_there_are_golden_files() -> None:
    assert {p.stem for p in FILES} == {"attention", "convolutional", "residual"}


@pytest.mark.parametrize(("path", "name"), cases())
def test_golden(path: Path, name: str) -> None:
    with np.load(path) as content:
        model, x, targets, wanted = (content[k] for k in ("model", "x", "targets", name))
        starts = {"deep_lift": content["references"][: len(x)], "deep_lift_shap": content["references"]}
    options = METHODS[name]
    if options["method"] in ("deep_lift", "deep_lift_shap"):
        options = {**options, "baselines": starts[options["method"]]}
    found = ox.Explainer(model.tobytes(), device="cpu")(x, targets, **options).values
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_every_method_is_compared() -> None:
    assert {p.values[1] for p in cases()} == set(METHODS)
