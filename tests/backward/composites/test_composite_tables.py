"""Tables of rules and composites as data: printed, inspected, compared, and refused before anything runs."""

from __future__ import annotations

from typing import Any

import pytest
from composite_tables import named, normal, resolved

import onnxplain as ox
from onnxplain.backward import program
from onnxplain.backward.asks import Walk
from onnxplain.backward.composites.composite import Composite, Match, RuleTable
from onnxplain.backward.composites.presets import PRESETS, preset
from onnxplain.backward.question import Question
from onnxplain.backward.rules import lrp
from onnxplain.backward.rules.base import Pass
from onnxplain.errors import UnsupportedOperatorError, UnsupportedRuleError
from onnxplain.runtime.session import Executable


def test_a_table_prints(models) -> None:
    table = resolved(models.mlp(), preset("zplus"))
    assert str(table).splitlines() == ["a  Gemm  zplus", "h  Relu  pass ", "y  Gemm  zplus"]
    assert list(table) == [("a", "Gemm", "zplus"), ("h", "Relu", "pass"), ("y", "Gemm", "zplus")]
    assert str(RuleTable((), {})) == ""


def test_the_table_is_on_the_result_and_in_an_inspection(models) -> None:
    model = named(models.mlp())
    rows = (("a", "Gemm", "zplus"), ("h", "Relu", "pass"), ("y", "Gemm", "zplus"))
    assert ox.explain(model, models.random(2, 5), 0, method=ox.LRP("zplus")).rule_table == rows
    found = ox.inspect(model, composite="zplus")
    assert found.rule_table is not None
    assert found.rule_table.rows == rows
    assert {row.op_type: row.rule for row in found.operators} == {"Gemm": "zplus", "Relu": "pass"}
    plain = ox.inspect(model)
    assert plain.rule_table is None
    assert {row.op_type: row.rule for row in plain.operators} == {"Gemm": "epsilon", "Relu": "pass"}


def test_an_inspection_shows_the_graph_that_is_walked(models) -> None:
    """A normalisation becomes part of the layer before it, or a product and a sum; a bias joins its layer."""
    weights = {k: models.random(2) for k in ("s", "b", "m")} | {"v": models.random(2) ** 2 + 1}
    model = models.make(
        """m (float[N, 2, 4] x) => (float[N, 2, 4] y) {
          a = BatchNormalization(x, s, b, m, v) r = Relu(a) c = MatMul(r, w) y = Add(c, u)
        }""",
        w=models.random(4, 4), u=models.random(4), **weights,
    )  # fmt: skip
    found = ox.inspect(named(model), composite=preset("epsilon"))
    assert found.rule_table is not None
    ran = ox.explain(model, models.random(3, 2, 4), (0, 0), method=ox.LRP("epsilon"))
    assert found.rule_table.rows == ran.rule_table
    rules = {row.op_type: row.rule for row in found.operators}
    assert rules == {"BatchNormalization": "rewritten", "MatMul": "rewritten", "Relu": "pass", "Add": "norm"}


def test_an_inspection_refuses_what_a_composite_does_not_take(models) -> None:
    with pytest.raises(ox.errors.MethodError, match="'gamma' is an option of a composite; name one"):
        ox.inspect(models.mlp(), gamma=1)
    with pytest.raises(ox.errors.MethodError, match="'epsilon' does not take 'gamma'"):
        ox.inspect(models.mlp(), composite="epsilon", gamma=1)
    found = ox.inspect(models.mlp(), composite="visual_backprop")
    assert found.rule_table is None
    assert "networks with Conv" in found.problems[0]


OPTIONS: dict[str, dict[str, Any]] = {"epsilon_gamma_box": {"low": -1.0, "high": 1.0}}


@pytest.mark.parametrize("name", PRESETS)
def test_composites_hash_and_compare(name) -> None:
    """Programs are cached by what is asked, so that making a composite anew must not make a new program."""
    one, same = (preset(name, **OPTIONS.get(name, {})) for _ in range(2))
    assert one == same
    assert hash(one) == hash(same)
    others = [preset(n, **OPTIONS.get(n, {})) for n in PRESETS if n != name]
    assert one not in others


def test_composites_with_other_options_differ() -> None:
    assert preset("epsilon") != preset("epsilon", epsilon=1e-3)
    assert preset("epsilon", zero_params=["bias"]) == preset("epsilon", zero_params=("bias",))
    assert preset("epsilon", zero_params="bias") == preset("epsilon", zero_params=("bias",))
    assert preset("zplus", winner_take_all=False) != preset("zplus")


def test_a_program_is_built_once_per_composite(models) -> None:
    explainer = ox.Explainer(models.mlp())
    x = models.random(2, 5)
    for _ in range(2):
        explainer(x, target=0, method=ox.LRP("epsilon", epsilon=0.1))
        explainer(x, target=0, method=ox.LRP("epsilon", epsilon=0.2))
    assert len(explainer._programs) == 2


def test_an_operator_without_a_rule_is_named(models) -> None:
    model = models.make("m (float[N, 3] x) => (float[N, 3] y) { a = Relu(x) y = LogSoftmax(a) }")
    with pytest.raises(
        UnsupportedRuleError, match=r"'epsilon' has no rule for LogSoftmax node 'y'; use a grad"
    ):
        resolved(model, preset("epsilon"))


def test_an_unknown_operator_is_named(models) -> None:
    model = models.make(
        "m (float[N, 3] x) => (float[N, 3] y) { a = Relu(x) y = odd.Mystery(a) }", domain="odd"
    )
    with pytest.raises(
        UnsupportedOperatorError, match=r"odd.Mystery node 'y' lies between .*'onnxplain inspect'"
    ):
        resolved(model, preset("epsilon"))


def test_a_rule_that_cannot_be_bound_is_named(models) -> None:
    model = models.make("m (float[N, 3] x) => (float[N, 3] y) { a = Relu(x) y = Sigmoid(a) }")
    composite = Composite("one", ((Match(name="y"), lrp.zplus()), (Match(), Pass())))
    with pytest.raises(UnsupportedRuleError, match=r"'zplus' .* Sigmoid node 'y' .*; give it another rule"):
        resolved(model, composite)


def test_rules_are_resolved_before_anything_runs(models, monkeypatch) -> None:
    """A composite that does not fit is told by check, with nothing written and nothing run."""
    model = models.make("m (float[N, 3] x) => (float[N, 3] y) { a = LogSoftmax(x) y = Relu(a) }")
    question = Question("y", ("x",), Walk(preset("epsilon")))
    monkeypatch.setattr(program, "backward", None)
    with pytest.raises(UnsupportedRuleError, match="LogSoftmax"):
        program.check(normal(model), question)
    with pytest.raises(UnsupportedRuleError, match="LogSoftmax"):
        program.build(normal(model), question)
    monkeypatch.setattr(Executable, "run", None)
    with pytest.raises(UnsupportedRuleError, match="LogSoftmax"):
        ox.explain(model, models.random(2, 3), "predicted", method="lrp")
