"""Metrics that draw weights anew against Quantus's, live, with the same draws.

Quantus divides a whole batch of explanations by its largest magnitude, here a sample's own is taken; and its
SSIM is of images in a row, where it is given one of maps here.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.graph.redraw import Redrawing
from onnxplain.metrics import MPRT, EfficientMPRT, RandomLogit, SmoothMPRT, fully_random, random_models
from onnxplain.runtime.plans.points import Noise

pytestmark = pytest.mark.torch

GRADIENT = ox.methods.Saliency(abs=False)
TARGETS = np.array([0, 3, 1])
ORDERS = ("top_down", "bottom_up", "independent")


@pytest.fixture(scope="module")
def net(torch_networks: Any) -> Any:
    import torch
    from torch import nn

    torch.manual_seed(3)
    made = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.Tanh(), nn.Flatten(),
        nn.Linear(3 * 36, 7), nn.Softplus(), nn.Linear(7, 4),
    )  # fmt: skip
    return made.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def x(models) -> np.ndarray:
    return models.random(3, 2, 8, 8, seed=5)


@pytest.fixture(scope="module")
def explainer(torch_networks: Any, net: Any, x: np.ndarray) -> ox.Explainer:
    return ox.Explainer(torch_networks.export(net, x))


def gradient(model: Any, inputs: Any, targets: Any, **unused: Any) -> np.ndarray:
    import torch

    at = torch.as_tensor(np.asarray(inputs), dtype=torch.float32).requires_grad_()
    scores = model(at)[torch.arange(len(at)), torch.as_tensor(np.asarray(targets), dtype=torch.long)]
    return torch.autograd.grad(scores.sum(), at)[0].numpy()


def by_sample(a: np.ndarray, **unused: Any) -> np.ndarray:
    return a / np.abs(a).max(axis=tuple(range(1, a.ndim)), keepdims=True)


@pytest.fixture
def same_draws(quantus: Any, explainer: ox.Explainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give Quantus torch models with the weights that are drawn here."""
    import torch
    from quantus.helpers.model.pytorch_model import PyTorchModel

    def drawn(self: Any, order: str = "top_down", seed: int = 42) -> Any:
        for name, other in random_models(explainer, order, Redrawing(seed=seed)):
            made = copy.deepcopy(self.model)
            held = other.normal.model.graph.initializers
            state = {k: torch.from_numpy(held[k].const_value.numpy().copy()) for k in made.state_dict()}
            made.load_state_dict(state)
            yield name, made

    monkeypatch.setattr(PyTorchModel, "get_random_layer_generator", drawn)


def settings(**more: Any) -> dict[str, Any]:
    return {"disable_warnings": True, "normalise_func": by_sample, **more}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.usefixtures("same_draws")
def test_mprt(quantus, net, explainer, x, order, absolute):
    theirs = quantus.MPRT(layer_order=order, seed=6, abs=absolute, **settings())
    expected = theirs(net, x, TARGETS, explain_func=gradient)
    found = MPRT(order, absolute=absolute, seed=6)(explainer, x, TARGETS.tolist(), GRADIENT)
    curve = found.curves["layers"]
    assert list(expected) == ["original", *curve.names[1:]]
    np.testing.assert_allclose(curve.values, np.array(list(expected.values())).T, atol=2e-4)


@pytest.mark.usefixtures("same_draws")
def test_one_value_of_mprt(quantus, net, explainer, x):
    """Quantus counts the model itself into the mean: for m of K layers, it has (K m + 1) / (K + 1)."""
    mean = quantus.MPRT(return_average_correlation=True, seed=6, **settings())
    last = quantus.MPRT(return_last_correlation=True, skip_layers=True, seed=6, **settings())
    target = TARGETS.tolist()
    found = MPRT(seed=6)(explainer, x, target, GRADIENT)
    layers = len(found.curves["layers"].names) - 1
    expected = mean(net, x, TARGETS, explain_func=gradient)
    np.testing.assert_allclose((layers * found.values + 1) / (layers + 1), expected, atol=2e-4)
    found = MPRT(value="last", skip_layers=True, seed=6)(explainer, x, target, GRADIENT)
    np.testing.assert_allclose(found.values, last(net, x, TARGETS, explain_func=gradient), atol=2e-4)


@pytest.mark.usefixtures("same_draws")
def test_smooth_mprt(quantus, net, explainer, x, monkeypatch):
    """Quantus takes no notice of ``explain_func`` here and asks its own, whose place is taken."""
    n_samples = 5
    problem = explainer.pose(x, TARGETS.tolist(), GRADIENT).problem
    points = Noise(n_samples, None, 0.1, 6).at(problem, slice(0, n_samples - 1)).features["x"]
    noise = (points.reshape(n_samples - 1, *x.shape) - x) / (
        0.1 * np.ptp(x.reshape(len(x), -1), axis=1)[:, None, None, None]
    )
    calls = iter(range(10**6))
    monkeypatch.setattr(quantus, "explain", gradient)
    monkeypatch.setattr(np.random, "randn", lambda *shape: noise[next(calls) % (n_samples - 1)])
    theirs = quantus.SmoothMPRT(nr_samples=n_samples, seed=6, **settings())
    expected = theirs(net, x, TARGETS, explain_func=gradient)
    ours = SmoothMPRT(n_samples=n_samples, seed=6)(explainer, x, TARGETS.tolist(), GRADIENT)
    curve = ours.curves["layers"]
    assert list(expected) == ["original", *curve.names[1:]]
    np.testing.assert_allclose(curve.values, np.array(list(expected.values())).T, atol=2e-3)


@pytest.mark.usefixtures("same_draws")
def test_efficient_mprt(quantus, net, explainer, x):
    theirs = quantus.EfficientMPRT(seed=6, compute_extra_scores=True, **settings())
    expected = theirs(net, x, TARGETS, explain_func=gradient)
    found = EfficientMPRT(seed=6)(explainer, x, TARGETS.tolist(), GRADIENT)
    np.testing.assert_allclose(found.values, expected, rtol=2e-2, atol=1e-3)
    before, after = found.extras["entropy"].T
    np.testing.assert_allclose(after - before, theirs.scores_extra["scores_delta_explanation"], atol=2e-2)


@pytest.mark.parametrize("similarity", ["spearman", "pearson", "ssim"])
def test_random_logit(quantus, net, explainer, x, monkeypatch, similarity):
    functions = quantus.similarity_func

    def maps(a: np.ndarray, b: np.ndarray, **unused: Any) -> list[float]:
        pairs = zip(a.reshape(-1, 2, 8, 8).sum(1), b.reshape(-1, 2, 8, 8).sum(1), strict=True)
        return [functions.ssim(one, other) for one, other in pairs]

    compare = {
        "spearman": functions.correlation_spearman, "pearson": functions.correlation_pearson, "ssim": maps
    }[similarity]  # fmt: skip
    found = RandomLogit(similarity, seed=6)(explainer, x, TARGETS.tolist(), GRADIENT)
    other = found.extras["other"]
    monkeypatch.setattr(np.random, "randint", lambda *unused: other - (other > TARGETS))
    theirs = quantus.RandomLogit(similarity_func=compare, num_classes=4, seed=6, **settings())
    np.testing.assert_allclose(found.values, theirs(net, x, TARGETS, explain_func=gradient), atol=2e-4)


def test_draws_of_torch_are_those_of_its_layers(torch_networks):
    """Ranges and deviations of what ``reset_parameters`` draws."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 64, 3), nn.ConvTranspose2d(64, 48, 3), nn.Flatten(), nn.Linear(48 * 64, 70)
    ).eval()
    explainer = ox.Explainer(torch_networks.export(net, np.zeros((1, 3, 8, 8), np.float32)))
    made = fully_random(explainer, Redrawing("biases", "torch", 3)).normal.model.graph.initializers
    for name, weight in net.state_dict().items():
        ours, theirs = made[name].const_value.numpy(), weight.numpy()
        assert not np.array_equal(ours, theirs)
        tolerance = 3 / np.sqrt(theirs.size)
        assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=max(tolerance, 0.01))
        assert ours.std() == pytest.approx(theirs.std(), rel=tolerance)
