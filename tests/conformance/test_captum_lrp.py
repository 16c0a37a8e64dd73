"""Our relevance rules beside Captum's, where the two agree by definition.

Captum's rules change the weights of a layer, never its input or its bias, and know no sign of the output:

* ``EpsilonRule``: the same, for any input.  Its epsilon is 1e-9 by default, ours 1e-6; compared with equal
  ones.
* ``GammaRule``: ``w + gamma w+`` for every input and output.  Ours has that for inputs that are not negative
  and outputs that are positive (or 0 after a ReLU, so that nothing arrives); negative inputs and outputs use
  the mirror image.  So: on inputs that are not negative, below the last layer.  Captum does not scale the
  bias, which we do as zennit does: both without biases.
* ``Alpha1_Beta0_Rule``: the weights' positive part for every input.  Ours has the negative part for negative
  inputs: on inputs that are not negative, both without biases.
* ``IdentityRule``: what ours calls ``pass``.  Captum's default for a batch normalisation is the epsilon rule.
  It merges none; we merge those next to a layer.  Compared between pooling and Flatten.
  Directly behind a ReLU, where Captum has two hooks on one tensor, its identity gives something else.
* Max pooling takes the epsilon rule: all to the winner, but nothing where that is 0.  Ours (by gradient) does
  not ask; no relevance arrives at a 0 but below a normalisation that is passed by.  Compared with eps.
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.backward.composites.composite import Composite, Match
from onnxplain.backward.registry import Category
from onnxplain.backward.rules import lrp
from onnxplain.backward.rules.base import GRADIENT, Pass, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.torch

TARGETS = np.array([1, 0, 4])
WITHOUT_BIAS = ("bias",)


@pytest.fixture
def attr() -> Iterator[Any]:
    """``captum.attr``, whose remarks on hooks are no concern here."""
    captum = pytest.importorskip("captum.attr", reason="needs Captum: pip install 'onnxplain[conformance]'")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield captum


def by_captum(nets: Any, net: Any, x: Any, rules: dict[str, Any]) -> Any:
    """Ask Captum, one row at a time; ``rules`` makes them by the module's name, others take its default."""
    import torch
    from captum.attr import LRP
    from captum.attr._utils.lrp_rules import EpsilonRule

    rows = []
    for row, target in zip(torch.from_numpy(x), TARGETS, strict=True):
        model = copy.deepcopy(net)  # Captum takes the rules away again
        for name, module in model.named_modules():
            if name in rules:
                module.rule = rules[name]()
            elif isinstance(module, torch.nn.Flatten):
                module.rule = EpsilonRule(1e-30)  # it moves values, for which Captum has no default
        rows.append(LRP(model).attribute(row[None].clone(), int(target)).detach())
    return torch.cat(rows)


def layers_of(net: Any) -> list[str]:
    """Return the names of the layers with weights, from first to last."""
    import torch

    kinds = torch.nn.Conv2d, torch.nn.Linear
    return [name for name, module in net.named_modules() if isinstance(module, kinds)]


def composite(layer: Rule, first: Rule | None = None, last: Rule | None = None) -> Composite:
    """Return a composite with one rule for all layers, but perhaps the first and the last."""
    special = [
        (Match(layer=True, first=True), first or layer),
        (Match(layer=True, last=True), last or layer),
    ]
    rest = [
        (Match(layer=True), layer),
        (Match(ops=("MaxPool",)), lrp.norm(1e-9)),
        (Match(categories=(Category.STRUCTURAL,)), GRADIENT),
        (Match(categories=(Category.ELEMENTWISE,)), Pass()),
    ]
    return Composite("like captum", (*special, *rest))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("epsilon", [1e-6, 0.25])
def test_epsilon(torch_networks: Any, attr: Any, epsilon: float, seed: int) -> None:
    from captum.attr._utils.lrp_rules import EpsilonRule

    nets = torch_networks
    net = nets.network("vgg", seed)
    x = nets.sample(net, seed=seed + 10)
    wanted = by_captum(nets, net, x, dict.fromkeys(layers_of(net), lambda: EpsilonRule(epsilon)))
    found = ox.explain(nets.export(net, x), x, TARGETS, method=ox.LRP("epsilon", epsilon, bias="keep"))
    assert nets.relative(found.values, wanted) < 1e-4


@pytest.mark.parametrize(
    "seed", [0, 4]
)  # at 1 and 2 denominators cancel: Captum in float32 and 64 differ by 1e-4
@pytest.mark.parametrize("rule", ["gamma", "gamma_1", "zplus"])
def test_rules_that_look_at_signs(torch_networks: Any, attr: Any, rule: str, seed: int) -> None:
    """Where inputs are not negative, and the last layer, whose output may be, takes eps."""
    from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule, EpsilonRule, GammaRule

    ours, theirs = {
        "gamma": (lrp.gamma(0.25, 1e-9, WITHOUT_BIAS), lambda: GammaRule(0.25, True)),
        "gamma_1": (lrp.gamma(1.0, 1e-9, WITHOUT_BIAS), lambda: GammaRule(1.0, True)),
        "zplus": (lrp.zplus(1e-9, WITHOUT_BIAS), lambda: Alpha1_Beta0_Rule(True)),
    }[rule]
    nets = torch_networks
    net = nets.network("vgg", seed)
    x = np.abs(nets.sample(net, seed=seed + 10))
    names = layers_of(net)
    rules = {**dict.fromkeys(names, theirs), names[-1]: lambda: EpsilonRule(1e-6)}
    found = ox.explain(nets.export(net, x), x, TARGETS, method=ox.LRP(composite(ours, last=lrp.epsilon())))
    wanted = by_captum(nets, net, x, rules)
    assert nets.relative(found.values, wanted) < 1e-4


def test_negative_inputs_are_where_gamma_differs(torch_networks: Any, attr: Any) -> None:
    """Only by the first layer: with eps there, the two agree again."""
    from captum.attr._utils.lrp_rules import EpsilonRule, GammaRule

    nets = torch_networks
    net = nets.network("vgg")
    x = nets.sample(net)
    model = nets.export(net, x)
    names = layers_of(net)
    ours, eps = lrp.gamma(0.25, 1e-9, WITHOUT_BIAS), lrp.epsilon()
    rules = {**dict.fromkeys(names, lambda: GammaRule(0.25, True)), names[-1]: lambda: EpsilonRule(1e-6)}
    found = ox.explain(model, x, TARGETS, method=ox.LRP(composite(ours, last=eps)))
    assert nets.relative(found.values, by_captum(nets, net, x, rules)) > 1e-2
    rules[names[0]] = rules[names[-1]]
    found = ox.explain(model, x, TARGETS, method=ox.LRP(composite(ours, eps, eps)))
    assert nets.relative(found.values, by_captum(nets, net, x, rules)) < 1e-4


@pytest.mark.parametrize("rule", ["pass", "epsilon"])
def test_batch_normalization(torch_networks: Any, attr: Any, rule: str) -> None:
    """Not merged: passed by, or a layer as others are."""
    from captum.attr._utils.lrp_rules import EpsilonRule, IdentityRule
    from torch import nn

    nets = torch_networks
    net = nets.network("normed")
    x = nets.sample(net)
    ours, theirs = (Pass(), IdentityRule) if rule == "pass" else (lrp.epsilon(), lambda: EpsilonRule(1e-6))
    rules: dict[str, Any] = dict.fromkeys(layers_of(net), lambda: EpsilonRule(1e-6))
    rules |= {name: theirs for name, module in net.named_modules() if isinstance(module, nn.BatchNorm2d)}
    like_captum = composite(lrp.epsilon())
    like_captum = replace(like_captum, rules=((Match(ops=("BatchNormalization",)), ours), *like_captum.rules))
    found = ox.explain(nets.export(net, x), x, TARGETS, method=ox.LRP(like_captum))
    assert nets.relative(found.values, by_captum(nets, net, x, rules)) < 1e-4
