"""Axiomatic metrics against Quantus's, live."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.metrics import Completeness, InputInvariance, NonSensitivity

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


def table(models, torch, w, v) -> tuple[ox.Explainer, Any]:
    """Return a network (N, 2, 4, 4) to (N, 3) of both kinds, with weights (32, H) and (H, 3)."""
    model = models.make(
        """m (float[N, 2, 4, 4] x) => (float[N, 3] y) {
          f = Flatten(x) a = MatMul(f, w) h = Relu(a) y = MatMul(h, v)
        }""",
        w=w, v=v,
    )  # fmt: skip
    first, last = torch.nn.Linear(*w.shape, bias=False), torch.nn.Linear(*v.shape, bias=False)
    first.weight.data, last.weight.data = torch.tensor(w.T.copy()), torch.tensor(v.T.copy())
    net = torch.nn.Sequential(torch.nn.Flatten(), first, torch.nn.ReLU(), last)
    return ox.Explainer(model), net.eval()


def test_completeness(models, torch, quantus) -> None:
    """In whole numbers, where sums are exact."""
    rng = np.random.default_rng(0)
    w, v = (rng.integers(-3, 4, s).astype(np.float32) for s in ((32, 6), (6, 3)))
    explainer, net = table(models, torch, w, v)
    x = rng.integers(-4, 5, (8, 2, 4, 4)).astype(np.float32)
    y = rng.integers(0, 3, 8)
    scores = explainer.predict(x)["y"][np.arange(8), y]
    a = rng.integers(-4, 5, x.shape).astype(np.float32)
    a[::2, 0, 0, 0] += scores[::2] - a[::2].sum((1, 2, 3))
    metric = quantus.Completeness(
        normalise=False, perturb_baseline=0.0, disable_warnings=True, return_aggregate=False
    )
    theirs = metric(model=net, x_batch=x, y_batch=y, a_batch=a, device="cpu")
    found = Completeness(tolerance=0.0)(explainer, x, y.tolist(), attributions=a)
    assert found.extras["complete"].tolist() == [bool(t) for t in theirs]
    assert found.extras["complete"].tolist()[::2] == [True] * 4
    assert not all(theirs)


@pytest.mark.parametrize("eps", [1e-5, 0.05, 0.4])
def test_non_sensitivity(eps, models, torch, quantus) -> None:
    w, v = models.random(32, 6, seed=1), models.random(6, 3, seed=2)
    w[::5] = 0
    explainer, net = table(models, torch, w, v)
    x, a = models.random(6, 2, 4, 4, seed=3), models.random(6, 2, 4, 4, seed=4)
    a[:, 1, 2] = 0
    y = np.array([0, 1, 2, 0, 1, 2])
    metric = quantus.NonSensitivity(
        eps=eps, normalise=False, perturb_baseline=0.0, disable_warnings=True, return_aggregate=False
    )
    largest = np.abs(a).max((1, 2, 3), keepdims=True)  # its own is the largest of the whole batch
    theirs = metric(model=net, x_batch=x, y_batch=y, a_batch=a / largest, device="cpu", softmax=False)
    found = NonSensitivity(eps=eps)(explainer, x, y.tolist(), attributions=a)
    assert found.values.tolist() == [float(t) for t in theirs]
    assert found.values.min() > 0


@pytest.mark.parametrize("method", ["saliency", "input_x_gradient", "integrated_gradients"])
@pytest.mark.parametrize("shift", [-1.0, 0.5])
def test_input_invariance(method, shift, models, torch, quantus) -> None:
    """Quantus shifts the bias of the first convolution, which must have no padding.

    It shifts all elements but the first; no kernel looks at that one here.
    """
    w, v = models.random(5, 2, 3, 3, seed=1), models.random(5, 3, seed=2)
    b, w[:, 0, 0, 0] = models.random(5, seed=3), 0
    model = models.make(
        """m (float[N, 2, 6, 6] x) => (float[N, 3] y) {
          c = Conv(x, w, b) r = Relu(c) g = GlobalAveragePool(r) f = Flatten(g) y = MatMul(f, v)
        }""",
        w=w, v=v, b=b,
    )  # fmt: skip
    conv, last = torch.nn.Conv2d(2, 5, 3), torch.nn.Linear(5, 3, bias=False)
    conv.weight.data, conv.bias.data, last.weight.data = map(torch.tensor, (w, b, v.T.copy()))
    pool = torch.nn.AdaptiveAvgPool2d(1)
    net = torch.nn.Sequential(conv, torch.nn.ReLU(), pool, torch.nn.Flatten(), last).eval()
    explainer, x = ox.Explainer(model), models.random(4, 2, 6, 6, seed=4)
    y = np.array([0, 1, 2, 0])

    def explain(model, inputs, targets, **_: Any) -> np.ndarray:
        first = model[0]
        other = models.make(
            """m (float[N, 2, 6, 6] x) => (float[N, 3] y) {
              c = Conv(x, w, b) r = Relu(c) g = GlobalAveragePool(r) f = Flatten(g) y = MatMul(f, v)
            }""",
            w=first.weight.detach().numpy(), b=first.bias.detach().numpy(), v=v,
        )  # fmt: skip
        return ox.explain(other, np.asarray(inputs, np.float32), targets.tolist(), method=method).values

    metric = quantus.InputInvariance(input_shift=shift, disable_warnings=True)
    theirs = metric(
        model=net, x_batch=x, y_batch=y, a_batch=None, explain_func=explain, device="cpu", softmax=False
    )
    found = InputInvariance(shift=shift)(explainer, x, y.tolist(), method)
    assert found.extras["invariant"].tolist() == [bool(t) for t in np.ravel(theirs)]
    assert found.extras["invariant"].all() == (method == "saliency")
