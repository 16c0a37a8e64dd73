"""Our rules beside zennit's, layer by layer.

Where the two part by design, and what is done about it here:

* ``WSquare`` counts the squared bias in the denominator there.  Compared with ``zero_params=["bias"]``.
* LRP-0 (``Epsilon(0)``) there is not a number where the denominator is exactly 0; ours gives nothing.  Not
  compared between rectifiers, where that happens.
* ``norm_scale`` takes the mean over all axes of a sample.  A dense layer with a bias over rows (N, T, F) is
  one over samples (N T, F) here, so that its mean is over one row; compared without a bias.
* A rule that changes weights does not change those that average pooling and sums have without saying: there,
  ``AlphaBeta`` on such a module does not tell positive contributions from negative ones.  Its composites
  never do so, and only the rules that leave weights alone are compared there.
* ``Flat`` and ``ZBox`` leave the bias out on both sides (there, b - b+ - b- = 0).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.backward.composites.composite import Composite, Match
from onnxplain.backward.registry import Category
from onnxplain.backward.rules import lrp
from onnxplain.backward.rules.base import GRADIENT, Pass, Rule
from onnxplain.backward.rules.stabilizer import Stabilizer

pytestmark = pytest.mark.torch

TARGETS = np.array([1, 0, 3])


@pytest.fixture(scope="module")
def explained_single(torch_networks: Any) -> Callable[..., tuple[Any, ox.Explainer]]:
    """What makes the inputs and the explainer of a layer, once for each."""

    @cache
    def make(name: str, bias: bool, rectified: bool) -> tuple[Any, ox.Explainer]:
        nets = torch_networks
        net = nets.single(name, bias=bias, rectified=rectified)
        x = nets.sample(net)
        return x, ox.Explainer(nets.export(net, x), device="cpu")

    return make


#: Here by id: name there, options there, the rule here.
RULES: dict[str, tuple[str, dict[str, Any], Rule]] = {
    "zero": ("Epsilon", {"epsilon": 0.0}, lrp.zero()),
    "epsilon": ("Epsilon", {"epsilon": 1e-2}, lrp.epsilon(1e-2)),
    "zplus": ("ZPlus", {}, lrp.zplus()),
    "alpha1_beta0": ("AlphaBeta", {"alpha": 1.0, "beta": 0.0}, lrp.alpha_beta(1, 0)),
    "alpha2_beta1": ("AlphaBeta", {}, lrp.alpha_beta()),
    "alpha3_beta2": ("AlphaBeta", {"alpha": 3.0, "beta": 2.0}, lrp.alpha_beta(3, 2)),
    "gamma": ("Gamma", {}, lrp.gamma()),
    "gamma_2": ("Gamma", {"gamma": 2.0}, lrp.gamma(2.0)),
    "flat": ("Flat", {}, lrp.flat()),
    "wsquare": ("WSquare", {"zero_params": ["bias"]}, lrp.wsquare()),
    "zbox": ("ZBox", {"low": -4.0, "high": 5.0}, lrp.zbox(-4, 5)),
    "norm": ("Norm", {}, lrp.norm()),
    "epsilon_without_bias": (
        "Epsilon",
        {"epsilon": 1e-2, "zero_params": ["bias"]},
        lrp.epsilon(1e-2, ["bias"]),
    ),
    "zplus_without_bias": ("ZPlus", {"zero_params": ["bias"]}, lrp.zplus(zero_params=["bias"])),
    "alpha2_beta1_without_bias": (
        "AlphaBeta",
        {"zero_params": ["bias"]},
        lrp.alpha_beta(zero_params=["bias"]),
    ),
    "gamma_without_bias": ("Gamma", {"zero_params": ["bias"]}, lrp.gamma(zero_params=["bias"])),
}
LAYERS = [
    "linear", "linear_rows", "conv1d", "conv1d_dilated", "conv2d", "conv2d_odd", "conv2d_groups",
    "conv2d_depthwise", "conv3d", "transpose1d", "transpose2d", "transpose2d_dilated", "transpose3d",
]  # fmt: skip
WEIGHTLESS = ["zero", "epsilon", "norm", "flat", "wsquare"]
POOLS = ["average1d", "average2d", "average2d_without_pads", "average3d", "global", "sum"]


def compare(
    nets: Any,
    zennit: Any,
    explained: Any,
    name: str,
    theirs: Any,
    ours: Rule,
    *,
    bias: bool = True,
    rectified: bool = False,
) -> float:
    """Return the difference of a rule on a layer.

    The dense layer above walks by gradient, so that what arrives has either sign everywhere; between
    rectifiers by eps, so that nothing arrives where the layer's output is negative.
    """
    rules = zennit.rules
    net = nets.single(name, bias=bias, rectified=rectified, add=nets.zennit_sum(zennit))
    map_there = [(("layer.add.sum" if name == "sum" else "layer",), theirs)]
    if rectified:
        map_there += [(("before", "after"), rules.Pass()), (("end",), rules.Epsilon())]
    here = (
        (Match(categories=(Category.STRUCTURAL,)), GRADIENT),
        (Match(ops=("Relu",)), Pass()),
        (Match(layer=True, last=True), lrp.epsilon() if rectified else GRADIENT),
        (Match(), ours),
    )
    x, explainer = explained(name, bias, rectified)
    wanted = nets.zennit_walk(net, zennit.composites.NameMapComposite(map_there), x, TARGETS, relevance=True)
    composite = Composite("one rule", here, preparation=("relevance",))
    found = explainer(x, TARGETS, "lrp", composite=composite).values
    return float(nets.relative(found, wanted))


def cases() -> list[Any]:
    """Return layer, whether it has a bias, whether it stands between rectifiers, and rule."""
    made = []
    for name, bias, rectified, rule in itertools.product(LAYERS, (False, True), (False, True), RULES):
        if (rule == "zero" and rectified) or (rule.endswith("_without_bias") and not bias):
            continue
        words = name, "bias" if bias else "no_bias", "rectified" if rectified else "either_sign", rule
        made.append(pytest.param(name, bias, rectified, rule, id="-".join(words)))
    return made


@pytest.mark.parametrize(("name", "bias", "rectified", "rule"), cases())
def test_rules(
    torch_networks: Any,
    zennit: Any,
    explained_single: Any,
    name: str,
    bias: bool,
    rectified: bool,
    rule: str,
) -> None:
    there, options, ours = RULES[rule]
    theirs = getattr(zennit.rules, there)(**options)
    nets = torch_networks
    assert compare(nets, zennit, explained_single, name, theirs, ours, bias=bias, rectified=rectified) < 1e-4


@pytest.mark.parametrize(
    ("name", "rectified", "rule"),
    [c for c in itertools.product(POOLS, (False, True), WEIGHTLESS) if c[1:] != (True, "zero")],
)
def test_rules_without_weights(
    torch_networks: Any, zennit: Any, explained_single: Any, name: str, rectified: bool, rule: str
) -> None:
    there, options, ours = RULES[rule]
    theirs = getattr(zennit.rules, there)(**options)
    assert compare(torch_networks, zennit, explained_single, name, theirs, ours, rectified=rectified) < 1e-4


@pytest.mark.parametrize(
    "name",
    [
        "relu",
        "relu6",
        "leaky_relu",
        "prelu",
        "elu",
        "gelu",
        "silu",
        "hardswish",
        "softplus",
        "sigmoid",
        "tanh",
    ],
)
def test_pass(torch_networks: Any, zennit: Any, explained_single: Any, name: str) -> None:
    """Also where the exporter writes the activation out as several operators."""
    theirs = zennit.rules.Pass()
    assert compare(torch_networks, zennit, explained_single, name, theirs, Pass()) < 1e-4


@pytest.mark.parametrize(
    ("name", "channels", "axes"),
    [("linear", 7, 0), ("conv1d", 3, 1), ("conv2d_groups", 4, 2), ("conv3d", 2, 3)],
)
def test_zbox_per_channel(
    torch_networks: Any, zennit: Any, explained_single: Any, name: str, channels: int, axes: int
) -> None:
    import torch

    low, high = (sign * np.linspace(4, 5, channels) for sign in (-1, 1))
    shape = (1, channels, *[1] * axes)
    there = zennit.rules.ZBox(*(torch.tensor(b, dtype=torch.float32).reshape(shape) for b in (low, high)))
    ours = lrp.zbox(tuple(low), tuple(high))
    assert compare(torch_networks, zennit, explained_single, name, there, ours) < 1e-4


@pytest.mark.parametrize("rectified", [False, True], ids=["either_sign", "rectified"])
@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("norm_scale", [False, True])
@pytest.mark.parametrize(
    ("name", "rule"),
    [
        *itertools.product(
            ("linear", "linear_rows", "conv2d"),
            ("epsilon", "zplus", "alpha2_beta1", "gamma", "wsquare", "zbox", "norm"),
        ),
        *itertools.product(("average2d", "sum"), ("epsilon", "norm", "wsquare")),
    ],
)
def test_stabilizers(
    torch_networks: Any,
    zennit: Any,
    explained_single: Any,
    name: str,
    norm_scale: bool,
    clip: bool,
    rectified: bool,
    rule: str,
) -> None:
    there, options, _ = RULES[rule]
    theirs = zennit.core.Stabilizer(0.3, clip, norm_scale)
    ours = Stabilizer(0.3, clip, norm_scale)
    argument = "epsilon" if rule == "epsilon" else "stabilizer"
    difference = compare(
        torch_networks,
        zennit,
        explained_single,
        name,
        getattr(zennit.rules, there)(**{**options, argument: theirs}),
        with_stabilizer(rule, ours),
        bias=name != "linear_rows",
        rectified=rectified,
    )
    assert difference < 1e-4


def with_stabilizer(rule: str, stabilizer: Any) -> Rule:
    """Return one of our rules with another stabilizer."""
    if rule == "zbox":
        return lrp.zbox(-4, 5, stabilizer)
    make: Any = {
        "epsilon": lrp.epsilon, "zplus": lrp.zplus, "gamma": lrp.gamma, "wsquare": lrp.wsquare,
        "norm": lrp.norm,
    }.get(rule, lrp.alpha_beta)  # fmt: skip
    return make(**{"epsilon" if rule == "epsilon" else "stabilizer": stabilizer})


def test_stabilizers_matter(torch_networks: Any, zennit: Any, explained_single: Any) -> None:
    theirs = zennit.rules.Epsilon(zennit.core.Stabilizer(0.3))
    for other in (Stabilizer(0.3, clip=True), Stabilizer(0.3, norm_scale=True), Stabilizer(0.1)):
        ours = lrp.epsilon(other)
        assert compare(torch_networks, zennit, explained_single, "conv2d", theirs, ours) > 1e-2


def test_wsquare_differs_by_its_biases(torch_networks: Any, zennit: Any, explained_single: Any) -> None:
    theirs, ours = zennit.rules.WSquare(), lrp.wsquare()
    assert compare(torch_networks, zennit, explained_single, "linear", theirs, ours) > 1e-3
    assert compare(torch_networks, zennit, explained_single, "linear", theirs, ours, bias=False) < 1e-4


@pytest.mark.parametrize("rule", ["Epsilon", "ZPlus", "AlphaBeta", "Gamma"])
def test_layers_whose_weights_are_zeroed_give_nothing(
    torch_networks: Any, zennit: Any, explained_single: Any, rule: str
) -> None:
    nets = torch_networks
    ours = {"Epsilon": lrp.epsilon, "ZPlus": lrp.zplus, "AlphaBeta": lrp.alpha_beta, "Gamma": lrp.gamma}[rule]
    rules: Any = (
        (Match(categories=(Category.STRUCTURAL,)), GRADIENT),
        (Match(layer=True, last=True), GRADIENT),
        (Match(), ours(zero_params=["weight"])),
    )
    x, explainer = explained_single("conv2d", True, False)
    assert not explainer(x, TARGETS, "lrp", composite=Composite("nothing", rules)).values.any()
    theirs = zennit.composites.NameMapComposite(
        [(("layer",), getattr(zennit.rules, rule)(zero_params=["weight"]))]
    )
    assert not nets.zennit_walk(nets.single("conv2d"), theirs, x, TARGETS, relevance=True).any()
