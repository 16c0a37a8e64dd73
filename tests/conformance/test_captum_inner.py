"""Layers and neurons beside Captum's.

What differs by design: Captum's conductance adds the gradient at a point times the change to the next one,
over its Gauss-Legendre points alone, so that the way before the first and behind the last is missing and its
error falls like 1 / n_steps; ours counts the whole way, each gradient with the change around its point.  Both
are compared where steps are many.  Captum's neuron conductance sums by its ``riemann_trapezoid`` unless told
otherwise; ours by Gauss-Legendre, as integrated gradients do in both.  What PyTorch calls by module is
found in the graph by what it computes.
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
#: By network: a layer of it, and one of its neurons.
LAYERS = {
    "vgg": (lambda net: net.features[6], (3, 2, 1)),
    "resnet": (lambda net: net.blocks[0].relu2, (2, 1, 3)),
}


@pytest.fixture
def attr() -> Iterator[Any]:
    """``captum.attr``, whose remarks on hooks are no concern here."""
    captum = pytest.importorskip("captum.attr", reason="needs Captum: pip install 'onnxplain[conformance]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield captum


@pytest.fixture(scope="module", params=LAYERS)
def case(request: Any, torch_networks: Any) -> dict[str, Any]:
    """A network, its inputs, a layer in both worlds, and a neuron there."""
    import torch

    find, neuron = LAYERS[request.param]
    net = torch_networks.network(request.param)
    x = torch_networks.sample(net)
    explainer = ox.Explainer(torch_networks.export(net, x), device="cpu")
    layer, seen = find(net), []
    hook = layer.register_forward_hook(lambda module, given, made: seen.append(made.detach().numpy()))
    with torch.no_grad():
        net(torch.from_numpy(x))
    hook.remove()
    return {
        "net": net, "x": x, "tensor": torch.from_numpy(x), "explainer": explainer, "layer": layer,
        "neuron": neuron, "name": named(explainer, x, seen[0]), "targets": torch.from_numpy(TARGETS),
        "baseline": 0.1 * torch_networks.sample(net, seed=5),
    }  # fmt: skip


def named(explainer: ox.Explainer, x: np.ndarray, values: np.ndarray) -> str:
    """Name the value that computes these numbers."""
    for node in explainer._normal.model.graph:
        name = str(node.outputs[0].name)
        found = explainer(x, method="layer_activation", layer=name).values
        if found.shape == values.shape and np.allclose(found, values, rtol=1e-4, atol=1e-5):
            return name
    raise AssertionError("there is no such value")


def test_activation_and_gradient(torch_networks: Any, case: dict[str, Any], attr: Any) -> None:
    explain, x, name = case["explainer"], case["x"], case["name"]
    wanted = attr.LayerActivation(case["net"], case["layer"]).attribute(case["tensor"])
    found = explain(x, method="layer_activation", layer=name).values
    assert torch_networks.relative(found, wanted) < 1e-4
    for multiply in (True, False):
        peer = attr.LayerGradientXActivation(case["net"], case["layer"], multiply_by_inputs=multiply)
        wanted = peer.attribute(case["tensor"], case["targets"])
        method = ox.LayerGradientXActivation(layer=name, multiply_by_inputs=multiply)
        assert torch_networks.relative(explain(x, TARGETS, method).values, wanted) < 1e-4


@pytest.mark.parametrize("method", ["gausslegendre", "riemann_left", "riemann_right", "riemann_middle"])
def test_internal_influence(torch_networks: Any, case: dict[str, Any], attr: Any, method: str) -> None:
    wanted = attr.InternalInfluence(case["net"], case["layer"]).attribute(
        case["tensor"],
        case["tensor"].new_tensor(case["baseline"]),
        case["targets"],
        n_steps=20,
        method=method,
    )
    ours = ox.InternalInfluence(layer=case["name"], n_steps=20, method=method)
    found = case["explainer"](case["x"], TARGETS, ours, baselines=case["baseline"], internal_batch_size=7)
    assert torch_networks.relative(found.values, wanted) < 1e-4


def test_layer_conductance_in_the_limit(torch_networks: Any, case: dict[str, Any], attr: Any) -> None:
    peer = attr.LayerConductance(case["net"], case["layer"])
    start = case["tensor"].new_tensor(case["baseline"])
    wanted = peer.attribute(case["tensor"], start, case["targets"], n_steps=1500, internal_batch_size=300)
    ours = ox.LayerConductance(layer=case["name"], n_steps=500)
    found = case["explainer"](case["x"], TARGETS, ours, baselines=case["baseline"])
    assert torch_networks.relative(found.values, wanted) < 1e-2
    assert found.relative_delta.max() < 1e-2


def test_neuron_gradient(torch_networks: Any, case: dict[str, Any], attr: Any) -> None:
    peer = attr.NeuronGradient(case["net"], case["layer"])
    wanted = peer.attribute(case["tensor"].clone().requires_grad_(), case["neuron"])
    found = case["explainer"](case["x"], method="neuron_gradient", neuron=(case["name"], case["neuron"]))
    assert torch_networks.relative(found.values, wanted) < 1e-4


def test_neuron_conductance(torch_networks: Any, case: dict[str, Any], attr: Any) -> None:
    peer = attr.NeuronConductance(case["net"], case["layer"])
    start = case["tensor"].new_tensor(case["baseline"])
    wanted = peer.attribute(
        case["tensor"], case["neuron"], start, case["targets"], n_steps=20, method="gausslegendre"
    )
    ours = ox.NeuronConductance(n_steps=20, neuron=(case["name"], case["neuron"]))
    found = case["explainer"](case["x"], TARGETS, ours, baselines=case["baseline"], internal_batch_size=8)
    assert torch_networks.relative(found.values, wanted) < 1e-4


def test_other_methods_of_a_neuron(torch_networks: Any, case: dict[str, Any], attr: Any) -> None:
    """Without a class of their own: ``neuron=`` serves all."""
    net, layer, explain, x = case["net"], case["layer"], case["explainer"], case["x"]
    neuron, start = (case["name"], case["neuron"]), case["tensor"].new_tensor(case["baseline"])
    wanted = attr.NeuronIntegratedGradients(net, layer).attribute(
        case["tensor"], case["neuron"], start, n_steps=20
    )
    found = explain(x, method=ox.IntegratedGradients(20), neuron=neuron, baselines=case["baseline"])
    assert torch_networks.relative(found.values, wanted) < 1e-4
    wanted = attr.NeuronGuidedBackprop(net, layer).attribute(
        case["tensor"].clone().requires_grad_(), case["neuron"]
    )
    assert torch_networks.relative(explain(x, method="guided_backprop", neuron=neuron).values, wanted) < 1e-4
    wanted = attr.LayerIntegratedGradients(net, layer).attribute(
        case["tensor"], start, case["targets"], n_steps=20
    )
    at_layer = explain(case["baseline"], method="layer_activation", layer=neuron[0]).values
    found = explain(x, TARGETS, ox.IntegratedGradients(20), layer=neuron[0], baselines=at_layer)
    assert torch_networks.relative(found.values, wanted) < 1e-4
