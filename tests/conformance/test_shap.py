"""Our DeepSHAP beside Captum's ``DeepLiftShap`` and shap's ``DeepExplainer``, on the same networks.

Captum and shap in float64.  What ``test_deeplift.py`` says of Captum's pooling, products and softmax holds
for its ``DeepLiftShap`` too.  shap:

* loses what a place wins in all windows but the last, as Captum does (both unpool with PyTorch).  Compared
  with an unpooling that adds where windows overlap;
* calls its hooks in the right order, so that pooling behind a nonlinearity needs no copy;
* knows GELU and SELU; keeps the gradient of modules that it does not know, with a warning;
* takes softmax for a function of each element, so that its sum is lost.  Compared up to the scores before it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest

import onnxplain as ox

pytestmark = pytest.mark.torch

TARGETS = np.array([1, 0, 3])


@pytest.fixture
def attr() -> Iterator[Any]:
    """``captum.attr``, whose remarks on hooks are no concern here."""
    captum = pytest.importorskip("captum.attr", reason="needs Captum: pip install 'onnxplain[conformance]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield captum


@pytest.fixture(scope="module")
def shap() -> Any:
    """The module shap."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("shap", reason="needs shap: pip install 'onnxplain[conformance]'")


@pytest.fixture
def adding_unpool(torch_networks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unpooling that loses nothing."""
    for axes in (1, 2, 3):
        monkeypatch.setattr(f"torch.nn.functional.max_unpool{axes}d", torch_networks.adding_unpool)


@pytest.fixture(scope="module")
def explained(torch_networks: Any) -> Callable[[str], tuple[Any, Any, Any, ox.Attribution]]:
    """What makes network, inputs, references and our result, once for each network."""

    @cache
    def make(name: str) -> tuple[Any, Any, Any, ox.Attribution]:
        nets = torch_networks
        net = nets.network(name)
        x, references = (
            nets.sample(net),
            0.5 * nets.sample(net, {"vgg": 8, "resnet": 9}.get(name, 16), seed=5),
        )
        method = ox.DeepLiftShap(per_reference=True)
        found = ox.explain(
            nets.export(net, x), x, TARGETS, method=method, baselines=references, internal_batch_size=10
        )
        return net, x, references, found

    return make


@pytest.mark.parametrize("name", ["vgg", "normed", "signal"])
def test_captum(torch_networks: Any, attr: Any, explained: Any, name: str) -> None:
    net, x, references, found = explained(name)
    wanted = torch_networks.captum_deep_lift_shap(attr, net, x, references, TARGETS)
    assert torch_networks.relative(found.values, wanted) < 1e-4


def test_captum_with_overlapping_pooling(
    torch_networks: Any, attr: Any, explained: Any, adding_unpool: None
) -> None:
    net, x, references, found = explained("resnet")
    wanted = torch_networks.captum_deep_lift_shap(attr, net, x, references, TARGETS)
    assert torch_networks.relative(found.values, wanted) < 1e-4


@pytest.mark.parametrize("name", ["vgg", "normed", "signal", "dense"])
def test_shap(torch_networks: Any, shap: Any, explained: Any, name: str) -> None:
    """Also its expected values, which are the mean scores of the references."""
    net, x, references, found = explained(name)
    values, expected = torch_networks.shap_deep_explainer(shap, net, x, references)
    wanted = np.stack([values[k, ..., target] for k, target in enumerate(TARGETS)])
    assert torch_networks.relative(found.values, wanted) < 1e-4
    np.testing.assert_allclose(found.score - found.reference, expected[TARGETS], atol=1e-5)


def test_shap_with_overlapping_pooling(
    torch_networks: Any, shap: Any, explained: Any, adding_unpool: None
) -> None:
    net, x, references, found = explained("resnet")
    values, _ = torch_networks.shap_deep_explainer(shap, net, x, references)
    wanted = np.stack([values[k, ..., target] for k, target in enumerate(TARGETS)])
    assert torch_networks.relative(found.values, wanted) < 1e-4


def test_shared_winners_are_lost_there(torch_networks: Any, shap: Any, explained: Any) -> None:
    net, x, references, found = explained("resnet")
    values, expected = torch_networks.shap_deep_explainer(shap, net, x, references)
    sums = values.sum((1, 2, 3))[range(3), TARGETS]
    wanted = torch_networks.scores(net, x, TARGETS) - expected[TARGETS]
    assert np.abs(sums / wanted - 1).max() > 0.1
    assert np.abs(found.values.sum((1, 2, 3), dtype=np.float64) / wanted - 1).max() < 1e-4


@pytest.mark.parametrize("name", ["vgg", "signal"])
def test_each_reference(torch_networks: Any, attr: Any, explained: Any, name: str) -> None:
    """Each is Captum's ``DeepLift`` against it, and their mean is ours."""
    net, x, references, found = explained(name)
    each = found.extras["per_reference"]["x"]
    assert each.shape == (len(x), len(references), *x.shape[1:])
    np.testing.assert_allclose(each.mean(1), found.values, atol=1e-6 * np.abs(found.values).max())
    for k, reference in enumerate(references):
        wanted = torch_networks.captum_deep_lift(attr, net, x, reference, TARGETS)
        assert torch_networks.relative(each[:, k], wanted) < 1e-4
