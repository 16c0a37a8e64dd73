"""Our composites beside zennit's.

A residual sum is where the two may part: zennit hands the full relevance to both branches of a plain
``x + y``, as a gradient does.  Written as ``zennit.layer.Sum`` it gets the rule ``Norm``, which splits in
proportion to the branches, and that is what we always do.  Batch normalisations are merged there by a
canonizer, here by a graph pass.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

import onnxplain as ox

pytestmark = pytest.mark.torch

TARGETS = np.array([1, 0, 4])


@pytest.fixture
def zennit(torch_networks: Any) -> Any:
    """The module zennit."""
    if importlib.util.find_spec("zennit") is None:
        pytest.skip("needs zennit: pip install 'onnxplain[conformance]'")
    return torch_networks.import_zennit()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("lrp", "epsilon_plus"), ("guided_backprop", "guided_backprop"), ("deconvolution", "deconvnet")],
)
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", ["vgg", "resnet"])
def test_composites(torch_networks: Any, zennit: Any, name: str, ours: str, theirs: str, seed: int) -> None:
    nets = torch_networks
    options = {"add": nets.zennit_sum(zennit)} if name == "resnet" else {}
    net = nets.network(name, seed, **options)
    x = nets.sample(net, seed=seed + 10)
    explainer = ox.Explainer(nets.export(nets.network(name, seed), x), device="cpu")
    wanted = nets.zennit_walk(zennit, net, theirs, x, TARGETS, relevance=ours == "lrp")
    assert nets.relative(explainer(x, TARGETS, ours).values, wanted) < 1e-4


def test_a_plain_residual_sum_is_where_zennit_does_not_conserve(torch_networks: Any, zennit: Any) -> None:
    nets = torch_networks
    x = nets.sample(nets.network("resnet"))
    found = ox.Explainer(nets.export(nets.network("resnet"), x), device="cpu")(x, TARGETS, "lrp")
    plain = nets.zennit_walk(zennit, nets.network("resnet"), "epsilon_plus", x, TARGETS, relevance=True)
    assert nets.relative(plain, found.values) > 0.1
    axes = (1, 2, 3)
    assert (np.abs(found.values.sum(axes) / found.score) < np.abs(plain.sum(axes) / found.score)).all()
