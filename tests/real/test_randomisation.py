"""Parameter randomisation of a trained ImageNet classifier: who notices, and who does not."""

from __future__ import annotations

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.metrics.similarity import spearman

pytestmark = pytest.mark.models

METHODS = {
    "gradient": ox.methods.Saliency(abs=False),
    "ig": ox.IntegratedGradients(8),
    "guided": "guided_backprop",
    "deconvolution": "deconvolution",
}


def test_gradients_notice_random_layers_and_guided_backpropagation_does_not(real_model):
    """Sixt et al. 2020: what guided rules hand back converges to the same, whatever the upper layers are."""
    model = real_model("mobilenetv2")
    explainer = ox.Explainer(model.path)
    target = int(model.target[-1])
    first = {k: explainer(model.feeds, target, m).values for k, m in METHODS.items()}
    found = {}
    for count, (_, other) in enumerate(ox.metrics.random_models(explainer), 1):
        if count in (1, 8):
            for name, method in METHODS.items():
                values = other(model.feeds, target, method).values
                found[name, count] = spearman(first[name].reshape(1, -1), values.reshape(1, -1))[0]
        if count == 8:
            break
    for name in ("gradient", "ig"):
        assert np.abs([found[name, 1], found[name, 8]]).max() < 0.4, found
    for name in ("guided", "deconvolution"):
        assert min(found[name, 1], found[name, 8]) > 0.9, found
