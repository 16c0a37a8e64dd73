"""Metrics of robustness against Quantus's and Captum's, live, at the same points.

Quantus divides a whole batch of explanations by their largest magnitude; it is given one sample at a time.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.kernels import path_batches as kernels
from onnxplain.kernels.uniform import uniforms
from onnxplain.metrics import Consistency, Continuity, LocalLipschitzEstimate, MaxSensitivity, metric

pytestmark = pytest.mark.torch

STREAM = 1 << 20
N_POINTS = 4
SHAPE = (2, 6, 6)
TARGETS = np.array([0, 2, 1, 3])


@pytest.fixture(scope="module")
def net(torch_networks: Any, x: np.ndarray) -> Any:
    """(N, 2, 6, 6) to (N, 4), smooth, so that few attributions are 0; no class is far above the others."""
    import torch
    from torch import nn

    torch.manual_seed(3)
    made = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 7), nn.Softplus(),
        nn.Linear(7, 4),
    )  # fmt: skip
    made.eval().requires_grad_(False)
    made[-1].bias -= made(torch.from_numpy(x)).mean(0)
    return made


@pytest.fixture(scope="module")
def x(models) -> np.ndarray:
    return models.random(4, *SHAPE, seed=5)


@pytest.fixture(scope="module")
def explainer(torch_networks: Any, net: Any, x: np.ndarray) -> ox.Explainer:
    return ox.Explainer(torch_networks.export(net, x))


def input_x_gradient(model: Any, inputs: Any, targets: Any, **unused: Any) -> np.ndarray:
    import torch

    at = torch.as_tensor(np.asarray(inputs), dtype=torch.float32).requires_grad_()
    scores = model(at)[torch.arange(len(at)), torch.as_tensor(np.asarray(targets), dtype=torch.long)]
    (gradient,) = torch.autograd.grad(scores.sum(), at)
    return (gradient * at).detach().numpy()


@pytest.fixture
def same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let NumPy's generator draw what ours draw, as often as a sample has points."""
    counts = {"uniform": 0, "normal": 0}

    def step(kind: str) -> int:
        counts[kind] += 1
        return (counts[kind] - 1) % N_POINTS

    def uniform(low: Any, high: Any, size: Any) -> np.ndarray:
        drawn = uniforms(0, STREAM, step("uniform"), 1, size[1])
        return np.broadcast_to(low + (high - low) * drawn, size)

    def normal(loc: float, scale: float, size: Any) -> np.ndarray:
        around = np.full((1, size[1]), loc)
        noise = kernels.noise(around, scale, 0, step("normal"), 1, substream=STREAM)
        return np.broadcast_to(noise, size)

    monkeypatch.setattr(np.random, "uniform", uniform)
    monkeypatch.setattr(np.random, "normal", normal)


def theirs(made: Any, net: Any, x: np.ndarray, **more: Any) -> np.ndarray:
    found = made(
        model=net, x_batch=x, y_batch=TARGETS, a_batch=None, explain_func=input_x_gradient, device="cpu",
        softmax=False, channel_first=True, batch_size=1, **more,
    )  # fmt: skip
    return np.asarray(found, float).ravel()


QUIET = {"disable_warnings": True, "display_progressbar": False}


@pytest.mark.parametrize("prepared", [{}, {"absolute": True, "normalise": True}])
@pytest.mark.parametrize("changed", ["keep", "nan"])
@pytest.mark.parametrize(
    ("ours", "name"),
    [
        ("max_sensitivity", "MaxSensitivity"),
        ("avg_sensitivity", "AvgSensitivity"),
        ("local_lipschitz_estimate", "LocalLipschitzEstimate"),
    ],
)
def test_changes_near_a_sample(
    quantus: Any, net: Any, explainer: Any, x: Any, same_draws: None, ours: str, name: str, changed: str,
    prepared: dict[str, bool],
) -> None:  # fmt: skip
    wide: Any = {"perturb_std": 1.0} if ours.startswith("local") else {"lower_bound": 1.5}
    our_wide = wide if ours.startswith("local") else {"radius": 1.5}
    normalise = prepared.get("normalise", ours.startswith("local"))
    expected = theirs(
        getattr(quantus, name)(
            nr_samples=N_POINTS, abs="absolute" in prepared, normalise=normalise,
            return_nan_when_prediction_changes=changed == "nan", **wide, **QUIET,
        ), net, x,
    )  # fmt: skip
    made = metric(ours, n_samples=N_POINTS, when_prediction_changes=changed, **our_wide, **prepared)
    found = made(explainer, x, TARGETS.tolist(), "input_x_gradient")
    np.testing.assert_allclose(found.values, expected, rtol=1e-4)
    assert np.isnan(expected).any() == (changed == "nan")


@pytest.mark.parametrize("changed", ["keep", "nan"])
@pytest.mark.parametrize(
    ("ours", "name"),
    [
        ("relative_input_stability", "RelativeInputStability"),
        ("relative_output_stability", "RelativeOutputStability"),
        ("relative_representation_stability", "RelativeRepresentationStability"),
    ],
)
def test_relative_stability(
    quantus: Any, net: Any, explainer: Any, x: Any, same_draws: None, ours: str, name: str, changed: str
) -> None:
    theirs_only: Any = {"layer_names": ["4"]} if "representation" in ours else {}
    expected = theirs(
        getattr(quantus, name)(
            nr_samples=N_POINTS, return_nan_when_prediction_changes=changed == "nan",
            perturb_func_kwargs={"upper_bound": 2.0}, **theirs_only, **QUIET,
        ), net, x,
    )  # fmt: skip
    made = metric(ours, n_samples=N_POINTS, upper_bound=2.0, when_prediction_changes=changed)
    found = made(explainer, x, TARGETS.tolist(), "input_x_gradient")
    np.testing.assert_allclose(found.values, expected, rtol=2e-3)
    assert np.isnan(expected).any() == (changed == "nan")


def test_several_layers(quantus: Any, net: Any, explainer: Any, x: Any, same_draws: None) -> None:
    made = quantus.RelativeRepresentationStability(
        nr_samples=N_POINTS, return_nan_when_prediction_changes=False, layer_names=["1", "3", "5"], **QUIET
    )
    expected = theirs(made, net, x)
    graph = explainer._normal.model.graph
    names = {node.op_type: str(node.outputs[0].name) for node in graph}
    first, last = (str(node.outputs[0].name) for node in graph if node.op_type == "Gemm")
    ours = metric(
        "relative_representation_stability", n_samples=N_POINTS, layer=(names["Tanh"], first, last),
        when_prediction_changes="keep",
    )  # fmt: skip
    found = ours(explainer, x, TARGETS.tolist(), "input_x_gradient")
    np.testing.assert_allclose(found.values, expected, rtol=2e-3)


@pytest.mark.parametrize("steps", [4, 5])
def test_continuity(quantus: Any, net: Any, explainer: Any, x: Any, steps: int) -> None:
    expected = theirs(quantus.Continuity(nr_steps=steps, **QUIET), net, x)
    found = Continuity(steps)(explainer, x, TARGETS.tolist(), "input_x_gradient")
    np.testing.assert_allclose(found.values, expected, rtol=1e-4)


def test_continuity_of_small_images_moves_them(quantus: Any, net: Any, explainer: Any, x: Any) -> None:
    """14 steps for 6 pixels: Quantus moves by 0 pixels 14 times, from where nothing is left of the image."""
    expected = theirs(quantus.Continuity(nr_steps=14, **QUIET), net, x)
    found = Continuity(14)(explainer, x, TARGETS.tolist(), "input_x_gradient")
    np.testing.assert_allclose(found.extras["changes"][:, -1], expected, rtol=1e-4)
    assert (found.values > 1.05 * expected).all()


@pytest.mark.parametrize("way", ["sign", "rank", "floating_points", "top_n_sign"])
def test_consistency(quantus: Any, net: Any, explainer: Any, models: Any, way: str) -> None:
    x = models.random(50, *SHAPE, seed=6)
    a = np.zeros((50, 1, 6, 6))
    few = np.random.default_rng(0).permuted(np.tile([-1.204, -0.5, 0.3, 1.0], (50, 1)), axis=1)
    a[:, 0, 0, :4] = few if way == "rank" else np.sign(few) + 0.001
    a[:, 0] += np.arange(36).reshape(6, 6) / 1e6  # no two are equal, which argsort would order in some way
    from quantus.functions import discretise_func

    made = quantus.Consistency(
        discretise_func=getattr(discretise_func, way), abs=False, normalise=False, **QUIET
    )
    expected = np.asarray(
        made(
            model=net,
            x_batch=x,
            y_batch=np.zeros(50, int),
            a_batch=a,
            device="cpu",
            softmax=False,
            batch_size=50,
        )
    )
    ours = Consistency("first_n_sign" if way == "top_n_sign" else way)
    found = ours(explainer, x, 0, attributions=a)
    np.testing.assert_allclose(np.nan_to_num(found.values), expected, rtol=1e-6)
    assert (expected > 0).any()


def test_captum(net: Any, explainer: Any, x: Any) -> None:
    captum = pytest.importorskip(
        "captum.metrics", reason="needs Captum: pip install 'onnxplain[conformance]'"
    )
    import torch

    def perturbed(inputs: Any, radius: float) -> Any:
        """All points of a sample together."""
        drawn = uniforms(0, STREAM, 0, N_POINTS, inputs[0].numel())
        noise = np.tile(radius * (2 * drawn - 1), (len(inputs) // N_POINTS, 1)).reshape(inputs.shape)
        return (inputs.double() + torch.from_numpy(noise)).float()

    def explained(inputs: Any, target: Any) -> Any:
        of = inputs[0] if isinstance(inputs, tuple) else inputs
        with torch.enable_grad():
            return (torch.from_numpy(input_x_gradient(net, of.numpy(), target.numpy())),)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = captum.sensitivity_max(
            explained, torch.from_numpy(x), perturbed, perturb_radius=0.3, n_perturb_samples=N_POINTS,
            target=torch.from_numpy(TARGETS),
        )  # fmt: skip
    found = MaxSensitivity(N_POINTS, 0.3)(explainer, x, TARGETS.tolist(), "input_x_gradient")
    np.testing.assert_allclose(found.values, expected.numpy(), rtol=1e-4)


def test_quantus_normalises_a_batch_by_its_largest(
    quantus: Any, net: Any, explainer: Any, x: Any, same_draws: None
) -> None:
    made = quantus.LocalLipschitzEstimate(nr_samples=N_POINTS, **QUIET)
    together = np.asarray(
        made(
            model=net, x_batch=x, y_batch=TARGETS, a_batch=None, explain_func=input_x_gradient, device="cpu",
            softmax=False, channel_first=True, batch_size=4,
        )
    )  # fmt: skip
    found = LocalLipschitzEstimate(N_POINTS)(explainer, x, TARGETS.tolist(), "input_x_gradient").values
    assert abs(together / found - 1).max() > 0.1
