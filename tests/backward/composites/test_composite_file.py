"""Composites from TOML and JSON files: every key, what is refused, and that nothing else differs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import onnxplain as ox
from onnxplain.backward.composites.bias import rule_with_bias
from onnxplain.backward.composites.composite import Composite, Match
from onnxplain.backward.composites.presets import preset
from onnxplain.backward.registry import Category
from onnxplain.backward.rules import lrp
from onnxplain.backward.rules.catalogue import RULES, make_rule
from onnxplain.backward.rules.stabilizer import Stabilizer
from onnxplain.errors import MethodError

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """
name = "mine"
extends = "epsilon_plus"
options = { epsilon = 0.01, zero_params = ["bias"], winner_take_all = false }
seed = "one"

[[rules]]
rule = "flat"
first = true
layer = true

[[rules]]
rule = "alpha_beta"
alpha = 2
beta = 1
stabilizer = { epsilon = 1e-3, clip = true }
ops = ["Conv", "ConvTranspose"]
depth = [0.0, 0.5]

[[rules]]
rule = "zbox"
low = [-1, -2.5]
high = 3
name = "block*"
last = false

[[rules]]
rule = "norm"
categories = ["sum", "pooling"]
"""

CONTENT: dict[str, Any] = {
    "name": "mine",
    "extends": "epsilon_plus",
    "options": {"epsilon": 0.01, "zero_params": ["bias"], "winner_take_all": False},
    "seed": "one",
    "rules": [
        {"rule": "flat", "first": True, "layer": True},
        {
            "rule": "alpha_beta", "alpha": 2, "beta": 1, "stabilizer": {"epsilon": 1e-3, "clip": True},
            "ops": ["Conv", "ConvTranspose"], "depth": [0.0, 0.5],
        },
        {"rule": "zbox", "low": [-1, -2.5], "high": 3, "name": "block*", "last": False},
        {"rule": "norm", "categories": ["sum", "pooling"]},
    ],
}  # fmt: skip

IN_PYTHON = (
    (Match(first=True, layer=True), lrp.flat()),
    (
        Match(ops=("Conv", "ConvTranspose"), depth=(0.0, 0.5)),
        lrp.alpha_beta(2, 1, Stabilizer(1e-3, clip=True)),
    ),
    (Match(name="block*", last=False), lrp.zbox((-1.0, -2.5), 3.0)),
    (Match(categories=(Category.SUM, Category.POOLING)), lrp.norm()),
)


def write(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("ending", ["toml", "json"])
def test_every_key(ending, tmp_path) -> None:
    """The file is the composite that the same words make in Python."""
    path = write(tmp_path, TEXT if ending == "toml" else json.dumps(CONTENT), f"other.{ending}")
    base = preset("epsilon_plus", epsilon=0.01, zero_params=("bias",), winner_take_all=False)
    assert base.bias is None
    expected = Composite("mine", (*IN_PYTHON, *base.rules), "one", base.regions, base.preparation)
    assert preset(path) == expected
    assert hash(preset(str(path))) == hash(expected)


def test_what_need_not_be_said(tmp_path) -> None:
    found = preset(write(tmp_path, "", "plain.toml"))
    assert found.name == "plain"
    assert found.rules == preset("epsilon").rules
    assert found.seed == "score"
    assert found.preparation == preset("epsilon").preparation


@pytest.mark.parametrize("name", ["visual_backprop", "excitation_backprop", "guided_backprop"])
def test_what_a_preset_is_holds_for_what_extends_it(name, tmp_path) -> None:
    found, base = preset(write(tmp_path, f'extends = "{name}"\nname = "{name}"')), preset(name)
    assert found == base
    assert found.needs == base.needs


def test_files_extend_files(tmp_path) -> None:
    """The path counts from where the file lies; its own rules come first."""
    (tmp_path / "inner").mkdir()
    write(tmp_path / "inner", '[[rules]]\nrule = "zplus"\nops = ["Conv"]\n', "base.toml")
    top = write(
        tmp_path, '{"extends": "inner/base.toml", "rules": [{"rule": "flat", "first": true}]}', "a.json"
    )
    assert preset(top).rules == (
        (Match(first=True), lrp.flat()),
        (Match(ops=("Conv",)), lrp.zplus()),
        *preset("epsilon").rules,
    )


def test_a_byte_order_mark_does_no_harm(tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(TEXT, encoding="utf-8-sig")
    assert preset(path).name == "mine"


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_can_be_named(rule, tmp_path) -> None:
    needed = {"zbox": {"low": 0, "high": 1}}.get(rule, {})
    path = write(tmp_path, json.dumps({"rules": [{"rule": rule, **needed}]}), "one.json")
    match, found = preset(path).rules[0]
    assert match == Match()
    assert found == make_rule(rule, **needed)
    text = json.dumps({"extends": "conserving", "rules": [{"rule": rule, **needed}]})
    found = preset(write(tmp_path, text, "two.json")).rules[0][1]
    assert found == rule_with_bias(make_rule(rule, **needed), "scale")


MODEL_RULES = """
extends = "epsilon"
[[rules]]
rule = "zbox"
low = [-3, -4]
high = [3, 4]
first = true
[[rules]]
rule = "gamma"
gamma = 0.5
ops = ["Conv"]
depth = [0, 0.6]
"""


def test_the_same_explanation_as_the_composite_in_python(models, tmp_path) -> None:
    path = write(tmp_path, MODEL_RULES)
    rules = (
        (Match(first=True), lrp.zbox((-3, -4), (3, 4))),
        (Match(ops=("Conv",), depth=(0.0, 0.6)), lrp.gamma(0.5)),
        *preset("epsilon").rules,
    )
    in_python = Composite("mine", rules, preparation=("relevance",))
    x = models.random(2, 2, 8, 8, seed=1)
    explainer = ox.Explainer(models.conv())
    expected = explainer(x, target=1, method=ox.LRP(in_python))
    for method in (ox.LRP(str(path)), ox.LRP(path), ox.method("lrp", composite=str(path))):
        found = explainer(x, target=1, method=method)
        np.testing.assert_array_equal(found.values, expected.values)
        assert found.rule_table == expected.rule_table
    assert [row[2] for row in found.rule_table if row[1] in ("Conv", "Gemm")] == [
        "zbox", "gamma(0.5)", "epsilon", "epsilon",
    ]  # fmt: skip
    assert len(explainer._programs) == 1


def test_biases_in_files(tmp_path) -> None:
    """A rule does what the composite does that the file extends, or what it says; LRP has the last word."""
    text = """options = {{ bias = "{}" }}
    [[rules]]
    rule = "zplus"
    ops = ["Conv"]
    [[rules]]
    rule = "gamma"
    bias = "drop"
    ops = ["Gemm"]
    [[rules]]
    rule = "flat"
    first = true
    """
    for bias in ("keep", "spread", "scale"):
        path = write(tmp_path, text.format(bias))
        rules = preset(path).rules
        assert [r for _, r in rules[:3]] == [lrp.zplus(bias=bias), lrp.gamma(bias="drop"), lrp.flat()]
        assert rules[3:] == preset("epsilon", bias=bias).rules
        told = ox.LRP(str(path), bias="drop").rules()
        assert told.bias == "drop"
        assert {r.bias for _, r in told.rules if isinstance(r, lrp.LRPRule) and r.counts_bias} == {"drop"}
    with pytest.raises(MethodError, match=r"bias is 'all'; give 'keep', 'drop', 'spread' or 'scale'"):
        preset(write(tmp_path, text.format("all")))


def a_rule(name: str, more: str = "") -> str:
    """Write a rule into a file, with what else is said of it."""
    return f'[[rules]]\nrule = "{name}"\n{more}\n'


#: What is written, and what must be said of it.
REFUSED: dict[str, tuple[str, str]] = {
    "syntax": ("[[rules]\nrule = 1", r"is no valid TOML: .*line 1"),
    "unknown key": (
        "rule = []",
        r"a composite does not take 'rule'; it takes name, extends, options, seed, rules .*mean 'rules'",
    ),
    "name": ("name = 3", r"name is 3; give text"),
    "extends": ("extends = 3", r"extends is 3; give text"),
    "extends nothing": (
        'extends = "zminus"',
        r"there is no composite 'zminus'; choose one of .*epsilon_plus",
    ),
    "extends a file": (
        'extends = "none.toml"',
        r"there is no file '.*none.toml'; check the path of the composite",
    ),
    "extends itself": ('extends = "mine.toml"', r"'mine.toml' extends this file.*; let one .* a preset"),
    "options": ("options = 3", r"options is 3; give a table"),
    "option": ("options = {gamma = 1}", r"composite 'epsilon' does not take 'gamma'; it takes epsilon, "),
    "option's value": (
        'options = {epsilon = "big"}',
        r"composite 'epsilon': epsilon is 'big'; give a number",
    ),
    "options missing": ('extends = "epsilon_gamma_box"', r"'epsilon_gamma_box' needs low and high"),
    "seed": ('seed = "two"', r"""seed is 'two'; give "one" or "score\""""),
    "rules": ("rules = 3", r"'rules' is a list of tables \(\[\[rules\]\] in TOML\)"),
    "rules of numbers": ("rules = [1]", r"'rules' is a list of tables"),
    "no rule": ("[[rules]]\nfirst = true", r"rule 1 has no key 'rule' with the rule's name"),
    "rule": ("[[rules]]\nrule = 3", r"rule 1 has no key 'rule'"),
    "unknown rule": (a_rule("zminus"), r"rule 1: there is no rule 'zminus'; choose one of zero, "),
    "rule's option": (
        a_rule("flat") + a_rule("flat", "gamma = 1"),
        r"rule 2: rule 'flat' does not take 'gamma'; it takes stabilizer, ops, categories, name, ",
    ),
    "no options": (a_rule("pass", "x = 1"), r"rule 'pass' does not take 'x'; it takes ops, "),
    "missing option": (a_rule("zbox", "low = 0"), r"rule 1: rule 'zbox' needs high"),
    "missing options": (a_rule("zbox"), r"rule 'zbox' needs low and high"),
    "wrong option": (a_rule("gamma", 'gamma = "big"'), r"rule 1: .*gamma is 'big'; give a number"),
    "wrong options": (a_rule("alpha_beta", "alpha = 3"), r"alpha - beta = 1"),
    "bounds": ('[[rules]]\nrule = "zbox"\nlow = [0, 2]\nhigh = 1', r"each bound below must be less"),
    "counts": ('[[rules]]\nrule = "zbox"\nlow = [0, 0]\nhigh = [1, 1, 1]', r"low has 2 values and high 3"),
    "params": (
        '[[rules]]\nrule = "zplus"\nzero_params = ["scale"]',
        r"'scale'; it may name 'bias' and 'weig",
    ),
    "stabilizer": (
        a_rule("flat", "stabilizer = {size = 1}"),
        r"stabilizer does not take 'size'; it takes epsilon, clip, norm_scale",
    ),
    "flag": (a_rule("flat", "first = 1"), r"rule 1: first is 1; give true or false"),
    "pattern": (a_rule("flat", "name = 1"), r"rule 1: name is 1; give a pattern of node names"),
    "ops": (a_rule("flat", 'ops = "Conv"'), r"rule 1: ops is 'Conv'; give a list of names"),
    "category": (
        '[[rules]]\nrule = "flat"\ncategories = ["conv"]',
        r"rule 1: there is no category 'conv'; choose from elementwise, sum, linear, ",
    ),
    "categories": (a_rule("flat", 'categories = "sum"'), r"categories is 'sum'; give a list"),
    "depth": (a_rule("flat", "depth = 1"), r"depth is 1; give \[low, high\] with 0 <= low < high"),
    "depth of one": ('[[rules]]\nrule = "flat"\ndepth = [0.5]', r"depth is \[0.5\]; give"),
    "depth of words": ('[[rules]]\nrule = "flat"\ndepth = ["a", "b"]', r"depth is \['a', 'b'\]; give"),
    "depth of truths": ('[[rules]]\nrule = "flat"\ndepth = [false, true]', r"depth is \[False, True\]; give"),
    "depth upside down": ('[[rules]]\nrule = "flat"\ndepth = [1, 0]', r"depth is \[1, 0\]; give"),
    "depth too large": ('[[rules]]\nrule = "flat"\ndepth = [0, 3]', r"depth is \[0, 3\]; give"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_makes_no_sense_is_refused(what, tmp_path) -> None:
    text, words = REFUSED[what]
    with pytest.raises(MethodError, match=rf"(?s)mine.toml'.*{words}"):
        ox.LRP(str(write(tmp_path, text)))


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "is no valid JSON: .*line 1"), ("[]", "a composite is a table with 'rules'"), ("3", "is a table")],
)
def test_json_is_refused_too(text, words, tmp_path) -> None:
    with pytest.raises(MethodError, match=words):
        preset(write(tmp_path, text, "mine.json"))


def test_unreadable_files(tmp_path) -> None:
    with pytest.raises(MethodError, match=r"there is no file '.*none.toml'; check the path of the composite"):
        preset(tmp_path / "none.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(MethodError, match=r"folder.toml' is a folder; give the path of the composite"):
        preset(tmp_path / "folder.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MethodError, match=r"bytes.toml' is no valid TOML"):
        preset(tmp_path / "bytes.toml")


def test_a_file_takes_no_options(tmp_path) -> None:
    path = write(tmp_path, TEXT)
    with pytest.raises(
        MethodError, match=r"mine.toml' is complete and takes no gamma; change it where it is"
    ):
        ox.LRP(str(path), gamma=0.5)
    other = write(tmp_path, 'extends = "mine.toml"\noptions = {epsilon = 1}', "other.toml")
    with pytest.raises(MethodError, match=r"'mine.toml' is complete and takes no epsilon"):
        preset(other)


def test_files_that_extend_each_other(tmp_path) -> None:
    write(tmp_path, 'extends = "b.toml"', "a.toml")
    with pytest.raises(
        MethodError, match=r"'a.toml' extends this file, which extends 'a.toml'|let one of them"
    ):
        preset(write(tmp_path, 'extends = "a.toml"', "b.toml"))
