"""Our activation maps beside pytorch-grad-cam's and Captum's.

pytorch-grad-cam cuts off what is negative, enlarges the map, and scales it to 0..1; ours are brought into
that form here.  What differs by its design is undone: its Score-CAM enlarges masks with corners aligned, its
Eigen-CAM takes means off and leaves the sign to chance, its Ablation-CAM divides by a score that may be
negative, and its Grad-CAM++ adds 1e-6 to squares of gradients, which matters where these are small, so that
scores are a thousand times as large here.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.features.lifting import stretched

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.torch

TARGETS = np.array([1, 0, 4])
#: By network: its last module with space.
LAYERS = {"vgg": lambda net: net.features[-1], "resnet": lambda net: net.blocks[-1]}


@pytest.fixture
def peer(torch_networks: Any) -> Iterator[Any]:
    """The module ``pytorch_grad_cam``."""
    pytest.importorskip("cv2", reason="needs opencv-python-headless")
    pytest.importorskip("ttach", reason="needs ttach")
    try:
        module = torch_networks.import_grad_cam()
    except ImportError as error:
        pytest.skip(f"needs pytorch-grad-cam: pip install --no-deps grad-cam ttach ({error})")
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield module


@pytest.fixture(scope="module")
def cases(torch_networks: Any) -> dict[str, Any]:
    """By name: network, input, our explainer."""
    made = {}
    for name in LAYERS:
        net = torch_networks.network(name)
        x = torch_networks.sample(net)
        made[name] = net, x, ox.Explainer(torch_networks.export(net, x), device="cpu")
    return made


def scaled(maps: Any) -> np.ndarray:
    """From 0 to 1, each map by itself."""
    low, high = (f(maps, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    return np.asarray((maps - low) / (high - low + 1e-12 * (high == low)))


def theirs(peer: Any, kind: str, net: Any, layer: Any, x: Any, times: float = 1.0) -> np.ndarray:
    import torch

    targets = [lambda scores, k=int(t): times * scores[k] for t in TARGETS]
    with getattr(peer, kind)(model=net, target_layers=[layer]) as cam:
        return np.asarray(cam(torch.from_numpy(x).requires_grad_(), targets))


KINDS = {
    "GradCAM": ox.GradCam(),
    "GradCAMPlusPlus": ox.GradCamPlusPlus(),
    "HiResCAM": ox.HiResCam(relu_attributions=True),
    "LayerCAM": ox.LayerCam(),
    "XGradCAM": ox.XGradCam(),
    "ScoreCAM": ox.ScoreCam(),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("kind", KINDS)
def test_maps(cases: Any, peer: Any, kind: str, name: str, monkeypatch: Any) -> None:
    import torch

    def centred(size: Any) -> Any:
        return torch.nn.Upsample(size=size, mode="bilinear", align_corners=False)

    monkeypatch.setattr(torch.nn, "UpsamplingBilinear2d", centred)
    net, x, explainer = cases[name]
    times = 1000.0 if kind == "GradCAMPlusPlus" else 1.0
    found = explainer(x, ox.Weights(times * np.eye(5)[TARGETS]), KINDS[kind]).values[:, 0]
    wanted = theirs(peer, kind, net, LAYERS[name](net), x, times)
    assert wanted.max() > 0.9
    np.testing.assert_allclose(scaled(found), wanted, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", LAYERS)
def test_ablation(cases: Any, peer: Any, name: str) -> None:
    net, x, explainer = cases[name]
    found = explainer(x, TARGETS, ox.AblationCam(relu_attributions=False))
    signed = found.extras["map"]["x"] * np.sign(found.score)[:, None, None]
    ours = stretched(np.maximum(signed, 0), x.shape[2:], "bilinear")
    np.testing.assert_allclose(
        scaled(ours), theirs(peer, "AblationCAM", net, LAYERS[name](net), x), rtol=0, atol=1e-3
    )


@pytest.mark.parametrize("name", LAYERS)
def test_eigen(cases: Any, peer: Any, name: str) -> None:
    net, x, explainer = cases[name]
    signed = explainer(x, TARGETS, ox.EigenCam(center=True, relu_attributions=False)).extras["map"]["x"]
    wanted = theirs(peer, "EigenCAM", net, LAYERS[name](net), x)
    ways = [scaled(stretched(np.maximum(s * signed, 0), x.shape[2:], "bilinear")) for s in (1, -1)]
    for k in range(len(x)):
        assert min(np.abs(way[k] - wanted[k]).max() for way in ways) < 1e-3


def test_shapley(torch_networks: Any, peer: Any) -> None:
    """On a smooth end, whose second derivatives autograd knows."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(100, 5)
    ).eval()  # fmt: skip
    x = np.random.default_rng(0).standard_normal((3, 3, 16, 16)).astype(np.float32)
    model = torch_networks.export(net, x)
    layer = next(node.output[0] for node in model.graph.node if node.op_type == "Relu")
    wanted = theirs(peer, "ShapleyCAM", net, net[1], x)
    found = ox.explain(model, x, TARGETS, "shapley_cam", layer=layer).values[:, 0]
    np.testing.assert_allclose(scaled(found), wanted, rtol=0, atol=5e-3)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_captum(cases: Any, torch_networks: Any, name: str, mode: str) -> None:
    import torch

    attr = pytest.importorskip("captum.attr", reason="needs Captum: pip install 'onnxplain[conformance]'")
    net, x, explainer = cases[name]
    layer, tensor, targets = LAYERS[name](net), torch.from_numpy(x), torch.from_numpy(TARGETS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        maps = attr.LayerGradCam(net, layer).attribute(tensor, targets)
        guided = attr.GuidedGradCam(net, layer).attribute(
            tensor.clone().requires_grad_(), targets, interpolate_mode=mode
        )
    found = explainer(x, TARGETS, ox.GradCam(relu_attributions=False))
    assert torch_networks.relative(found.extras["map"]["x"][:, None], maps) < 1e-4
    made = explainer(x, TARGETS, ox.GuidedGradCam(interpolate_mode=mode))
    assert torch_networks.relative(made.values, guided) < 1e-4
