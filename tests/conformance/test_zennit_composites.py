"""Our composites beside zennit's.

Where the two part by design, and what is done about it here:

* A residual sum: zennit hands the full relevance to both branches of a plain ``x + y``, as a gradient does.
  Written as ``zennit.layer.Sum`` it gets the rule ``Norm``, which splits in proportion to the branches, and
  that is what we always do.  The networks here are so written.
* Batch normalisations are merged there by a canonizer, here by a graph pass.  What is left of them there
  divides by ``sqrt(1 + eps)``, which six layers make 1e-4 of; ``zennit_walk`` sets that eps to 0.
* Max pooling has no rule there and keeps its gradient: all to the winner, which is our default.
* Excitation backprop keeps the positive biases there, and drops them here, as in its paper.  Compared with
  and without, the parameter being the same.  It walks through a ReLU by gradient there and by ``pass`` here;
  no relevance arrives where the ReLU is shut, so that this is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import onnxplain as ox

pytestmark = pytest.mark.torch

TARGETS = np.array([1, 0, 3])
LOW, HIGH = (-5.0, -4.5, -6.0), (5.0, 6.0, 4.5)


@pytest.fixture(scope="module")
def explained(torch_networks: Any) -> Callable[..., tuple[Any, ox.Explainer]]:
    """What makes the inputs and the explainer of a network, once for each."""

    @cache
    def make(name: str, seed: int) -> tuple[Any, ox.Explainer]:
        nets = torch_networks
        net = nets.network(name, seed)
        x = nets.sample(net, seed=seed + 10)
        return x, ox.Explainer(nets.export(net, x), device="cpu")

    return make


#: Name there, options there, method and options here.
COMPOSITES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    *(
        (name, {}, {"method": "lrp", "composite": name, "bias": "keep"})
        for name in (
            "epsilon_plus", "epsilon_alpha2_beta1", "epsilon_plus_flat", "epsilon_alpha2_beta1_flat",
        )
    ),
    *(
        (
            name,
            {"epsilon": 0.1, "stabilizer": 1e-3, "zero_params": ["bias"]},
            {
                "method": "lrp", "composite": name, "epsilon": 0.1, "stabilizer": 1e-3,
                "zero_params": ("bias",),
            },
        )
        for name in (
            "epsilon_plus", "epsilon_alpha2_beta1", "epsilon_plus_flat", "epsilon_alpha2_beta1_flat",
        )
    ),
    *(
        (
            "epsilon_gamma_box",
            {"low": low, "high": high, **options},
            {
                "method": "lrp", "composite": "epsilon_gamma_box", "low": low, "high": high, "bias": "keep",
                **options,
            },
        )
        for low, high, options in (
            (-5.0, 6.0, {}),
            (LOW, HIGH, {}),
            (LOW, HIGH, {"gamma": 1.0, "epsilon": 0.1, "stabilizer": 1e-3}),
        )
    ),
    ("guided_backprop", {}, {"method": "guided_backprop"}),
    ("deconvnet", {}, {"method": "deconvolution"}),
    ("beta_smooth", {}, {"method": "beta_smooth"}),
    ("beta_smooth", {"beta_smooth": 1.5}, {"method": "beta_smooth", "beta_smooth": 1.5}),
    ("excitation_backprop", {"zero_params": ["bias"]}, {"method": "excitation_backprop"}),
    (
        "excitation_backprop",
        {},
        {"method": "lrp", "composite": "excitation_backprop", "zero_params": (), "bias": "keep"},
    ),
]  # fmt: skip


def is_relevance(composite: str) -> bool:
    """Whether a walk starts from the score; else it starts from 1."""
    return composite.startswith("epsilon")


@pytest.mark.parametrize(("theirs", "there", "here"), COMPOSITES)
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", ["vgg", "resnet"])
def test_composites(
    torch_networks: Any,
    zennit: Any,
    explained: Any,
    name: str,
    seed: int,
    theirs: str,
    there: dict[str, Any],
    here: dict[str, Any],
) -> None:
    nets = torch_networks
    net = nets.network(name, seed, **({"add": nets.zennit_sum(zennit)} if name == "resnet" else {}))
    x, explainer = explained(name, seed)
    composite = nets.zennit_composite(zennit, theirs, **there)
    wanted = nets.zennit_walk(net, composite, x, TARGETS, relevance=is_relevance(theirs))
    assert nets.relative(explainer(x, TARGETS, **here).values, wanted) < 1e-4


def test_a_plain_residual_sum_is_where_zennit_does_not_conserve(
    torch_networks: Any, zennit: Any, explained: Any
) -> None:
    nets = torch_networks
    x, explainer = explained("resnet", 0)
    found = explainer(x, TARGETS, "lrp", bias="keep")
    composite = nets.zennit_composite(zennit, "epsilon_plus")
    plain = nets.zennit_walk(nets.network("resnet"), composite, x, TARGETS, relevance=True)
    assert nets.relative(plain, found.values) > 0.1
    axes = (1, 2, 3)
    assert (np.abs(found.values.sum(axes) / found.score) < np.abs(plain.sum(axes) / found.score)).all()


def test_excitation_backprop_differs_by_its_biases(torch_networks: Any, zennit: Any, explained: Any) -> None:
    nets = torch_networks
    x, explainer = explained("vgg", 0)
    found = explainer(x, TARGETS, "excitation_backprop").values
    composite = nets.zennit_composite(zennit, "excitation_backprop")
    kept = nets.zennit_walk(nets.network("vgg"), composite, x, TARGETS, relevance=False)
    assert nets.relative(kept, found) > 0.01
    assert (kept.sum((1, 2, 3)) < found.sum((1, 2, 3))).all()  # what biases keep is lost


@pytest.mark.parametrize("name", ["epsilon_plus", "epsilon_alpha2_beta1", "excitation_backprop"])
def test_trained_efficientnet(torch_networks: Any, zennit: Any, efficientnet: Any, name: str) -> None:
    """Depthwise convolutions, explicit padding, ReLU6, residual sums; a photograph of a cat.

    Its layers pad in an operator of its own.  What that adds is an input of the layer here and none there, so
    that rules that give to inputs that are 0 (flat, z^B) differ at the border and are left out.  Zennit's
    excitation backprop walks through ReLU6 by gradient, which stops where it saturates; there is no such stop
    in the other composites and in ours, so that ``Pass`` is prepended.
    """
    nets, (net, x) = torch_networks, efficientnet
    options = {"bias": "keep"} | ({} if name.startswith("epsilon") else {"zero_params": ()})
    found = ox.explain(nets.export(net, x), x, 281, method="lrp", composite=name, device="cpu", **options)
    merged = nets.with_sums(net, nets.zennit_sum(zennit))
    passing = [(zennit.types.Activation, zennit.rules.Pass())]
    composite = nets.zennit_composite(zennit, name, merged, layer_map=passing)
    wanted = nets.zennit_walk(net, composite, x, [281], relevance=is_relevance(name))
    assert nets.relative(found.values, wanted) < 1e-4
