"""Metrics that compare attributions with what scores do, against Quantus's and Captum's, live."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.kernels import path_batches as kernels
from onnxplain.kernels.uniform import uniforms
from onnxplain.metrics import (
    FaithfulnessCorrelation,
    FaithfulnessEstimate,
    Infidelity,
    MonotonicityCorrelation,
    SensitivityN,
    Sufficiency,
)
from onnxplain.metrics.subsets import Subsets

pytestmark = pytest.mark.torch

N, D = 5, 128
Y = np.array([0, 1, 2, 0, 1])
PLAIN = {"disable_warnings": True, "return_aggregate": False, "normalise": False}


@pytest.fixture(scope="module")
def case(torch_networks: Any) -> tuple[Any, ox.Explainer, np.ndarray, np.ndarray]:
    """A network, its export, samples and attributions (N, 2, 8, 8)."""
    import torch

    torch.manual_seed(3)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(),
        torch.nn.Linear(36, 3),
    ).eval()  # fmt: skip
    x, a = np.random.default_rng(4).normal(size=(2, N, 2, 8, 8)).astype(np.float32)
    return net, ox.Explainer(torch_networks.export(net, x)), x, a


@pytest.fixture
def theirs(quantus: Any, case: Any) -> Any:
    """Measures by Quantus."""

    def measured(name: str, *, a: Any = None, x: Any = None, net: Any = None, **options: Any) -> np.ndarray:
        metric = getattr(quantus, name)(**{**PLAIN, **options})
        x, a = case[2] if x is None else x, case[3] if a is None else a
        found = metric(
            net or case[0], x_batch=x, y_batch=np.resize(Y, len(x)), a_batch=a, softmax=False, device="cpu",
            channel_first=True,
        )  # fmt: skip
        return np.asarray(found, np.float64)

    return measured


def similar(quantus: Any, name: str) -> Any:
    return getattr(quantus.similarity_func, f"correlation_{name}")


@pytest.mark.parametrize("similarity", ["pearson", "spearman", "kendall_tau"])
def test_faithfulness_correlation(similarity, quantus, theirs, case, monkeypatch) -> None:
    _, explainer, x, a = case
    subsets = Subsets(np.ones((1, D), bool), np.full((1, 30), 20), 6)
    chosen = [np.flatnonzero(subsets.chosen(slice(k, k + 1), np.zeros(1, int))[0, 0]) for k in range(30)]
    drawn = iter(np.repeat(chosen, N, axis=0))
    monkeypatch.setattr(np.random, "choice", lambda *_, **__: next(drawn))
    wanted = theirs(
        "FaithfulnessCorrelation", nr_runs=30, subset_size=20, perturb_baseline=0.5,
        similarity_func=similar(quantus, similarity),
    )  # fmt: skip
    made = FaithfulnessCorrelation(30, 20, similarity, seed=6)
    found = made(explainer, x, Y.tolist(), attributions=a, baselines=0.5)
    np.testing.assert_allclose(found.values, wanted, atol=1e-5)


@pytest.mark.parametrize(("at_once", "absolute"), [(1, False), (4, False), (4, True)])
def test_faithfulness_estimate(at_once, absolute, theirs, case) -> None:
    _, explainer, x, a = case
    wanted = theirs("FaithfulnessEstimate", features_in_step=at_once, abs=absolute, perturb_baseline=0.5)
    made = FaithfulnessEstimate(at_once, absolute=absolute)
    found = made(explainer, x, Y.tolist(), attributions=a, baselines=0.5)
    np.testing.assert_allclose(found.values, wanted, atol=1e-5)


@pytest.mark.parametrize(("at_once", "shared"), [(1, False), (8, True)])
def test_monotonicity_correlation(at_once, shared, theirs, case, monkeypatch) -> None:
    _, explainer, x, a = case
    order = np.abs(a).reshape(N, -1).argsort(1)
    draws = [uniforms(2, 0, k, 1, 1 if shared else D)[0] for k in range(2)]
    numbers = (
        np.full(N, drawn[0]) if shared else drawn[order[:, g]] for g in range(D // at_once) for drawn in draws
    )
    monkeypatch.setattr(np.random, "uniform", lambda *_, **__: next(numbers))
    wanted = theirs("MonotonicityCorrelation", nr_samples=2, features_in_step=at_once)
    made = MonotonicityCorrelation(2, at_once, shared=shared, seed=2)
    found = made(explainer, x, Y.tolist(), attributions=a)
    np.testing.assert_allclose(found.values, wanted, atol=2e-3)  # ranks of changes that are next to nothing


def test_a_score_of_nothing_stops_quantus_alone(theirs, case, torch_networks) -> None:
    """It divides by the squares of scores, and forgets to choose the samples whose scores are not 0."""
    import torch

    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(D, 3, bias=False)).eval()
    x = case[2].copy()
    x[1] = 0
    with pytest.raises(ValueError, match="cannot assign"):
        theirs("MonotonicityCorrelation", net=net, x=x, nr_samples=2, features_in_step=16)
    explainer = ox.Explainer(torch_networks.export(net, x))
    found = MonotonicityCorrelation(2, 16)(explainer, x, Y.tolist(), attributions=case[3])
    assert np.isfinite(found.values).all()


def test_sensitivity_n_of_quantus_is_another(theirs, case, torch_networks) -> None:
    """It correlates across samples what n features take together with what the n-th one should take."""
    import torch

    torch.manual_seed(1)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(D, 3, bias=False)).eval()
    x = np.random.default_rng(8).random((N, 2, 8, 8)).astype(np.float32)
    adds = net[1].weight.detach().numpy()[Y].reshape(x.shape) * x
    found = SensitivityN(4, 10)(ox.Explainer(torch_networks.export(net, x)), x, Y.tolist(), attributions=adds)
    np.testing.assert_allclose(found.values, 1, atol=1e-5)
    wanted = theirs("SensitivityN", net=net, x=x, a=adds, perturb_baseline=0.0)
    assert wanted[0] == pytest.approx(1, abs=1e-5)  # of one feature
    assert wanted.mean() == pytest.approx(0.70, abs=0.05)


@pytest.mark.parametrize("sides", [(4,), (2,), (2, 8)])
def test_infidelity_of_growing_squares(sides, theirs, case) -> None:
    _, explainer, x, a = case
    wanted = theirs("Infidelity", perturb_patch_sizes=list(sides), n_perturb_samples=2, perturb_baseline=0.5)
    found = [
        Infidelity("growing_squares", patch_size=side)(
            explainer, x, Y.tolist(), attributions=a, baselines=0.5
        ).values
        for side in sides
    ]
    np.testing.assert_allclose(np.mean(found, 0), wanted, rtol=1e-4)


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize("inside", [False, True])
def test_infidelity_of_captum(rescale, inside, case) -> None:
    pytest.importorskip("captum")
    import torch
    from captum.metrics import infidelity, infidelity_perturb_func_decorator

    net, explainer, x, a = case
    x = x.copy()
    x[0, 0, :2] = 0.25  # where it is its baseline
    points = np.stack([kernels.noise(one[None], 0.3, 9, 0, 6) for one in x])  # (N, 6, ...)

    @infidelity_perturb_func_decorator(inside)
    def moved(_: Any, *baselines: Any) -> Any:
        return torch.from_numpy(points.reshape(-1, *x.shape[1:]))

    wanted = infidelity(
        net, moved, torch.from_numpy(x), torch.from_numpy(a), baselines=0.25, target=torch.from_numpy(Y),
        n_perturb_samples=6, normalize=rescale,
    )  # fmt: skip
    made = Infidelity(n_samples=6, stdev=0.3, multiply_by_inputs=inside, rescale=rescale, seed=9)
    found = made(explainer, x, Y.tolist(), attributions=a, baselines=0.25)
    np.testing.assert_allclose(found.values, wanted.numpy(), rtol=1e-3)


@pytest.mark.parametrize("threshold", [0.8, 0.9, 1.0])
def test_sufficiency(threshold, theirs, torch_networks) -> None:
    """Where no other explanation is near, it says 0, and ours says nothing."""
    import torch

    torch.manual_seed(2)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(D, 3, bias=False)).eval()
    x, a = np.random.default_rng(7).normal(size=(2, 12, 2, 8, 8)).astype(np.float32)
    explainer = ox.Explainer(torch_networks.export(net, x))
    wanted = theirs("Sufficiency", net=net, x=x, a=a, threshold=threshold, normalise=True)
    found = Sufficiency(threshold)(explainer, x, 0, attributions=a)
    np.testing.assert_allclose(np.nan_to_num(found.values), wanted)
    assert np.isnan(found.values).any() == (threshold == 0.8)
    assert threshold == 0.8 or ((found.values > 0) & (found.values < 1)).any()


def test_sufficiency_where_attributions_do_not_vary(theirs, case) -> None:
    """It divides by their standard deviation, and finds every distance to be NaN, and every value 0."""
    _, explainer, x, a = case
    border = a.copy()
    border[:, :, 0] = 0
    with np.errstate(invalid="ignore", divide="ignore"):
        wanted = theirs("Sufficiency", threshold=1.0, a=border, normalise=True)
    assert wanted.tolist() == [0] * N
    found = Sufficiency(1.0)(explainer, x, Y.tolist(), attributions=border)
    classes = explainer.predict(x)["y"].argmax(1)
    np.testing.assert_allclose(found.values, [((classes == c).sum() - 1) / (N - 1) for c in classes])
