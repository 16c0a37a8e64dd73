"""Our methods beside those of the package saliency, by their authors, on the same networks.

What differs by design: GuidedIG there computes points in float64, ours enter the model in its own dtype.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import onnxplain as ox

if TYPE_CHECKING:
    from collections.abc import Callable

TARGETS = np.array([1, 0, 4])

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def peer() -> Any:
    """The module ``saliency.core``."""
    return pytest.importorskip("saliency.core", reason="needs saliency: pip install --no-deps saliency")


@pytest.fixture(scope="module", params=["vgg", "mobile"])
def case(torch_networks: Any, request: Any) -> tuple[ox.Explainer, np.ndarray, Callable[[int], Any]]:
    """An explainer, images, and what gives saliency the gradients of a target; channels last there."""
    import torch

    net = torch_networks.network(request.param)
    x = torch_networks.sample(net)

    def gradients(target: int) -> Any:
        def call(images: Any, call_model_args: Any = None, expected_keys: Any = None) -> dict[str, Any]:
            given = np.moveaxis(np.asarray(images, np.float32), -1, 1)
            entered = torch.from_numpy(np.ascontiguousarray(given)).requires_grad_()
            (made,) = torch.autograd.grad(net(entered)[:, target].sum(), entered)
            return {"INPUT_OUTPUT_GRADIENTS": np.moveaxis(made.numpy(), 1, -1)}

        return call

    return ox.Explainer(torch_networks.export(net, x), device="cpu"), x, gradients


def last(image: np.ndarray) -> np.ndarray:
    """Move the channels of an image to the end."""
    return np.moveaxis(image, 0, -1)


@pytest.mark.parametrize(("fraction", "max_dist"), [(0.25, 0.02), (0.1, 1.0), (0.5, 0.0)])
def test_guided_ig(
    torch_networks: Any, peer: Any, case: Any, fraction: float, max_dist: float, monkeypatch: Any
) -> None:
    explainer, x, gradients = case
    quantile = np.quantile  # of which the peer uses an argument's old name
    monkeypatch.setattr(np, "quantile", lambda a, q, interpolation: quantile(a, q, method=interpolation))
    method = ox.GuidedIG(12, fraction, max_dist)
    found = explainer(x, TARGETS, method, baselines=0.1)
    for k, target in enumerate(TARGETS):
        wanted = peer.GuidedIG().GetMask(
            last(x[k]), gradients(target), x_baseline=np.full_like(last(x[k]), 0.1), x_steps=12,
            fraction=fraction, max_dist=max_dist,
        )  # fmt: skip
        assert torch_networks.relative(last(found.values[k]), wanted) < 2e-3


@pytest.mark.parametrize("sqrt", [False, True])
def test_blur_ig(torch_networks: Any, peer: Any, case: Any, sqrt: bool) -> None:
    explainer, x, gradients = case
    found = explainer(x, TARGETS, ox.BlurIG(max_sigma=4.0, n_steps=10, sqrt=sqrt))
    for k, target in enumerate(TARGETS):
        wanted = peer.BlurIG().GetMask(
            last(x[k]).astype(np.float64), gradients(target), max_sigma=4, steps=10, sqrt=sqrt
        )
        assert torch_networks.relative(last(found.values[k]), wanted) < 1e-3


@pytest.mark.parametrize("algorithm", ["full", "fast"])
def test_regions_of_a_photograph(peer: Any, algorithm: str) -> None:
    """The same attributions of a photograph, gathered by both: the same map."""
    from skimage.data import chelsea
    from skimage.transform import resize

    from onnxplain.features.regions import dilated, ranked, segmented

    image = resize(chelsea(), (160, 200))
    base = np.random.default_rng(0).normal(size=image.shape) + image
    options = peer.XRAIParameters(algorithm=algorithm, return_xrai_segments=True)
    wanted = peer.XRAI().GetMaskWithDetails(image, None, base_attribution=base, extra_parameters=options)
    ours = ox.XRAI()
    segments = segmented(image, ours.scales, ours.sigma, ours.min_size, ours.segment_size)
    masks = dilated(segments, ours.dilation)
    found, ranks = ranked(masks, base.max(-1).ravel(), ours.min_pixel_diff, fast=algorithm == "fast")
    np.testing.assert_allclose(found.reshape(image.shape[:2]), wanted.attribution_mask, rtol=1e-9)
    np.testing.assert_array_equal(ranks.reshape(image.shape[:2]), wanted.segments)


def test_xrai(torch_networks: Any, peer: Any, case: Any) -> None:
    """Both from end to end; saliency sums both ends with full weight, ours is Gauss-Legendre."""
    explainer, x, gradients = case
    mask = np.arange(16).reshape(4, 4).repeat(x.shape[2] // 4, 0).repeat(x.shape[3] // 4, 1)
    segments = [mask == k for k in range(16)]
    found = explainer(x, TARGETS, ox.XRAI(n_steps=200, min_pixel_diff=1), feature_mask=mask)
    options = peer.XRAIParameters(steps=400)
    options.experimental_params["min_pixel_diff"] = 1
    for k, target in enumerate(TARGETS):
        wanted = peer.XRAI().GetMask(
            last(x[k]), gradients(target), segments=segments, batch_size=40, extra_parameters=options
        )
        assert torch_networks.relative(found.values[k, 0], wanted) < 0.03
