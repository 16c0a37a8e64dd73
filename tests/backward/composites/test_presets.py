"""Composites by name: which rule each gives to which node, and its options."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import onnx
import pytest
from composite_tables import named

import onnxplain as ox
from onnxplain.backward.composites.composite import Composite
from onnxplain.backward.composites.presets import PRESETS, preset
from onnxplain.backward.rules import lrp
from onnxplain.errors import MethodError

BOX = {"low": -4.0, "high": 4.0}

# What each composite is: the rules of the layers, in order (conv1, conv2, conv3, fc1, y), and of the residual
# network (c1, c2, c3, y), where the first shortcut begins behind a pooling.

A, B = "alpha1_beta0_whole_bias", "alpha2_beta1_whole_bias"  # iNNvestigate's

LAYERS: dict[str, tuple[dict[str, Any], str, str]] = {
    "zero": ({}, "zero zero zero zero zero", "zero zero zero zero"),
    "epsilon": ({}, "epsilon epsilon epsilon epsilon epsilon", "epsilon epsilon epsilon epsilon"),
    "zplus": ({}, "zplus zplus zplus zplus zplus", "zplus zplus zplus zplus"),
    "conserving": ({}, "zplus zplus zplus epsilon epsilon", "zplus zplus zplus epsilon"),
    "epsilon_plus": ({}, "zplus zplus zplus epsilon epsilon", "zplus zplus zplus epsilon"),
    "epsilon_plus_flat": ({}, "flat zplus zplus epsilon epsilon", "flat zplus zplus epsilon"),
    "epsilon_alpha2_beta1": (
        {}, "alpha2_beta1 alpha2_beta1 alpha2_beta1 epsilon epsilon",
        "alpha2_beta1 alpha2_beta1 alpha2_beta1 epsilon",
    ),
    "epsilon_alpha2_beta1_flat": (
        {}, "flat alpha2_beta1 alpha2_beta1 epsilon epsilon", "flat alpha2_beta1 alpha2_beta1 epsilon",
    ),
    "epsilon_gamma_box": (
        BOX, "zbox gamma(0.25) gamma(0.25) epsilon epsilon", "zbox gamma(0.25) gamma(0.25) epsilon",
    ),
    "sequential_preset_a": ({}, f"{A} {A} {A} epsilon epsilon", f"{A} {A} {A} epsilon"),
    "sequential_preset_a_flat": ({}, f"flat {A} {A} epsilon epsilon", f"flat {A} {A} epsilon"),
    "sequential_preset_b": ({}, f"{B} {B} {B} epsilon epsilon", f"{B} {B} {B} epsilon"),
    "sequential_preset_b_flat": ({}, f"flat {B} {B} epsilon epsilon", f"flat {B} {B} epsilon"),
    "zero_epsilon_gamma": (
        {"gamma": 0.5}, "gamma(0.5) gamma(0.5) epsilon zero zero", "gamma(0.5) epsilon zero zero",
    ),
    "zero_epsilon_alpha1_beta0": ({}, "zplus zplus epsilon zero zero", "zplus epsilon zero zero"),
    "deep_taylor": ({}, "wsquare zplus zplus zplus zplus", "wsquare zplus zplus zplus"),
    "excitation_backprop": ({}, "zplus zplus zplus zplus zplus", "zplus zplus zplus zplus"),
    "attention": ({}, "epsilon epsilon epsilon epsilon epsilon", "epsilon epsilon epsilon epsilon"),
    "attention_cp": ({}, "epsilon epsilon epsilon epsilon epsilon", "epsilon epsilon epsilon epsilon"),
}  # fmt: skip

#: Beside the layers, in order.
BESIDE_VGG = {
    "relu1": "pass", "pool1": "gradient", "relu2": "pass", "relu3": "pass", "pool2": "gradient",
    "flat": "gradient", "relu4": "pass",
}  # fmt: skip
BESIDE_RESIDUAL = {
    "r1": "pass", "p1": "gradient", "r2": "pass", "s": "norm", "r3": "pass", "g": "norm", "f": "gradient",
}  # fmt: skip


def table(model: onnx.ModelProto, name: str, **options: Any) -> dict[str, str]:
    found = ox.inspect(named(model), composite=name, **options)
    assert found.rule_table is not None, found.problems
    return {node: rule for node, _, rule in found.rule_table}


@pytest.mark.parametrize("name", LAYERS)
def test_rules_of_relevance(name, models) -> None:
    options, on_vgg, on_residual = LAYERS[name]
    layers = dict(zip(["conv1", "conv2", "conv3", "fc1", "y"], on_vgg.split(), strict=True))
    assert table(models.vgg(), name, **options) == layers | BESIDE_VGG
    layers = dict(zip(["c1", "c2", "c3", "y"], on_residual.split(), strict=True))
    assert table(models.conv(), name, **options) == layers | BESIDE_RESIDUAL


WALKS = {
    "gradient": {},
    "guided_backprop": {"r1": "guided", "r2": "guided", "r3": "guided"},
    "deconvnet": {"r1": "deconvolution", "r2": "deconvolution", "r3": "deconvolution"},
    "beta_smooth": {"r1": "beta_smooth", "r2": "beta_smooth", "r3": "beta_smooth"},
    "visual_backprop": {
        "c1": "visual_layer", "r1": "all_pass", "p1": "visual_layer", "c2": "visual_layer", "r2": "all_pass",
        "s": "all_pass", "c3": "visual_layer", "r3": "all_pass", "g": "visual_start", "f": "visual_start",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", WALKS)
def test_rules_of_other_walks(name, models) -> None:
    nodes = ["c1", "r1", "p1", "c2", "r2", "s", "c3", "r3", "g", "f", "y"]
    assert table(models.conv(), name) == dict.fromkeys(nodes, "gradient") | WALKS[name]


def test_the_epsilon_of_dense_layers() -> None:
    """iNNvestigate's presets have a larger one; zennit's, and what is asked for."""

    def dense(name: str, **options: Any) -> list[Any]:
        return [rule for _, rule in preset(name, bias="keep", **options).rules if rule.name == "epsilon"]

    for name in ("sequential_preset_a", "sequential_preset_b", "sequential_preset_a_flat"):
        assert dense(name) == [lrp.epsilon(0.1)]
        assert dense(name, epsilon=0.2) == [lrp.epsilon(0.2)]
    assert dense("epsilon_plus") == [lrp.epsilon(1e-6)]


def test_what_other_rules_hold_beside_layers(models) -> None:
    model = models.make(
        """m (float[N, 2, 4, 4] x) => (float[N, 2] y) {
          low = LpPool<kernel_shape = [2, 2]>(x) avg = AveragePool<kernel_shape = [2, 2]>(low)
          top = GlobalMaxPool(avg) f = Flatten(top) t = Tanh(f) g = Sigmoid(f) m = Mul(t, g)
          q = Div(m, t) s = Softmax(q) k = Max(s, m) e = ReduceMax(k, axis) y = Sub(k, e)
        }""",
        axis=np.array([1]),
    )  # fmt: skip
    rows = table(model, "epsilon")
    assert rows["low"] == rows["avg"] == rows["y"] == "norm"
    assert rows["top"] == rows["f"] == rows["e"] == "gradient"
    assert rows["s"] == "softmax"
    assert table(model, "attention_cp")["s"] == "stop"
    assert table(model, "epsilon", winner_take_all=False)["top"] == "proportional"


# Options

COMMON = {"stabilizer", "zero_params", "winner_take_all"}
TAKES: dict[str, set[str]] = {
    "gradient": set(),
    "guided_backprop": set(),
    "deconvnet": set(),
    "beta_smooth": {"beta_smooth"},
    "visual_backprop": set(),
    "zero": {"zero_params", "winner_take_all"},
    "epsilon": {"epsilon", *COMMON},
    "zplus": COMMON,
    "conserving": {"epsilon", *COMMON},
    "epsilon_plus": {"epsilon", *COMMON},
    "epsilon_plus_flat": {"epsilon", *COMMON},
    "epsilon_alpha2_beta1": {"epsilon", *COMMON},
    "epsilon_alpha2_beta1_flat": {"epsilon", *COMMON},
    "epsilon_gamma_box": {"epsilon", "gamma", "low", "high", *COMMON},
    "sequential_preset_a": {"epsilon", *COMMON},
    "sequential_preset_a_flat": {"epsilon", *COMMON},
    "sequential_preset_b": {"epsilon", *COMMON},
    "sequential_preset_b_flat": {"epsilon", *COMMON},
    "zero_epsilon_gamma": {"epsilon", "gamma", *COMMON},
    "zero_epsilon_alpha1_beta0": {"epsilon", *COMMON},
    "deep_taylor": {"low", "high", "stabilizer", "winner_take_all"},
    "excitation_backprop": {"stabilizer", "zero_params", "contrastive"},
    "attention": {"epsilon", "stabilizer"},
    "attention_cp": {"epsilon", "stabilizer"},
}
VALUES: dict[str, Any] = {
    "epsilon": 0.01, "gamma": 0.75, "low": -1.0, "high": (2.0, 3.0), "stabilizer": 1e-4,
    "zero_params": ("weight",), "winner_take_all": False, "contrastive": True, "beta_smooth": 3.0,
}  # fmt: skip


@pytest.mark.parametrize("name", TAKES)
def test_options(name) -> None:
    """Each changes the composite; all others are refused, with those that there are."""
    needed = {k: VALUES[k] for k in ("low", "high") if k in TAKES[name]}
    plain = preset(name, **needed)
    for option in TAKES[name] - set(needed):
        assert preset(name, **needed, **{option: VALUES[option]}) != plain
    for option in set(VALUES) - TAKES[name]:
        with pytest.raises(
            MethodError, match=rf"'{name}' does not take '{option}'; it takes (no options|\w+)"
        ):
            preset(name, **needed, **{option: VALUES[option]})
    assert set(inspect.signature(PRESETS[name]).parameters) == TAKES[name]


def test_every_composite_of_relevance_is_written_out_here() -> None:
    """A new preset needs a row above (DeepLIFT's have tests of their own)."""
    assert {name for name in PRESETS if not name.startswith("deep_lift")} == set(TAKES)
    assert set(TAKES) == set(LAYERS) | set(WALKS)


@pytest.mark.parametrize("options", [{}, {"low": 0.0}, {"high": 1.0}])
def test_a_box_needs_its_bounds(options) -> None:
    with pytest.raises(
        MethodError, match=r"'epsilon_gamma_box' needs low and high: the least and the greatest"
    ):
        ox.LRP("epsilon_gamma_box", **options)


def test_deep_taylor_takes_both_bounds_or_none(models) -> None:
    for options in ({"low": 0.0}, {"high": 1.0}):
        with pytest.raises(MethodError, match=r"'deep_taylor' takes both low and high .* or neither"):
            ox.LRP("deep_taylor", **options)
    assert table(models.conv(), "deep_taylor", **BOX)["c1"] == "zbox"


def test_names_and_values_that_make_no_sense() -> None:
    with pytest.raises(
        MethodError, match=r"there is no composite 'zminus'; choose one of .*epsilon_plus.*file"
    ):
        ox.LRP("zminus")
    with pytest.raises(MethodError, match=r"beta_smooth is 0; give a number above 0"):
        preset("beta_smooth", beta_smooth=0)
    with pytest.raises(MethodError, match=r"each bound below must be less"):
        ox.LRP("deep_taylor", low=1, high=0)
    with pytest.raises(MethodError, match=r"composite 'mine' is complete and takes no epsilon"):
        ox.LRP(Composite("mine", ()), epsilon=0.1)
    for options in ({"epsilon": -1}, {"stabilizer": "big"}, {"epsilon": np.nan}):
        with pytest.raises(MethodError, match="give a number that is not negative"):
            ox.LRP("epsilon", **options)
    with pytest.raises(MethodError, match="gamma is -1; give a number that is not negative"):
        ox.LRP("zero_epsilon_gamma", gamma=-1)
