"""Our gradients beside PyTorch's, on networks that PyTorch exported."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import onnxplain as ox

pytestmark = pytest.mark.torch

TARGETS = np.array([1, 0, 4])


@pytest.mark.parametrize("opset", [14, 17, 20])
@pytest.mark.parametrize("name", ["vgg", "resnet", "transformer", "mobile"])
def test_classifiers(torch_networks: Any, name: str, opset: int) -> None:
    nets = torch_networks
    net = nets.network(name)
    x = nets.sample(net)
    found = ox.Explainer(nets.export(net, x, opset), device="cpu")(x, TARGETS, "saliency", abs=False)
    assert nets.relative(found.values, nets.autograd(net, x, TARGETS)) < 1e-4


@pytest.mark.parametrize("batch", [1, 5])
def test_another_batch_than_that_of_the_export(torch_networks: Any, batch: int) -> None:
    nets = torch_networks
    net = nets.network("resnet", seed=3)
    x = nets.sample(net, batch)
    targets = np.arange(batch) % 5
    found = ox.Explainer(nets.export(net, nets.sample(net, 2)), device="cpu")(
        x, targets, "saliency", abs=False
    )
    assert nets.relative(found.values, nets.autograd(net, x, targets)) < 1e-4


def test_maps(torch_networks: Any) -> None:
    nets = torch_networks
    net = nets.network("unet")
    x = nets.sample(net)
    targets = np.array([[0, 3, 5], [1, 15, 0], [1, 8, 9]])
    explainer = ox.Explainer(nets.export(net, x), device="cpu")
    for where in (targets, tuple(int(k) for k in targets[0])):
        found = explainer(x, where, "saliency", abs=False)
        wanted = nets.autograd(net, x, np.broadcast_to(np.asarray(where), targets.shape))
        assert nets.relative(found.values, wanted) < 1e-4


def test_tokens_are_explained_at_the_embedding(torch_networks: Any) -> None:
    nets = torch_networks
    import torch

    net = nets.network("text")
    ids = nets.sample(net)
    embedded = net.embedding(torch.from_numpy(ids)).numpy()
    gradient = nets.autograd(net.after_embedding, embedded, TARGETS)
    explainer = ox.Explainer(nets.export(net, ids), device="cpu")
    found = explainer(ids, TARGETS, "saliency", abs=False)
    assert nets.relative(found.values, gradient.sum(2)) < 1e-4
    found = explainer(ids, TARGETS, "input_x_gradient")
    assert nets.relative(found.values, (gradient * embedded).sum(2)) < 1e-4


def test_inner_values(torch_networks: Any) -> None:
    nets = torch_networks
    net = nets.network("vgg")
    x = nets.sample(net)
    import torch

    proto = nets.export(net, x)
    name = next(n.output[0] for n in proto.graph.node if n.op_type == "Flatten")
    inner = net.features(torch.from_numpy(x)).flatten(1).numpy()
    found = ox.Explainer(proto, device="cpu")(x, TARGETS, "saliency", abs=False, wrt=name)
    assert nets.relative(found.values, nets.autograd(net.classifier, inner, TARGETS)) < 1e-4


def test_heatmaps_change_with_the_input(torch_networks: Any) -> None:
    nets = torch_networks
    net = nets.network("vgg")
    x = nets.sample(net, 2)
    explainer = ox.Explainer(nets.export(net, x), device="cpu")
    first, second = (explainer(row[None], 1, "saliency").values for row in x)
    assert np.abs(first - second).max() > 1e-3 * np.abs(first).max()


def test_trained_efficientnet(torch_networks: Any, efficientnet: Any) -> None:
    nets, (net, x) = torch_networks, efficientnet
    explainer = ox.Explainer(nets.export(net, x), device="cpu")
    found = explainer(x, "predicted", "saliency", abs=False)
    assert found.target[0, 0] in range(281, 286)  # a cat
    assert nets.relative(found.values, nets.autograd(net, x, found.target)) < 1e-4
