"""LIME beside Captum's, on the same coalitions.

Captum draws its coalitions one by one from torch's generator and weighs them with the width 1 by default;
here both are given the same ones, and the same width and regression.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.runtime.plans.surrogate import Halves

pytestmark = pytest.mark.torch


@pytest.mark.parametrize("width", [0.25, 1.0])
@pytest.mark.parametrize("regression", ["ridge", "lasso"])
@pytest.mark.parametrize("name", ["vgg", "resnet"])
def test_lime(torch_networks: Any, name: str, regression: str, width: float) -> None:
    import torch

    captum = pytest.importorskip("captum.attr", reason="needs Captum: pip install 'onnxplain[conformance]'")
    models = pytest.importorskip("captum._utils.models.linear_model")
    net = torch_networks.network(name)
    x = torch_networks.sample(net)[:1]
    rows, columns = np.indices(x.shape)[-2:] // (x.shape[-1] // 3)
    mask = np.unique(10 * rows + columns, return_inverse=True)[1].reshape(x.shape)
    count, samples, alpha = int(mask.max()) + 1, 120, 1e-5 if regression == "lasso" else 0.01
    drawn = iter(Halves(samples, 3).kept(count, slice(0, samples)))
    first = [np.ones(count, bool)]
    tensor, groups = torch.from_numpy(x), torch.from_numpy(mask)

    def back(coalition: Any, original: Any, **_: Any) -> Any:
        return original * coalition[0][groups]

    def near(original: Any, perturbed: Any, coalition: Any, **_: Any) -> float:
        distance = 1 - np.sqrt(float(coalition.float().mean()))
        return float(np.exp(-(distance**2) / (2 * width**2)))

    def draw(*_: Any, **__: Any) -> Any:
        return torch.from_numpy(np.asarray(first.pop() if first else next(drawn)))[None].long()

    kind = models.SkLearnRidge if regression == "ridge" else models.SkLearnLasso
    peer = captum.LimeBase(net, kind(alpha=alpha), near, draw, True, back, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = peer.attribute(tensor, target=1, n_samples=samples + 1)
    explainer = ox.Explainer(torch_networks.export(net, x), device="cpu")
    method = ox.Lime(samples, kernel_width=width, regression=regression, alpha=alpha, seed=3)
    found = explainer(x, 1, method, feature_mask=mask)
    by_player = np.array([found.values[mask == k][0] for k in range(count)])
    assert torch_networks.relative(by_player, wanted.numpy().ravel()) < 2e-3
