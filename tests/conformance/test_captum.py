"""Our methods beside Captum's, on the same networks.

What differs by design, and is therefore not compared: Captum's ``riemann_trapezoid`` has weights that sum to
``1 - 1/n`` (ours is a true trapezoid); noise is drawn from other generators.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import onnxplain as ox

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.torch

TARGETS = np.array([1, 0, 4])
NAMES = ["vgg", "resnet", "mobile", "transformer"]


@pytest.fixture
def attr() -> Iterator[Any]:
    """``captum.attr``, whose remarks on hooks are no concern here."""
    captum = pytest.importorskip("captum.attr", reason="needs Captum: pip install 'onnxplain[conformance]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield captum


@pytest.fixture(scope="module")
def cases(torch_networks: Any) -> dict[str, Any]:
    """By name: network, inputs as array and as tensor, our explainer, targets as tensor."""
    import torch

    made = {}
    for name in NAMES:
        net = torch_networks.network(name)
        x = torch_networks.sample(net)
        explainer = ox.Explainer(torch_networks.export(net, x), device="cpu")
        made[name] = net, x, torch.from_numpy(x), explainer, torch.from_numpy(TARGETS)
    return made


@pytest.mark.parametrize("name", NAMES)
def test_saliency(torch_networks: Any, cases: Any, attr: Any, name: str) -> None:
    net, x, tensor, explainer, targets = cases[name]
    wanted = attr.Saliency(net).attribute(tensor.clone().requires_grad_(), targets)
    assert torch_networks.relative(explainer(x, TARGETS, "saliency").values, wanted) < 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_input_x_gradient(torch_networks: Any, cases: Any, attr: Any, name: str) -> None:
    net, x, tensor, explainer, targets = cases[name]
    wanted = attr.InputXGradient(net).attribute(tensor.clone().requires_grad_(), targets)
    assert torch_networks.relative(explainer(x, TARGETS, "input_x_gradient").values, wanted) < 1e-4


@pytest.mark.parametrize("method", ["gausslegendre", "riemann_left", "riemann_right", "riemann_middle"])
@pytest.mark.parametrize("name", NAMES)
def test_integrated_gradients(torch_networks: Any, cases: Any, attr: Any, name: str, method: str) -> None:
    net, x, tensor, explainer, targets = cases[name]
    baseline = 0.1 * torch_networks.sample(net, seed=5)
    peer = attr.IntegratedGradients(net)
    wanted, delta = peer.attribute(
        tensor, tensor.new_tensor(baseline), targets, n_steps=20, method=method, return_convergence_delta=True
    )
    found = explainer(
        x, TARGETS, ox.IntegratedGradients(20, method), baselines=baseline, internal_batch_size=7
    )
    assert torch_networks.relative(found.values, wanted) < 1e-4
    np.testing.assert_allclose(found.delta, delta, atol=1e-4 * np.abs(found.score).max())


@pytest.mark.parametrize("name", ["vgg", "resnet"])
@pytest.mark.parametrize("method", ["GuidedBackprop", "Deconvolution"])
def test_guided(torch_networks: Any, cases: Any, attr: Any, name: str, method: str) -> None:
    net, x, tensor, explainer, targets = cases[name]
    ours = {"GuidedBackprop": "guided_backprop", "Deconvolution": "deconvolution"}[method]
    found = explainer(x, TARGETS, ours).values
    peer = getattr(attr, method)(net)
    for k in range(len(x)):
        wanted = peer.attribute(tensor[k : k + 1].clone().requires_grad_(), targets[k : k + 1])
        assert torch_networks.relative(found[k : k + 1], wanted) < 1e-4


@pytest.mark.parametrize("nt_type", ["smoothgrad", "smoothgrad_sq", "vargrad"])
def test_noise_tunnel_within_the_standard_error(cases: Any, attr: Any, nt_type: str) -> None:
    """Other noise: each mean lies within the errors of the two, and the maps look alike."""
    import torch

    net, x, tensor, explainer, targets = cases["mobile"]
    n, stdev = 400, 0.2
    method = ox.SmoothGrad(ox.Saliency(abs=False), n_samples=n, stdevs=stdev, nt_type=nt_type, seed=3)
    found = explainer(x, TARGETS, method)
    torch.manual_seed(0)
    peer = attr.NoiseTunnel(attr.Saliency(net))
    wanted = peer.attribute(
        tensor,
        nt_type=nt_type,
        nt_samples=n,
        nt_samples_batch_size=40,
        stdevs=stdev,
        target=targets,
        abs=False,
    ).numpy()
    assert np.corrcoef(found.values.ravel(), wanted.ravel())[0, 1] > 0.95
    assert not np.array_equal(found.values, wanted)
    if nt_type == "smoothgrad":
        error = np.sqrt(2) * np.concatenate([e.ravel() for e in found.extras["standard_error"].values()])
        assert np.percentile(np.abs(found.values - wanted).ravel() / error, 95) < 3


def test_gradient_shap_within_the_standard_error(cases: Any, attr: Any) -> None:
    """Other draws: Captum's mean of many lies within the errors of ours and of its own."""
    import torch

    net, x, tensor, explainer, targets = cases["mobile"]
    rows, n = 0.3 * np.random.default_rng(0).normal(size=(4, *x.shape[1:])).astype(np.float32), 400
    found = explainer(x, TARGETS, ox.GradientShap(n, stdevs=0.1, seed=3), baselines=rows)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  (Captum draws from it)
    wanted = attr.GradientShap(net).attribute(
        tensor, torch.from_numpy(rows), n_samples=n, stdevs=0.1, target=targets
    )
    (error,) = found.extras["standard_error"].values()
    off = np.abs(found.values - wanted.numpy()) / (np.sqrt(2) * error + 1e-9)
    assert np.mean(off < 2) > 0.9
    assert off.max() < 6.5


def test_gradient_shap_of_one_draw_is_its_formula(cases: Any, attr: Any, monkeypatch: Any) -> None:
    """Captum with our draw: one baseline, one place on the way, no noise."""
    import torch

    from onnxplain.runtime.plans import ways

    net, x, tensor, explainer, targets = cases["vgg"]
    place = float(ways.uniforms(7, 0, 0, 1, 2)[0, 1])
    baseline = torch.full_like(tensor[:1], 0.2)
    found = explainer(x, TARGETS, ox.GradientShap(1, seed=7), baselines=baseline.numpy())
    monkeypatch.setattr(np.random, "uniform", lambda low, high, size: np.full(size, place))
    wanted = attr.GradientShap(net).attribute(tensor, baseline, n_samples=1, target=targets).numpy()
    np.testing.assert_allclose(found.values, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())
