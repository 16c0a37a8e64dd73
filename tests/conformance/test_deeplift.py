"""Our DeepLIFT (rule Rescale) beside Captum's, on the same networks.

Captum in float64, one row at a time.  Where the two part by design, and what is done about it here:

* A max pooling whose windows share a place that wins in several of them: Captum keeps what the last of
  these windows hands down, and so loses the rest (PyTorch's ``max_unpool`` overwrites).  Its sum is not the
  difference of the scores then, ours is.  Compared where all winners are places of their own, and elsewhere
  with an unpooling that adds.
* Constant baselines make all places of a map equal, so that rounding decides which of them wins at the
  reference.  Not compared on networks with max pooling.
* A max pooling directly behind a nonlinearity: two hooks on one tensor, called in the wrong order, so that
  the sum is wrong again.  Compared with a copy in between.
* A product of two values that vary keeps its gradient at the input there, whose sum is not the change of the
  product.  Ours is the gradient at the middle.  Compared with a product module whose gradient that is.
* Functions that are not modules, and modules that its table does not know (ReLU6, PReLU, GELU, SiLU, SELU,
  hard swish, hard sigmoid), keep their gradients there.  Compared with modules, and with Captum's own
  ``nonlinear`` entered in its table for them.
* Softmax: it takes the mean of the multipliers over the whole batch, references included, away from each,
  and the sum is lost.  Compared up to the scores before it only.
* A difference of 0: the gradient at the input on both sides.  Up to 3e-4 (relative) ours takes the gradient
  too, Captum up to 1e-10; none of the differences here is that small where it would show.
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
BASELINES = ["zero", "constant", "samples"]
UNEQUAL = ["nearly_zero", "sample", "samples"]
NONLINEAR = ["relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus"]
MAX_POOLS = ["max1d", "max2d", "max2d_odd", "max2d_dilated", "max2d_ceil", "max3d"]
LAYERS = [
    "linear", "linear_rows", "conv1d", "conv1d_dilated", "conv2d", "conv2d_odd", "conv2d_groups",
    "conv2d_depthwise", "conv3d", "transpose1d", "transpose2d", "transpose2d_dilated", "transpose3d",
    "average1d", "average2d", "average2d_without_pads", "average3d", "global", "sum",
]  # fmt: skip


@pytest.fixture
def attr() -> Iterator[Any]:
    """``captum.attr``, whose remarks on hooks are no concern here."""
    captum = pytest.importorskip("captum.attr", reason="needs Captum: pip install 'onnxplain[conformance]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield captum


@pytest.fixture
def larger_table(attr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Captum's formula for elementwise functions, for those that it has no entry for."""
    from captum.attr._core import deep_lift
    from torch import nn

    for kind in (nn.ReLU6, nn.PReLU, nn.GELU, nn.SiLU, nn.SELU, nn.Hardswish, nn.Hardsigmoid):
        assert kind not in deep_lift.SUPPORTED_NON_LINEAR
        monkeypatch.setitem(deep_lift.SUPPORTED_NON_LINEAR, kind, deep_lift.nonlinear)


@pytest.fixture
def adding_unpool(torch_networks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unpooling that loses nothing."""
    for axes in (1, 2, 3):
        monkeypatch.setattr(f"torch.nn.functional.max_unpool{axes}d", torch_networks.adding_unpool)


@pytest.fixture(scope="module")
def explained(torch_networks: Any) -> Callable[[str], tuple[Any, Any, ox.Explainer]]:
    """What makes network, inputs and explainer, once for each network."""

    @cache
    def make(name: str) -> tuple[Any, Any, ox.Explainer]:
        net = torch_networks.network(name)
        x = torch_networks.sample(net)
        return net, x, ox.Explainer(torch_networks.export(net, x), device="cpu")

    return make


def start(nets: Any, net: Any, kind: str) -> Any:
    """Return baselines: a number, an array, or an array for each sample."""
    if kind in ("zero", "constant"):
        return 0.0 if kind == "zero" else 0.2
    noise = nets.sample(net, seed=5)
    return {"nearly_zero": 0.01 * noise, "sample": 0.5 * noise[0], "samples": 0.5 * noise}[kind]


def both(nets: Any, attr: Any, net: Any, x: Any, baselines: Any) -> tuple[ox.Attribution, Any]:
    """Return our result and Captum's attributions of a network."""
    found = ox.explain(nets.export(net, x), x, TARGETS, method="deep_lift", baselines=baselines)
    return found, nets.captum_deep_lift(attr, net, x, baselines, TARGETS)


def agree_on(nets: Any, attr: Any, made: Any, kind: str, peer: Any = None) -> None:
    """Compare on a network with its inputs and explainer; Captum may see another that computes the same."""
    net, x, explainer = made
    there = start(nets, net, kind)
    found = explainer(x, TARGETS, "deep_lift", baselines=there).values
    wanted = nets.captum_deep_lift(attr, net if peer is None else peer, x, there, TARGETS)
    assert nets.relative(found, wanted) < 1e-4


def agree_on_small(nets: Any, attr: Any, net: Any, kind: str) -> None:
    """Compare on a network that is explained once."""
    x = nets.sample(net)
    found, wanted = both(nets, attr, net, x, start(nets, net, kind))
    assert nets.relative(found.values, wanted) < 1e-4


def missing(nets: Any, net: Any, x: Any, baselines: Any, values: Any) -> float:
    """Return by how much the attributions do not sum to the difference of the scores, as a fraction of it."""
    there = np.broadcast_to(baselines, x.shape)
    wanted = nets.scores(net, x, TARGETS) - nets.scores(net, there, TARGETS)
    return float(np.abs(values.reshape(len(x), -1).sum(1, dtype=np.float64) / wanted - 1).max())


@pytest.mark.parametrize("baselines", UNEQUAL)
@pytest.mark.parametrize("name", ["vgg", "normed", "signal"])
def test_networks(torch_networks: Any, attr: Any, explained: Any, name: str, baselines: str) -> None:
    nets, (net, x, explainer) = torch_networks, explained(name)
    there = start(nets, net, baselines)
    found = explainer(x, TARGETS, "deep_lift", baselines=there)
    wanted = nets.captum_deep_lift(attr, net, x, there, TARGETS)
    assert nets.relative(found.values, wanted) < 1e-4
    assert missing(nets, net, x, there, wanted) < 1e-6
    assert found.relative_delta is not None
    assert found.relative_delta.max() < 1e-4


@pytest.mark.parametrize("baselines", UNEQUAL)
def test_residual_network(
    torch_networks: Any, attr: Any, explained: Any, adding_unpool: None, baselines: str
) -> None:
    """Its pooling overlaps."""
    agree_on(torch_networks, attr, explained("resnet"), baselines)


def test_shared_winners_are_lost_there(torch_networks: Any, attr: Any, explained: Any) -> None:
    nets, (net, x, explainer) = torch_networks, explained("resnet")
    there = start(nets, net, "samples")
    assert missing(nets, net, x, there, nets.captum_deep_lift(attr, net, x, there, TARGETS)) > 0.1
    found = explainer(x, TARGETS, "deep_lift", baselines=there).values
    assert missing(nets, net, x, there, found) < 1e-4


@pytest.mark.parametrize("name", MAX_POOLS)
def test_max_pooling(torch_networks: Any, attr: Any, name: str) -> None:
    """Overlapping windows, with pads; each has a winner of its own."""
    import torch

    nets = torch_networks
    net = nets.max_pooled(name)
    x, there = (nets.with_own_winners(net.layer, nets.sample(net, seed=seed)) for seed in (1, 5))
    places = [np.sort(nets.winners(net.layer, torch.from_numpy(v)).numpy()) for v in (x, there)]
    assert all((np.diff(p) > 0).all() for p in places)
    found, wanted = both(nets, attr, net, x, there)
    assert nets.relative(found.values, wanted) < 1e-4
    assert missing(nets, net, x, there, wanted) < 1e-6


@pytest.mark.parametrize("name", MAX_POOLS)
def test_max_pooling_with_shared_winners(
    torch_networks: Any, attr: Any, adding_unpool: None, name: str
) -> None:
    nets = torch_networks
    net = nets.max_pooled(name)
    x, there = (nets.sample(net, seed=seed) for seed in (1, 5))
    found, wanted = both(nets, attr, net, x, there)
    assert nets.relative(found.values, wanted) < 1e-4
    assert missing(nets, net, x, there, wanted) < 1e-6


def test_pooling_behind_a_nonlinearity_is_wrong_there(torch_networks: Any, attr: Any, explained: Any) -> None:
    nets, (net, x, _) = torch_networks, explained("vgg")
    there = start(nets, net, "samples")
    without = nets.captum_deep_lift(attr, net, x, there, TARGETS, copies=False)
    assert missing(nets, net, x, there, without) > 1e-2
    with_copies = nets.captum_deep_lift(attr, net, x, there, TARGETS)
    assert missing(nets, net, x, there, with_copies) < 1e-6


@pytest.mark.parametrize("baselines", BASELINES)
@pytest.mark.parametrize("name", NONLINEAR)
def test_nonlinearities(torch_networks: Any, attr: Any, name: str, baselines: str) -> None:
    agree_on_small(torch_networks, attr, torch_networks.single(name), baselines)


@pytest.mark.parametrize("baselines", BASELINES)
@pytest.mark.parametrize("name", ["relu6", "prelu", "gelu", "silu", "hardswish"])
def test_nonlinearities_that_captum_does_not_know(
    torch_networks: Any, attr: Any, larger_table: None, name: str, baselines: str
) -> None:
    """Also where the exporter writes them out as several operators."""
    agree_on_small(torch_networks, attr, torch_networks.single(name), baselines)


@pytest.mark.parametrize("baselines", BASELINES)
def test_smooth_network(
    torch_networks: Any, attr: Any, larger_table: None, explained: Any, baselines: str
) -> None:
    agree_on(torch_networks, attr, explained("dense"), baselines)


@pytest.mark.parametrize("bias", [False, True], ids=["no_bias", "bias"])
@pytest.mark.parametrize("name", LAYERS)
def test_layers(torch_networks: Any, attr: Any, name: str, bias: bool) -> None:
    """Each between two rectifiers."""
    net = torch_networks.single(name, bias=bias, rectified=True)
    agree_on_small(torch_networks, attr, net, "samples")


@pytest.mark.parametrize("baselines", BASELINES)
def test_mobile_network(
    torch_networks: Any, attr: Any, larger_table: None, explained: Any, baselines: str
) -> None:
    """Hard swish and hard sigmoid, and a product with a gate."""
    peer = torch_networks.network("mobile_by_middle")
    agree_on(torch_networks, attr, explained("mobile"), baselines, peer)


@pytest.mark.parametrize("baselines", BASELINES)
def test_products(torch_networks: Any, attr: Any, explained: Any, baselines: str) -> None:
    nets, (net, x, explainer) = torch_networks, explained("gated")
    there = start(nets, net, baselines)
    found = explainer(x, TARGETS, "deep_lift", baselines=there).values
    peer = nets.network("gated", multiply=nets.MiddleProduct)
    by_middle = nets.captum_deep_lift(attr, peer, x, there, TARGETS)
    assert nets.relative(found, by_middle) < 1e-4
    assert missing(nets, net, x, there, by_middle) < 1e-6
    assert missing(nets, net, x, there, nets.captum_deep_lift(attr, net, x, there, TARGETS)) > 0.1


@pytest.mark.parametrize("baselines", UNEQUAL)
def test_words(torch_networks: Any, attr: Any, baselines: str) -> None:
    """The maximum over all words is a reduction here and a pooling there."""
    nets = torch_networks
    text = nets.network("text")
    net, peer = nets.AfterEmbedding(text), nets.Words(text)
    x = nets.sample(net)
    there = start(nets, net, baselines)
    found = ox.explain(nets.export(net, x), x, TARGETS, method="deep_lift", baselines=there).values
    assert nets.relative(found, nets.captum_deep_lift(attr, peer, x, there, TARGETS)) < 1e-4


def test_tokens(torch_networks: Any, attr: Any) -> None:
    """Token ids beside other token ids: what their embeddings have, added up."""
    nets = torch_networks
    text = nets.network("text")
    ids, others = (nets.sample(text, seed=seed) for seed in (1, 5))
    x, there = (text.embedding.weight.numpy()[a] for a in (ids, others))
    found = ox.explain(nets.export(text, ids), ids, TARGETS, method="deep_lift", baselines=others).values
    wanted = nets.captum_deep_lift(attr, nets.Words(text), x, there, TARGETS).sum(2)
    assert nets.relative(found, wanted) < 1e-4


def test_softmax(torch_networks: Any, attr: Any, explained: Any) -> None:
    """Left out on our side by default; through it, ours sums to the difference and Captum's does not."""
    from torch import nn

    nets, (net, x, _) = torch_networks, explained("vgg")
    there = start(nets, net, "samples")
    whole = nn.Sequential(net, nn.Softmax(1))
    explainer = ox.Explainer(nets.export(whole, x), device="cpu")
    found = explainer(x, TARGETS, "deep_lift", baselines=there)
    assert nets.relative(found.values, nets.captum_deep_lift(attr, net, x, there, TARGETS)) < 1e-4
    through = explainer(x, TARGETS, "deep_lift", baselines=there, through_softmax=True).values
    assert missing(nets, whole, x, there, through) < 1e-4
    wanted = nets.captum_deep_lift(attr, whole, x, there, TARGETS)
    assert missing(nets, whole, x, there, wanted) > 1e-2
