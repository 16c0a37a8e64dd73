"""Occlusion, feature ablation and feature permutation beside Captum's.

Captum occludes, ablates and permutes as we do; where it differs is in what it is given: its permutations are
its own (here it is given ours), and its ``strides`` are 1 by default, also without windows, which it demands.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.runtime.plans.swapped import Swapped

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.torch

TARGETS = np.array([1, 0, 4])


@pytest.fixture
def attr() -> Iterator[Any]:
    """``captum.attr``, whose remarks are no concern here."""
    captum = pytest.importorskip("captum.attr", reason="needs Captum: pip install 'onnxplain[conformance]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield captum


@pytest.fixture(scope="module")
def cases(torch_networks: Any) -> dict[str, Any]:
    """By name: network, inputs as array and as tensor, our explainer, targets as tensor."""
    import torch

    made = {}
    for name in ("vgg", "resnet"):
        net = torch_networks.network(name)
        x = torch_networks.sample(net)
        explainer = ox.Explainer(torch_networks.export(net, x), device="cpu")
        made[name] = net, x, torch.from_numpy(x), explainer, torch.from_numpy(TARGETS)
    return made


def windows(shape: tuple[int, ...]) -> list[tuple[tuple[int, ...], Any]]:
    """Windows and strides for samples of shape (C, H, W)."""
    channels, height, width = shape
    return [
        ((channels, height // 3, width // 4), (channels, height // 5, width // 4)),
        ((1, height // 2, width - 1), 1 if height < 12 else (1, height // 4, 3)),
        ((channels, height, 3), (2 * channels, 2 * height, 3)),
    ]


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("name", ["vgg", "resnet"])
def test_occlusion(torch_networks: Any, cases: Any, attr: Any, name: str, which: int) -> None:
    net, x, tensor, explainer, targets = cases[name]
    window, strides = windows(x.shape[1:])[which]
    baseline = 0.1 * torch_networks.sample(net, seed=5)
    wanted = attr.Occlusion(net).attribute(
        tensor, window, strides, tensor.new_tensor(baseline), targets, perturbations_per_eval=3
    )
    method = ox.Occlusion(window, strides)
    found = explainer(x, TARGETS, method, baselines=baseline, internal_batch_size=7)
    assert torch_networks.relative(found.values, wanted) < 1e-4


@pytest.mark.parametrize("name", ["vgg", "resnet"])
def test_feature_ablation(torch_networks: Any, cases: Any, attr: Any, name: str) -> None:
    net, x, tensor, explainer, targets = cases[name]
    rng = np.random.default_rng(3)
    for mask in (rng.integers(0, 9, (1, *x.shape[1:])), np.arange(x.shape[2]).reshape(1, 1, -1, 1) // 3):
        mask = np.broadcast_to(mask, (1, *x.shape[1:])).copy()
        wanted = attr.FeatureAblation(net).attribute(
            tensor, 0.2, targets, feature_mask=targets.new_tensor(mask), perturbations_per_eval=4
        )
        found = explainer(
            x, TARGETS, "feature_ablation", baselines=0.2, feature_mask=mask, internal_batch_size=5
        )
        assert torch_networks.relative(found.values, wanted) < 1e-4


@pytest.mark.parametrize("name", ["vgg", "resnet"])
def test_feature_permutation_with_the_same_permutations(
    torch_networks: Any, cases: Any, attr: Any, name: str
) -> None:
    net, x, tensor, explainer, targets = cases[name]
    mask = np.random.default_rng(3).integers(0, 6, (1, *x.shape[1:]))
    drawn = Swapped(1, 5, {"x": x}, within=True).rows(slice(0, 6))
    steps = iter(drawn)

    def permute(rows: Any, feature: Any) -> Any:
        return rows[next(steps)] * feature + rows * ~feature

    wanted = attr.FeaturePermutation(net, permute).attribute(
        tensor, targets, feature_mask=targets.new_tensor(mask)
    )
    found = explainer(x, TARGETS, ox.FeaturePermutation(1, 5), feature_mask=mask)
    assert torch_networks.relative(found.values, wanted) < 1e-4


def test_several_inputs(torch_networks: Any, attr: Any, models: Any) -> None:
    """Occlusion and ablation of two inputs, one at a time; players of one mask over both."""
    import torch

    image, table = models.random(3, 2, 4), models.random(3, 3, seed=1)
    w, v = models.random(11, 6, seed=1), models.random(6, 2, seed=2)
    w, v = torch.from_numpy(w), torch.from_numpy(v)

    def net(a: Any, b: Any) -> Any:
        return torch.relu(torch.cat([a.flatten(1), b], 1) @ w) @ v

    tensors = torch.from_numpy(image), torch.from_numpy(table)
    explainer, x = ox.Explainer(models.two_inputs(), device="cpu"), {"image": image, "table": table}
    wanted = attr.Occlusion(net).attribute(tensors, ((2, 3), (2,)), ((1, 2), (1,)), target=1)
    found = explainer(x, 1, ox.Occlusion(((2, 3), (2,)), ((1, 2), (1,)))).values
    masks = np.array([[[0, 0, 1, 1], [2, 2, 3, 3]]]), np.array([[3, 4, 5]])
    ablated = attr.FeatureAblation(net).attribute(
        tensors, target=1, feature_mask=tuple(torch.from_numpy(m) for m in masks)
    )
    given = dict(zip(x, masks, strict=True))
    ours = explainer(x, 1, "feature_ablation", feature_mask=given).values
    for k, name in enumerate(x):
        assert torch_networks.relative(found[name], wanted[k]) < 1e-4
        assert torch_networks.relative(ours[name], ablated[k]) < 1e-4
